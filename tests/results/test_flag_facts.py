"""Every flag has a name, a mark, a meaning, a cause and a cure."""

from typing import get_args

import pytest

from rbench.results.flags.catalogue import FLAGS, FlagName, Threshold, threshold


def test_every_typed_name_has_its_facts():
    assert set(get_args(FlagName)) == set(FLAGS)


def test_marks_are_short_and_unique():
    marks = [facts.short for facts in FLAGS.values()]
    assert all(len(mark) == 2 for mark in marks)
    assert len(set(marks)) == len(marks)


def test_meaning_cause_and_cure_are_sentences():
    for facts in FLAGS.values():
        for text in (facts.meaning, facts.cause, facts.cure):
            assert text[0].isupper()
            assert text.endswith(".")
            assert "\n" not in text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.01, "%", "1 %"),
        (0.5, "%", "50 %"),
        (0.002, "points", "0.2 points"),
        (0.01, "points", "1 point"),
        (100, "samples", "100 samples"),
        (1e-4, "", "1e-4"),
        (0.1, "", "0.1"),
    ],
)
def test_a_threshold_is_written_as_documents_write_it(value, unit, text):
    assert Threshold(value, unit, "what it is of").text == text


def test_a_threshold_is_asked_for_by_flag_and_name():
    assert threshold("few-samples", "samples") == 100
    with pytest.raises(KeyError):
        threshold("few-samples", "sample")
