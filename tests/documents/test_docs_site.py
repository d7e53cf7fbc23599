"""The site: it is built strictly, fetches nothing, and has every page."""

import re

import pytest
from shown_code import PAGES, ROOT

from tools import site

FETCHED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=\"?(?:https?:)?//")


def test_links_that_leave_the_documentation_lead_to_copies(tmp_path):
    site.assemble(tmp_path)
    page = (tmp_path / "architecture.md").read_text(encoding="utf-8")
    assert "](repository/README.md)" in page
    readme = (tmp_path / "repository/README.md").read_text(encoding="utf-8")
    assert "](../quickstart.md)" in readme or "](../judging.md" in readme
    assert (tmp_path / "repository/results/quickstart/leaderboard.md").is_file()


def test_every_page_is_in_the_menu():
    menu = set(re.findall(r"[\w/-]+\.(?:md|py)", (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]))
    pages = {str(page.relative_to(ROOT / "docs")) for page in PAGES if page.parent != ROOT}
    assert menu - {"notebooks/own_purifier.md"} == pages


def test_the_site_is_built_without_a_warning_and_fetches_nothing(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    pytest.importorskip("jupytext")
    said = site.build(tmp_path / "pages", tmp_path / "site")
    assert said.returncode == 0, said.stderr
    made = sorted((tmp_path / "site").rglob("*.html"))
    assert len(made) > 30
    ours = [page for page in made if page.name != "leaderboard.html" or "results" not in page.parts]
    assert [str(page) for page in ours if FETCHED.search(page.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("broken", ["[a](nowhere.md)", "[a](quickstart.md#no-such-heading)", "[a](../results)"])
def test_a_link_that_leads_nowhere_ends_the_building(broken, tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    pages = tmp_path / "pages"
    pages.mkdir()
    for name in set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2])):
        (pages / name).parent.mkdir(exist_ok=True)
        (pages / name).write_text("# A page\n")
    assert site.rendered(pages, tmp_path / "good").returncode == 0
    (pages / "index.md").write_text(f"# A page\n\n{broken}\n")
    found = site.rendered(pages, tmp_path / "bad")
    assert found.returncode == 1
    assert "index.md" in found.stderr
