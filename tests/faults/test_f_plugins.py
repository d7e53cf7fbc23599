"""Rows 70 to 76 of the fault table: plug-ins that are broken, and environments that lack something."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from made_runs import Made
from parts import refused, some
from tiny_runs import run

from rbench.errors import MissingError
from rbench.registry import registry
from rbench.results.output import require_own
from rbench.running import components
from rbench.signature.source import exists

ENDS = {
    "error": ("raise ImportError('no')", "ImportError: no"),
    "exit": ("raise SystemExit(0)", "SystemExit: 0"),
    "interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "signal": (  # a shell's background jobs ignore the signal unless they say otherwise
        "import os, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nos.kill(os.getpid(), signal.SIGINT)",
        "KeyboardInterrupt",
    ),
    "own": ("class Own(BaseException): ...\nraise Own('bye')", "Own: bye"),
    "mute": ("class Mute(Exception):\n  def __str__(self): raise SystemExit\nraise Mute", "Mute"),
    "gone": ("import os\nos._exit(0)", "it ended the process that it was tried in (exit code 0)"),
    "killed": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "(SIGKILL)"),
    "crash": ("import ctypes\nctypes.string_at(0)", "(SIGSEGV)"),
    "syntax": ("def (", "SyntaxError"),
    "nul": ("x = '\0'", "failed to import"),
    "empty": ("", "has no attribute 'P'"),
    "module": ("import not_on_this_machine", "No module named 'not_on_this_machine'"),
    "forever": ("import threading\nthreading.Event().wait()", "it was not done after"),
}
"""What a module may do when it is imported, and the words for it."""


@pytest.fixture
def broken(tiny, monkeypatch):
    """A distribution whose every purifier is broken in another way."""
    monkeypatch.setattr("rbench.registry.trial.WITHIN", 2.0)
    modules = {f"ends_{name}": text for name, (text, _) in ENDS.items()}
    tiny.add("bad-plugin", modules, {"rbench.purifiers": {name: f"ends_{name}:P" for name in ENDS}})
    return tiny


def test_070_a_plug_in_that_breaks_at_import_in_any_way_is_named_and_breaks_only_itself(broken, capfd):
    assert run("list", "purifiers", "--json") == 0
    rows = {row["name"]: row["summary"] for row in json.loads(capfd.readouterr().out)}
    wrong = {name: rows[name] for name, (_, words) in ENDS.items() if words not in rows[name]}
    assert wrong == {}
    assert all(rows[name].startswith(f"broken: purifier '{name}' (bad-plugin 0.2.0) ") for name in ENDS)
    assert not rows["identity"].startswith("broken")
    assert run("plan", broken.suite()) == 0


@pytest.mark.parametrize("name", ["exit", "interrupt", "gone", "module"])
def test_070_it_is_an_error_where_it_is_used(broken, capsys, name):
    code = run("show", "purifier", name)
    error = capsys.readouterr().err
    assert code == (3 if name == "module" else 2)
    assert error.startswith(f"error: purifier '{name}' (bad-plugin 0.2.0) failed to import: ")
    assert len(error.splitlines()) == 1


def test_070_packages_that_only_a_stranger_names_are_never_advised(broken, capsys):
    run("show", "purifier", "module")
    assert "pip install" not in capsys.readouterr().err


def test_070_a_torn_list_of_entry_points_hides_only_its_own(tiny, capsys):
    tiny.add("torn", {"torn_parts": "class P: 'Fine.'"}, {"rbench.purifiers": {"fine": "torn_parts:P"}})
    (path,) = tiny.plugins.folder.glob("torn-*/entry_points.txt")
    path.write_text("[rbench.purifiers]\nno equals sign\n")
    registry.cache_clear()
    from rbench.registry.registry import _points

    _points.cache_clear()
    assert run("plan", tiny.suite()) == 0
    assert "torn-0.2.0.dist-info: its entry points cannot be read" in capsys.readouterr().err


def test_071_two_plug_ins_of_one_name_are_refused_with_both_distributions(tiny, capsys):
    for name, version in (("first", "1"), ("second", "2")):
        points = {"rbench.purifiers": {"same": f"{name}_parts:P"}}
        tiny.plugins.add(name, {f"{name}_parts": "class P: 'One.'"}, points, version=version)
    assert run("plan", tiny.suite(purifiers="[identity, same]")) == 2
    error = capsys.readouterr().err
    assert "first 1 (first_parts:P)" in error
    assert "second 2 (second_parts:P)" in error
    assert run("list", "purifiers") == 0
    assert run("plan", tiny.suite()) == 0


PROMISES = """
from torch import nn

from rbench.datasets.types import Dataset
from rbench.threat.attack import IterativeAttack

NORMS = ("Linf",)

def nothing():
    "Makes nothing."

def number():
    "Makes a number."
    return 3

class NoForward(nn.Module):
    "Has no forward."

def spoiled():
    "Has a norm that nobody knows."
    return IterativeAttack(lambda x, y, ball, noise: None, lambda state, answer: None, steps=3, norms="Linf")

