"""The page of the bench: what misses its bar is marked, and nothing that was measured is left out."""

import json

import pytest

from bench import __main__ as command
from bench import growth, workers
from bench.figure import frame, pictures
from bench.limits import bars
from bench.page import page
from bench.rows import Row, Terms
from bench.sections import sections
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

BUDGET = {"pgd": 40, "steps": 100, "targets": 9, "queries": 500}


def row(model="b", share="0.65", attack="pgd", *, overhead=1.02, ratio=1.0, images=64, **more):
    """A row of the table."""
    side = {"robust": 0.64, "seconds": 2.0, "passes": 70.0, "P": 1.01, "O": overhead}
    other = {**side, "O": 1.07, "ratio": ratio, "differ": 0, "version": "1"}
    absent = {"missing": "not installed: No module named 'adv_lib'"}
    about = {"model": model, "name": "cnn", "share": share, "attack": attack, "budget": BUDGET, "eps": 0.1}
    beside = {"images": images, "pairs": 7, "audit": 1.0, "judging": 0.1, "proposing": "", "note": ""}
    return {**about, **beside, "rbench": side, "references": {"torchattacks": other, "adv-lib": absent}, **more}


def shown(rows):
    return page(rows, {"processor": "P"}, sections(rows), "python -m bench")


def test_a_missed_bar_is_marked_where_it_stands_and_listed_above():
    text = shown({"table/b/0.65/pgd": row(overhead=1.081, ratio=0.91)})
    assert "0 of 2 bars are met." in text
    assert "**1.081** (bar 1.03, missed)" in text
    assert "**0.91** (bar 0.98, missed)" in text
    assert "| `table/b/0.65/pgd` | torchattacks over rbench | 0.91 | at least 0.98 | 7.1% |" in text


def test_a_figure_within_its_bar_is_not_marked():
    text = shown({"table/b/0.65/pgd": row(overhead=1.03, ratio=0.98)})
    assert "2 of 2 bars are met." in text
    assert "missed" not in text


def test_every_table_has_its_command_and_a_library_that_is_not_there_says_why():
    text = shown({"table/b/0.65/pgd": row(), "table/d/0/pgd": {"missing": "no CIFAR-10 test images"}})
    assert "    python -m bench --only 'table/b'" in text
    assert "adv-lib: not installed: No module named 'adv_lib'" in text
    assert "- `table/d/0/pgd` was not measured: no CIFAR-10 test images" in text
    assert "processor P" in text


@pytest.mark.parametrize(
    ("changed", "limits"),
    [
        ({}, {"rbench.O": 1.03, "torchattacks.ratio": 0.98}),
        ({"model": "a"}, {"torchattacks.ratio": 0.98}),
        ({"images": 16}, {"torchattacks.ratio": 0.98}),
        ({"attack": "apgd"}, {"rbench.O": 1.06, "torchattacks.ratio": 0.98}),
        ({"attack": "fab-t"}, {"rbench.O": 1.25, "torchattacks.ratio": 0.98}),
        ({"attack": "square"}, {"rbench.O": 1.1, "torchattacks.ratio": 0.98}),
        ({"attack": "autoattack"}, {"torchattacks.ratio": 1.3}),
        ({"attack": "autoattack", "share": "0.30"}, {"torchattacks.ratio": 0.98}),
        ({"attack": "autoattack", "share": "0.05"}, {"torchattacks.ratio": 2.2}),
        ({"attack": "autoattack", "share": "0"}, {"torchattacks.ratio": 10.0}),
    ],
)
def test_each_row_is_held_to_the_bars_of_its_attack_model_and_share(changed, limits):
    assert {bar.key: bar.limit for bar in bars("table/x", row(**changed))} == limits


def test_what_is_no_number_and_other_results_miss_their_bars():
    found = {"ratio": float("nan"), "same hashes": False}
    assert [bar.met for bar in bars("workers/2", found)] == [False, False]
    assert [bar.met for bar in bars("workers/2", {"ratio": 1.75, "same hashes": True})] == [True, True]
    assert not list(bars("workers/2", {"missing": "one core"}))


@pytest.mark.parametrize("quick", [True, False])
def test_every_row_has_a_place_on_the_page(quick):
    rows = [one.name for one in command.every_row(Terms(quick))]
    assert len(rows) == len(set(rows)) > 20
    places = [section.only for section in sections({})]
    assert [name for name in rows if not any(f"{name}/".startswith(f"{place}/") for place in places)] == []


def test_a_section_of_one_row_is_shown():
    text = shown({"memory/audit": {"above the model": 700.0, "seconds": 2.0, "note": "made-up images"}})
    assert "**700** (bar 500, missed)" in text


def test_a_bench_writes_json_page_and_figure_and_ends_with_one_where_a_bar_is_missed(tmp_path, monkeypatch, capsys):
    ratios = {"0.65": 1.4, "0": 4.0}

    class Part:
        @staticmethod
        def rows(terms):
            for share, ratio in ratios.items():
                figures = row("b", share, "autoattack", ratio=ratio)
                yield Row(f"table/b/{share}/autoattack", lambda figures=figures: figures)

    monkeypatch.setattr(command, "PARTS", [Part])
    assert command.main(["--quick", "--out", str(tmp_path)]) == 1
    assert "1 bars are missed" in capsys.readouterr().out
    written = json.loads((tmp_path / "bench.json").read_text())
    assert written["rows"]["table/b/0/autoattack"]["references"]["torchattacks"]["ratio"] == 4.0
    assert written["about"]["kind"] == "quick"
    assert "**4.00** (bar 10, missed)" in (tmp_path / "README.md").read_text()
    assert (tmp_path / "time-against-robust-share.svg").read_bytes().startswith(b"<?xml")
    assert (tmp_path / "time-against-robust-share.png").read_bytes().startswith(b"\x89PNG")
    ratios["0"] = 12.0
    assert command.main(["--out", str(tmp_path / "again")]) == 0


def test_an_interrupted_bench_shows_what_it_has(tmp_path, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    class Part:
        @staticmethod
        def rows(terms):
            yield Row("table/b/0.65/pgd", row)
            yield Row("table/b/0.65/apgd", interrupted)

    monkeypatch.setattr(command, "PARTS", [Part])
    with pytest.raises(KeyboardInterrupt):
        command.main(["--out", str(tmp_path)])
    assert "| 0.65 | pgd |" in (tmp_path / "README.md").read_text()


def test_the_figure_shows_rbench_and_one_library_a_model():
    rows = {f"table/b/{share}/autoattack": row("b", share, "autoattack") for share in ("0.65", "0")}
    rows |= {f"table/e/{share}/apgd": row("e", share, "apgd") for share in ("0.65", "0")}
    rows |= {"table/e/0/pgd": row("e", "0", "pgd"), "table/d/0/pgd": {"missing": "no data"}}
    data = frame(rows)
    assert list(data.groupby(["model", "attack", "who"]).size()) == [2, 2, 2, 2]
    assert set(data["attack"]) == {"autoattack", "apgd"}
    assert data["ms"].unique() == pytest.approx(2.0 / 64 * 1e3)
    assert pictures({}) == {}


@pytest.mark.parametrize("cells", [50, 200, 1000])
def test_the_suites_of_the_bench_have_the_cells_that_they_say(cells, tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(growth.suite_of(cells))
    assert len(plan(load_suite(path, [])).cells) == cells
    path.write_text(workers.SUITE.format(samples=4, steps=2))
    assert len(plan(load_suite(path, [])).cells) == 8
