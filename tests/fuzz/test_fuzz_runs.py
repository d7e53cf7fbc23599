"""A run folder that is run, killed, stopped, edited and robbed in any order: what it says in the end is what an undisturbed run says.

Whatever was done to the folder, the next run ends, and every cell of the suite then has the result of a run that nobody disturbed, or
`rbench verify` names it.
"""

import io
import json
import shutil
import signal
import tempfile
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from mortal import Killed, Mortal
from small_runs import rbench

from rbench.errors import InputError
from rbench.results.record import read_record
from rbench.results.store import RunFolder

SUITE = """\
suite: tiny
dataset: {name: fashion-mnist-mini, samples: 4}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
purifiers: [identity]
attacks: [noise, {name: fgsm, gradient: exact, as: a}]
"""
MOST = 10**6
PLACES = st.integers(0, MOST)
"""Shares of a list or of a file: their lengths differ from run to run, since records have times in them, but what is drawn may not."""
DAMAGES = {
    "cut": lambda data, at: data[:at],
    "drop": lambda data, at: data[:at] + data[at + 16 :],
    "double": lambda data, at: data[: at + 32] + data[at:],
    "insert": lambda data, at: data[:at] + b"\0\n\xff" + data[at:],
    "flip": lambda data, at: data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :] if at < len(data) else data,
    "numbers": lambda data, at: data[:at] + b"\xff" * 8 + data[at + 8 :],
    "another": lambda data, at: b"[1]",
}
"""What somebody does to the bytes of a file at a place."""
SUITES = {"first": SUITE, "second": SUITE.replace("0.05", "0.04")}


def said(*arguments: str | Path) -> tuple[int, str]:
    """The command in this process: its exit code, and all that it printed."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        code = rbench(*arguments)
    assert "Traceback" not in printed.getvalue()
    return code, printed.getvalue()


def results(root: Path) -> dict[str, str | None]:
    """The hash of each readable result, by its cell."""
    found, folder = {}, RunFolder(root)
    for path in folder.record_paths():
        with suppress(InputError):
            record = folder.read_record(path.stem)
            if record is not None and record.status == "done":
                folder.read_samples(record)
                found[record.id] = record.result_hash
    return found


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What a run of each suite that nobody disturbed leaves, and the suites."""
    folder, wanted = tmp_path_factory.mktemp("undisturbed"), {}
    for name, text in SUITES.items():
        (folder / f"{name}.yaml").write_text(text)
        assert said("run", folder / f"{name}.yaml", "--out", folder / name)[0] == 0
        wanted[name] = results(folder / name)
        assert len(wanted[name]) == 2
    return folder, wanted


