"""`head` and `purifiers` of a backbone: part of the cell when given, and only then."""

from hashlib import sha256
from pathlib import Path

import pytest
from fake_plugins import SUITE
from parts import at, refused, some

from rbench.suite.load import load_suite
from rbench.suite.plan import plan

HEADED = SUITE.replace("  - net:small\n", "  - net:small\n  - {name: net:small, head: heads/mine.safetensors}\n")
CONTENT = b"a head"


@pytest.fixture
def heads(write, tmp_path: Path):
    """A folder of one head beside the suite."""
    (tmp_path / "heads").mkdir()
    (tmp_path / "heads" / "mine.safetensors").write_bytes(CONTENT)
    return tmp_path / "heads"


def planned(path, *overrides, **options):
    return plan(load_suite(path, overrides), **options)


def titles(found):
    return [cell.title for cell in found.cells]


def test_a_head_is_part_of_the_cell_by_name_and_content(write, heads):
    plain, headed = planned(write(HEADED)).cells[0].backbone, planned(write(HEADED)).cells[4].backbone
    assert headed.params == {"width": 8, "head": "mine.safetensors"}
    assert headed.given_params == {"width": 8, "head": "heads/mine.safetensors"}
    assert headed.files == {"mine.safetensors": sha256(CONTENT).hexdigest()}
    assert (plain.params, plain.files) == ({"width": 8}, {})
    before = [cell.id for cell in planned(write(HEADED)).cells]
    (heads / "mine.safetensors").write_bytes(b"another head")
    after = [cell.id for cell in planned(write(HEADED)).cells]
    assert before[:4] == after[:4] == [cell.id for cell in planned(write()).cells]
    assert not set(before[4:]) & set(after[4:])


def test_where_a_head_lies_does_not_matter(write, heads):
    ids = [cell.id for cell in planned(write(HEADED)).cells]
    moved = HEADED.replace("heads/mine", str(heads / "mine"))
    assert [cell.id for cell in planned(write(moved)).cells] == ids


def test_a_bundled_head_is_a_file_of_the_package(write):
    part = planned(write(), "backbones[0]={name: net:small, head: 'bundled:fashion-cnn'}").cells[0].backbone
    assert part.label == "net:small+fashion-cnn"
    assert part.params["head"] == "fashion-cnn.safetensors"
    assert part.given_params["head"] == "bundled:fashion-cnn"
    assert list(part.files) == ["fashion-cnn.safetensors"]


def test_a_backbone_with_a_head_has_its_name_in_the_label(write, heads):
    found = planned(write(HEADED), only="net:small+mine/smooth/*")
    assert titles(found) == ["net:small+mine/smooth/walk", "net:small+mine/smooth/walk-blind"]
    named = HEADED.replace("mine.safetensors}", "mine.safetensors, as: own}")
    assert {cell.backbone.label for cell in planned(write(named)).cells} == {"net:small", "own"}
    (heads / "a,b.v2.safetensors").write_bytes(CONTENT)
    odd = HEADED.replace("heads/mine.safetensors", "'heads/a,b.v2.safetensors'")
    assert planned(write(odd)).cells[-1].backbone.label == "net:small+a-b.v2"


def test_a_backbone_is_put_behind_its_own_purifiers_only(write, heads):
    text = HEADED.replace("mine.safetensors}", "mine.safetensors, purifiers: [smooth]}")
    assert [title for title in titles(planned(write(text))) if title.endswith("walk")] == [
        "net:small/identity/walk",
        "net:small/smooth/walk",
        "net:small+mine/smooth/walk",
    ]
    ids = {cell.title: cell.id for cell in planned(write(HEADED)).cells}
    assert {cell.title: cell.id for cell in planned(write(text)).cells}.items() <= ids.items()


@pytest.mark.parametrize(
    "change",
    [
        "mine.safetensors}",
        "mine.safetensors, purifiers: [smooth]}",
        "mine.safetensors, as: own, width: 3}",
        "mine.safetensors, as: 'net:small+mine'}",
    ],
)
def test_the_resolved_suite_plans_the_same_cells(write, heads, change):
    first = planned(write(HEADED.replace("mine.safetensors}", change)))
    again = planned(write(first.resolved, name="resolved.yaml"))
    assert [(cell.id, cell.title) for cell in again.cells] == [(cell.id, cell.title) for cell in first.cells]
    assert again.resolved == first.resolved
    assert "head: heads/mine.safetensors" in first.resolved


def test_a_suite_without_heads_is_resolved_without_a_word_of_them(write):
    assert "head" not in planned(write()).resolved
    assert planned(write()).resolved.count("purifiers: null") == 2  # of the attacks


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("heads/mine", "heads/gone", at("8:29: backbones[1].head", fact="no such file: heads/gone.safetensors")),
        ("heads/mine.safetensors", "bundled:gone", at("8:29: backbones[1].head: bundled:gone", remedy=some("bundled:fashion"))),
        ("heads/mine.safetensors", "3", at("8:29: backbones[1].head", "3", fact="text (1 to 1000 long) or null")),
        ("heads/mine.safetensors", '"\\0"', at("8:29: backbones[1].head", r"'\x00'", "Write it without.", fact="NUL")),
        ("head:", "haed:", at("8:23: backbones[1].haed", remedy="Did you mean 'head'?")),
        (
            "  - {name: net",
            "  - {name: net:small, head: heads/mine.safetensors}\n  - {name: net",
            at("9:12: backbones[2].name", remedy="Give this one another with `as:`.", fact="the label 'net:small+mine' is taken (line 8)"),
        ),
        ("rs}", "rs, purifiers: [smoth]}", at("8:65: backbones[1].purifiers[0]", remedy="Did you mean 'smooth'?", fact="'smoth'")),
        ("rs}", "rs, purifiers: []}", at("8:64: backbones[1].purifiers", "an empty list", "Leave it out to attack all.")),
        ("rs}", "rs, purifiers: smooth}", at("8:64: backbones[1].purifiers", "the text 'smooth'", "Write ['smooth'].")),
    ],
)  # fmt: skip
def test_wrong_heads_are_refused_at_their_place(write, heads, old, new, parts):
    assert old in HEADED
    with refused(**{**parts, "place": f"s.yaml:{parts['place']}"}):
        planned(write(HEADED.replace(old, new, 1)))


def test_a_backbone_and_an_attack_that_never_meet_are_refused(write):
    behind, attacked = "backbones=[{name: net:small, purifiers: [smooth]}]", "attacks[0].purifiers=[identity]"
    with refused(place=f"--set {attacked}: attacks[0].purifiers", problem=some("no backbone"), remedy="Add one."):
        planned(write(), behind, attacked)
    with refused(place=f"--set {behind}: backbones[0].purifiers", problem=some("no attack"), remedy="Add one."):
        planned(write(), behind, attacked, "attacks[1].purifiers=[identity]")
