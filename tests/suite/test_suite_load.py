"""What a wrong suite is told: file:line:col, field path, what was found, what to do."""

import pytest
from fake_plugins import SUITE

from rbench.errors import InputError
from rbench.suite.load import load_suite
from rbench.suite.plan import plan
from rbench.suite.spec import SuiteSpec


def refused(path: str, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        plan(load_suite(path, overrides))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_suite_is_read_with_its_defaults(write):
    spec = load_suite(write())
    assert spec.suite == "small"
    assert (spec.dataset.name, spec.dataset.samples, spec.dataset.shuffle) == ("tiny", 8, 0)
    assert [(eps.text, eps.exact.numerator, eps.exact.denominator) for eps in spec.threat.eps] == [("8/255", 8, 255)]
    assert spec.purifiers[1].params == {"quality": 50}
    assert (spec.attacks[1].gradient, spec.attacks[1].eot, spec.attacks[1].purifiers) == ("blind", 2, None)
    assert (spec.protocol.draws, spec.protocol.decide, spec.protocol.seed) == (4, "mean", 1)
    assert spec.store.images == "auto"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        # unknown keys, at the key
        ("  eps: 8", "  epsilon: 8", "5:3: threat.epsilon: no such key. Did you mean 'eps'?"),
        (
            "{name: smooth, quality",
            "{name: smooth, qualty",
            "10:20: purifiers[1].qualty: no such parameter of 'smooth'. Did you mean 'quality'? "
            "(int from 1 to 100, default 75)",
        ),
        ("samples", "sampels", "2:23: dataset.sampels: no such parameter of 'tiny'. Did you mean 'samples'?"),
        (
            "eot: 2",
            "foo: 2",
            "13:35: attacks[1].foo: no such parameter of 'walk'. It takes steps, step_size, restarts,",
        ),
        ("draws", "drawz", "14:12: protocol.drawz: no such key. Did you mean 'draws'?"),
        ("suite:", "schema: 9\nsuite:", "1:1: schema: no such key. It takes suite, dataset, threat, backbones,"),
        ("suite:", '"a\\nb": 9\nsuite:', "1:1: 'a\\nb': no such key. It takes suite, dataset"),
        ("suite:", f"{'k' * 200}: 9\nsuite:", f"1:1: {'k' * 57}...: no such key. It takes suite, dataset"),
        ("quality: 50", "params: {quality: 50}", "10:20: purifiers[1].params: no such parameter of 'smooth'."),
        ("quality: 50", "label: x", "10:20: purifiers[1].label: no such parameter of 'smooth'."),
        # missing
        ("suite: small\n", "", "1:1: suite: missing. Name of the suite and of its folder of results"),
        ("  norm: Linf\n", "", "4:3: threat.norm: missing. How the size of a perturbation is measured."),
        ("name: smooth, ", "", "10:5: purifiers[1].name: missing. Registry name"),
        ("backbones:\n  - net:small\n", "", "1:1: backbones: missing. Every suite has it."),
        # names
        ("smooth", "smoth", "10:12: purifiers[1].name: unknown purifier 'smoth'. Close: smooth.        rbench list"),
        ("name: walk, g", "name: wakl, g", "13:12: attacks[1].name: unknown attack 'wakl'. Close: walk."),
        ("net:small", "net:smalll", "7:5: backbones[0]: net:smalll: found the text 'smalll', expected one of small,"),
        ("net:small", "net", "7:5: backbones[0]: 'net' needs more. Write net:small or net:large."),
        ("name: tiny", "name: 3", "2:17: dataset.name: found 3, expected text"),
        ("suite: small", "suite: My Suite", "1:8: suite: found the text 'My Suite'. Name of the suite"),
        ("suite: small", "suite: ../small", "1:8: suite: found the text '../small'. Name of the suite"),
        # types
        ("samples: 8", "samples: no", "2:32: dataset.samples: found the text 'no', expected int from 1 to"),
        ("samples: 8", "samples: true", "2:32: dataset.samples: found true, expected int from 1 to"),
        ("samples: 8", "samples: 0", "2:32: dataset.samples: found 0, expected int from 1 to"),
        ("samples: 8", "samples: 8.0", "expected int from 1 to 1000000000 or null. Write 8."),
        ("samples: 8", "shuffle: true", "2:32: dataset.shuffle: found true, expected int from 0 to"),
        ("draws: 4", "draws: 0", "14:19: protocol.draws: found 0, expected int from 1 to 10000, default 8."),
        ("decide: mean", "decide: maen", "expected one of mean, majority, any, default 'mean'. Did you mean 'mean'?"),
        ("norm: Linf", "norm: linf", "4:9: threat.norm: found the text 'linf', expected one of Linf, L2, L1. Did you"),
        (
            "gradient: blind",
            "gradient: blnd",
            "expected one of auto, exact, checkpointed, bpda, blind, default 'auto'. Did you mean",
        ),
        ("eot: 2", "eot: 0", "13:40: attacks[1].eot: found 0, expected int from 1 to 10000, default 1."),
        ("eot: 2", "eot: 1000000000", "13:40: attacks[1].eot: found 1000000000, expected int from 1 to 10000"),
        ("eot: 2", "steps: 1000000000", "attacks[1].steps: found 1000000000, expected int from 1 to 1000, default 40."),
        ("steps: 10", "steps: -1", "12:25: attacks[0].steps: found -1, expected int from 1 to 1000, default 40."),
        ("steps: 10", "steps: 2.5", "12:25: attacks[0].steps: found 2.5, expected int from 1 to 1000"),
        (
            "quality: 50",
            "gentle: no",
            "purifiers[1].gentle: found the text 'no', expected true or false, default false.",
        ),
        ("quality: 50", "strength: big", "10:30: purifiers[1].strength: found the text 'big', expected number"),
        ("quality: 50", "strength: .nan", "10:30: purifiers[1].strength: found nan, expected a finite number."),
        ("quality: 50", "mode: fats", "10:26: purifiers[1].mode: found the text 'fats', expected one of fast, slow"),
        (
            "{draws: 4, decide: mean, seed: 1}",
            "fast",
            "14:11: protocol: found the text 'fast', expected a map of draws",
        ),
        ("\n  - net:small", " net:small", "6:12: backbones: found the text 'net:small', expected a list. Write ['net:"),
        ("\n  - net:small", " []", "6:12: backbones: found the list [], expected at least 1 item."),
        (
            "  - identity\n",
            "  - [identity]\n",
            "9:5: purifiers[0]: found the list ['identity'], expected a map of name",
        ),
        ("  - identity\n", "  -\n", "purifiers[0]: found null, expected a map of name"),
        # eps
        ("eps: 8/255", "eps: 8", "5:8: threat.eps: 8 is outside (0, 1]; pixels are in [0, 1]. Write 8/255."),
        ("eps: 8/255", "eps: 300", "5:8: threat.eps: 300 is outside (0, 1]; pixels are in [0, 1]. Write 8/255."),
        ("eps: 8/255", "eps: 1.01", "5:8: threat.eps: 1.01 is outside (0, 1]; pixels are in [0, 1]. Write 8/255."),
        ("eps: 8/255", "eps: 0", "5:8: threat.eps: 0 is no radius; an attack needs one above 0. Write 8/255."),
        ("eps: 8/255", "eps: -8/255", "5:8: threat.eps: -8/255 is no radius; an attack needs one above 0."),
        ("eps: 8/255", "eps: .nan", "5:8: threat.eps: found nan, expected a finite number. Write 8/255."),
        ("eps: 8/255", "eps: .inf", "5:8: threat.eps: found inf, expected a finite number. Write 8/255."),
        (
            "eps: 8/255",
            "eps: big",
            "5:8: threat.eps: found the text 'big', expected a number or a fraction. Write 8/255.",
        ),
        ("eps: 8/255", "eps: 8/0", "5:8: threat.eps: found the text '8/0', expected a number or a fraction."),
        ("eps: 8/255", "eps: true", "5:8: threat.eps: found true, expected a number or a fraction. Write 8/255."),
        ("eps: 8/255", "eps: {a: 1}", "5:8: threat.eps: found a map, expected a number or a fraction."),
        ("eps: 8/255", "eps: []", "5:8: threat.eps: found the list [], expected at least 1 item."),
        ("eps: 8/255", "eps: [8/255, 4]", "5:16: threat.eps[1]: 4 is outside (0, 1]; pixels are in [0, 1]."),
        (
            "eps: 8/255",
            "eps: [8/255, 16/510]",
            "5:16: threat.eps[1]: the same work as line 5 (net:small/identity/walk).",
        ),
        # labels and combinations
        (
            "quality: 50",
            "as: identity",
            "10:24: purifiers[1].as: the label 'identity' is taken (line 9). Give this one",
        ),
        ("quality: 50", "as: IDENTITY", "10:24: purifiers[1].as: the label 'IDENTITY' is taken (line 9)."),
        (
            "gradient: blind, eot: 2",
            "steps: 3",
            "13:12: attacks[1].name: the label 'walk' is taken (line 12). Give this",
        ),
        ("gradient: blind, eot: 2", "steps: 10, as: b", "13:5: attacks[1]: the same work as line 12 (net:small/ident"),
        ("quality: 50", "as: 'a, b'", "10:24: purifiers[1].as: found 'a, b'; commas and slashes are used by --only."),
        ("quality: 50", "as: ' a'", "10:24: purifiers[1].as: found ' a'; a label has no spaces at its ends"),
        ("quality: 50", "as: ''", "10:24: purifiers[1].as: found the text ''"),
        ("quality: 50", 'as: "\\e[31mred"', "a label has no spaces at its ends and no control characters."),
        ("quality: 50", "as: no, quality: no", "10:37: purifiers[1].quality: found the text 'no', expected int"),
        ("norm: Linf", "norm: L1", "12:12: attacks[0].name: 'walk' cannot attack L1; it does Linf and L2."),
        (
            "name: walk, g",
            "name: drawn, g",
            "13:41: attacks[1].eot: 'drawn' draws for a whole batch and takes no eot. ",
        ),
        (
            "eot: 2",
            "purifiers: [smoth]",
            "attacks[1].purifiers[0]: no purifier has the label 'smoth'. Did you mean 'sm",
        ),
        ("eot: 2", "purifiers: []", "attacks[1].purifiers: found an empty list. Leave it out to attack all."),
        (
            "eot: 2",
            "purifiers: smooth",
            "attacks[1].purifiers: found the text 'smooth', expected a list. Write ['smooth'].",
        ),
        # files
        ("name: tiny", "name: stored", "2:17: dataset.name: 'stored' needs more. Write stored:PATH."),
        ("name: tiny", "name: stored:gone.npz", "2:17: dataset.name: no such file: "),
        ("name: tiny", "name: stored, path: gone.npz", "2:31: dataset.path: no such file: "),
    ],
)
def test_an_error_names_place_field_and_remedy(write, old, new, words):
    assert old in SUITE
    found = refused(write(SUITE.replace(old, new, 1)))
    assert found.startswith("s.yaml:")
    assert words in found


