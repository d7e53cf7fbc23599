"""The leaderboard page as text: complete, inert, alike each time, and sufficient to itself."""

import base64
import hashlib
import re
from html import unescape

import pytest
from made_runs import Made
from pages import EVERY, EVIL, HALF, Tags, filled, hostile, page_of, pictures

from rbench import reports
from rbench.results.record import Confirmation, Figure, Summary
from rbench.results.runs import read_runs
from rbench.results.table import table

KNOWN = {
    *["html", "head", "meta", "title", "style", "body", "script", "header", "main", "footer", "section", "article"],
    *["a", "h1", "h2", "h3", "h4", "p", "b", "ul", "ol", "li", "dl", "dt", "dd", "div", "span", "code", "pre"],
    *["table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "figure", "figcaption", "img"],
    *["svg", "rect", "line", "circle", "text", "nav", "form", "label", "input", "select", "option", "button", "output"],
}
"""The elements that the templates use."""


def words(text):
    """What a reader sees, in one line."""
    inside = re.sub(r"<(style|script)>.*?</\1>", " ", text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", inside)).split())


@pytest.fixture
def page(tmp_path):
    filled(tmp_path / "made")
    return page_of(tmp_path / "made")


def test_every_row_stands_there_with_its_figures_and_opens_to_its_evidence(page):
    seen = words(page)
    for text in (
        "toy (4 samples), cnn, Linf 4/255",
        "50.0 15.0-85.0",
        "blocked: failed: adaptive",
        "failed: sample 3: logits are NaN",
        "pgd-ce-blind blind 1 of 4 25.0 %",
        "twice the steps 20 1 1 25.0 1.5",
        "zero-gradients (0.5: at the start).",
        "Usual cause:",
        "4 stored examples judged again",
        "rbench run suite.yaml --only 'cnn/jpeg/*'",
        "suite: made",
        "fooled survived",
        "image 0 1 class 0 1 clean seen as 0 1 attacked as 3 1",
        "device cpu",
        "Random purifiers: the mean of 8 draws",
    ):
        assert text in seen
    tags = Tags(page)
    assert len([one for one in tags.named("tbody") if one[1].get("class") == "row"]) == 5
    opened = [attributes.get("class") for _, attributes, _ in tags.named("details") if "open" in attributes]
    assert opened == []


def test_rows_say_who_was_verified(page):
    bodies = re.findall(r'<tbody role="rowgroup" class="row".*?</tbody>', page, flags=re.DOTALL)
    marks = {re.search(r'data-purifier="([^"]+)"', body)[1]: ">verified<" in body.split("</tr>")[0] for body in bodies}
    assert marks == {"jpeg": True, "noise": True, "identity": False, "broken": False}


def test_bars_are_where_the_figures_are(page):
    body = next(
        body for body in page.split('<tbody role="rowgroup"') if 'data-purifier="jpeg" data-threat="Linf 8/255"' in body
    )
    axis = body.split('class="axis"')[1].split("</svg>")[0]
    assert 'class="interval" x="15.0"' in axis
    assert 'width="70.0"' in axis
    assert 'class="worst" x="49.2"' in axis
    assert 'class="blind" cx="100.0"' in axis
    assert "Worst case 50.0 %, interval 15.0 to 85.0 %; blind 100.0 %" in axis
    assert 'class="gone" x="0" y="2" width="25.0"' in body
    assert 'class="fooled" x="25.0" y="0" width="25.0"' in body


def test_the_page_needs_nothing_but_itself(page):
    tags = Tags(page)
    for tag, attributes, _ in tags.found:
        for name in ("src", "href", "action", "data", "poster", "srcset", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,")), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    assert "url(" not in page
    assert "@import" not in page
    assert len(tags.named("script")) == len(tags.named("style")) == 1


def test_the_policy_allows_the_one_script_and_the_one_style_and_nothing_else(page):
    policy = next(one[1]["content"] for one in Tags(page).named("meta") if "http-equiv" in one[1])
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert allowed.pop("default-src") == allowed.pop("base-uri") == allowed.pop("form-action") == "'none'"
    assert allowed.pop("img-src") == "data:"
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        text = re.search(f"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert allowed.pop(kind) == f"'sha256-{digest}'"
    assert allowed == {}


def test_the_same_records_give_the_same_bytes(page, tmp_path):
    assert page_of(tmp_path / "made") == page


def test_no_name_acts_on_the_page(tmp_path):
    hostile(tmp_path)
    tags = Tags(page_of(tmp_path))
    assert {tag for tag, _, _ in tags.found} <= KNOWN
    for _, attributes, text in tags.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for shown in (*attributes.values(), *text):
            assert "\u202e" not in (shown or "")
            assert "\x1b" not in (shown or "")
    assert len(tags.named("script")) == 1
    assert not [one for one in tags.named("img") if not one[1]["src"].startswith("data:image/png")]
    seen = [text for _, _, texts in tags.found for text in texts]
    for evil in EVIL[:5]:
        assert any(evil in text for text in seen), evil


def test_an_empty_folder_gives_a_page_that_says_so(tmp_path):
    (tmp_path / "records").mkdir()
    assert "nothing has been recorded yet" in page_of(tmp_path)


@pytest.mark.parametrize(("strong", "weak", "shown"), [(0, 20, "weak"), (20, 20, "strong"), (0, 0, "strong")])
def test_the_strongest_attack_that_changed_a_picture_is_shown(tmp_path, strong, weak, shown):
    made = Made(tmp_path)
    for name, value, changed in (("weak", 0.5, weak), ("strong", 0.25, strong)):
        robust, upheld = Figure(value=value, low=0, high=1, n=4), Confirmation(proposed=1, confirmed=1)
        summary = Summary(standard_accuracy=robust, noise_accuracy=robust, robust_accuracy=robust, confirmed=upheld)
        cell = made.done(name, clean=EVERY, robust=HALF, record_changes={"summary": summary})
        made.folder.write_gallery(cell["id"], pictures(changed))
    made.plan()
    seen = words(page_of(tmp_path))
    assert f"{shown}: the first images, not chosen" in seen
    assert seen.count("the first images, not chosen") == 1
    assert ("gave all of them back unchanged" in seen) is (strong == weak == 0)


def test_a_broken_picture_costs_the_picture_only(tmp_path):
    made = filled(tmp_path)
    path = next((tmp_path / "gallery").iterdir())
    path.write_bytes(path.read_bytes()[:100])
    seen = words(page_of(tmp_path))
    assert "no pictures" in seen
    assert "50.0 15.0-85.0" in seen
    assert made


def test_it_is_written_beside_the_results(tmp_path):
    filled(tmp_path)
    found = table(read_runs([tmp_path]))
    (path,) = reports.write(found, tmp_path, ["html"])
    assert path == tmp_path / "leaderboard.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
