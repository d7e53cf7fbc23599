import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from costs import instructions
from fake_plugins import SUITE, Plugins

from rbench import __version__
from rbench.cli.main import VERBS, main
from rbench.errors import CellFailed, Interrupted, MissingError

RUN_FOLDER = "Give the folder that `rbench run` wrote, such as runs/quickstart."
SHORT = """\
import sys
from rbench.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as done:
    assert not done.code, done.code
print("HEAVY", [m for m in ("torch", "torchvision", "numpy", "pandas", "pyarrow", "rich") if m in sys.modules])
"""


def rbench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rbench", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as done:
        main(list(arguments))
    printed = capsys.readouterr()
    return int(done.value.code or 0), printed.out, printed.err


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["plan", "--help"], ["list", "attacks"], ["show", "purifier", "jpeg"], ["schema"]],
    ids=" ".join,
)
def test_short_verbs_import_no_heavy_package(arguments):
    done = subprocess.run([sys.executable, "-c", SHORT, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "HEAVY []" in done.stdout


def test_the_version_is_that_of_the_package(capsys):
    assert run(capsys, "--version") == (0, f"rbench {__version__}\n", "")


def test_help_names_every_verb_and_fits_the_screen(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(f"\n  {verb} " in out for verb in VERBS)
    assert max(map(len, out.splitlines())) <= 80


def test_an_error_is_one_line_and_its_own_exit_code(write, capsys):
    path = write(SUITE.replace("eps: 8/255", "eps: 8"))
    code, out, err = run(capsys, "plan", path)
    assert (code, out) == (2, "")
    assert err == "error: s.yaml:5:8: threat.eps: 8 is outside (0, 1]; pixels are in [0, 1]. Write 8/255.\n"


def test_a_failure_with_json_is_one_object_of_its_parts_on_stdout(write, capsys):
    path = write(SUITE.replace("eps: 8/255", "eps: 8"))
    code, out, err = run(capsys, "plan", path, "--json")
    assert code == 2
    assert json.loads(out) == {
        "error": {
            "type": "InputError",
            "message": err.removeprefix("error: ").rstrip("\n"),
            "component": None,
            "place": "s.yaml:5:8: threat.eps",
            "problem": "8 is outside (0, 1]; pixels are in [0, 1].",
            "found": "8",
            "remedy": "Write 8/255.",
            "exit_code": 2,
        }
    }
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["show", "purifier", "jpgg"], {"place": None}),
        (["show", "flag", "weak-gradeint"], {"place": None, "remedy": "Did you mean 'weak-gradient'?"}),
        (["list", "purfiers"], {"place": None}),
        (["report", "nowhere"], {"place": "nowhere", "remedy": RUN_FOLDER}),
        (["compare", "nowhere"], {"place": "compare nowhere"}),
        (["verify", "nowhere", "--offline"], {"place": "nowhere", "remedy": RUN_FOLDER}),
        (["run", "gone.yaml"], {"place": "gone.yaml", "problem": "no such file."}),
        (["fit", "gone.yaml"], {"place": "gone.yaml", "problem": "no such file."}),
        (["theory", "gone.yaml"], {"place": "gone.yaml", "problem": "no such file."}),
        (["theory", "s.yaml", "--tau", "0"], {"place": "--tau", "found": "0"}),
        (["plan", "s.yaml", "--set", "purifiers[1].qualty=3"], {"component": "purifier 'smooth'", "found": None}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_verb_tells_programs_of_a_failure(write, capsys, arguments, parts):
    write()
    code, out, err = run(capsys, *arguments, "--json")
    error = json.loads(out)["error"]
    assert (code, error["exit_code"]) == (2, 2)
    assert err == f"error: {error['message']}\n"
    assert error["problem"]
    assert {name: error[name] for name in parts} == parts


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MissingError("no CUDA"), 3),
        (CellFailed("sample 3"), 1),
        (Interrupted("stopped", 143), 143),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_kind_of_failure_has_its_exit_code(monkeypatch, capsys, error, code):
    def fail(*_):
        raise error

    monkeypatch.setattr("rbench.registry.registry", fail)
    found, out, err = run(capsys, "list", "attacks")
    assert (found, out) == (code, "")
    assert err in ("", f"error: {error}\n")


def test_the_traceback_of_an_error_is_behind_debug(write, monkeypatch):
    with pytest.raises(Exception, match=r"nope\.yaml: no such file"):
        main(["plan", "nope.yaml", "--debug"])
    with pytest.raises(Exception, match=r"nope\.yaml: no such file"):
        main(["--debug", "plan", "nope.yaml"])


def test_a_programmers_mistake_keeps_its_traceback(monkeypatch):
    def fail(*_):
        raise TypeError("a bug")

    monkeypatch.setattr("rbench.registry.registry", fail)
    with pytest.raises(TypeError, match="a bug"):
        main(["list", "attacks"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plna"], "plan"),
        (["plan"], "SUITE"),
        (["plan", "x", "--limti", "3"], "--limit"),
        (["plan", "x", "--limit", "0"], "--limit"),
        (["plan", "x", "--limit", "no"], "--limit"),
    ],
)
def test_wrong_usage_exits_with_2(capsys, arguments, words):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert words in err
    assert "Traceback" not in err


def test_control_characters_of_a_name_do_not_reach_the_terminal(write, capsys):
    _, _, err = run(capsys, "plan", "\x1b[31mred\nname")
    assert err == "error: \\x1b[31mred\\nname: no such file.\n"


def test_a_closed_pipe_and_a_poor_terminal_are_fine(write, plugins: Plugins, tmp_path: Path):
    poor = {"HOME": "/nonexistent", "COLUMNS": "20", "TERM": "dumb", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    path = write(SUITE.replace("quality: 50", "quality: 50, as: café"))
    done = rbench("plan", path, PYTHONPATH=str(plugins.folder), **poor)
    assert done.returncode == 0, done.stderr
    assert "caf" in done.stdout
    command = f"{sys.executable} -m rbench schema | head -1"
    piped = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert piped.stdout == "{\n"
    assert piped.stderr == ""


def test_one_broken_plug_in_leaves_every_verb_working(write, plugins: Plugins, capsys):
    points = {"rbench.purifiers": {"bad": "bad_module:Bad"}, "rbench.verbs": {"x": "bad_module:x"}}
    plugins.add("bad-plugin", {"bad_module": "raise SystemExit(9)"}, points)
    code, out, _ = run(capsys, "list", "purifiers", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["bad"]["summary"].startswith("broken: purifier 'bad' (bad-plugin 0.2.0) failed to import")
    assert not rows["jpeg"]["summary"].startswith("broken")
    assert run(capsys, "plan", write())[0] == 0
    code, _, err = run(capsys, "show", "purifier", "bad")
    assert code == 2
    assert "bad-plugin 0.2.0" in err


def test_listing_twice_the_plug_ins_takes_twice_the_work_and_imports_none(plugins: Plugins, capsys):
    text = "class P:\n    '''A purifier.'''\n    def __init__(self, *, a: int = 1): ..."

    def add(half: str) -> None:
        modules = {f"{half}_{i}": text for i in range(50)}
        plugins.add(half, modules, {"rbench.purifiers": {f"p-{name}": f"{name}:P" for name in modules}})

    def listed(count: int) -> int:
        shown = []
        work = instructions(lambda: shown.append(run(capsys, "list", "purifiers", "p*")[1]))
        assert shown[0].count("A purifier.") == count
        return work

    listed(0)  # what is imported at the first time is not counted
    none = listed(0)
    add("first")
    half = listed(50)
    add("second")
    assert listed(100) - none <= 2.6 * (half - none)
    assert not {module for module in sys.modules if module.startswith(("first_", "second_"))}
