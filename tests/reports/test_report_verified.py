"""What `rbench verify` prints: a line a cell in 80 columns, faults in full, what was done in sum."""

import io
from dataclasses import replace

import pytest
from made_runs import Made, verification
from rich.console import Console

from rbench.reports.verified import verified
from rbench.results.runs import read_runs
from rbench.results.store import RunFolder
from rbench.results.verification import Reattack, Rerun
from rbench.verifying.verdict import Verdict, Verified

EVERY = [1, 1, 1, 1]


@pytest.fixture
def verdicts(tmp_path):
    made = Made(tmp_path)
    made.done("pgd", clean=EVERY, robust=EVERY, cell_changes={"backbone": "b" * 70, "purifier": "p" * 50})
    made.done("a" * 50, clean=EVERY, robust=[1, 0, 0, 0], cell_changes={"purifier": "\x1b[31mred"})
    made.plan()
    first, second = read_runs([tmp_path]).cells
    reattack = Reattack(seed=1, attacked=10, fell=1, false_at_most=0.394, seconds=2.0)
    rerun = Rerun(seed=1, batch_size=9, robust_accuracy=0.9, difference=0.1, low=0.0, high=0.2, seconds=3.0)
    evidence = verification(RunFolder(tmp_path), first.id).model_copy(
        update={"reattack": reattack, "rerun": rerun, "near_ties": 2}
    )
    record = first.record.model_copy(update={"cost": first.record.cost.model_copy(update={"seconds": 20.0})})
    held = Verdict(replace(first, record=record), (), ("purifier 'jpeg': its code is not that of the run",), evidence)
    return [held, Verdict(second, ("sample 7: robust: judged again, the defended model answers otherwise",))]


def printed(found):
    sink = io.StringIO()
    Console(file=sink, width=80, color_system=None).print(verified(Verified(tuple(found))))
    return sink.getvalue()


def test_it_keeps_to_80_columns_and_says_who_failed_and_why(verdicts):
    shown = printed(verdicts)
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b" not in shown
    words = " ".join(shown.split())
    assert "FAILED" in words
    assert f"({verdicts[1].cell.id}): sample 7: robust: judged again, the defended model answers otherwise" in words
    assert "note: purifier 'jpeg': its code is not that of the run" in words


def test_it_sums_up_what_was_done(verdicts):
    words = " ".join(printed(verdicts).split())
    assert "1 of 2 cells verified: 4 examples judged again in 0.1 s (0.5 % of the 20 s of the attacks)." in words
    assert "2 predictions differ by rounding" in words
    assert "10 claimed survivors were attacked again in 2.0 s and 1 fell." in words
    assert "39.4" in words
    assert "1 cells run again: robust accuracy at most 10.0 points lower." in words


def test_without_a_model_it_says_that_files_agree(verdicts):
    offline = [replace(verdict, evidence=None) for verdict in verdicts]
    assert "1 of 2 cells agree with their files." in " ".join(printed(offline).split())


def test_of_a_row_with_few_survivors_it_says_so(verdicts):
    held, failed = verdicts
    few = held.evidence.model_copy(update={"reattack": held.evidence.reattack.model_copy(update={"attacked": 9})})
    assert " ok" in printed([held, failed])
    shown = printed([replace(held, evidence=few), failed])
    assert "too few" in shown
    assert " ok" not in shown


def test_cells_that_cannot_be_judged_again_are_one_line(verdicts):
    held = replace(verdicts[0], evidence=None, unjudged="no examples kept")
    shown = printed([held, held, held])
    assert "not judged: no examples kept (3 cells, unverified)" in shown
    assert "FAILED" not in shown
    assert len(shown.strip().splitlines()) <= 3
