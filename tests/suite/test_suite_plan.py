import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from costs import instructions
from fake_plugins import SUITE
from parts import refused, some

from rbench.registry import resolved
from rbench.signature import ParameterError
from rbench.suite import files
from rbench.suite.load import load_suite
from rbench.suite.plan import gradient_passes, plan, plan_document
from rbench.suite.resolve import resolve_part
from rbench.suite.spec import SuiteSpec


def planned(path: str, *overrides: str, **options):
    return plan(load_suite(path, overrides), **options)


def test_every_backbone_meets_every_purifier_radius_and_attack_in_order(write):
    cells = planned(write(), "threat.eps=[8/255, 4/255]", "backbones=[net:small, net:large]").cells
    assert len(cells) == 2 * 2 * 2 * 2 == len({cell.id for cell in cells})
    assert [(c.title, c.threat.eps.text) for c in cells[:5]] == [
        ("net:small/identity/walk", "8/255"),
        ("net:small/identity/walk-blind", "8/255"),
        ("net:small/identity/walk", "4/255"),
        ("net:small/identity/walk-blind", "4/255"),
        ("net:small/smooth/walk", "8/255"),
    ]


def test_identity_comes_first_unless_it_is_there(write):
    path = write(SUITE.replace("  - identity\n", ""))
    assert [c.purifier.label for c in planned(path).cells[::2]] == ["identity", "smooth"]
    assert [c.purifier.label for c in planned(path, "purifiers=[smooth, identity]").cells[::2]] == [
        "smooth",
        "identity",
    ]


def test_parameters_are_recorded_with_their_defaults(write):
    cell = planned(write()).cells[2]
    assert cell.purifier.params == {"quality": 50, "strength": 0.5, "gentle": False, "mode": "fast", "note": ""}
    assert cell.attack.params == {"steps": 10, "step_size": None, "restarts": 1, "path": [1, 2]}
    assert cell.backbone.params == {"width": 8}
    assert cell.purifier.version.startswith("tiny-parts+")
    json.dumps(cell.document(), allow_nan=False)


def test_an_id_is_the_content_and_nothing_else(write):
    ids = [cell.id for cell in planned(write()).cells]
    same = [
        "suite=other",
        "purifiers[smooth].as=renamed",
        "store.images=none",
        "purifiers[1].strength=1/2",
        "threat.eps=16/510",
    ]
    for override in same:
        assert [cell.id for cell in planned(write(), override).cells] == ids
    different = [
        "dataset.samples=7",
        "dataset.shuffle=false",
        "dataset.shuffle=1",
        "threat.eps=7/255",
        "threat.norm=L2",
        "attacks=[{name: walk, steps: 11}, {name: walk, gradient: exact, eot: 2}]",
        "protocol.draws=5",
        "protocol.decide=any",
        "protocol.seed=2",
        "backbones=[net:large]",
    ]
    for override in different:
        assert not set(ids) & {cell.id for cell in planned(write(), override).cells}


def test_an_id_changes_with_the_bytes_of_a_file(write, tmp_path: Path):
    (tmp_path / "data.npz").write_bytes(b"one")
    path = write(SUITE.replace("name: tiny", "name: stored, path: data.npz"))
    before = planned(path).cells[0]
    assert len(before.dataset.files["data.npz"]) == 64
    (tmp_path / "data.npz").write_bytes(b"two")
    assert planned(path).cells[0].id != before.id


def test_an_id_does_not_depend_on_where_a_file_is(write, tmp_path: Path):
    (tmp_path / "data.npz").write_bytes(b"one")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "data.npz").write_bytes(b"one")
    (tmp_path / "linked").symlink_to("sub", target_is_directory=True)
    path = write(SUITE.replace("name: tiny", "name: stored, path: data.npz"))
    ids = [cell.id for cell in planned(path).cells]
    for elsewhere in ("sub/data.npz", "linked/data.npz", str(tmp_path / "sub" / "data.npz")):
        moved = planned(path, f"dataset.path={elsewhere}")
        assert [cell.id for cell in moved.cells] == ids
        assert moved.cells[0].dataset.given_params["path"] == elsewhere
        assert planned(path, f"dataset=stored:{elsewhere}").cells[0].dataset.name == "stored:data.npz"


