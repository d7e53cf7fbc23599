"""Reports are pure functions of a table, readable, and inert whatever the names in it."""

import csv
import io
import re

import pandas as pd
import pytest
from made_runs import Made

from rbench import reports
from rbench.errors import InputError
from rbench.reports.console import text
from rbench.reports.csv import csv as to_csv
from rbench.reports.markdown import markdown
from rbench.reports.plain import csv_text, markdown_text, percent, visible
from rbench.results.columns import COLUMNS
from rbench.results.record import Flag
from rbench.results.runs import read_runs
from rbench.results.table import table
from rbench.suite.cell import JUDGE_VERSION

PROMISED = (
    "rank dataset backbone purifier norm eps n standard_accuracy robust_accuracy robust_low robust_high "
    "blind_robust_accuracy strongest_attack stochastic gradient flags verified status noise_accuracy cost_seconds"
)
EVERY = [1, 1, 1, 1]


@pytest.fixture
def leaderboard(tmp_path):
    made = Made(tmp_path)
    flags = (Flag(name="zero-gradients", value=1.0),)
    changes = {"purifier": "bit-depth"}
    made.done("pgd", clean=EVERY, robust=[1, 1, 1, 0], cell_changes=changes, record_changes={"flags": flags})
    made.done("soft", clean=EVERY, robust=EVERY, cell_changes=changes, record_changes={"gradient": "blind"})
    made.done("square", clean=EVERY, robust=EVERY, cell_changes=changes, record_changes={"knows": "black-box"})
    made.done("pgd", clean=[1, 1, 1, 0], robust=[0, 0, 0, 0], cell_changes={"purifier": "identity"})
    made.done("pgd", clean=EVERY, robust=EVERY, cell_changes={"purifier": "noise"}, record_changes={"stochastic": True})
    made.other("pgd", "failed", purifier="broken", error="sample 3: logits are NaN")
    made.done("pgd", clean=EVERY, robust=[1, 0, 0, 0], cell_changes={"eps": "4/255"})
    return table(read_runs([tmp_path]))


def test_the_console_shows_groups_ranks_intervals_and_the_legend(leaderboard):
    shown = text(leaderboard)
    assert "toy (4 samples), cnn, Linf 4/255" in shown
    assert "toy (4 samples), cnn, Linf 8/255" in shown
    assert shown.count("Random purifiers: the mean of 8 draws for each sample.") == 1
    line = next(line for line in shown.splitlines() if "bit-depth" in line)
    assert line.split() == ["2", "bit-depth", "100.0", "75.0", "30.1-95.4", "100.0", "pgd", "ZG", "FS"]
    line = next(line for line in shown.splitlines() if "identity" in line)
    assert line.split() == ["3", "identity", "75.0", "0.0", "0.0-49.0", "-", "pgd", "FS"]
    assert "broken: no robust accuracy (failed: pgd)" in shown
    assert "ZG zero-gradients: The gradient at the input is zero" in shown
    assert "NL" not in shown


def test_ranks_that_go_on_in_the_table_of_another_backbone_are_explained(tmp_path):
    made, said = Made(tmp_path), "#: the rank among all backbones"
    made.done("pgd", clean=EVERY, robust=EVERY, cell_changes={"backbone": "cnn"})
    assert said not in text(table(read_runs([tmp_path])))
    made.done("pgd", clean=EVERY, robust=[1, 1, 0, 0], cell_changes={"backbone": "vit"})
    assert said in text(table(read_runs([tmp_path])))


@pytest.mark.parametrize(("judge", "said"), [(JUDGE_VERSION, ""), (1, ", judged by version 1 of the rules")])
def test_rows_that_were_judged_by_older_rules_say_so(tmp_path, judge, said):
    made = Made(tmp_path)
    made.done("pgd", clean=EVERY, robust=EVERY, cell_changes={"judge": judge})
    shown = table(read_runs([tmp_path]))
    heading = f"toy (4 samples), cnn, Linf 8/255{said}"
    assert heading in text(shown).splitlines()
    assert f"## {heading}" in markdown(shown).splitlines()


