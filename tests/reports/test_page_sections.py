"""The overview and the sections of the page: the newest verified first, each with its suite, date and version."""

import base64
import io
import re
from html import unescape

import numpy as np
from made_runs import Made
from pages import EVERY, EVIL, HALF, Tags, page_of, pictures
from PIL import Image

from rbench.reports.page.gallery import sheet
from rbench.reports.page.view import page
from rbench.results.gallery import Gallery
from rbench.results.runs import read_runs
from rbench.results.table import table


def folder(root, *, data, date, verified, suite=None, version="0.1.0"):
    made = Made(root)
    said = {"provenance": {"date": date, "rbench": version, "device": "cpu"}}
    made.done("pgd", clean=EVERY, robust=HALF, cell_changes={"dataset": data}, record_changes=said, verified=verified)
    made.plan()
    if suite is not None:
        (root / "suite.yaml").write_text(suite)
    return root


def test_the_newest_verified_section_stands_first_and_unverified_ones_last(tmp_path):
    days = [
        ("a", "2026-01-01", True),
        ("b", "2026-03-03", True),
        ("c", "2026-09-09", False),
        ("d", "2026-10-01", False),
    ]
    roots = [folder(tmp_path / data, data=data, date=f"{day}T01:02:03+00:00", verified=yes) for data, day, yes in days]
    made = page(table(read_runs(roots)))
    assert [one.rows[0].fields["dataset"] for one in made.sections] == ["b", "a", "d", "c"]
    assert [one.day for one in made.sections] == ["2026-03-03", "2026-01-01", "2026-10-01", "2026-09-09"]
    assert [one.verified for one in made.sections] == [1, 1, 0, 0]


def test_every_section_is_a_line_of_the_overview_that_leads_to_it(tmp_path):
    suites = {"a": "suite: first-one # named\nx: 1\n", "b": 'suite: "second one"\n', "c": "no: name\n", "d": None}
    for data, suite in suites.items():
        folder(tmp_path / data, data=data, date="2026-01-01T00:00:00", verified=True, suite=suite)
    text = page_of(*(tmp_path / data for data in suites))
    overview = text.split('<section id="overview">')[1].split("</section>")[0]
    lines = re.findall(r'<tr role="row" data-table="([^"]+)">(.*?)</tr>', overview)
    assert len(lines) == 4
    for anchor, line in lines:
        assert f'<a href="#{anchor}">' in line
        section = text.split(f'<section class="group" id="{anchor}">')[1].split("</section>")[0]
        heading = re.search("<h2>(.*?)</h2>", section)[1]
        assert heading in line
        assert "run on 2026-01-01, rbench 0.1.0, 1 of 1 row verified" in section
    said = [re.search(r'class="suite">([^<]*)<', line)[1] for _, line in lines]
    assert said == ["first-one", "second one", "without a name", "-"]
    assert '<a href="#suite-1">first-one</a>' in text


def test_what_a_record_says_of_its_day_and_version_is_shown_only_if_it_can_be_one(tmp_path):
    for place, evil in enumerate([*EVIL, "2026-01-01<b>", "2026-01-0123", ["x"]]):
        folder(tmp_path / str(place), data=f"d{place}", date=evil, version=evil, verified=True, suite=f"suite: {evil}")
    text = page_of(*(tmp_path / str(place) for place in range(len(EVIL) + 3)))
    days = re.findall(r'class="day">([^<]*)<', text)
    assert sorted(days) == ["-"] * 10 + ["2026-01-01"]
    versions = [unescape(one) for one in re.findall(r'class="version">([^<]*)<', text)]
    assert all(re.fullmatch(r"[\w.+-]{1,20}", one) for one in versions)


def test_a_table_of_one_backbone_has_no_column_for_it(tmp_path):
    for data, backbones in (("one", ["cnn"]), ("two", ["cnn", "resnet"])):
        made = Made(tmp_path / data)
        for backbone in backbones:
            made.done("pgd", clean=EVERY, robust=HALF, cell_changes={"dataset": data, "backbone": backbone})
        made.plan()
    for data, found in (("one", 0), ("two", 1)):
        assert page_of(tmp_path / data).count('scope="col" data-key="backbone"') == found


def test_machines_are_listed_once_and_cells_lead_to_them(tmp_path):
    made = Made(tmp_path)
    for place, device in enumerate(["cpu", "cuda:0", "cpu"]):
        said = {"provenance": {"date": f"2026-01-0{place + 1}", "device": device, "torch": "2.9"}}
        made.done(f"pgd{place}", clean=EVERY, robust=HALF, record_changes=said)
    made.plan()
    text = page_of(tmp_path)
    assert len([one for one in Tags(text).named("div") if one[1].get("class") == "machine"]) == 2
    assert [text.count(f'<a href="#machine-{place}">') for place in (1, 2, 3)] == [2, 1, 0]
    assert text.count("<dt>torch</dt>") == 2


def test_pictures_of_fooled_images_stand_beside_those_of_surviving_ones(tmp_path):
    made = Made(tmp_path)
    cell = made.done("pgd", clean=EVERY, robust=HALF)
    pixels = pictures().pixels[[0, 0, 0, 0, 0]].copy()
    for place, grey in enumerate([10, 20, 30, 40, 50]):
        pixels[place, 0] = grey
    predictions = np.array([[1, 1], [1, 7], [4, 4], [1, 7], [1, 1]])  # the third is wrong without an attack
    made.folder.write_gallery(cell["id"], Gallery(np.arange(5, 10), np.ones(5, np.int64), pixels, predictions))
    made.plan()
    found = sheet(read_runs([tmp_path]).cells[0])
    assert [one.sample for one in found.samples] == [6, 8, 5, 9, 7]
    assert list(found.outcomes) == [("fooled", 2), ("survived", 2), ("wrong without an attack", 1)]
    assert found.lacks == ""
    assert clean_row(found) == [20, 40, 10, 50, 30]
    text = page_of(tmp_path)
    assert '<th scope="colgroup" colspan="2" class="fooled">fooled</th><th scope="colgroup" colspan="2"' in text
    assert '<th scope="row">image</th><td>6</td><td>8</td><td>5</td><td>9</td><td>7</td>' in text
    assert '<th scope="row">attacked as</th><td>7</td><td>7</td><td>1</td><td>1</td><td>4</td>' in text


def clean_row(found):
    """The grey of each picture in the first line of a sheet of 8 x 8 pixels."""
    image = Image.open(io.BytesIO(base64.b64decode(found.uri.split(",")[1]))).convert("L")
    return [image.getpixel((10 * place + 4, 4)) for place in range(len(found.samples))]
