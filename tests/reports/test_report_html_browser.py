"""The leaderboard page in a browser: sorting, filtering, opening, by mouse and keyboard, in the dark, on a phone, and without scripts."""

import re
import shutil
from pathlib import Path

import pytest
from pages import filled, hostile, page_of, rows

from rbench.reports.html import html

ROOT = Path(__file__).parents[2]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium"),
    # Playwright closes its pipes when its process has ended, which may be after the interpreter looks.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

CONTRAST = """
() => {
  const channel = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const found = parse(getComputedStyle(one).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
    if (element.closest("script, style, option, title, .hide")) continue;
    const look = getComputedStyle(element);
    const [a, b] = [light(parse(element.closest("svg") ? look.fill : look.color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push([ratio.toFixed(2), element.className || element.tagName, walker.currentNode.textContent.trim()]);
  }
  return low;
}
"""
"""Visible text whose contrast is below the 4.5 of WCAG 2.1, level AA."""


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=BROWSER, args=QUIET)
        yield found
        found.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Addresses of a page of each kind."""
    root = tmp_path_factory.mktemp("pages")
    found = {"committed": (ROOT / "results/leaderboard.html").as_uri()}
    for name, fill in (("filled", filled), ("hostile", hostile)):
        fill(root / name)
        path = root / f"{name}.html"
        path.write_text(page_of(root / name), encoding="utf-8")
        found[name] = path.as_uri()
    path = root / "many.html"
    path.write_text(html(rows(root / "many", 200)), encoding="utf-8")
    found["many"] = path.as_uri()
    return found


@pytest.fixture
def opened(browser, files):
    """Opens a page; whatever it says on the console or asks of the network fails the test."""
    contexts, said, asked = [], [], []

    def tab(name="filled", place="", **options):
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(300_000)  # only for what never comes: a busy machine is slow
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(files[name] + place)
        return page

    yield tab
    for context in contexts:
        context.close()
    assert said == []
    assert {url.partition("#")[0] for url in asked if not url.startswith("data:")} <= set(files.values())


def purifiers(page, threat="Linf 8/255"):
    """Those that are to be seen, from top to bottom."""
    return page.eval_on_selector_all(
        f'.row[data-threat="{threat}"]',
        "rows => rows.filter(row => row.checkVisibility()).map(row => row.dataset.purifier)",
    )


def head(page, key):
    return page.locator(f'.group:has(.row[data-threat="Linf 8/255"]) thead th[data-key="{key}"]')


def test_a_column_is_sorted_down_up_and_back(opened):
    page = opened()
    ranked = ["noise", "jpeg", "identity", "broken"]
    assert purifiers(page) == ranked
    button = head(page, "robust").locator("button")
    button.click()
    assert head(page, "robust").get_attribute("aria-sort") == "descending"
    assert purifiers(page) == ["noise", "jpeg", "identity", "broken"]
    button.click()
    assert head(page, "robust").get_attribute("aria-sort") == "ascending"
    assert purifiers(page) == ["identity", "jpeg", "noise", "broken"]  # what has no number stays last
    assert "sort=robust%3Aup" in page.url
    button.click()
    assert purifiers(page) == ranked
    head(page, "purifier").locator("button").click()
    assert purifiers(page) == ["broken", "identity", "jpeg", "noise"]


def test_rows_are_filtered_and_groups_without_rows_go(opened):
    page = opened()
    page.select_option('select[name="threat"]', "Linf 4/255")
    assert (purifiers(page), purifiers(page, "Linf 4/255")) == ([], ["jpeg"])
    assert page.locator(".group:visible").count() == 1
    assert page.locator("output").inner_text() == "1 of 5 rows"
    page.locator('button[type="reset"]').click()
    page.get_by_text("5 rows", exact=True).wait_for()
    page.fill('input[name="q"]', "JP")
    assert (purifiers(page), purifiers(page, "Linf 4/255")) == (["jpeg"], ["jpeg"])
    page.fill('input[name="q"]', "")
    page.select_option('select[name="flag"]', "unverified")
    assert purifiers(page) == ["identity"]
    page.select_option('select[name="flag"]', "")
    page.select_option('select[name="random"]', "yes")
    assert purifiers(page) == ["noise"]


def test_what_was_chosen_is_in_the_address(opened):
    page = opened()
    page.select_option('select[name="flag"]', "few-samples")
    head(page, "purifier").locator("button").click()
    page.locator("#row-2 .more summary").first.click()
    page.wait_for_url(re.compile("open=row-2"))
    place = page.evaluate("location.hash")
    again = opened(place=place)
    assert purifiers(again) == purifiers(page)
    assert again.locator("#row-2 .inside").is_visible()
    assert again.evaluate("location.hash") == place
    odd = opened(place="#sort=nothing:down&flag=none-such&open=row-99&x=1")
    assert len(purifiers(odd)) == 4


@pytest.mark.parametrize(("words", "found"), [("4/255", 1), ("jpeg adaptive", 2), ("MADE broken", 1), ("zzz", 0)])
def test_search_looks_at_names_attacks_threats_and_suites(opened, words, found):
    page = opened()
    page.fill('input[name="q"]', words)
    assert page.locator(".row:visible").count() == found
    assert page.locator(".overview [data-table]:visible").count() == page.locator(".group:visible").count()
    assert page.locator("output").inner_text() == f"{found} of 5 rows"
    points = page.locator(".plot a").evaluate_all("found => found.filter(one => !one.hasAttribute('hidden')).length")
    assert points <= 2 * found


def test_the_overview_leads_to_a_table_and_back(opened):
    page = opened()
    link = page.locator(".overview a").last
    link.click()
    anchor = link.get_attribute("href")
    assert page.locator(anchor).evaluate("one => one.getBoundingClientRect().top < innerHeight")
    page.locator(f"{anchor} .up").click()
    assert page.evaluate("location.hash") == "#overview"


@pytest.mark.parametrize("name", ["filled", "hostile"])
@pytest.mark.parametrize("width", [360, 1280])
def test_a_closed_row_is_one_line(opened, name, width):
    page = opened(name, viewport={"width": width, "height": 740})
    heights = page.locator(".row").evaluate_all("rows => rows.map(row => row.getBoundingClientRect().height)")
    assert len(heights) >= 5
    assert max(heights) <= 48


def test_a_large_table_keeps_its_columns_and_its_rows_open_and_sort(opened):
    page = opened("many")
    assert page.locator(".large .row").count() == 160
    heads = page.locator(".large > .scroll > table > thead th").evaluate_all(
        "found => found.map(one => one.getBoundingClientRect().left)"
    )
    for row in ("#row-2", "#row-147"):  # of the first and of a later screen
        page.locator(row).scroll_into_view_if_needed()
        cells = page.locator(f"{row} .main > *").evaluate_all("found => found.map(one => one.getBoundingClientRect())")
        assert [one["left"] for one in cells] == pytest.approx(heads, abs=1)
        assert {one["height"] <= 37 for one in cells} == {True}
    page.locator('.large thead th[data-key="robust"] button').click()
    first = page.locator(".large .row").first
    assert first.get_attribute("data-purifier") == "noise"
    first.locator(".more summary").first.click()
    assert first.locator(".cell").first.is_visible()


@pytest.mark.soak
def test_a_thousand_rows_open_within_a_second(opened, files, tmp_path):
    """On a machine of its own; measured on a busy one: 0.65 to 0.8 s, and 1.3 to 2.4 s before rows off the screen were left alone."""
    path = tmp_path / "thousand.html"
    path.write_text(html(rows(tmp_path / "thousand", 1000)), encoding="utf-8")
    files["thousand"] = path.as_uri()
    seconds = []
    for width in (1280, 390) * 3:
        page = opened("thousand", viewport={"width": width, "height": 844})
        seconds.append(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"))
    assert min(seconds) <= 1


def test_a_click_on_a_row_opens_and_closes_it(opened):
    page = opened()
    row = page.locator("#row-2")
    row.locator('.main [data-key="noise"]').click()
    assert row.locator(".inside").is_visible()
    row.locator('.main [data-key="noise"]').click()
    assert not row.locator(".inside").is_visible()


def test_a_point_of_a_drawing_leads_to_its_row_and_a_row_lights_its_points(opened):
    page = opened()
    page.locator(".plots summary").first.click()
    point = page.locator(".plot a").first
    page.locator(point.get_attribute("href")).locator(".main").hover()
    assert page.locator(".plot a.lit").count() == 2
    point.focus()
    page.keyboard.press("Enter")
    page.locator(f"{point.get_attribute('href')} .inside").wait_for()


def test_paper_is_light_and_shows_no_controls(opened):
    page = opened(color_scheme="dark", viewport={"width": 700, "height": 900})
    page.locator("#row-2 .more summary").first.click()
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert (
        page.locator(
            ".filters:visible, .contents:visible, .skip:visible, .more > td > details > summary:visible"
        ).count()
        == 0
    )
    assert page.locator(".overview thead").is_visible()
    assert page.locator('#row-1 .main [data-key="noise"]').is_visible()
    assert page.locator("#row-2 .cell").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 700


def test_a_row_opens_to_its_evidence(opened):
    page = opened()
    row = page.locator('.row[data-purifier="jpeg"][data-threat="Linf 8/255"]')
    assert not row.locator(".inside").is_visible()
    row.locator(".more summary").first.click()
    assert row.locator(".ladder").is_visible()
    assert row.locator("img").first.evaluate("picture => picture.naturalWidth") > 10
    row.locator("a", has_text="this suite").click()
    assert page.locator("details", has_text="suite: made").last.evaluate("one => one.open")


def test_a_link_to_a_row_opens_it(opened):
    page = opened(place="#row-2")
    assert page.locator("#row-2 .inside").is_visible()


def test_everything_is_done_by_keyboard(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    seen = []
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "[document.activeElement.tagName, document.activeElement.textContent.trim(), "
            "getComputedStyle(document.activeElement).outlineStyle]"
        )
        if focused[0] == "BODY":
            break
        seen.append(focused)
        if focused[:2] == ["BUTTON", "purifier"] and not page.locator("th[aria-sort]").count():
            page.keyboard.press("Enter")
        if focused[0] == "SUMMARY" and "on noise" in focused[1]:
            page.keyboard.press("Space")
    assert {"INPUT", "SELECT", "BUTTON", "SUMMARY", "A"} <= {one[0] for one in seen}
    assert all(outline != "none" for _, _, outline in seen)
    assert head(page, "purifier").get_attribute("aria-sort") == "ascending"
    assert page.locator('.row[data-purifier="noise"] .inside').is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(opened, scheme):
    page = opened(color_scheme=scheme)
    page.eval_on_selector_all("details", "found => found.forEach(one => { one.open = true; })")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("name", ["filled", "hostile"])
def test_nothing_leaves_the_screen_of_a_phone(opened, name):
    page = opened(name, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    page.eval_on_selector_all("details", "found => found.forEach(one => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert purifiers(page) if name == "filled" else True


def test_without_scripts_the_tables_are_complete_and_rows_open(opened):
    page = opened(java_script_enabled=False)
    assert page.locator(".row:visible").count() == 5
    assert not page.locator(".filters").is_visible()
    row = page.locator("#row-1")
    row.locator(".more summary").first.click()
    assert row.locator(".cell").first.is_visible()
    page.locator(".overview a").last.click()
    assert page.locator(".plot a").count() > 0


def test_no_hostile_name_runs(opened):
    page = opened("hostile")
    page.eval_on_selector_all("details", "found => found.forEach(one => { one.open = true; })")
    for select in page.locator("select").all():
        for value in select.locator("option").evaluate_all("found => found.map(one => one.value)"):
            select.select_option(value)
        select.select_option("")
    page.mouse.move(200, 400)
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("document.baseURI.startsWith('file:')")


def test_the_page_of_all_committed_results_sorts_filters_and_opens(opened):
    page = opened("committed")
    everything = page.locator(".row:visible").count()
    assert everything > 50
    page.select_option('select[name="threat"]', "Linf 0.1")
    page.select_option('select[name="flag"]', "not-converged")
    assert 0 < page.locator(".row:visible").count() < everything
    page.locator('button[type="reset"]').click()
    page.get_by_text(f"{everything} rows", exact=True).wait_for()
    page.locator('thead th[data-key="blind"] button').first.click()
    for group in page.locator(".group").all():
        cells = group.locator('.main > [data-key="blind"]').evaluate_all("found => found.map(one => one.dataset.value)")
        known = [float(value) for value in cells if value is not None]
        assert known == sorted(known, reverse=True)
    row = page.locator(".row:has(.ok):has(img)", has_text="cropd").first
    row.locator(".more summary").first.click()
    assert row.locator("img").first.is_visible()
    assert row.locator(".cell").count() >= 3