def test_one_success_in_several_tries_has_its_own_name(tmp_path):
    made = Made(tmp_path)
    right = [[1, 1, 1], [1, 1, 0]]
    made.done(
        "pgd",
        clean=right,
        robust=right,
        cell_changes={"decide": "any", "draws": 3},
        record_changes={"stochastic": True},
    )
    found = table(read_runs([tmp_path]))
    assert "any-of-3, an attacker who submits an image 3 times and needs one success" in " ".join(text(found).split())
    assert found.frame["standard_accuracy"].tolist() == [0.5]


@pytest.mark.parametrize("width", [80, 100])
def test_the_console_keeps_to_its_width(tmp_path, width):
    made = Made(tmp_path)
    flags = tuple(Flag(name=name) for name in ("not-logits", "zero-gradients", "unstable", "no-eot", "randomised"))
    for backbone in ("autoattack:cifar10-resnet18", "torchvision:resnet50"):
        for purifier in ("random-resize-pad", "a purifier with quite a long name indeed", "ä" * 60):
            made.done(
                "torchattacks:MIFGSM-with-a-long-label",
                clean=EVERY,
                robust=EVERY,
                record_changes={"flags": flags},
                cell_changes={"backbone": backbone, "purifier": purifier},
            )
    lines = text(table(read_runs([tmp_path])), width).splitlines()
    assert max(map(len, lines)) <= width
    assert any("100.0  51.0-100.0" in line for line in lines)
    assert not any("\u2026" in line for line in lines)  # nothing is cut away


def test_the_console_survives_twenty_columns(leaderboard):
    assert "pgd" in text(leaderboard, 20)


def test_the_console_lists_what_it_could_not_use(tmp_path):
    made = Made(tmp_path)
    cell = made.done("pgd", clean=EVERY, robust=EVERY)
    made.folder.record_path(cell["id"]).write_text("{")
    shown = text(table(read_runs([tmp_path])), 500)
    assert "Not used (1):" in shown
    assert f"{cell['id']}.json:1:2: not JSON" in shown
    assert "No rows" in shown


def test_the_console_has_a_line_and_no_rows_for_what_was_not_run(tmp_path):
    made = Made(tmp_path)
    made.done("pgd", clean=[1, 1, 1, 1], robust=[1, 1, 1, 1], cell_changes={"purifier": "run"})
    for name in ("later", "much-later"):
        made.other("pgd", "missing", purifier=name)
    made.other("pgd", "missing", purifier="later", eps="1/255")
    made.plan()
    shown = text(table(read_runs([tmp_path])))
    assert "Not run yet: later, much-later.\n" in shown
    assert "Not run yet: later.\n" in shown
    assert "blocked" not in shown


def test_markdown_has_a_table_for_each_group_in_percent(leaderboard):
    page = markdown(leaderboard)
    assert page.count("| # | backbone | purifier |") == 2
    assert "## toy (4 samples), cnn, Linf 8/255" in page
    assert (
        "| 2 | cnn | bit-depth | 100.0 | **75.0** (30.1-95.4) | 100.0 | 100.0 | pgd | exact | zero-gradients, few-samples |"
        in page
    )
    assert "| - | cnn | broken | - | blocked (failed: pgd) | - | - | - | - |  |" in page
    assert "- **zero-gradients**: The gradient at the input is zero" in page
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in page.splitlines() if line.startswith("|")}
    assert widths == {11}


def test_csv_has_the_promised_columns_and_plain_fractions(leaderboard):
    frame = pd.read_csv(io.StringIO(to_csv(leaderboard)))
    assert list(frame.columns) == list(COLUMNS)
    assert " ".join(frame.columns).startswith(PROMISED)
    row = frame[(frame["purifier"] == "bit-depth")].iloc[0]
    assert (row["rank"], row["robust_accuracy"], row["blind_robust_accuracy"]) == (2, 0.75, 1.0)
    assert row["eps"] == 8 / 255
    assert row["flags"] == "zero-gradients;few-samples"
    assert row["verified"]
    blocked = frame[frame["purifier"] == "broken"].iloc[0]
    assert pd.isna(blocked["robust_accuracy"])
    assert blocked["status"] == "failed: pgd"


