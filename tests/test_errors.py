"""What an error is made of, and the one line that it makes."""

import copy
import pickle

import pytest

from rbench.errors import CellFailed, InputError, Interrupted, MissingError, RbenchError
from rbench.signature import Mistake, ParameterError
from rbench.suite.document import Place

PLACED = {"component": "purifier 'jpeg'", "place": "s.yaml:3:7: purifiers[0].quality"}


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"problem": "no such file."}, "no such file."),
        ({"problem": "no such file", "place": "a.npz"}, "a.npz: no such file"),
        ({"problem": "no such file", "place": "a.npz", "remedy": "give the file"}, "a.npz: no such file; give the file"),
        ({"problem": "no such key.", "remedy": "Did you mean 'eps'?"}, "no such key. Did you mean 'eps'?"),
        ({"problem": "expected int.", "found": "'x'", "remedy": "Write 3."}, "found 'x', expected int. Write 3."),
        ({"problem": "must be above 0", "found": "0", "remedy": "write 1"}, "must be above 0 (got 0); write 1"),
        ({"problem": "it takes a or b.", "found": "'c'"}, "it takes a or b (got 'c')."),
        ({"problem": "8 is outside (0, 1].", "found": "8", "remedy": "Write 8/255."}, "8 is outside (0, 1]. Write 8/255."),
        ({"problem": "80 is no radius", "found": "8"}, "80 is no radius (got 8)"),
        ({"problem": "found *x; a suite has none.", "found": "*x"}, "found *x; a suite has none."),
        ({"problem": "is random", "component": "purifier 'a'"}, "purifier 'a': is random"),
        ({"problem": "purifier 'a' is random", "component": "purifier 'a'"}, "purifier 'a' is random"),
        ({"problem": "out of range", **PLACED}, "s.yaml:3:7: purifiers[0].quality: out of range"),
        ({"problem": "empty", "place": Place("s.yaml", 3, 7)}, "s.yaml:3:7: empty"),
    ],
)  # fmt: skip
def test_the_text_is_made_of_the_parts(parts, text):
    assert str(InputError(**parts)) == text


ERRORS = [
    RbenchError("a"),
    InputError("a", component="b", place="c", found="d", remedy="e"),
    MissingError("a", remedy="e"),
    ParameterError("quality", "expected int.", found="'x'", remedy="Write 3.", unknown=True),
    CellFailed("a", (3, 5), component="b", remedy="e"),
    Interrupted("a", 143),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("carried", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_keeps_its_parts_through_a_copy_and_another_process(error, carried):
    again = carried(error)
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert (str(again), again.exit_code) == (str(error), error.exit_code)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_whoever_knows_more_adds_place_and_component_and_nothing_else(error):
    before = dict(vars(error))
    known = error.at("s.yaml:1:1", component="attack 'pgd'")
    assert vars(error) == before
    assert type(known) is type(error)
    assert known.place == ("s.yaml:1:1" if error.place is None else f"s.yaml:1:1: {error.place}")
    assert known.component == (error.component or "attack 'pgd'")
    rest = {"place", "component"}
    assert {k: v for k, v in vars(known).items() if k not in rest} == {k: v for k, v in before.items() if k not in rest}


@pytest.mark.parametrize("part", ["problem", "component", "place", "found", "remedy"])
@pytest.mark.parametrize("acting", ["a\nb", "a\rb", "\x1b[31m", "a\u2028b", "a\u202eb"])
def test_whatever_a_stranger_calls_a_thing_the_text_is_one_line_and_acts_on_no_terminal(part, acting):
    text = str(InputError(**({"problem": "wrong"} | {part: acting})))
    assert len(text.splitlines()) == 1
    assert acting not in text
    assert acting.encode("unicode_escape").decode() in text


def test_programs_get_the_parts_by_name():
    error = InputError("expected int.", place="s.yaml:3:7", found="'x'")
    assert error.parts() == {
        "component": None,
        "place": "s.yaml:3:7",
        "problem": "expected int.",
        "found": "'x'",
        "remedy": None,
    }


def test_a_mistake_without_a_place_has_the_same_words():
    assert str(Mistake("expected int.", found="'x'", remedy="Write 3.")) == "found 'x', expected int. Write 3."
    assert ParameterError("p", "expected int.", found="'x'").detail == "found 'x', expected int."