def one_of(paths: list[Path], place: int) -> Path:
    """One of the paths, from the first at 0 to the last at `MOST`."""
    return paths[place * (len(paths) - 1) // MOST]


def machine(folder: Path, wanted: dict[str, dict[str, str | None]]) -> type[RuleBasedStateMachine]:
    """The state machine over one run folder."""

    class Disturbed(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            self.place = Path(tempfile.mkdtemp(dir=folder))
            self.root, self.name = self.place / "run", "first"
            self.forged: set[str] = set()  # cells with another accuracy in the record
            self.edited: set[str] = set()  # cells whose files were damaged and are read all the same
            self.touched: set[str] = set()  # cells with a file that was damaged or taken since the last whole run

        def teardown(self) -> None:
            self.whole()
            shutil.rmtree(self.place)

        def run(self) -> tuple[int, str]:
            return said("run", folder / f"{self.name}.yaml", "--out", self.root, "--batch-size", "2")

        @rule()
        def whole(self) -> None:
            """Runs to the end, and holds what is there to what must be."""
            code, printed = self.run()
            if code == 2:  # what the user is told to do is done
                if "new or empty folder" in printed:
                    shutil.rmtree(self.root)
                else:
                    assert "is writing this run" in printed
                    (self.root / "run.lock").unlink()
                code, printed = self.run()
            assert code == 0, printed
            there, mine = results(self.root), wanted[self.name]
            self.forged, self.edited = self.forged & there.keys(), self.edited & there.keys()
            self.touched = set(self.edited)
            assert {cell: there.get(cell) for cell in mine if cell not in self.forged | self.edited} == {
                cell: result for cell, result in mine.items() if cell not in self.forged | self.edited
            }
            code, printed = said("verify", self.root, "--offline", "--json")
            if forged := self.forged & mine.keys():
                assert code == 4
                assert all(cell in printed for cell in forged)
            elif not self.edited & mine.keys():
                assert code == 0, printed

        @rule(at=st.integers(1, 120))
        def kill(self, at: int) -> None:
            """Dies at an operation of the disk."""
            with pytest.MonkeyPatch.context() as patched, suppress(Killed):
                Mortal(patched, at)
                self.run()

        @rule(after=st.integers(1, 4), number=st.sampled_from([signal.SIGINT, signal.SIGTERM]))
        def stop(self, after: int, number: signal.Signals) -> None:
            """A signal comes after some chunks."""
            real, left = RunFolder.write_chunk, [after]

            def write_chunk(*arguments: object) -> None:
                real(*arguments)  # type: ignore[arg-type]
                left[0] -= 1
                if not left[0]:
                    signal.raise_signal(number)

            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(RunFolder, "write_chunk", write_chunk)
                code, printed = self.run()
            assert code in (0, 2, 128 + number), printed

        @rule(name=st.sampled_from(list(SUITES)))
        def choose(self, name: str) -> None:
            """The suite is another one from now on."""
            self.name = name

        def files(self) -> list[Path]:
            return sorted(path for path in self.root.rglob("*") if path.is_file()) if self.root.exists() else []

        @precondition(lambda self: self.files())
        @rule(which=PLACES, at=PLACES, how=st.sampled_from(list(DAMAGES)))
        def edit(self, which: int, at: int, how: str) -> None:
            """Somebody damages a file: what cannot be read any more is as good as gone."""
            path = one_of(self.files(), which)
            before = path.read_bytes()
            path.write_bytes(DAMAGES[how](before, at * len(before) // MOST))
            self.notice(path)

        @precondition(lambda self: self.files())
        @rule(which=PLACES)
        def delete(self, which: int) -> None:
            """Somebody removes a file, or a folder with all that is in it."""
            folders = {parent for path in self.files() for parent in path.parents if parent.is_relative_to(self.root)}
            path = one_of([*self.files(), *sorted(folders)], which)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            self.notice(path)

        @precondition(lambda self: self.root.exists() and RunFolder(self.root).record_paths())
        @rule(which=PLACES, accuracy=st.sampled_from([0.123, 0.987]))
        def forge(self, which: int, accuracy: float) -> None:
            """Somebody writes another accuracy into a record."""
            path = one_of(RunFolder(self.root).record_paths(), which)
            if path.stem in results(self.root):
                content = json.loads(path.read_text())
                content["summary"]["robust_accuracy"]["value"] = accuracy
                path.write_text(json.dumps(content))
                self.forged.add(path.stem)

        def notice(self, path: Path) -> None:
            """A result whose files were damaged or taken is not read any more, or counts as edited."""
            readable = results(self.root)
            everybody = {one.stem for one in RunFolder(self.root).record_paths()}
            touched = everybody if path.is_relative_to(self.root) and path.suffix == "" else {path.stem}
            self.touched |= touched
            self.edited = (self.edited | touched) & readable.keys()
            self.forged &= readable.keys()

        @invariant()
        def what_has_its_name_is_whole(self) -> None:
            """Whatever died: a record that nobody touched is read."""
            for path in RunFolder(getattr(self, "root", folder / "none")).record_paths():
                if path.stem not in self.touched:
                    read_record(path)

    return Disturbed


@pytest.mark.parametrize(
    ("sequences", "steps"), [(2, 4), pytest.param(60, 12, marks=[pytest.mark.soak, pytest.mark.timeout(7200)])]
)
def test_a_folder_disturbed_in_any_order_ends_like_one_that_nobody_disturbed(expected, sequences, steps):
    run_state_machine_as_test(
        machine(*expected),
        settings=settings(
            max_examples=sequences,
            stateful_step_count=steps,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
