"""Files of a stranger that attack who opens them: nothing is executed, none takes more than a second or half a gigabyte."""

import contextlib
import gc
import io
import os
import pickle
import resource
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import malicious
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from made_runs import Made
from malicious import MARKER, Malicious
from PIL import Image

import rbench as public
from rbench.backbones.weights import load
from rbench.cli.main import main
from rbench.errors import RbenchError

SECONDS, BYTES = 1.0, 512 * 2**20
ACTS = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.remove", "os.rmdir", "subprocess.Popen"),
    *(
        "pty.spawn",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.bind",
        "urllib.Request",
        "shutil.rmtree",
        "webbrowser.open",
    ),
)
"""What Python is asked for when code starts a program, talks to a network or deletes: an audit hook sees it before it happens."""
ACTED, BROKE = 4, 3
"""Codes with which a fork ends that did such a thing, or that ended in a traceback."""
REPORTS = "md,csv,latex,html"


@pytest.fixture(scope="module")
def folder():
    """Where the files are written; all that opens them was imported before, by honest ones, which is no cost of theirs."""
    with tempfile.TemporaryDirectory(prefix="malicious-") as made:
        for kind, path in honest(Path(made) / "honest"):
            opened(Malicious("honest", kind, path))
        yield Path(made)


def honest(place: Path) -> list[tuple[str, Path]]:
    """A file of each kind with nothing wrong in it."""
    place.mkdir()
    (place / "s.yaml").write_text(malicious.SUITE)
    np.savez(place / "d.npz", x=np.zeros((2, 1, 4, 4), np.float32), y=np.arange(2))
    picture = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(picture, "PNG")
    rows = [{"image": {"bytes": picture.getvalue(), "path": "a.png"}, "label": label} for label in range(2)]
    pq.write_table(pa.Table.from_pylist(rows), place / "d.parquet")
    for label in "ab":
        (place / "pictures" / label).mkdir(parents=True)
        (place / "pictures" / label / "0.png").write_bytes(picture.getvalue())
    torch.save({"head.1.bias": torch.zeros(64)}, place / "w.pt")
    made = Made(place / "run")
    made.done(clean=[1, 1, 0, 1], robust=[1, 0, 0, 1])
    made.plan()
    kinds = {"suite": "s.yaml", "npz": "d.npz", "parquet": "d.parquet", "image-folder": "pictures", "weights": "w.pt"}
    return [*((kind, place / name) for kind, name in kinds.items()), ("run", made.root)]


def names():
    """Of all files, without writing one."""
    return [f"{how}: {name}" for name, (how, _) in malicious.makers(Path("folder")).items()]


def opened(one: Malicious) -> str:
    """Opens a file as its user would; what was printed or said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            match one.kind:
                case "suite":
                    main(["plan", str(one.path)])
                case "weights":
                    load(one.path, "fashion-cnn")
                case "run":
                    main(["report", str(one.path), "--to", REPORTS])
                case kind:
                    data = public.load("dataset", kind, path=one.path)
                    data.read(data.ids[:2])
        except RbenchError as error:
            said.write(str(error))
        except SystemExit:
            pass
    return said.getvalue()


def in_a_child(work: Callable[[], str]) -> tuple[int, str, resource.struct_rusage]:
    """The status with which a fork of this process ends, that any act would end, what it says, and what it spends."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forks beside the threads of pytest
        child = os.fork()
    if child == 0:
        code, text = BROKE, ""
        try:
            os.close(reader)
            gc.freeze()  # collecting all that the tests before have left, and copying its pages, is no cost of the file
            sys.addaudithook(lambda event, args: _refused(event, args))
            resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
            text, code = work(), 0
        except BaseException:
            text = traceback.format_exc()
        finally:
            os.write(writer, text[-60_000:].encode("utf-8", "backslashreplace"))
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        text = pipe.read()
    _, status, spent = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), text, spent


def _refused(event: str, args: tuple[object, ...]) -> None:
    if event.startswith(ACTS):
        os.write(2, f"{event} {args}\n".encode())
        os._exit(ACTED)


def test_the_corpus_has_at_least_forty_files():
    assert len(names()) == len(set(names())) >= 40


@pytest.mark.parametrize("name", names())
def test_a_malicious_file_executes_nothing_and_costs_little(folder, name):
    one, tries = malicious.made(folder, name.partition(": ")[2]), 3
    before = _resident()
    code, text, spent = in_a_child(lambda: opened(one))
    while _seconds(spent) > SECONDS and (tries := tries - 1):  # what shares the core or its caches only adds
        code, text, spent = in_a_child(lambda: opened(one))
    assert code == 0, text
    assert not list(folder.rglob(MARKER))
    assert not (Path.cwd() / "x").exists()
    assert _seconds(spent) <= SECONDS
    assert 1024 * spent.ru_maxrss - before <= BYTES
    assert "Traceback" not in text
    assert len(text) <= 60_000
    assert not any(
        (ord(character) < 32 and character not in "\n\t") or 127 <= ord(character) < 160 for character in text
    ), text
    for page in one.path.rglob("*.html") if one.kind == "run" else ():
        assert "<script>alert(1)" not in page.read_text(encoding="utf-8")
    for table in one.path.rglob("*.csv") if one.kind == "run" else ():
        assert not [
            cell
            for line in table.read_text().splitlines()
            for cell in line.split(",")
            if cell.startswith(("=HY", '"=HY'))
        ]


def _seconds(spent: resource.struct_rusage) -> float:
    return spent.ru_utime + spent.ru_stime


def _resident() -> int:
    """Bytes of this process in memory, which a fork starts with."""
    pages = int(Path("/proc/self/statm").read_text().split()[1]) if Path("/proc/self/statm").exists() else 0
    return pages * resource.getpagesize()


def test_what_would_run_is_seen(folder):
    """The net catches: the pickle of the corpus, read as a program."""
    program = pickle.dumps(malicious.Runs(folder))
    assert in_a_child(lambda: str(pickle.loads(program)))[0] == ACTED
    assert not list(folder.rglob(MARKER))
