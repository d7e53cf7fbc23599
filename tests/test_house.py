"""Rules of the house: sizes, forbidden words, entry points that load, suites that plan, links that lead somewhere."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from small_runs import environment

from rbench.suite.load import load_suite
from rbench.suite.plan import plan

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "rbench").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
POINTS = [
    (group, name, value)
    for group, named in PROJECT["entry-points"].items()
    if group.startswith("rbench.")
    for name, value in sorted(named.items())
]
CLOCK = re.compile(r"\b(perf_counter|monotonic|process_time|thread_time|time\.time|datetime\.now)(_ns)?\b")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def offences(found):
    """Places in our source where a node of the tree is `found`."""
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if found(path, node)
    ]


def calls(node, name):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def test_no_file_is_long_and_half_of_them_are_short():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {str(path): count for path, count in lines.items() if count > 400} == {}
    assert sorted(lines.values())[len(lines) // 2] <= 120


def test_no_pickle_is_ever_loaded_with_code():
    def unsafe(path, node):
        return isinstance(node, ast.keyword) and (
            (node.arg == "weights_only" and getattr(node.value, "value", None) is not True)
            or (node.arg == "allow_pickle" and getattr(node.value, "value", None) is not False)
        )

    assert offences(unsafe) == []


def test_nothing_is_evaluated_or_executed():
    def evaluates(path, node):
        return any(calls(node, name) for name in ("eval", "exec", "compile", "__import__"))

    assert offences(evaluates) == []


def test_nobody_prints_but_the_command_line():
    assert offences(lambda path, node: "cli" not in path.parts and calls(node, "print")) == []


def test_no_bare_except_swallows_a_signal():
    def bare(path, node):
        return isinstance(node, ast.ExceptHandler) and node.type is None

    assert offences(bare) == []


SCRIPTS = [
    path
    for pattern in ("bench/*.py", "recipes/*.py", "results/*.py", "docs/**/*.py", "tools/**/*.py")
    for path in sorted(ROOT.glob(pattern))
]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_scripts_beside_the_package_import_of_it_is_there(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rbench"):
            module = import_module(node.module)
            assert [alias.name for alias in node.names if not _has(module, alias.name)] == []


def _has(module, name):
    """A name of a module, or a module in a package, which is an attribute of it only once it was imported."""
    return hasattr(module, name) or (hasattr(module, "__path__") and find_spec(f"{module.__name__}.{name}") is not None)


def test_no_test_reads_a_clock_and_so_none_asserts_seconds():
    """What is measured is held to a reference beside it, in costs.py; bars in seconds stand in bench/."""
    tests = [path for path in (ROOT / "tests").rglob("*.py") if path.name not in ("costs.py", "test_house.py")]
    readers = [path.name for path in tests if CLOCK.search(path.read_text(encoding="utf-8"))]
    assert readers == []


@pytest.mark.parametrize(("group", "name", "value"), POINTS, ids=[f"{group}:{name}" for group, name, _ in POINTS])
def test_every_entry_point_names_something_callable_with_a_docstring(group, name, value):
    module, attribute = value.split(":")
    component = getattr(import_module(module), attribute)
    assert callable(component)
    assert component.__doc__


def test_the_command_of_the_package_is_there():
    module, attribute = PROJECT["scripts"]["rbench"].split(":")
    assert callable(getattr(import_module(module), attribute))


@pytest.fixture
def pictures(tmp_path):
    """A parquet file of a few 32x32 pictures."""
    content = BytesIO()
    Image.new("RGB", (32, 32), (10, 200, 30)).save(content, "PNG")
    path = tmp_path / "tiny.parquet"
    pq.write_table(pa.table({"image": [{"bytes": content.getvalue()}] * 4, "label": [0, 1, 2, 3]}), path)
    return path


@pytest.mark.parametrize("path", sorted((ROOT / "suites").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_suite_of_ours_plans(path, pictures, monkeypatch):
    needs_data = "name: parquet" in path.read_text(encoding="utf-8")
    monkeypatch.setattr("rbench.backbones.autoattack.files", lambda **_: [], raising=False)
    monkeypatch.setattr("rbench.suite.corruptions.library_version", lambda: "0")
    if "diffusers:" in path.read_text(encoding="utf-8"):
        monkeypatch.setattr("rbench.purifiers.diffpure.files", lambda **_: [])
        monkeypatch.setattr("rbench.purifiers.gdmp.files", lambda **_: [])
    planned = plan(load_suite(path, [f"dataset.path={pictures}"] if needs_data else []))
    assert planned.spec.suite == path.stem
    labels = {cell.purifier.label for cell in (*planned.cells, *planned.corrupted)}
    assert "identity" in labels
    attacks = {cell.attack.label for cell in planned.cells if cell.purifier.label == "identity"}
    assert attacks or {cell.corruption.name for cell in planned.corrupted if cell.purifier.label == "identity"}


@pytest.mark.parametrize(
    "code",
    [
        "import rbench",
        "import rbench.cli.run, rbench.cli.report",
        "from rbench.running.resume import pending",
        "import rbench.results.table, rbench.suite.plan, rbench.reports",
    ],
)
def test_what_needs_no_torch_imports_none(code):
    check = f"import sys; {code}; sys.exit(any(m in sys.modules for m in ('torch', 'torchvision')))"
    assert subprocess.run([sys.executable, "-c", check], env=environment()).returncode == 0


def test_report_reads_a_run_without_torch(tmp_path):
    check = (
        "import sys\nfrom rbench.cli.main import main\ntry:\n main(['report', sys.argv[1]])\n"
        "except SystemExit as done:\n assert not done.code\nassert 'torch' not in sys.modules"
    )
    (tmp_path / "records").mkdir()
    done = subprocess.run([sys.executable, "-c", check, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "page",
    sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/**/*.md")]),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_relative_link_leads_to_a_file(page):
    links = LINK.findall(page.read_text(encoding="utf-8"))
    relative = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in relative if not (page.parent / link).exists()] == []
