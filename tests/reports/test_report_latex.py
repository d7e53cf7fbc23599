"""LaTeX tables: what a paper needs, nothing that acts, and rows of one length."""

import re

import pytest
from made_runs import Made

from rbench.reports.latex import latex, latex_text
from rbench.results.record import Flag
from rbench.results.runs import read_runs
from rbench.results.table import table

EVERY = [1, 1, 1, 1]
NASTY = r"50% & \input{x} $a_b^c$ #~ [2em] -- <é> `'\""


@pytest.fixture
def text(tmp_path):
    made = Made(tmp_path)
    changes = {"flags": (Flag(name="zero-gradients", value=1.0),)}
    made.done("pgd", clean=EVERY, robust=[1, 1, 1, 0], cell_changes={"purifier": "bit-depth"}, record_changes=changes)
    made.done(
        "blind", clean=EVERY, robust=EVERY, cell_changes={"purifier": "bit-depth"}, record_changes={"gradient": "blind"}
    )
    black_box = {"cell_changes": {"purifier": "bit-depth"}, "record_changes": {"knows": "black-box"}}
    made.done("square", clean=EVERY, robust=EVERY, **black_box)
    made.done("pgd", clean=EVERY, robust=EVERY, cell_changes={"purifier": NASTY}, record_changes={"stochastic": True})
    made.other("pgd", "failed", purifier="broken", error="sample 3: logits are NaN")
    made.done("pgd", clean=EVERY, robust=[1, 0, 0, 0], cell_changes={"eps": "4/255"})
    return latex(table(read_runs([tmp_path])))


def test_a_row_has_its_figures_and_a_blocked_one_none(text):
    rows = [line.strip() for line in text.splitlines()]
    assert r"bit{-}depth & 100.0 & 75.0 & 30.1--95.4 & 100.0 & ZG FS \\" in rows
    assert r"broken & - & \multicolumn{2}{c}{failed} & -- &  \\" in rows
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    assert "ZG zero{-}gradients" in text
    assert "the mean of 8 draws" in text
    assert "toy (4 samples), cnn, Linf 4/255: accuracy in percent." in text


def test_only_the_best_robust_figure_of_a_ranking_is_bold(tmp_path):
    made = Made(tmp_path)
    half = [1, 1, 0, 0]
    for purifier, robust in (("weak", [0, 0, 0, 0]), ("good", half), ("alike", half), ("better", EVERY)):
        made.done("pgd", clean=EVERY, robust=robust, cell_changes={"purifier": purifier}, verified=purifier != "better")
        made.done("pgd", clean=EVERY, robust=half, cell_changes={"purifier": purifier, "eps": "1/255"})
    rows = [line.strip().split(" & ") for line in latex(table(read_runs([tmp_path]))).splitlines() if " & " in line]
    bold = [row[0] for row in rows if row[2].startswith(r"\textbf{")]
    # Unverified rows rank below, whatever their figure.
    assert bold == ["alike", "better", "good", "weak", "alike", "good"]


def test_what_has_not_been_run_in_full_is_in_a_comment_and_in_no_table(tmp_path):
    made = Made(tmp_path)
    made.done("pgd", clean=EVERY, robust=EVERY, cell_changes={"purifier": "run"})
    made.done("pgd", clean=EVERY, robust=EVERY, cell_changes={"purifier": "half"})
    made.other("apgd", "missing", purifier="half")
    made.other("pgd", "missing", purifier="not\nyet")
    made.other("pgd", "missing", purifier="alone", eps="1/255")
    made.other("pgd", "failed", purifier="broken")
    made.plan()
    text = latex(table(read_runs([tmp_path])))
    assert text.count(r"\begin{table}") == 1
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("% left out")] == [
        "% left out, missing: pgd: alone",
        "% left out, missing: apgd: half",
        "% left out, missing: pgd: not\\nyet",
    ]
    body = [line.strip().split(" &")[0] for line in lines if line.endswith(r"\\")]
    assert body == ["Purifier", "run", "broken"]


def test_rows_stand_under_their_backbone_where_there_are_several(tmp_path):
    made = Made(tmp_path)
    for backbone in ("big", "small"):
        for purifier in ("jpeg", "blur"):
            made.done(clean=EVERY, robust=EVERY, cell_changes={"backbone": backbone, "purifier": purifier})
    lines = [line.strip() for line in latex(table(read_runs([tmp_path]))).splitlines()]
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert [line.split(" &")[0] for line in body] == [
        r"\multicolumn{6}{l}{\textit{big}} \\",
        r"\quad blur",
        r"\quad jpeg",
        r"\addlinespace",
        r"\multicolumn{6}{l}{\textit{small}} \\",
        r"\quad blur",
        r"\quad jpeg",
    ]


def test_every_row_has_as_many_columns_as_the_head(text):
    for line in text.splitlines():
        if line.endswith(r"\\"):
            spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d)\}", line))
            assert len(re.findall(r"(?<!\\)&", line)) + spans == 5


def test_nothing_in_a_name_acts():
    shown = latex_text(NASTY)
    assert shown.isascii()
    assert not re.search(r"(?<!\\)[%&$#_]", shown)
    assert r"\input" not in shown
    assert "--" not in shown
    assert latex_text("\u202ea") == latex_text(r"\u202ea")