def test_each_file_is_hashed_once(write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "data.npz").write_bytes(b"bytes that no other test has")
    path = write(SUITE.replace("name: tiny", "name: stored, path: data.npz"))
    hashed = []
    real = files.hashlib.file_digest
    monkeypatch.setattr(files.hashlib, "file_digest", lambda file, name: hashed.append(file.name) or real(file, name))
    planned(path)
    planned(path)
    assert hashed == ["data.npz"]


def test_a_folder_and_many_files_are_one_digest(tmp_path: Path):
    for i in range(20):
        (tmp_path / f"{i}.png").write_bytes(bytes([i]))
    folder = files.digests([tmp_path])
    assert list(folder) == [tmp_path.name]
    many = files.digests(tmp_path.glob("*.png"))
    assert list(many) == ["20 files"]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "0.png").write_bytes(b"x")
    assert files.digests([tmp_path]) != folder
    assert list(files.digests([tmp_path / "0.png", tmp_path / "sub" / "0.png"])) == ["0.png", "0.png'"]


@pytest.mark.parametrize(
    ("only", "titles"),
    [
        ("smooth", ["small/smooth/walk", "small/smooth/walk-blind"]),
        ("*/identity/walk", ["small/identity/walk"]),
        ("*blind", ["small/identity/walk-blind", "small/smooth/walk-blind"]),
        ("*/identity/walk, */smooth/*-blind,", ["small/identity/walk", "small/smooth/walk-blind"]),
    ],
)
def test_only_keeps_the_cells_whose_labels_match(write, only, titles):
    found = planned(write(), only=only)
    assert [cell.title for cell in found.cells] == [f"net:{title}" for title in titles]
    assert found.resolved == planned(write()).resolved


def test_only_that_matches_nothing_is_an_error(write):
    with refused(place="--only smoth", problem=some("none of 4 cells"), remedy="Did you mean 'smooth'?"):
        planned(write(), only="smoth")
    with refused(remedy="Labels: net:small, identity, walk, walk-blind, smooth."):
        planned(write(), only="zzz")


def test_limit_lowers_the_number_of_samples(write):
    assert planned(write(), limit=3).cells[0].slice.samples == 3
    assert planned(write(), limit=30).cells[0].slice.samples == 8
    assert planned(write(), "dataset.samples=null", limit=30).cells[0].slice.samples == 30
    assert planned(write(), "dataset.samples=3").cells[0].id == planned(write(), limit=3).cells[0].id
    with refused(place="--limit", found="0"):
        planned(write(), limit=0)


def test_an_attack_can_be_kept_to_some_purifiers(write):
    cells = planned(write(), "attacks[1].purifiers=[smooth]").cells
    assert [cell.title.split("/", 1)[1] for cell in cells] == ["identity/walk", "smooth/walk", "smooth/walk-blind"]


def test_the_same_attack_on_different_purifiers_is_no_duplicate(write):
    attacks = "attacks=[{name: walk, as: a, purifiers: [smooth]}, {name: walk, as: b, purifiers: [identity]}]"
    assert [cell.attack.label for cell in planned(write(), attacks).cells] == ["b", "a"]


def test_too_many_cells_are_refused(plugins):
    plugins.add_parts()
    document = {
        "suite": "s",
        "dataset": "tiny",
        "threat": {"norm": "Linf", "eps": [f"{i}/1000" for i in range(1, 101)]},
        "backbones": ["net:small"],
        "attacks": [{"name": "walk", "as": f"a{i}", "steps": i % 1000 + 1} for i in range(1001)],
    }
    with refused(place="suite", found="100,100 cells", problem=some("100,000"), remedy="Split the suite."):
        plan(SuiteSpec.model_validate(document))


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("threat.eps=[8/255, 0.01, 1e-5, 1]",),
        ("threat.norm=L2", "threat.eps=3.5"),
        ("dataset.as=no", "purifiers[1].as='1e-3'", "purifiers[0].as='null'"),
        ("purifiers[1].note='1e5'", "purifiers[1].strength=1e-9"),
        ("purifiers[1].note='8/255'", "purifiers[1].as='8:255 # x'"),
        ('purifiers[1].note="two\\nlines \\u00e9 \\U0001f600 \\u2028"',),
        ("purifiers[1].note='007'", "purifiers[1].gentle=true"),
        ("dataset.samples=null", "dataset.shuffle=false"),
        ("attacks[1].purifiers=[smooth]", "attacks[0].path=[]"),
        ("store.images=fooled", "protocol.decide=any"),
    ],
)
def test_the_resolved_suite_plans_the_same_cells(write, overrides):
    first = planned(write(), *overrides)
    again = planned(write(first.resolved, name="resolved.yaml"))
    assert [(cell.id, cell.title) for cell in again.cells] == [(cell.id, cell.title) for cell in first.cells]
    assert [cell.dataset.label for cell in again.cells] == [cell.dataset.label for cell in first.cells]
    assert again.resolved == first.resolved
    assert again.spec.store == first.spec.store