@pytest.mark.parametrize("eps", ["8/255", "0.03", "1e-3", "1", "3e-5", "[8/255, 0.5]"])
def test_radii_are_kept_exactly_as_written(write, eps):
    spec = load_suite(write(SUITE.replace("8/255", eps)))
    assert all(float(e.exact) == e.value for e in spec.threat.eps)
    assert spec.threat.eps[0].text in (eps, eps.strip("[]").split(",")[0], "0.001", "3e-05")


def test_an_l2_radius_may_be_above_one(write):
    assert load_suite(write(SUITE.replace("norm: Linf\n  eps: 8/255", "norm: L2\n  eps: 3"))).threat.eps[0].value == 3


def test_a_mistyped_key_is_shown_rather_than_the_missing_one(write):
    found = refused(write(SUITE.replace("  norm: Linf\n  eps: 8/255", "  nrom: Linf\n  eps: 8/255")))
    assert found == "s.yaml:4:3: threat.nrom: no such key. Did you mean 'norm'?"


def test_the_first_of_several_errors_is_shown(write):
    found = refused(write(SUITE.replace("draws: 4", "draws: 0").replace("samples: 8", "samples: 0")))
    assert found.startswith("s.yaml:2:32: dataset.samples:")


def test_a_path_is_relative_to_the_current_folder(write, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "data.npz").write_bytes(b"x")
    path = write(SUITE.replace("name: tiny", "name: stored, path: data.npz"), name="sub/s.yaml")
    assert plan(load_suite(path)).cells[0].dataset.files.keys() == {"data.npz"}


