"""The notebook runs as a script and as a notebook; `make check` holds its types."""

import re

import pytest
from shown_code import ROOT

NOTEBOOK = ROOT / "docs/notebooks/own_purifier.py"
SMALL = {"SAMPLES = 64": "SAMPLES = 4", "STEPS = 40": "STEPS = 2"}


@pytest.fixture
def small():
    text = NOTEBOOK.read_text(encoding="utf-8")
    for given, smaller in SMALL.items():
        assert text.count(given) == 1
        text = text.replace(given, smaller)
    return text


def test_it_runs_as_a_script(small, capsys):
    names = {"__name__": "__main__"}
    exec(compile(small, str(NOTEBOOK), "exec"), names)
    assert list(names["table"].index) == ["blind", "exact", "identity in its place"]
    said = capsys.readouterr().out
    assert re.search(r"robust against all three: \d+\.\d% of 4", said)
    assert "Verified(12 adversarial images judged again, the same verdicts)" in said


def test_it_has_five_cells_of_code(small):
    assert len(re.findall(r"^# %%$", small, re.MULTILINE)) == 5


def test_it_runs_as_a_notebook(small, tmp_path):
    jupytext, nbclient = pytest.importorskip("jupytext"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = jupytext.reads(small, fmt="py:percent")
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    code = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    (shown,) = [outputs for outputs in code if "robust against all three" in str(outputs)]
    assert "text/html" in shown[-1].data
    assert "Verified" in str(code[-1])
