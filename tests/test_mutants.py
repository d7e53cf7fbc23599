"""The mutants of the rules of judging still have their place in the code."""

from pathlib import Path

import pytest
from mutants import MUTANTS, killed_by

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule)
def test_the_line_that_a_mutant_takes_away_is_there_once(mutant):
    for file, old, new in mutant.changes:
        assert (ROOT / "rbench" / file).read_text(encoding="utf-8").count(old) == 1
        assert old != new
    assert (ROOT / "tests" / mutant.tests[0]).is_file()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule)
def test_the_table_shows_every_mutant_and_who_killed_it(mutant):
    lines = (ROOT / "docs/measured.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if f"| {mutant.rule} | `{mutant.file}` |" in line]
    assert [row.count("`test_") for row in rows] == [1]


def test_the_broken_copy_is_what_is_tested(tmp_path):
    (mutant,) = (mutant for mutant in MUTANTS if mutant.rule == "black boxes come after all gradients of a cascade")
    assert killed_by(mutant, tmp_path / "broken")
    whole = mutant._replace(new=mutant.old)
    assert killed_by(whole, tmp_path / "whole") == []
