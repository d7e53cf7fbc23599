"""Reports show published figures beside ours where there are some, and are otherwise as they were."""

import csv
import io
import json
import re

import numpy as np
import pytest
from made_runs import Made
from small_runs import rbench

from rbench.reports.console import text
from rbench.reports.csv import csv as to_csv
from rbench.reports.html import html
from rbench.reports.latex import latex
from rbench.reports.markdown import markdown
from rbench.results.runs import read_runs
from rbench.results.table import table

MODEL = {
    "backbone": "robustbench:Kang2021Stable",
    "backbone_params": {"dataset": "cifar10", "threat": "Linf"},
    "dataset": "parquet",
    "dataset_label": "cifar10",
}
RIGHT = np.arange(100)


@pytest.fixture
def folder(tmp_path):
    """A model with a published figure, and the same behind a purifier, of which nobody has published anything."""
    made = Made(tmp_path / "run")
    for purifier, right in (("identity", 80), ("jpeg", 60)):
        made.done("aa", clean=RIGHT >= 0, robust=right > RIGHT, cell_changes={**MODEL, "purifier": purifier})
    return made.root


@pytest.fixture
def made(folder):
    return table(read_runs([folder]))


def said_of(made):
    (row,) = (row for row in made.rows() if row["purifier"] == "identity")
    low, high = row["robust_low"], row["robust_high"]
    mark = "inside" if low <= 0.7128 <= high else "outside"
    interval = f"{100 * low:.1f}-{100 * high:.1f}"
    return mark, f"published 71.3; ours 80.0, difference +8.7, {mark} our interval {interval}; best known attack 64.2"


def test_the_terminal_says_the_difference_of_each_such_row_and_no_other(made):
    shown = " ".join(text(made, 200).split())
    assert f"identity: {said_of(made)[1]}" in shown
    assert shown.count("published 71.3") == 1
    assert "published: what RobustBench of 2025-03-31 has" in shown


def test_markdown_has_the_column_in_every_line_of_the_grid(made):
    page = markdown(made)
    lines = [line.split("|") for line in page.splitlines() if line.startswith("|")]
    place = [cell.strip() for cell in lines[0]].index("published %")
    assert [line[place].strip() for line in lines[2:]] == [f"71.3 {said_of(made)[0]}", ""]
    assert {len(line) for line in lines} == {13}


def test_latex_has_the_column_in_every_line_of_the_table(made):
    lines = latex(made).splitlines()
    assert sum(r"\begin{tabular}{lrrcrrl}" in line for line in lines) == 1
    cells = [line.strip().removesuffix(r" \\").split(" & ") for line in lines if line.endswith(r"\\")]
    assert {len(row) for row in cells} == {7}
    assert [row[4] for row in cells] == ["Published", f"71.3 {said_of(made)[0]}", ""]
    assert "Published: what RobustBench of 2025{-}03{-}31 has" in latex(made)


def test_csv_has_it_as_a_fraction_with_its_source(made):
    rows = {row["purifier"]: row for row in csv.DictReader(io.StringIO(to_csv(made)))}
    inside = {"inside": "true", "outside": "false"}[said_of(made)[0]]
    found = rows["identity"]
    assert (found["published"], found["published_inside"], found["published_best_known"]) == ("0.7128", inside, "0.642")
    assert found["published_source"].startswith("RobustBench of 2025-03-31; https://")
    assert not any(rows["jpeg"][name] for name in found if name.startswith("published"))


def test_the_page_has_the_column_in_every_row_and_the_words_in_one(made):
    page = html(made).partition("</style>")[2]
    assert page.count('data-key="published"') == 3
    assert page.count('data-key="published" data-value="0.7128"') == 1
    assert f'71.3 <span class="tag">{said_of(made)[0]}</span>' in page
    assert page.count('colspan="10"') == 2
    assert f"In percent: {said_of(made)[1]}" in page


def test_json_has_the_columns_and_their_meaning(folder, capsys):
    capsys.readouterr()
    assert rbench("report", folder, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    rows = {row["purifier"]: row for row in content["rows"]}
    assert (rows["identity"]["published"], rows["jpeg"]["published"]) == (0.7128, None)
    assert content["columns"]["published"]["unit"] == "fraction"


def test_a_table_without_published_figures_says_nothing_of_them(tmp_path):
    made = Made(tmp_path)
    made.done("aa", clean=RIGHT >= 0, robust=RIGHT < 80, cell_changes={**MODEL, "purifier": "jpeg"})
    without = table(read_runs([tmp_path]))
    for report in (text, markdown, to_csv, html, latex):
        seen = re.sub(r"<(style|script)>.*?</\1>", "", report(without), flags=re.DOTALL)
        assert "published" not in seen.casefold()
    assert 'colspan="9"' in html(without)
