"""Colours of the page, light and dark: text has a contrast of 4.5, marks that carry meaning one of 3 (WCAG 2.1, level AA)."""

import re
from importlib.resources import files

import pytest

STYLE = files("rbench.reports.page").joinpath("style.css").read_text("utf-8")
TEXT = [("ink", "paper"), ("ink", "shade"), ("soft", "paper"), ("soft", "shade"), ("link", "paper"), ("link", "shade")]
TEXT += [("bad", "paper"), ("ok", "paper"), ("ok", "shade"), ("flag", "flag-back"), ("ink", "flag-back")]
TEXT += [("bad", "shade"), ("bad", "flag-back"), ("soft", "flag-back"), ("link", "flag-back"), ("ok", "flag-back")]
MARKS = ("worst", "blind", "standard", "fooled", "standing", "link", "lit")
"""Colours of marks; `interval`, `gone` and `line` only repeat what is written beside them."""


def palette(scheme):
    """The colours of a scheme by their names; the dark one changes some of the light one."""
    found = {}
    for part in re.findall(r":root \{([^}]*)\}", STYLE)[: 1 if scheme == "light" else 2]:
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part))
    return found


def luminance(colour):
    """As WCAG 2.1 defines it."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    r, g, b = (one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in shares)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_wcag_does():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_marks_are_to_be_seen(scheme):
    colours = palette(scheme)
    text = {pair: contrast(*(colours[name] for name in pair)) for pair in TEXT}
    assert {pair: ratio for pair, ratio in text.items() if ratio < 4.5} == {}
    marks = {name: contrast(colours[name], colours["paper"]) for name in MARKS}
    assert {name: ratio for name, ratio in marks.items() if ratio < 3} == {}


def test_no_rule_brings_a_colour_of_its_own():
    rules = re.sub(r":root \{[^}]*\}", "", STYLE)
    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[^{}]*;)", rules)


def test_every_colour_of_the_light_palette_has_one_for_the_dark():
    light, dark = palette("light"), palette("dark")
    assert set(light) == set(dark)
    assert all(light[name] != dark[name] for name in light)
