"""Figures: the data is right, each is drawn from its CSV file alone, and nothing in it acts."""

import io
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from made_runs import Made
from pages import EVERY, EVIL, HALF, NONE, filled, hostile, pictures

from rbench import reports
from rbench.reports.figures import FIGURES, report
from rbench.reports.figures import drawn as figures_of
from rbench.reports.figures.looks import COLOURS, UNDEFENDED, looks
from rbench.reports.figures.pages import MOST_PANELS, pages
from rbench.reports.figures.style import rendered, shown, styled, wrapped
from rbench.results.record import ConvergencePart
from rbench.results.runs import read_runs
from rbench.results.table import table


def module(name):
    return import_module(f"rbench.reports.figures.{FIGURES[name]}")


def frame(name, *roots):
    return module(name).frame(table(read_runs(roots)))


def part(what, steps, robust, loss=1.0, eot=1):
    sizes = {"restarts": 1, "eps": 0.03, "samples": 4, "standing": 2, "seconds": 1.0}
    return ConvergencePart(what=what, steps=steps, eot=eot, robust_accuracy=robust, loss=loss, **sizes)


PATH = (
    part("curve", 1, 1.0, 0.5),
    part("curve", 5, 0.75, 1.0),
    part("budget", 10, 0.5, 2.0),
    part("steps", 20, 0.25, 3.0),
    part("eot", 10, 0.5, None, 2),
    part("eps", 10, 0.0),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("figures") / "run"
    made = filled(root)
    changes = {"purifier": "blur"}
    cell = made.done("pgd", clean=EVERY, robust=HALF, cell_changes=changes, record_changes={"convergence": PATH})
    made.folder.write_gallery(cell["id"], pictures())
    made.plan()
    return root


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """One purifier with three values of a parameter, one of them with another parameter too, on all samples."""
    made = Made(tmp_path_factory.mktemp("swept") / "run")
    for quality, robust, more in ((75, NONE, {}), (10, EVERY, {}), (50, HALF, {}), (20, HALF, {"mode": "slow"})):
        params = {"quality": quality, **more}
        made.done("pgd", clean=EVERY, robust=robust, cell_changes={"purifier_params": params})
    made.plan()
    return made.root


@pytest.fixture(scope="module")
def drawn(root):
    """All figures with their data, but that of a sweep."""
    return report(table(read_runs([root])))


@pytest.fixture(scope="module")
def drawn_along(swept):
    """The figures of a sweep."""
    return report(table(read_runs([swept])))


def test_a_sweep_has_the_rows_that_differ_in_one_parameter_in_the_order_of_its_values(root, swept):
    found = frame("robust-vs-standard", swept)
    assert found["value"].tolist() == ["10", "50", "75"]
    assert found["robust"].tolist() == [1.0, 0.5, 0.0]
    assert set(found["line"]) == {"jpeg on cnn: quality"}
    assert frame("robust-vs-standard", root).empty


def test_the_dumbbell_has_the_rows_with_a_blind_attack(root):
    found = frame("blind-vs-adaptive", root)
    (row,) = found.to_dict("records")
    assert (row["row"], row["standard"], row["blind"], row["robust"]) == ("jpeg", 1.0, 1.0, 0.5)
    assert row["low"] == pytest.approx(0.15, abs=0.001)


def test_a_line_over_eps_needs_two_radii(root):
    found = frame("accuracy-vs-eps", root)
    assert found["eps"].tolist() == [4 / 255, 8 / 255]
    assert set(found["row"]) == {"jpeg"}
    assert found["robust"].tolist() == [1.0, 0.5]
    assert found["blind"].isna().tolist() == [True, False]


def test_every_attack_stands_beside_the_worst_case(root):
    found = frame("accuracy-per-attack", root)
    some = found[(found["row"] == "jpeg") & found["panel"].str.contains("8/255")]
    assert some["attack"].tolist() == ["no attack", "adaptive", "blind", "worst case"]
    assert some["robust"].tolist() == [1.0, 0.5, 0.5, 0.5]  # the records' own figures are made up
    assert some["gradient"].tolist() == ["", "exact", "blind", ""]


def test_costs_are_those_of_all_attacks_for_each_image(root):
    found = frame("robustness-vs-cost", root).set_index("row")
    assert found.loc["blur", "seconds"] == 2.0 / 4
    assert found.loc["jpeg", "seconds"].tolist() == [2.0 / 4, 4.0 / 4]


def test_budgets_are_the_parts_of_the_record_but_the_one_without_a_radius(root):
    found = frame("convergence", root)
    found = found[found["row"] == "blur"]
    assert found["budget"].tolist() == ["curve", "curve", "budget", "steps", "eot"]
    assert found["steps"].tolist() == [1, 5, 10, 20, 10]
    assert found["robust"].tolist() == [1.0, 0.75, 0.5, 0.25, 0.5]
    losses = frame("loss-paths", root)
    assert losses[losses["row"] == "blur"]["loss"].tolist() == [0.5, 1.0, 2.0, 3.0]


def test_pictures_are_in_the_data_byte_by_byte(root):
    found = frame("images", root)
    assert found["row"].tolist() == ["blur", "jpeg"] or found["row"].tolist() == ["jpeg", "blur"]
    row = found.to_dict("records")[0]
    pixels = np.frombuffer(bytes.fromhex(row["adversarial"]), np.uint8).reshape(
        row["channels"], row["height"], row["width"]
    )
    assert (pixels == pictures().pixels[0, 1]).all()
    assert (row["clean_class"], row["attacked_class"]) == (0, 3)


@pytest.mark.parametrize("name", FIGURES)
def test_each_is_drawn_from_its_csv_file_alone(drawn, drawn_along, name):
    made = drawn_along | drawn
    read = pd.read_csv(io.StringIO(made[f"figures/{name}.csv"]))
    again = rendered(module(name).draw, read)
    assert again["svg"] == made[f"figures/{name}.svg"]
    assert again["png"] == made[f"figures/{name}.png"]
    assert again["pdf"] == made[f"figures/{name}.pdf"]


def test_the_same_records_give_the_same_bytes_and_matplotlib_is_as_before(root, drawn):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    assert report(table(read_runs([root]))) == drawn
    assert dict(mpl.rcParams) == before


def test_a_figure_without_data_is_named_with_the_reason(tmp_path):
    Made(tmp_path).done("pgd", clean=EVERY, robust=NONE)
    made = report(table(read_runs([tmp_path])))
    assert {name.split("/")[1].split(".")[0] for name in made} == {
        "accuracy-per-attack",
        "robustness-vs-cost",
        "README",
    }
    index = made["figures/README.md"]
    assert "- convergence: not drawn, since no cell was attacked with other budgets" in index
    assert "- blind-vs-adaptive: not drawn, since no row has both" in index
    assert "[accuracy-per-attack](accuracy-per-attack.png) ([PDF](accuracy-per-attack.pdf)): toy, Linf 8/255" in index


def test_no_name_acts_in_a_figure_or_its_data(tmp_path):
    hostile(tmp_path)
    made = report(table(read_runs([tmp_path])))
    for name, content in made.items():
        if name.endswith(".svg"):
            text = content.decode()
            assert "<script" not in text
            assert 'onerror="' not in text.replace("&quot;", '"') or "<img" not in text
        if name.endswith(".csv"):
            for line in pd.read_csv(io.StringIO(content), dtype=str).to_numpy().ravel():
                assert not str(line).startswith(("=", "+", "@", "\t"))
    assert any(name.endswith(".svg") for name in made)


def test_names_are_plain_and_short():
    assert shown("a$b$c") == r"a\$b\$c"
    assert shown("x" * 99) == "x" * 35 + "…"
    for evil in EVIL:
        assert "\u202e" not in shown(evil)


@pytest.mark.parametrize("name", ["blind-vs-adaptive", "accuracy-per-attack", "accuracy-vs-eps", "robustness-vs-cost"])
def test_titles_and_names_of_rows_lie_inside_the_figure_and_titles_say_all(name, tmp_path):
    made = Made(tmp_path)
    for eps in ("1/255", "8/255"):
        changes = {"purifier": "a purifier whose name is rather long", "eps": eps}
        made.done("pgd", clean=EVERY, robust=HALF, cell_changes=changes)
        made.done("blind", clean=EVERY, robust=EVERY, cell_changes=changes, record_changes={"gradient": "blind"})
    long = "cifar10, Linf 8/255, 1,000 samples, autoattack:cifar10-resnet18, judged by version 1 of the rules"
    data = frame(name, tmp_path)
    data = data.assign(panel=[f"{long}, ranking {panel}" for panel in data.groupby("panel").ngroup()])
    with styled():
        figure = module(name).draw(data)
        figure.draw_without_rendering()
        for axis in figure.axes:
            box = axis._left_title.get_window_extent()
            assert "Linf 8/255," in axis.get_title(loc="left").replace("\N{NO-BREAK SPACE}", " ")
            assert "1 of the rules" in axis.get_title(loc="left").replace("\N{NO-BREAK SPACE}", " ")
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.width
            assert axis.get_tightbbox().x0 >= -1
            for legend in figure.legends:
                assert not legend.get_window_extent().overlaps(axis.get_window_extent())
                assert not legend.get_window_extent().overlaps(box)


def sweep_of(root, radii, purifiers=("identity", "jpeg"), dataset="toy"):
    made = Made(root)
    for eps in radii:
        for purifier in purifiers:
            changes = {"purifier": purifier, "eps": eps, "dataset": dataset}
            made.done("pgd", clean=EVERY, robust=HALF, cell_changes=changes)
            made.done("blind", clean=EVERY, robust=EVERY, cell_changes=changes, record_changes={"gradient": "blind"})
    made.plan()
    return root


def test_every_ranking_has_a_panel_and_no_figure_more_than_six(tmp_path):
    roots = [
        sweep_of(tmp_path / "a", [f"{k}/255" for k in range(1, 9)]),
        sweep_of(tmp_path / "b", ["8/255"], dataset="other set"),
    ]
    found = table(read_runs(roots))
    figures = figures_of(found)
    assert list(figures["blind-vs-adaptive"]) == [
        "blind-vs-adaptive-other-set",
        "blind-vs-adaptive-toy",
        "blind-vs-adaptive-toy-2",
    ]
    assert list(figures["accuracy-vs-eps"]) == ["accuracy-vs-eps"]
    for name in ("blind-vs-adaptive", "robustness-vs-cost", "accuracy-per-attack"):
        panels = [panel for data in figures[name].values() for panel in dict.fromkeys(data["panel"])]
        assert len(panels) == len(set(panels)) == 9
        assert all(data["panel"].nunique() <= MOST_PANELS for data in figures[name].values())


def test_names_of_figures_of_data_sets_with_names_alike_stay_apart():
    data = pd.DataFrame({"dataset": ["a b"] * 4 + ["a-b"] * 4, "panel": list("stuvwxyz")})
    assert list(pages("blind", data)) == ["blind-a-b", "blind-a-b-2"]
    assert list(pages("blind", data.head(4))) == ["blind"]
    assert pages("blind", data.head(0)) == {}


def test_a_figure_of_one_ranking_is_named_after_it():
    panels = [f"toy, Linf {eps}, {n} samples, cnn" for eps, n in (("0.01", 200), ("0.1", 200), ("0.1", "1,000"))]
    data = pd.DataFrame({"dataset": "toy", "panel": panels})
    assert list(pages("images", data, most=1)) == [
        "images-toy-linf-0-01-200",
        "images-toy-linf-0-1-200",
        "images-toy-linf-0-1-1-000",
    ]


def test_rankings_with_the_same_title_have_panels_of_their_own(tmp_path):
    made = Made(tmp_path)
    for seen in ("data", "other data"):
        made.done("pgd", clean=EVERY, robust=HALF, cell_changes={"purifier": seen[:4]}, record_changes={"sha256": seen})
    panels = frame("accuracy-per-attack", tmp_path)["panel"].unique().tolist()
    assert panels == ["toy, Linf 8/255, 4 samples, cnn", "toy, Linf 8/255, 4 samples, cnn, ranking 2"]


def test_a_purifier_has_one_look_in_all_panels_and_figures_and_the_undefended_one_is_black(tmp_path):
    roots = [
        sweep_of(tmp_path / "a", ["1/255", "2/255"], ("identity", "jpeg", "cropd")),
        sweep_of(tmp_path / "b", ["8/255"], ("cropd", "median", "jpeg"), "other"),
    ]
    seen = {}
    for name in ("blind-vs-adaptive", "accuracy-vs-eps", "robustness-vs-cost"):
        for row in frame(name, *roots).to_dict("records"):
            look = (row["colour"], row["marker"], row["fill"])
            assert seen.setdefault(row["row"], look) == look
    assert {name for name, look in seen.items() if look[0] == UNDEFENDED} == {"identity"}
    assert len({look[0] for look in seen.values()}) == len(seen) == 4
    alone = frame("blind-vs-adaptive", roots[1]).set_index("row")
    assert alone.loc["cropd", "colour"] == seen["cropd"][0]


def test_forty_purifiers_differ_in_colour_or_marker_and_eleven_in_colour():
    found = looks([f"purifier {place}" for place in range(40)], [])
    assert len({(look["colour"], look["marker"]) for look in found.values()}) == 40
    few = looks([f"purifier {place}" for place in range(len(COLOURS))], [])
    assert len({look["colour"] for look in few.values()}) == len(COLOURS)


def test_rows_of_one_purifier_on_several_backbones_differ_in_the_fill(tmp_path):
    made = Made(tmp_path)
    for backbone in ("cnn", "vit"):
        made.done("pgd", clean=EVERY, robust=HALF, cell_changes={"backbone": backbone})
    found = frame("robustness-vs-cost", tmp_path)
    assert found["row"].tolist() == ["jpeg (cnn)", "jpeg (vit)"]
    assert found["colour"].nunique() == found["marker"].nunique() == 1
    assert found["fill"].tolist() == ["none", "left"]


@pytest.mark.parametrize("seconds", [(0.9, 1.1), (0.5, 0.5), (0.011, 270.0), (3.0, 30.0)])
def test_an_axis_of_costs_has_two_labelled_ticks_at_least_around_its_points(tmp_path, seconds):
    made = Made(tmp_path)
    for name in ("jpeg", "median"):
        made.done("pgd", clean=EVERY, robust=HALF, cell_changes={"purifier": name})
    data = frame("robustness-vs-cost", tmp_path).assign(seconds=seconds)
    with styled():
        (axis,) = module("robustness-vs-cost").draw(data).axes
        ticks = [tick for tick in axis.get_xticks() if axis.get_xlim()[0] <= tick <= axis.get_xlim()[1]]
        assert 2 <= len(ticks) <= 8
        assert axis.get_xlim()[0] < min(seconds) <= max(seconds) < axis.get_xlim()[1]


def test_the_image_that_was_fooled_is_shown_and_a_survivor_is_called_one(root, tmp_path):
    made = Made(tmp_path)
    for purifier, attacked in (("jpeg", [5, 1, 9]), ("median", [5, 1, 2])):
        cell = made.done("pgd", clean=EVERY, robust=HALF, cell_changes={"purifier": purifier})
        given = pictures()
        one = given.pixels[0]
        classes = np.array([[0, 0], [1, 1], [2, 2]])
        classes[:, 1] = attacked
        classes[0] = [5, 5]  # wrong before the attack
        shown_to = type(given)(np.arange(3), np.arange(3), np.stack([one] * 3), classes)
        made.folder.write_gallery(cell["id"], shown_to)
    found = frame("images", tmp_path).set_index("row")
    assert found.loc["jpeg", ["sample", "attacked_class"]].tolist() == [2, 9]
    svg = rendered(module("images").draw, found.reset_index())["svg"].decode()
    assert "taken for 9" in svg
    assert "survives" in svg or "never right" in svg
    assert "\N{RIGHTWARDS ARROW}" not in svg


def test_titles_break_after_commas():
    assert wrapped("a b, c d e, f", 6).replace("\N{NO-BREAK SPACE}", " ") == "a b,\nc d e,\nf"


def test_forty_rows_are_drawn_and_what_is_left_out_is_said(tmp_path):
    made = Made(tmp_path)
    for place in range(40):
        changes = {"purifier": f"purifier-{place}"}
        made.done("pgd", clean=EVERY, robust=HALF, cell_changes=changes)
        made.done("blind", clean=EVERY, robust=EVERY, cell_changes=changes, record_changes={"gradient": "blind"})
    found = frame("blind-vs-adaptive", tmp_path)
    assert len(found) == 40
    svg = rendered(module("blind-vs-adaptive").draw, found)["svg"].decode()
    assert "Not drawn: rows beyond 16 in 1 panel; see the CSV file." in svg


def test_they_are_written_into_a_folder_of_their_own(root, tmp_path):
    paths = reports.write(table(read_runs([root])), tmp_path / "out", ["figures"])
    assert {path.parent for path in paths} == {tmp_path / "out" / "figures"}
    assert (tmp_path / "out/figures/blind-vs-adaptive.png").read_bytes().startswith(b"\x89PNG")
