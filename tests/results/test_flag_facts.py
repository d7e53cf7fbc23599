"""Every flag has a name, a mark, a meaning, a cause and a cure."""

from typing import get_args

from rbench.results.flags.catalogue import FLAGS, FlagName


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