def test_the_resolved_suite_is_readable(write):
    lines = planned(write()).resolved.splitlines()
    assert lines[0] == "suite: small"
    assert "dataset: {name: tiny, samples: 8, shuffle: 0}" in lines
    assert "- {name: smooth, quality: 50, strength: 0.5, gentle: false, mode: fast, note: ''}" in lines


def test_passes_are_known_where_steps_and_samples_are(write):
    cells = planned(write(), "attacks[0].restarts=3").cells
    assert [gradient_passes(cell) for cell in cells[:2]] == [10 * 3 * 8, 40 * 2 * 8]
    assert gradient_passes(planned(write(), "dataset.samples=null").cells[0]) is None
    assert gradient_passes(planned(write(), "attacks=[drawn]").cells[0]) is None
    document = plan_document(planned(write()))
    assert document["cells"][0]["gradient_passes"] == 80
    json.dumps(document, allow_nan=False)


def test_one_component_is_resolved_by_name(plugins, tmp_path: Path):
    plugins.add_parts()
    part = resolve_part("purifier", "smooth", {"quality": 3}, "S")
    assert (part.name, part.label, part.params["quality"], part.files) == ("smooth", "S", 3, {})
    (tmp_path / "x.npz").write_bytes(b"x")
    part = resolve_part("dataset", f"stored:{tmp_path / 'x.npz'}", {})
    assert (part.name, part.params, list(part.files)) == ("stored:x.npz", {"key": None}, ["x.npz"])
    assert (part.given_name, part.label) == (f"stored:{tmp_path / 'x.npz'}", f"stored:{tmp_path / 'x.npz'}")
    assert resolved("dataset", "stored", {"path": str(tmp_path / "x.npz")}).files() == [tmp_path / "x.npz"]
    with refused(ParameterError, component="purifier 'smooth'", place="purifier 'smooth': qualty"):
        resolve_part("purifier", "smooth", {"qualty": 3})
    with refused(problem=some("no such file")):
        resolve_part("dataset", "stored:gone", {})


BIG = """\
suite: big
dataset: {{name: tiny, samples: 8}}
threat: {{norm: Linf, eps: [8/255, 4/255]}}
backbones: [net:small]
purifiers: [identity, {purifiers}]
attacks: [{attacks}]
"""


def big(purifiers: int, attacks: int) -> str:
    """A suite of 2 * (purifiers + 1) * attacks cells."""
    behind = ", ".join(f"{{name: smooth, quality: {i + 1}, as: s{i}}}" for i in range(purifiers))
    walks = ", ".join(f"{{name: walk, steps: {i + 1}, as: w{i}}}" for i in range(attacks))
    return BIG.format(purifiers=behind, attacks=walks)


def test_a_thousand_cells_are_planned_without_torch(write, plugins):
    path = write(big(24, 20))
    code = (
        "import sys, json\nfrom rbench.cli.main import main\n"
        "try:\n    main(['plan', sys.argv[1]])\nexcept SystemExit as done:\n    assert not done.code\n"
        "print(json.dumps([m for m in ('torch', 'torchvision', 'numpy', 'pandas', 'rich') if m in sys.modules]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(plugins.folder)}
    done = subprocess.run([sys.executable, "-c", code, path], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "big: 1000 cells of 8 samples; at most 84,000 gradient passes" in done.stdout
    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("more", [(49, 20), (24, 40)], ids=["purifiers", "attacks"])
def test_twice_the_cells_are_planned_with_at_most_twice_the_work(write, more):
    thousand, twice = write(big(24, 20)), write(big(*more), "twice.yaml")
    assert len(planned(thousand).cells) == 1000  # what is read at the first time is not counted
    assert len(planned(twice).cells) == 2000
    assert instructions(lambda: planned(twice)) <= 2.2 * instructions(lambda: planned(thousand))