def stateless():
    "Has no state."
    return IterativeAttack(lambda x, y, ball, noise: None, lambda state, answer: None, steps=3, norms=("Linf",))

def unread():
    "Cannot be read."
    def read(ids):
        raise KeyError("img")
    return Dataset([0, 1, 2, 0], read)

def unsized():
    "Reads nothing."
    return Dataset([0, 1, 2, 0], lambda ids: None)

def bug():
    "Has a bug."
    return {}["x"]
"""
USED = [
    ("dataset", "nothing", 2, "NoneType"),
    ("dataset", "number", 2, "int"),
    ("dataset", "unread", 2, "KeyError: 'img'"),
    ("dataset", "unsized", 2, "NoneType"),
    ("dataset", "bug", 2, "KeyError: 'x'"),
    ("attack", "nothing", 2, "NoneType"),
    ("attack", "number", 2, "int"),
    ("attack", "spoiled", 2, "norms"),
    ("attack", "stateless", 1, "no tensor `x`"),
    ("attack", "bug", 2, "KeyError: 'x'"),
    ("purifier", "nothing", 2, "NoneType"),
    ("purifier", "NoForward", 1, "forward"),
    ("purifier", "bug", 2, "KeyError: 'x'"),
    ("backbone", "nothing", 2, "NoneType"),
    ("backbone", "bug", 2, "KeyError: 'x'"),
]


@pytest.mark.parametrize(("kind", "name", "code", "words"), USED)
def test_072_a_plug_in_that_lacks_what_its_kind_must_have_is_named_without_a_traceback(
    tiny, capsys, kind, name, code, words
):
    tiny.add("short", {"short_parts": PROMISES}, {f"rbench.{kind}s": {"lacks": f"short_parts:{name}"}})
    assert tiny.run(**{kind if kind == "dataset" else f"{kind}s": "lacks" if kind == "dataset" else "[lacks]"}) == code
    error = capsys.readouterr().err
    assert words in error
    assert "lacks" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("returns", ["None", "['a']", "{'a.txt': None}", "{3: 'a'}", "{}['x']"])
def test_072_a_reporter_that_makes_no_files_is_named_and_nothing_is_written(tiny, capsys, returns):
    text = f"def report(table):\n  'Reports.'\n  return {returns}"
    tiny.add("mine", {"mine_reports": text}, {"rbench.reporters": {"mine": "mine_reports:report"}})
    Made(tiny.root).done("pgd", clean=[1, 1, 1, 1], robust=[1, 1, 1, 0])
    before = sorted(tiny.root.rglob("*"))
    assert run("report", tiny.root, "--to", "mine") == 2
    assert "reporter 'mine' (mine 0.2.0)" in capsys.readouterr().err
    assert sorted(tiny.root.rglob("*")) == before


LOUD = """
import atexit, os, random, sys, threading
import numpy as np
import torch
from torch import nn

def shout():
    print("printed")
    sys.stdout.write("written\\n")
    os.write(1, b"descriptor\\n")
    os.system("echo child")
    threading.Thread(target=lambda: os.write(1, b"thread\\n")).start()

shout()
torch.manual_seed(5), np.random.seed(5), random.seed(5)
torch.set_num_threads(3)
torch.set_default_dtype(torch.float64)
sys.setrecursionlimit(654)
np.seterr(all="raise")
sys.settrace(lambda *given: None)

class Loud(nn.Module):
    "Shouts."
    def forward(self, x):
        shout()
        return x.clone()
"""


def test_073_standard_output_stays_ours_and_the_state_of_the_process_is_put_back_and_told(tiny, capfd):
    tiny.add("loud", {"loud_parts": LOUD}, {"rbench.purifiers": {"loud": "loud_parts:Loud"}})
    before = sys.gettrace(), sys.getrecursionlimit(), torch.get_num_threads(), torch.get_default_dtype()
    assert tiny.run("--json", purifiers="[identity, loud]") == 0
    printed = capfd.readouterr()
    assert {row["purifier"] for row in json.loads(printed.out)["rows"]} == {"identity", "loud"}
    assert {"printed", "written", "descriptor", "child", "thread"} <= set(printed.err.split())
    assert (sys.gettrace(), sys.getrecursionlimit(), torch.get_num_threads(), torch.get_default_dtype()) == before
    for what in ("default dtype", "number of threads", "recursion limit", "errors", "seed", "trace function"):
        assert len([line for line in printed.err.splitlines() if what in line and "'loud'" in line]) == 1, what


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from rbench.cli.main import main
main(sys.argv[2:])
"""


