"""`rbench check` prints verdicts that a stranger understands; `rbench doctor` says what is missing and what installs it."""

import json
from importlib import metadata

import pytest
from fake_plugins import Plugins
from small_runs import rbench

from rbench.registry import installation

BROKEN = """
import torch

class Cut(torch.nn.Module):
    "Loses the gradient."

    def __init__(self, *, strength: float = 0.1):
        super().__init__()
        self.strength = strength

    def forward(self, x):
        return (x.detach() * (1 + self.strength))
"""


@pytest.fixture
def said(capsys):
    def spoken(*arguments):
        code = rbench(*arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return spoken


def test_a_component_that_conforms_is_exit_code_0(said):
    code, out, _ = said("check", "purifier", "jpeg", "quality=50", "--images", "2", "--shape", "3x16x16")
    assert code == 0, out
    assert out.startswith("purifier jpeg (rbench 0.1.0), asked about 2 images of 3x16x16\n")
    assert "holds       shape: 2x3x16x16 in, 2x3x16x16 out" in out
    assert out.rstrip().endswith("properties hold, none fails.")
    assert max(map(len, out.splitlines())) <= 80


def test_a_fault_of_a_plug_in_is_told_with_its_cure_and_is_exit_code_1(said, plugins: Plugins):
    plugins.add("cutter", {"cutter": BROKEN}, {"rbench.purifiers": {"cut": "cutter:Cut"}})
    code, out, _ = said("check", "purifiers", "cut", "strength=0.5", "--images", "2", "--shape", "1x8x8")
    assert code == 1
    assert "purifier cut (cutter 0.2.0)" in out
    assert "FAILS       gradient: no gradient reaches the image" in out
    assert "cure: Compute with torch alone" in out
    assert out.rstrip().endswith("2 fail: range, gradient.")
    code, out, _ = said("check", "purifier", "cut", "--images", "2", "--shape", "1x8x8", "--json")
    found = json.loads(out)
    assert (code, found["conforms"], found["origin"]) == (1, False, "cutter 0.2.0")
    verdicts = {one["property"]: one for one in found["verdicts"]}
    assert verdicts["gradient"]["outcome"] == "fails"
    assert set(verdicts["gradient"]) == {"property", "outcome", "found", "cure"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["purifier", "jpgg"], "unknown purifier 'jpgg'"),
        (["network", "unet"], "no conformance check of a network"),
        (["purifier", "jpeg", "qualty=3"], "Did you mean 'quality'?"),
        (["purifier", "jpeg", "quality"], "Write e.g. quality=75."),
        (["purifier", "jpeg", "quality=3", "quality=4"], "given twice"),
        (["purifier", "jpeg", "quality=["], "check: quality"),
        (["purifier", "jpeg", "--images", "1"], "from 2 to 64"),
        (["purifier", "jpeg", "--shape", "big"], "--shape 3x32x32"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_checked_is_bad_input(said, arguments, words):
    code, out, err = said("check", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1


def test_doctor_tells_versions_extras_devices_and_that_nothing_is_missing(said):
    code, out, _ = said("doctor")
    assert code == 0, out
    assert out.startswith("rbench 0.1.0, Python 3.")
    assert "\n  torch " in out
    assert "\n  cpu " in out
    assert "Nothing that rbench needs is missing." in out
    assert "(not in `all`: it pins requests 2.25, so it wants an environment of its own)" in out
    code, out, _ = said("doctor", "--json")
    found = json.loads(out)
    assert {package["name"] for package in found["needed"] if package["there"]} >= {"torch", "pydantic"}
    assert all(extra["line"] == f"pip install 'rbench[{extra['name']}]'" for extra in found["extras"])


def test_doctor_tells_a_broken_plug_in_and_is_content(said, plugins: Plugins):
    plugins.add("bad-plugin", {"bad": "import nowhere_to_be_found"}, {"rbench.purifiers": {"bad": "bad:Bad"}})
    plugins.add_parts()
    code, out, _ = said("doctor")
    assert code == 0
    assert "purifier bad (bad-plugin 0.2.0): broken: purifier 'bad' (bad-plugin 0.2.0) failed to import" in out
    assert "purifier smooth (tiny-parts 0.2.0): works" in out


NEEDS = [
    "torch>=2.10",
    "numpy>=99",
    "not-there-at-all>=1",
    "ray>=2.40; extra == 'ray'",
    "gone-too>=3; extra == 'gone'",
    "old-only; python_version < '3' and extra == 'gone'",
    "pytest; extra == 'dev'",
]
ALL = {"as it is written": ["rbench[ray]; extra == 'all'", "rbench[all]; extra == 'dev'"]}
ALL["written out"] = ["ray>=2.40; extra == 'all'", "ray>=2.40; extra == 'dev'"]


@pytest.mark.parametrize("way", ALL)
def test_doctor_says_what_installs_what_is_missing_and_ends_with_3(said, monkeypatch, way):
    monkeypatch.setattr(metadata, "requires", lambda name: [*NEEDS, *ALL[way]])
    code, out, _ = said("doctor")
    assert code == 3
    assert "missing: pip install 'not-there-at-all>=1'" in out
    assert "missing: pip install 'numpy>=99'" in out
    assert "missing: pip install 'rbench[gone]'  (not in `all`)" in out
    _, extras = installation.requirements()
    assert [(extra.name, extra.in_all, len(extra.packages)) for extra in extras] == [
        ("gone", False, 1),
        ("ray", True, 1),
    ]
