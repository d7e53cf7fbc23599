"""Rows of the bench are kept as they are measured, so that an interrupted bench goes on."""

import json

import pytest

from bench.rows import Journal, MissingPartError, Row, chosen, measure

ABOUT = {"processor": "this one", "torch": "1"}


def names(rows):
    return [row.name for row in rows]


def test_an_interrupted_bench_goes_on_where_it_was(tmp_path):
    done = []

    def row(name, fails=False):
        def work():
            if fails:
                raise KeyboardInterrupt
            done.append(name)
            return {"seconds": 1.5}

        return Row(name, work)

    with pytest.raises(KeyboardInterrupt):
        measure([row("a/1"), row("a/2", fails=True)], Journal(tmp_path, ABOUT), done.append)
    assert done == ["a/1", "a/1: measured"]
    done.clear()
    measure([row("a/1"), row("a/2")], Journal(tmp_path, ABOUT), lambda line: None)
    assert done == ["a/2"]
    assert Journal(tmp_path, ABOUT).rows() == {"a/1": {"seconds": 1.5}, "a/2": {"seconds": 1.5}}


def test_figures_of_another_machine_version_or_kind_of_run_do_not_count(tmp_path):
    Journal(tmp_path, ABOUT).add("a/1", {"seconds": 1})
    other = Journal(tmp_path, {**ABOUT, "torch": "2"})
    assert other.rows() == {}
    other.add("a/1", {"seconds": 2})
    assert Journal(tmp_path, ABOUT).rows() == {"a/1": {"seconds": 1}}


def test_a_line_that_was_cut_off_is_measured_again_and_spoils_no_other(tmp_path):
    journal = Journal(tmp_path, ABOUT)
    journal.add("a/1", {"seconds": 1})
    with journal.path.open("a") as file:
        file.write('{"name": "a/2", "abo')
    assert names_of(journal) == ["a/1"]
    journal.add("a/3", {"seconds": 3})
    assert names_of(journal) == ["a/1", "a/3"]


def names_of(journal):
    return list(journal.rows())


def test_what_lacks_something_says_what_and_is_tried_again(tmp_path):
    def lacking():
        raise MissingPartError("no data")

    journal = Journal(tmp_path, ABOUT)
    measure([Row("a/1", lacking)], journal, lambda line: None)
    assert journal.rows() == {"a/1": {"missing": "no data"}}
    measure([Row("a/1", lambda: {"seconds": 1})], journal, lambda line: None)
    assert journal.rows() == {"a/1": {"seconds": 1}}
    assert len(json.loads(journal.path.read_text().splitlines()[0])["about"]) == 2


@pytest.mark.parametrize(
    ("only", "found"),
    [
        (None, ["table/a/0/pgd", "table/b/0/pgd", "null/pgd"]),
        ("null", ["null/pgd"]),
        ("table/b,null/pgd", ["table/b/0/pgd", "null/pgd"]),
        ("table/*/pgd", ["table/a/0/pgd", "table/b/0/pgd"]),
        ("nul", []),
    ],
)
def test_rows_are_chosen_by_what_their_names_begin_with_or_by_patterns(only, found):
    rows = [Row(name, dict) for name in ("table/a/0/pgd", "table/b/0/pgd", "null/pgd")]
    assert names(chosen(rows, only)) == found
