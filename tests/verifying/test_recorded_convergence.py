"""The flags of convergence are held to the convergence that the record has."""

import numpy as np
import pytest
from made_runs import Made

from rbench.results.record import ConvergencePart, Flag
from rbench.verifying.files import contradictions


def part(what, robust):
    """What an attack of another budget did to a hundred samples."""
    return ConvergencePart(
        what=what, steps=4, restarts=1, eot=1, eps=0.1, samples=100, robust_accuracy=robust, standing=1, seconds=1.0
    )


def faults(root, before, after, raised, *, stochastic=False):
    made = Made(root)
    changes = {
        "convergence": (part("budget", before), part("steps", after)),
        "flags": tuple(Flag(name=name, value=abs(after - before)) for name in raised),
        "converged": not raised,
        "stochastic": stochastic,
    }
    cell = made.done(clean=np.ones(4, bool), robust=np.ones(4, bool), record_changes=changes)
    record = made.folder.read_record(cell["id"])
    lines = contradictions(made.folder, record, made.folder.read_samples(record), cell)
    return [line.split(",")[0].removeprefix("flags: ") for line in lines if "the convergence recorded" in line]


BOTH = ["not-converged", "weaker-with-more"]


@pytest.mark.parametrize(
    ("after", "raised", "expected"),
    [
        (0.51, [], []),
        (0.52, BOTH, []),
        (0.52, ["not-converged"], ["weaker-with-more is not raised"]),
        (0.52, [], ["not-converged is not raised", "weaker-with-more is not raised"]),
        (0.48, ["not-converged"], []),
        (0.48, BOTH, ["weaker-with-more is raised"]),
        (0.50, BOTH, ["not-converged is raised", "weaker-with-more is raised"]),
    ],
)
def test_a_flag_that_the_recorded_convergence_denies_is_a_contradiction(tmp_path, after, raised, expected):
    assert faults(tmp_path, 0.5, after, raised) == expected


def test_under_a_random_defence_a_rise_may_be_luck_and_a_flag_needs_one(tmp_path):
    assert faults(tmp_path / "luck", 0.5, 0.55, [], stochastic=True) == []
    assert faults(tmp_path / "fall", 0.5, 0.45, BOTH, stochastic=True) == ["weaker-with-more is raised"]
