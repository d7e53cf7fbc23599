"""The LaTeX tables compile in a plain article, with the packages that their first line names and no others."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pages import filled, hostile

from rbench.reports.latex import latex
from rbench.results.runs import read_runs
from rbench.results.table import table

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
    log = compiled(latex(table(read_runs([folder]))), tmp_path)
    wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", log)]
    assert max(wide, default=0) < 5


@pytest.mark.parametrize("fill", [filled, hostile])
def test_any_name_compiles(fill, tmp_path):
    fill(tmp_path / "run")
    compiled(latex(table(read_runs([tmp_path / "run"]))), tmp_path)