@pytest.mark.parametrize(
    ("override", "where", "expected"),
    [
        ("dataset.samples=3", lambda s: s.dataset.samples, 3),
        ("dataset=tiny", lambda s: s.dataset.samples, None),
        ("attacks[0].steps=5", lambda s: s.attacks[0].params, {"steps": 5}),
        ("attacks[walk].steps=5", lambda s: s.attacks[0].params, {"steps": 5}),
        ("purifiers[smooth].quality=5", lambda s: s.purifiers[1].params, {"quality": 5}),
        ("purifiers[0].as=none", lambda s: s.purifiers[0].label, "none"),
        ("backbones[net:small].width=3", lambda s: s.backbones[0].params, {"width": 3}),
        ("backbones[0]=net:large", lambda s: s.backbones[0].name, "net:large"),
        ("purifiers=[smooth]", lambda s: len(s.purifiers), 1),
        ("purifiers=[{name: smooth, as: 'a=b'}]", lambda s: s.purifiers[0].label, "a=b"),
        ("threat.eps=4/255", lambda s: s.threat.eps[0].text, "4/255"),
        ("threat.eps=[1/255, 2/255]", lambda s: len(s.threat.eps), 2),
        ("store.images=none", lambda s: s.store.images, "none"),
        ("protocol.seed=9", lambda s: s.protocol.seed, 9),
        ("dataset.shuffle=false", lambda s: s.dataset.shuffle, False),
    ],
)
def test_a_value_can_be_set_from_the_command_line(write, override, where, expected):
    found = where(load_suite(write(), [override]))
    assert found == expected
    assert type(found) is type(expected)


