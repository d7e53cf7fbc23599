"""Run folders to make leaderboard pages of, and what stands in a page."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
from made_runs import Made

from rbench.reports.html import html
from rbench.results.gallery import Gallery
from rbench.results.record import ConvergencePart, Flag, RungPart
from rbench.results.runs import read_runs
from rbench.results.table import table

EVERY, HALF, NONE = [1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]

EVIL = (
    "<script>window.pwned=1</script>",
    '"><img src=x onerror="window.pwned=1">',
    "' onmouseover='window.pwned=1",
    "</style><svg onload=window.pwned=1>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:window.pwned=1",
    "\u202edeprius\u202c \x1b[31m",
    "</pre></details><base href=//evil.example>",
)


def pictures(changed=40):
    """Two samples of 8 x 8 pixels."""
    pixels = np.full((2, 4, 1, 8, 8), 100, np.uint8)
    pixels[:, 1, :, 2:4] += changed
    return Gallery(np.array([0, 1]), np.array([0, 1]), pixels, np.array([[0, 3], [1, 1]]))


def filled(root):
    """A folder with a row of each kind: verified, unverified, random, blocked; two threats; a ladder, budgets, pictures."""
    made = Made(root)
    rungs = (
        RungPart(label="pgd-ce-blind", path="blind", attacked=4, fooled=1, backwards=9, seconds=1.0),
        RungPart(label="square", path="none", attacked=3, fooled=1, backwards=0, seconds=2.0),
    )
    parts = [("budget", 10, 0.5), ("steps", 20, 0.25)]
    budgets = tuple(
        ConvergencePart(
            what=what,
            steps=steps,
            restarts=1,
            eot=1,
            eps=0.03,
            samples=4,
            robust_accuracy=share,
            standing=2,
            loss=1.5,
            seconds=1,
        )
        for what, steps, share in parts
    )
    flag = Flag(name="zero-gradients", value=0.5, detail="at the start")
    changes = {
        "rungs": rungs,
        "convergence": budgets,
        "flags": (flag,),
        "provenance": {"device": "cpu", "torch": "2.9"},
    }
    cell = made.done("adaptive", clean=EVERY, robust=HALF, cell_changes={"purifier": "jpeg"}, record_changes=changes)
    made.folder.write_gallery(cell["id"], pictures())
    blind = {"gradient": "blind"}
    made.done("blind", clean=EVERY, robust=EVERY, cell_changes={"purifier": "jpeg"}, record_changes=blind)
    made.done("adaptive", clean=EVERY, robust=NONE, cell_changes={"purifier": "identity"}, verified=False)
    made.done(
        "adaptive", clean=EVERY, robust=EVERY, cell_changes={"purifier": "noise"}, record_changes={"stochastic": True}
    )
    made.done("adaptive", clean=EVERY, robust=EVERY, cell_changes={"purifier": "jpeg", "eps": "4/255"})
    made.other("adaptive", "failed", purifier="broken", error="sample 3: logits are NaN")
    made.plan()
    (root / "suite.yaml").write_text("suite: made\nattacks: [{name: adaptive}]\n")
    return made


def noise_pictures():
    """Six samples of 32 x 32 pixels that no PNG makes smaller."""
    drawn = np.random.default_rng(0)
    pixels = drawn.integers(0, 256, (6, 4, 3, 32, 32), dtype=np.uint8)
    return Gallery(np.arange(6), np.arange(6), pixels, drawn.integers(0, 10, (6, 2)))


def rows(root, count):
    """A table of that many rows, all like those of a folder of every kind; one in five has pictures of noise."""
    made = filled(root)
    made.folder.write_gallery(made.cells[0]["id"], noise_pictures())
    small = table(read_runs([root]))
    times = -(-count // len(small.records))
    return replace(
        small,
        records=(small.records * times)[:count],
        doubts=(small.doubts * times)[:count],
        cells=(small.cells * times)[:count],
        outcomes=(small.outcomes * times)[:count],
    )


def hostile(root):
    """A folder in which every name is an attack on its reader."""
    made = Made(root)
    for place, evil in enumerate(EVIL):
        changes = {"purifier": evil, "backbone": evil, "dataset": evil}
        flags = (Flag(name="unstable", value=1.0, detail=evil),)
        said = {"flags": flags, "provenance": {evil: evil, "torch": {"nested": evil}}}
        cell = made.done(f"{evil}{place}", clean=EVERY, robust=HALF, cell_changes=changes, record_changes=said)
        made.folder.write_gallery(cell["id"], pictures())
        made.other(evil, "failed", purifier=f"{evil}-", error=evil)
    made.plan()
    (root / "suite.yaml").write_text("\n".join(EVIL))
    (root / "records" / "torn.json").write_text('{"<script>window.pwned=1</script>":')
    return made


def page_of(*roots):
    """The page of some folders."""
    return html(table(read_runs(roots)))


class Tags(HTMLParser):
    """Every element of a page: tag, attributes and the text directly in it."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.found, self._open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs), []))
        self._open.append(self.found[-1])

    handle_startendtag = handle_starttag

    def handle_data(self, data):
        for _, _, text in self._open[-1:]:
            text.append(data)

    def named(self, tag):
        """Those of one kind."""
        return [one for one in self.found if one[0] == tag]
