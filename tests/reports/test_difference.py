"""Where two tables differ, in words."""

import pytest

from rbench.reports.difference import difference


@pytest.mark.parametrize(
    ("found", "expected", "lines", "words"),
    [
        ("a\nrow 76.0 x\n", "a\nrow 66.0 x\n", 1, "line 2 has 'row 76.0 x', they give 'row 66.0 x'"),
        ("a\nb\n", "a\nb\nc\n", 1, "line 3 has '', they give 'c'"),
        ("x\nb\nz", "a\nb\nc", 2, "line 1 has 'x', they give 'a'"),
        ("a\r\n", "a\n", 0, "only its ends of lines are others"),
    ],
)
def test_the_first_line_that_differs_is_shown(found, expected, lines, words):
    assert (difference(found, expected).lines, difference(found, expected).words) == (lines, words)


def test_of_a_long_line_what_is_around_the_difference_is_shown():
    said = difference("<" * 500 + "76.0" + ">" * 500, "<" * 500 + "66.0" + ">" * 500).words
    assert len(said) < 120
    assert "76.0" in said
    assert "66.0" in said