def test_several_overrides_apply_in_order(write):
    spec = load_suite(write(), ["dataset=stored:x", "dataset.samples=3", "dataset.samples=4"])
    assert (spec.dataset.name, spec.dataset.samples) == ("stored:x", 4)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("attacks[0].stesp=5", "attacks[0].stesp: no such parameter of 'walk'. Did you mean 'steps'?"),
        ("threat.eps=8", "threat.eps: 8 is outside (0, 1]; pixels are in [0, 1]. Write 8/255."),
        ("attacks[7].steps=5", "no item '7'. The list has 2 items, 0 to 1."),
        ("purifiers[smoth].quality=5", "no item 'smoth'. Did you mean 'smooth'?"),
        ("attacks.steps=5", "steps: what holds it is a list; name an item as in attacks[0].steps."),
        ("dataset[0]=5", "found [...] after something that is no list."),
        ("dataset.samples.x=5", "x: what holds it is no map."),
        ("a", "not a field path, `=` and a value. Write e.g. --set attacks[0].steps=5."),
        ("=3", "not a field path, `=` and a value."),
        ("a[=3", "not a field path, `=` and a value."),
        (".=3", "not a field path, `=` and a value."),
        ("a..b=3", "not a field path, `=` and a value."),
        ("dataset.samples=[1", "not YAML: did not find expected ',' or ']' while parsing a flow sequence."),
        ("dataset.samples=!!python/name:os.system", "found the tag"),
        ("dataset.samples=*a", "found the alias"),
        ("newkey=3", "newkey: no such key. It takes suite,"),
    ],
)
def test_a_wrong_override_is_named_as_it_was_typed(write, override, words):
    found = refused(write(), override)
    assert found.startswith(f"--set {override}: ")
    assert words in found


def test_a_suite_made_in_python_has_field_paths_without_a_file(plugins):
    plugins.add_parts()
    document = {
        "suite": "s",
        "dataset": "tiny",
        "threat": {"norm": "Linf", "eps": "8/255"},
        "backbones": ["net:small"],
        "purifiers": [{"name": "smooth", "qualty": 3}],
        "attacks": ["walk"],
    }
    with pytest.raises(InputError, match=r"^purifiers\[0\]\.qualty: no such parameter of 'smooth'\."):
        plan(SuiteSpec.model_validate(document))
    document["purifiers"] = [{"name": "smooth", "label": "S", "params": {"quality": 3}}]
    assert plan(SuiteSpec.model_validate(document)).cells[1].purifier.label == "S"
