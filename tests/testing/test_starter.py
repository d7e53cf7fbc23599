"""What `rbench new` writes works as it is: it installs, conforms, and its suite runs."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from parts import refused
from small_runs import environment, rbench

from rbench.testing import assert_robust_accuracy
from rbench.testing.conformance import KINDS, check_named
from rbench.testing.starter import begin

NAME = "brand-new"


@pytest.fixture
def begun(plugins):
    """A package of a kind, put on the path with its metadata as pip would; its folder."""

    def installed(kind):
        begin(kind, NAME, plugins.folder)
        root = plugins.folder / NAME
        project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
        (plugins.folder / "brand_new").symlink_to(root / "brand_new")
        plugins.add(project["name"], {}, project["entry-points"], version=project["version"])
        return root

    return installed


@pytest.mark.parametrize("kind", KINDS)
def test_every_starter_conforms_and_runs_its_suite(kind, begun, tmp_path):
    root = begun(kind)
    name = NAME + (":small" if kind == "backbone" else "")
    found = check_named(kind, name, images=4)
    assert not found.failed, found.text()
    assert not [one for one in found.verdicts if one.outcome == "note"], found.text()
    small = (root / "suite.yaml").read_text().replace("samples: 32", "samples: 4").replace("steps: 10", "steps: 2")
    (root / "suite.yaml").write_text(small)
    if kind != "purifier":  # whose own test is run below
        assert_robust_accuracy(root / "suite.yaml", "identity", at_least=0.0, out=tmp_path / "run")


def test_its_own_test_passes_under_pytest_with_the_plug_in_of_rbench(begun):
    root = begun("purifier")
    suite = root / "suite.yaml"
    suite.write_text(
        suite.read_text().replace("samples: 32", "samples: 4").partition("attacks:")[0] + "attacks: [noise]\n"
    )
    found = environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTHONPATH=os.pathsep.join([str(root.parent), *sys.path]))
    line = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "rbench.testing.pytest_plugin",
        str(root),
    ]
    done = subprocess.run(line, env=found, capture_output=True, text=True, cwd=root)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_small_and_python(kind, tmp_path):
    paths = begin(kind, NAME, tmp_path)
    texts = [path for path in paths if path.suffix in (".py", ".toml", ".md", ".yaml")]
    assert {path.name for path in texts} == {
        "pyproject.toml",
        "README.md",
        "suite.yaml",
        "__init__.py",
        "test_brand_new.py",
    }
    for path in texts:
        assert "$" not in path.read_text()
        assert len(path.read_text().splitlines()) <= 50
        if path.suffix == ".py":
            compile(path.read_text(), path, "exec")


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("jpeg", "of this name"),
        ("random", "module 'random'"),
        ("pyarrow", "module 'pyarrow'"),
        ("Mine", "no name"),
        ("2x", "no name"),
        ("class", "no name"),
        ("a b", "no name"),
        ("../up", "no name"),
        ("", "no name"),
        ("x" * 41, "no name"),
    ],
)
def test_a_name_that_cannot_be_used_or_is_taken_is_refused_and_nothing_is_written(name, fact, tmp_path):
    with refused() as caught:
        begin("purifier", name, tmp_path)
    assert fact in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_left_alone(tmp_path, capsys):
    (tmp_path / NAME).mkdir()
    assert rbench("new", "purifier", NAME, "--into", tmp_path) == 2
    assert "there already" in capsys.readouterr().err
    assert not list((tmp_path / NAME).iterdir())
    with refused():
        begin("network", "mine", tmp_path)


def test_it_prints_what_it_wrote_and_what_comes_next(tmp_path, capsys):
    assert rbench("new", "attacks", NAME, "--into", tmp_path) == 0
    printed = capsys.readouterr()
    assert [Path(line).name for line in printed.out.splitlines()][:2] == ["pyproject.toml", "README.md"]
    assert printed.err.endswith(f"rbench check attack {NAME}\n")
    assert "\nAn attack for rbench" in (tmp_path / NAME / "README.md").read_text()


def test_what_comes_next_names_the_item_of_a_source(tmp_path, capsys):
    assert rbench("new", "backbone", NAME, "--into", tmp_path) == 0
    assert capsys.readouterr().err.endswith(f"rbench check backbone {NAME}:small\n")


def test_the_plug_in_of_pytest_brings_its_fixture_and_imports_no_torch(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import sys\n\ndef test_it(rbench_check):\n    assert callable(rbench_check)\n    assert 'torch' not in sys.modules\n"
        "\ndef test_a_fault(rbench_check):\n    rbench_check('purifier', object())\n"
    )
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "rbench.testing.pytest_plugin", "."]
    found = environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTHONPATH=os.pathsep.join(sys.path))
    done = subprocess.run(line, env=found, capture_output=True, text=True, cwd=tmp_path)
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "FAILS       type: it is a object" in done.stdout
    assert "cure: " in done.stdout
