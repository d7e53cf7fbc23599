"""The LaTeX tables compile in a plain article, with the packages that their first line names and no others."""

import re
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest
from pages import filled, hostile

from rbench.reports.latex import latex
from rbench.results.corruption_rows import CorruptionRow
from rbench.results.runs import read_runs
from rbench.results.statistics import Estimate
from rbench.results.table import Table, table

ROOT = Path(__file__).parents[2]
COMMITTED = sorted(path.parent for path in (ROOT / "results").glob("*/cells.jsonl"))

pytestmark = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")


def compiled(text, folder):
    """The log of a document of these tables."""
    packages = re.findall(r"\\usepackage\S+", text.splitlines()[0])
    lines = [r"\documentclass{article}", *packages, r"\begin{document}", text, r"\end{document}"]
    (folder / "paper.tex").write_text("\n".join(lines), encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "paper.pdf").stat().st_size > 1000
    return done.stdout


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda path: path.name)
def test_committed_results_compile_and_fit_the_page(folder, tmp_path):
    assert _too_wide(compiled(latex(table(read_runs([folder]))), tmp_path)) < 5


def test_corruptions_fit_the_page_with_every_column_that_they_may_have(tmp_path):
    text = latex(
        Table(
            (),
            corruptions=tuple(
                _corrupted(*names) for names in product(("resnet18", "vit"), ("jpeg", "random-resize-pad"))
            ),
        )
    )
    assert r"\multicolumn{5}{c}{Severity}" in text
    assert r"Robust (Linf 8/255) is the worst case" in text
    for line in text.splitlines():
        if line.endswith(r"\\"):
            spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line))
            assert len(re.findall(r"(?<!\\)&", line)) + spans == 10
    assert _too_wide(compiled(text, tmp_path)) < 5


def _too_wide(log):
    """By how many points the widest line leaves the page."""
    return max((float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", log)), default=0)


def _corrupted(backbone, purifier):
    severity = (1, 2, 3, 4, 5)
    found = Estimate(0.374, 0.331, 0.418, 1000)
    return CorruptionRow(
        dataset="cifar10",
        backbone=backbone,
        purifier=purifier,
        n=1000,
        names=("fog", "snow"),
        severity=severity,
        images="files",
        standard=found,
        mean=found,
        by_severity=dict.fromkeys(severity, found),
        by_name={},
        decide="mean",
        draws=1,
        status="done",
        verified=True,
        group="one",
        model=f"{backbone} {purifier}",
        cells=(),
        published=0.41,
        robust=("Linf 8/255", 0.05),
    )


@pytest.mark.parametrize("fill", [filled, hostile])
def test_any_name_compiles(fill, tmp_path):
    fill(tmp_path / "run")
    compiled(latex(table(read_runs([tmp_path / "run"]))), tmp_path)