def lacking(modules: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command in a process that cannot import some modules."""
    words = [sys.executable, "-c", WITHOUT, modules, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True)


@pytest.mark.parametrize("verb", ["run", "verify", "plan"])
def test_074_without_torch_the_verbs_that_need_it_say_so_in_one_line_and_a_plan_works(tmp_path, verb):
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "suite: s\ndataset: {name: fashion-mnist-mini, samples: 8}\nthreat: {norm: Linf, eps: 8/255}\n"
        "backbones: [bundled:fashion-cnn]\npurifiers: [identity]\nattacks: [fgsm]\n"
    )
    Made(tmp_path).plan()
    where = [tmp_path] if verb == "verify" else [suite]
    done = lacking("torch,torchvision", verb, *where, *(["--out", tmp_path / "run"] if verb == "run" else []))
    if verb == "plan":
        assert (done.returncode, done.stderr) == (0, "")
        assert "s: 1 cells" in done.stdout
    else:
        assert done.returncode == 3, done.stderr
        assert done.stderr.endswith("rbench needs torch for this, which is not installed; pip install torch\n")
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["pandas", "matplotlib"])
def test_074_a_report_without_what_draws_figures_says_so_in_one_line(tmp_path, module):
    Made(tmp_path).done("pgd", clean=[1, 1, 1, 1], robust=[1, 1, 1, 0])
    done = lacking(module, "report", tmp_path, "--to", "figures")
    assert done.returncode == 3, done.stderr
    assert f"pip install {module}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert lacking(module, "report", tmp_path, "--to", "md").returncode == 0


def test_074_autoattack_without_its_package_is_refused_when_it_is_made(monkeypatch):
    monkeypatch.setattr(
        "rbench.attacks.autoattack_reference.exists", lambda name: "autoattack" not in name and exists(name)
    )
    with refused(MissingError, component="attack 'autoattack'", remedy="pip install pyautoattack"):
        components.make("attack", "autoattack", {"engine": "reference"})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_074_a_gpu_that_is_not_there_is_one_line(tiny, capsys):
    assert tiny.run("--device", "cuda") == 3
    assert "cuda" in capsys.readouterr().err.lower()


POOR = {
    "home": {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/proc", "XDG_CONFIG_HOME": "/proc"},
    "no-home": {"HOME": None, "USER": None, "LOGNAME": None},
    "locale": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "columns": {"COLUMNS": "20", "LINES": "1"},
    "terminal": {"TERM": "unknown", "FORCE_COLOR": "1"},
}


@pytest.mark.parametrize("name", POOR)
def test_075_a_poor_environment_is_fine(tmp_path, name):
    made = Made(tmp_path)
    made.done("pgd", clean=[1, 1, 1, 1], robust=[1, 1, 1, 0], cell_changes={"purifier": "café 雪"})
    environment = {key: value for key, value in {**os.environ, **POOR[name]}.items() if value is not None}
    words = [sys.executable, "-m", "rbench", "report", str(tmp_path), "--to", "md"]
    done = subprocess.run(words, env=environment, capture_output=True)
    assert (done.returncode, done.stderr.decode("ascii")) == (0, f"wrote {tmp_path}: leaderboard.md\n")
    assert b"caf" in done.stdout
    assert "café 雪" in (tmp_path / "leaderboard.md").read_text(encoding="utf-8")


FULL = "standard output: cannot be written: No space left on device"
SINKS = [
    ("report RUN --to csv", ">/dev/full", 3, FULL),
    ("--help", ">/dev/full", 3, FULL),
    ("--version", ">/dev/full", 3, FULL),
    ("schema", ">&-", 0, ""),
    ("report RUN --to csv", ">&- 2>&- <&-", 0, ""),
    ("list purifiers", "| true", 0, ""),
    ("list nonsense", "2>/dev/full", 2, ""),
]


@pytest.mark.parametrize(("verb", "sink", "code", "words"), SINKS, ids=lambda value: str(value)[:24])
def test_075_outputs_that_are_full_or_closed_end_without_a_traceback(tmp_path, verb, sink, code, words):
    made = Made(tmp_path / "run")
    made.done("pgd", clean=[1, 1, 1, 1], robust=[1, 1, 1, 0])
    line = f"{sys.executable} -m rbench {verb.replace('RUN', str(made.root))} {sink}"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=buffered)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == bool(words)


def test_075_a_first_file_does_not_get_the_number_of_a_closed_output(tmp_path):
    made = Made(tmp_path / "run")
    made.done("pgd", clean=[1, 1, 1, 1], robust=[1, 1, 1, 0])
    (tmp_path / "site").mkdir()
    text = (
        "import os\ndef report(table):\n  'Reports.'\n  file = open('mine', 'w')\n  os.write(1, b'stray')\n  return {}"
    )
    (tmp_path / "site" / "stray.py").write_text(text)
    info = tmp_path / "site" / "stray-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stray\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[rbench.reporters]\nstray = stray:report\n")
    line = f"{sys.executable} -m rbench report {made.root} --to stray >&-"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'site'}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, (tmp_path / "mine").read_bytes()) == (0, b""), done.stderr


def test_075_a_folder_that_cannot_be_looked_into_is_exit_3(monkeypatch, tmp_path):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with refused(MissingError, place=some(str(tmp_path))):
        require_own(tmp_path)


def test_076_a_clock_that_jumps_back_gives_no_negative_duration(tiny, monkeypatch):
    hours = iter(range(10**9, 0, -1))
    monkeypatch.setattr(f"{time.__name__}.{time.__name__}", lambda: 3600.0 * next(hours))
    assert tiny.run() == 0
    assert all(record.cost.seconds >= 0 for record in tiny.records().values())
