"""A report takes seconds for a million samples, and no verb that reads results waits for torch."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from made_runs import Made

ROOT = Path(__file__).parents[2]
VERB = """
import json, sys, time
from rbench.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as done:
    code = int(done.code or 0)
print()
print(json.dumps([code, time.process_time(), [name for name in ("torch", "torchvision", "scipy.stats") if name in sys.modules]]))
"""
EVERY = [1, 1, 1, 1]


def finished(*arguments):
    """Exit code, processor seconds and heavy modules of a command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", VERB, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_fifth_of_a_million_sample_rows_is_reported_in_a_fifth_of_five_seconds(tmp_path):
    spec = importlib.util.spec_from_file_location("report_speed", ROOT / "bench" / "report_speed.py")
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    bench.make(tmp_path / "run", cells=20, samples=10_000)
    bench.make(tmp_path / "nothing", cells=2, samples=10)
    for _ in range(3):  # the best of three: other work on the machine slows one down
        # Processor seconds above those of a run with next to no samples: what a million would take five times of.
        took = [finished("report", tmp_path / name, "--to", "md,csv") for name in ("run", "nothing")]
        assert [code for code, _, _ in took] == [0, 0]
        if (seconds := took[0][1] - took[1][1]) <= 0.8:
            break
    assert seconds <= 0.8
    assert "10,000 samples" in (tmp_path / "run" / "leaderboard.md").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "RUN", "--to", "md,csv,latex,robustbench"],
        ["report", "RUN", "RUN", "--json"],
        ["compare", "RUN"],
        ["compare", "RUN", "--json", "jpeg", "blur"],
        ["verify", "--offline", "RUN"],
        ["verify", "--help"],
        ["list", "reporters"],
        ["plan", str(ROOT / "suites" / "quickstart.yaml")],
        ["--help"],
    ],
    ids=lambda arguments: " ".join(Path(argument).name for argument in arguments),
)
def test_reading_results_never_waits_for_torch(tmp_path, arguments):
    made = Made(tmp_path)
    made.done("pgd", clean=EVERY, robust=[1, 1, 1, 0])
    made.done("pgd", clean=EVERY, robust=[1, 0, 0, 0], cell_changes={"purifier": "blur"})
    code, _, heavy = finished(*(tmp_path if argument == "RUN" else argument for argument in arguments))
    # The files of made runs contradict each other, which is no matter here: 4 is a verification that was done and failed.
    assert code == (4 if "--offline" in arguments else 0)
    assert heavy == []
