"""A page of many rows stays small: what does not fit stands in a file beside it, and nothing is lost."""

import re

import pytest
from pages import Tags, filled, hostile, rows

from rbench import reports
from rbench.reports.html import MORE, PAGE, html, html_beside, report
from rbench.reports.leaderboards import held
from rbench.reports.page import budget
from rbench.results.runs import read_runs
from rbench.results.table import table


def test_a_thousand_rows_are_a_page_of_at_most_5_mb_and_all_their_evidence_is_kept(tmp_path):
    made = report(rows(tmp_path, 1000))
    page, more = made[PAGE], made[MORE]
    assert len(page.encode()) <= 5_000_000
    assert page.count('class="row"') == 1000
    anchors = set(re.findall(r'<section class="beside" id="(row-\d+)">', more))
    assert set(re.findall(rf'href="{re.escape(MORE)}#(row-\d+)"', page)) == anchors
    # Of these pictures alone, 120 kB each, everything in one page would be 24 MB.
    assert page.count("data:image/png") + more.count("data:image/png") == 200
    assert page.count('class="cell"') + more.count('class="cell"') == 1200


def test_a_small_table_is_one_file(tmp_path):
    filled(tmp_path)
    assert list(report(table(read_runs([tmp_path])))) == [PAGE]


@pytest.fixture
def tight(tmp_path, monkeypatch):
    """A folder of which little fits into the page."""
    filled(tmp_path)
    made = table(read_runs([tmp_path]))
    whole = html(made)
    monkeypatch.setattr(budget, "TEXT", 4000)
    return made, whole


def test_rows_without_evidence_lead_to_it_in_the_other_file_and_back(tight):
    made, whole = tight
    page, more = html(made), html_beside(made)
    moved = re.findall(r'<section class="beside" id="(row-\d+)">', more)
    assert 0 < len(moved) < 5
    for anchor in moved:
        body = page.split(f'id="{anchor}"')[1].split("</tbody>")[0]
        assert f'href="{MORE}#{anchor}"' in body
        assert "Attacks" not in body
        assert f'<a href="{PAGE}#{anchor}">Its row</a>' in more
    assert page.count('class="cell"') + more.count('class="cell"') == whole.count('class="cell"')
    for place in re.findall(r'href="(?:leaderboard\.html)?#([\w-]+)"', more):
        assert f'id="{place}"' in page


def test_pictures_beyond_the_budget_go_and_the_rest_stays(tmp_path, monkeypatch):
    filled(tmp_path)
    made = table(read_runs([tmp_path]))
    monkeypatch.setattr(budget, "ENCODED", 1e9)
    page, more = html(made), html_beside(made)
    assert "data:image/png" not in page
    assert more.count("data:image/png") == 1
    assert "<h3>Attacks</h3>" not in more
    assert page.count("<h3>Attacks</h3>") == 5


def test_no_name_acts_on_the_other_file(tmp_path, monkeypatch):
    hostile(tmp_path)
    monkeypatch.setattr(budget, "TEXT", 0)
    more = html_beside(table(read_runs([tmp_path])))
    tags = Tags(more)
    assert not tags.named("script")
    assert not [one for one in tags.named("img") if not one[1]["src"].startswith("data:image/png")]
    for _, attributes, text in tags.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert attributes.get("href", "#").startswith(("#", f"{PAGE}#", PAGE))
        assert not [one for one in (*attributes.values(), *text) if "\u202e" in (one or "") or "\x1b" in (one or "")]
    assert len(tags.named("section")) == 16


def test_the_other_file_is_held_against_the_records_too(tight, tmp_path):
    made, _ = tight
    paths = reports.write(made, tmp_path, ["html"])
    assert [path.name for path in paths] == [PAGE, MORE]
    assert held(tmp_path, read_runs([tmp_path])).edited == ()
    other = tmp_path / MORE
    other.write_text(other.read_text().replace("50.0", "99.0"))
    (line,) = held(tmp_path, read_runs([tmp_path])).edited
    assert MORE in line
    assert "--to html" in line


def test_an_older_second_file_that_nothing_leads_to_is_no_edit(tmp_path):
    filled(tmp_path)
    reports.write(table(read_runs([tmp_path])), tmp_path, ["html"])
    (tmp_path / MORE).write_text("of an older report")
    assert held(tmp_path, read_runs([tmp_path])).edited == ()
