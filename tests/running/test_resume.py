"""A run can be killed, stopped or torn at any moment, and ends like one that nobody disturbed."""

import random
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import count

import pytest
from small_runs import (
    OURS,
    PARTS,
    SHORT,
    chunks,
    content,
    environment,
    litter,
    outcome,
    rbench,
    records,
    running,
    unfinished,
    wait_for,
)

from rbench.errors import Interrupted
from rbench.results import disk
from rbench.results.store import RunFolder
from rbench.running import runner
from rbench.running.resume import open_run, pending
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

NO_OP = """\
import sys
from rbench.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as done:
    assert not done.code, done.code
print("TORCH", "torch" in sys.modules)
print("SLOW", [name for name in ("pandas", "scipy", "pyarrow.compute") if name in sys.modules])
"""

DEAF = """\
import signal
import torch

class Deaf(torch.nn.Module):
    stochastic = False

    def forward(self, x):
        try:
            if len(x) == 11 and torch.is_grad_enabled():  # the attack: one of twelve is wrong anyway
                signal.raise_signal(signal.SIGTERM)
        except Exception:
            return x
        return x
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    path = tmp_path_factory.mktemp("suite") / "small.yaml"
    path.write_text(SHORT)
    return path


@pytest.fixture(scope="module")
def whole(suite, tmp_path_factory):
    """A run that nobody disturbed."""
    root = tmp_path_factory.mktemp("whole") / "run"
    assert rbench("run", suite, "--out", root, "--batch-size", "2") == 0
    assert [record.status for record in records(root).values()] == ["done"] * 3
    return root


@pytest.fixture
def written(monkeypatch):
    """The chunks that this process writes."""
    names = []
    real = RunFolder.write_chunk

    def write_chunk(folder, cell_id, start, stop, *rest):
        names.append(f"{cell_id}/{start}-{stop}")
        real(folder, cell_id, start, stop, *rest)

    monkeypatch.setattr(RunFolder, "write_chunk", write_chunk)
    return names


def goes_on(suite, root, whole, written, kept, *only):
    """Runs again in this process: what was kept is used, and the end is that of the undisturbed run."""
    written.clear()
    assert rbench("run", suite, "--out", root, "--batch-size", "2", *only) == 0
    assert not set(kept) & set(written)
    assert len(outcome(root)) == (2 if only else 3)
    assert outcome(root).items() <= outcome(whole).items()
    assert litter(root) == []


def interrupt(suite, root, when, number=signal.SIGTERM, batch_size=2):
    """Runs our cells in this process until a step of progress, counted from 0, for which `when` is true: there a signal comes."""
    planned = plan(load_suite(suite), only=OURS[1])
    steps = count()

    def on_progress(step):
        if when(next(steps)):
            signal.raise_signal(number)

    def run():
        with open_run(planned, root) as folder:
            todo = pending(planned.cells, folder, "missing")
            runner.run(todo, folder, batch_size=batch_size, on_progress=on_progress)

    with pytest.raises(Interrupted) as stopped:
        run()
    assert stopped.value.exit_code == 128 + number


@pytest.mark.parametrize(
    ("cells", "parts"), [(1, 1), pytest.param(0, 2, marks=pytest.mark.soak), pytest.param(2, 2, marks=pytest.mark.soak)]
)
def test_killed_in_a_cell_it_ends_like_an_undisturbed_run(suite, whole, tmp_path, written, cells, parts):
    root, before = tmp_path / "run", 3 * cells
    only, planned = (OURS, 6) if cells == 0 else ((), PARTS)
    with running("run", suite, "--out", root, "--batch-size", "2", *only, until=before + parts) as process:
        wait_for(lambda: len(list(root.glob("records/*.json"))) >= cells and len(unfinished(root)) >= parts, process)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    kept = chunks(root)
    goes_on(suite, root, whole, written, kept, *only)
    assert len(written) == planned - before - parts


def test_killed_at_random_times_again_and_again_it_ends_like_an_undisturbed_run(suite, whole, tmp_path, written):
    root, rng = tmp_path / "run", random.Random(0)
    for _ in range(2):
        with running("run", suite, "--out", root, "--batch-size", "2") as process:
            wait_for((root / "run.lock").exists, process)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=rng.uniform(2, 4))
    goes_on(suite, root, whole, written, chunks(root))


def test_sigterm_ends_it_at_once_with_143_and_a_second_writer_is_refused_meanwhile(
    suite, whole, tmp_path, written, capfd
):
    root = tmp_path / "run"
    with running("run", suite, "--out", root, "--batch-size", "2", *OURS, until=1) as process:
        wait_for(lambda: bool(chunks(root)), process)
        capfd.readouterr()
        assert rbench("run", suite, "--out", root) == 2
        assert f"process {process.pid} on" in capfd.readouterr().err
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
        out, err = process.communicate()
    assert out == ""
    assert err.splitlines()[-1] == "error: interrupted by SIGTERM; run again to go on"
    assert "Traceback" not in err
    assert [record.status for record in records(root).values()] == ["cancelled"]
    assert len(chunks(root)) == 1
    assert not (root / "run.lock").exists()
    goes_on(suite, root, whole, written, chunks(root), *OURS)


def test_ctrl_c_ends_it_with_130(suite, tmp_path):
    root = tmp_path / "run"
    with running("run", suite, "--out", root, "--batch-size", "2", until=1) as process:
        wait_for(lambda: bool(chunks(root)), process)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert "interrupted by SIGINT" in process.communicate()[1]


@pytest.mark.parametrize("at", [7, pytest.param(0, marks=pytest.mark.soak), pytest.param(12, marks=pytest.mark.soak)])
def test_interrupted_at_any_step_it_is_cancelled_and_goes_on(suite, whole, tmp_path, written, at):
    root = tmp_path / "run"
    interrupt(suite, root, lambda step: step == at, random.Random(at).choice([signal.SIGINT, signal.SIGTERM]))
    assert [record.status for record in records(root).values()].count("cancelled") == 1
    goes_on(suite, root, whole, written, chunks(root), *OURS)


def test_a_second_ctrl_c_while_the_first_is_answered_leaves_nothing_half_done(
    suite, whole, tmp_path, written, monkeypatch
):
    root, real = tmp_path / "run", RunFolder.write_record

    def write_record(folder, record):
        monkeypatch.setattr(RunFolder, "write_record", real)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(RunFolder, "write_record", write_record)
    with pytest.raises(KeyboardInterrupt):
        interrupt(suite, root, lambda step: step == 5, signal.SIGINT)
    assert not (root / "run.lock").exists()
    assert records(root) == {}
    goes_on(suite, root, whole, written, chunks(root), *OURS)


def test_a_model_that_swallows_every_exception_cannot_swallow_a_signal(plugins, tmp_path):
    plugins.add("deaf", {"deaf_purifier": DEAF}, {"rbench.purifiers": {"deaf": "deaf_purifier:Deaf"}})
    path = tmp_path / "s.yaml"
    path.write_text(SHORT.replace("gaussian-noise, sigma: 0.1", "deaf").replace("[gaussian-noise]", "[deaf]"))
    assert rbench("run", path, "--out", tmp_path / "run", "--only", "deaf") == 143
    assert {name: record.status for name, record in records(tmp_path / "run").items()} == {"deaf/pgd+eot": "cancelled"}
    assert chunks(tmp_path / "run") == []


def test_a_signal_that_comes_when_a_cell_has_just_ended_leaves_it_done(suite, tmp_path, monkeypatch):
    real = disk.remove_folder

    def remove_folder(path):
        real(path)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(disk, "remove_folder", remove_folder)
    interrupt(suite, tmp_path / "run", lambda step: False)
    assert [record.status for record in records(tmp_path / "run").values()] == ["done"]


@pytest.mark.parametrize(("first", "then"), [(2, 8), (1, 4), (2, 3)])
def test_another_batch_size_uses_the_chunks_of_the_first(suite, whole, tmp_path, written, first, then):
    root = tmp_path / "run"
    interrupt(suite, root, lambda step: len(chunks(root)) == 2, batch_size=first)
    kept = chunks(root)
    written.clear()
    assert rbench("run", suite, "--out", root, "--batch-size", str(then), *OURS) == 0
    assert not set(kept) & set(written)
    found, expected = records(root), records(whole)
    assert len(found) == 2
    assert all(record.result_hash == expected[name].result_hash for name, record in found.items())
    assert {record.dataset.samples for record in found.values()} == {12}


def test_a_torn_chunk_is_dropped_with_a_note(suite, whole, tmp_path, written, capfd):
    root = tmp_path / "run"
    interrupt(suite, root, lambda step: len(chunks(root)) == 2)
    torn, *kept = chunks(root)
    path = root / "chunks" / f"{torn}.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    capfd.readouterr()
    goes_on(suite, root, whole, written, kept, *OURS)
    notes = [line for line in capfd.readouterr().err.splitlines() if line.startswith("note:")]
    assert notes == [f"note: {path}: dropped, to be done again: unreadable (SafetensorError)."]
    assert torn in written


@pytest.mark.parametrize("spoil", ["record", "samples"])
def test_an_unreadable_result_is_made_again(suite, whole, tmp_path, spoil):
    root = tmp_path / "run"
    for name, data in content(whole).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    victim = records(root)["identity/pgd"].id
    path = {"record": root / f"records/{victim}.json", "samples": root / f"samples/{victim}.parquet"}[spoil]
    path.write_bytes(b"")
    assert rbench("run", suite, "--out", root, "--batch-size", "2") == 0
    assert outcome(root) == outcome(whole)


def test_a_finished_suite_is_left_as_it_is_and_without_torch_or_what_else_is_slow_to_import(suite, whole):
    before = content(whole)
    done = subprocess.run(
        [sys.executable, "-c", NO_OP, "run", str(suite), "--out", str(whole)],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"nothing to do: all 3 cells are in {whole}\n"
    assert "TORCH False" in done.stdout
    assert "SLOW []" in done.stdout
    assert content(whole) == before
    assert litter(whole) == []


def test_other_settings_are_other_cells_and_leave_the_old_ones(suite, tmp_path):
    root = tmp_path / "run"
    few = ("--only", "*/identity/pgd", "--limit", "8")
    assert rbench("run", suite, "--out", root, *few) == 0
    first = records(root)["identity/pgd"]
    before = content(root)[f"records/{first.id}.json"]
    assert rbench("run", suite, "--out", root, *few, "--set", "attacks[0].steps=3") == 0
    assert len(RunFolder(root).record_paths()) == 2
    assert content(root)[f"records/{first.id}.json"] == before