def test_reports_are_functions_of_the_table_alone(leaderboard):
    for report in (text, markdown, to_csv):
        assert report(leaderboard) == report(leaderboard)


def test_an_empty_leaderboard_is_drawn_too(tmp_path):
    Made(tmp_path)
    empty = table(read_runs([tmp_path]))
    assert "No rows" in text(empty)
    assert "Nothing has been recorded" in markdown(empty)
    assert to_csv(empty) == ",".join(COLUMNS) + "\n"


EVIL = [
    '=HYPERLINK("http://x")',
    "+1+1",
    "-2",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "<script>alert(1)</script>",
    "a|b\n| c | d |",
    "[link](javascript:x) ![i](http://x) `code` *b* _i_ ~~s~~ # h",
    "&lt;b&gt;",
    "\\| x",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J",
    "\u202egnp.exe \u200b\u2028",
    "[bold red]markup[/]",
    "\x00",
]


@pytest.fixture
def evil(tmp_path):
    made = Made(tmp_path)
    for name in EVIL:
        made.done(name, clean=EVERY, robust=EVERY, cell_changes={"purifier": name, "backbone": name, "dataset": name})
        made.other(name, "failed", purifier=name, error=name)
    return table(read_runs([tmp_path]))


def test_no_name_acts_on_the_terminal(evil):
    shown = text(evil, 400)
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert "\\x1b[31mred" in shown
    assert "[bold red]markup[/]" in shown
    assert "\\u202e" in shown


def test_no_name_acts_on_the_page(evil):
    page = markdown(evil)
    assert "<script" not in page
    assert "](" not in page.replace("\\](", "")
    widths = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in page.splitlines() if line.startswith("|")}
    assert widths == {11}
    assert not [line for line in page.splitlines() if line.startswith("| c |")]


def test_no_name_is_a_formula(evil):
    lines = list(csv.DictReader(io.StringIO(to_csv(evil))))
    assert len(lines) == 2 * len(EVIL)
    for line in lines:
        for column in ("dataset", "backbone", "purifier", "strongest_attack", "status"):
            assert not line[column].startswith(("=", "+", "-", "@", "\t", "\r"))
            assert "\n" not in line[column]


def test_escapes_leave_ordinary_names_alone():
    for name in ("jpeg", "CRoPD", "bpda+eot", "résumé 雪", "torchattacks:MIFGSM", "pgd (40 steps)"):
        assert visible(name) == csv_text(name) == name
    assert markdown_text("bit-depth 3.5, pgd+eot (x)") == "bit-depth 3.5, pgd+eot (x)"


@pytest.mark.parametrize(("share", "shown"), [(0.0, "0.0"), (1.0, "100.0"), (0.12345, "12.3"), (None, "-")])
def test_percent_has_one_decimal(share, shown):
    assert percent(share) == shown


def test_the_formats_are_written_beside_the_results(leaderboard, tmp_path):
    paths = reports.write(leaderboard, tmp_path, ("md", "csv"))
    assert [path.name for path in paths] == ["leaderboard.md", "leaderboard.csv"]
    assert paths[0].read_text() == markdown(leaderboard)
    assert paths[1].read_text() == to_csv(leaderboard)


def test_an_unknown_format_is_refused_before_anything_is_written(leaderboard, tmp_path):
    with pytest.raises(InputError, match=r"unknown reporter 'docx'"):
        reports.write(leaderboard, tmp_path, ("md", "docx"))
    assert not list(tmp_path.glob("leaderboard.*"))
    with pytest.raises(InputError, match="none given"):
        reports.formats(" , ")
    assert reports.formats("csv, md") == ("csv", "md")
