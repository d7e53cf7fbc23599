"""What a wrong suite is told: file:line:col, field path, what was found, what to do."""

import pytest
from fake_plugins import SUITE
from parts import ANY, at, refused, some

from rbench.suite.load import load_suite
from rbench.suite.plan import Plan, plan
from rbench.suite.spec import SuiteSpec


def planned(path: str, *overrides: str) -> Plan:
    return plan(load_suite(path, overrides))


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
    ("old", "new", "parts"),
    [
        # unknown keys, at the key
        ("  eps: 8", "  epsilon: 8", at("5:3: threat.epsilon", remedy="Did you mean 'eps'?")),
        (
            "{name: smooth, quality",
            "{name: smooth, qualty",
            at("10:20: purifiers[1].qualty", remedy=some("Did you mean 'quality'? (int from 1 to 100,")),
        ),
        ("samples", "sampels", at("2:23: dataset.sampels", remedy="Did you mean 'samples'?")),
        ("eot: 2", "foo: 2", at("13:35: attacks[1].foo", remedy=some("It takes steps, step_size, restarts, path, as,"))),
        ("draws", "drawz", at("14:12: protocol.drawz", remedy="Did you mean 'draws'?")),
        ("suite:", "schema: 9\nsuite:", at("1:1: schema", remedy=some("It takes suite, dataset, threat, backbones,"))),
        ("suite:", '"a\\nb": 9\nsuite:', at("1:1: 'a\\nb'", remedy=some("It takes suite, dataset, threat, backbones,"))),
        ("suite:", f"{'k' * 200}: 9\nsuite:", at(f"1:1: {'k' * 57}...", remedy=some("It takes suite, dataset, threat, backbones,"))),
        (
            "quality: 50",
            "params: {quality: 50}",
            at("10:20: purifiers[1].params", remedy=some("It takes quality, strength, gentle, mode, note,")),
        ),
        ("quality: 50", "label: x", at("10:20: purifiers[1].label", remedy=some("It takes quality, strength, gentle, mode, note,"))),
        # missing
        ("suite: small\n", "", at("1:1: suite", remedy=some("Name of the suite and of its folder of results:"))),
        ("  norm: Linf\n", "", at("4:3: threat.norm", remedy="How the size of a perturbation is measured.")),
        ("name: smooth, ", "", at("10:5: purifiers[1].name", remedy=some("Registry name, with the item after a colon for"))),
        ("backbones:\n  - net:small\n", "", at("1:1: backbones", remedy="Every suite has it.")),
        # names
        ("smooth", "smoth", at("10:12: purifiers[1].name", found=ANY, remedy=ANY, text="Close: smooth")),
        ("name: walk, g", "name: wakl, g", at("13:12: attacks[1].name", found=ANY, remedy=ANY, text="Close: walk")),
        ("net:small", "net:smalll", at("7:5: backbones[0]", found=ANY, remedy=ANY, text="one of small, large")),
        ("net:small", "net", at("7:5: backbones[0]", found=ANY, remedy=ANY, text="net:small or net:large.")),
        ("name: tiny", "name: 3", at("2:17: dataset.name", "3", fact="text (1 to 1000 long)")),
        (
            "suite: small",
            "suite: My Suite",
            at("1:8: suite", "the text 'My Suite'", some("Name of the suite and of its folder of results:")),
        ),
        (
            "suite: small",
            "suite: ../small",
            at("1:8: suite", "the text '../small'", some("Name of the suite and of its folder of results:")),
        ),
        # types
        ("samples: 8", "samples: no", at("2:32: dataset.samples", "the text 'no'", fact="int from 1 to 1000000000 or null")),
        ("samples: 8", "samples: true", at("2:32: dataset.samples", "true", fact="int from 1 to 1000000000 or null")),
        ("samples: 8", "samples: 0", at("2:32: dataset.samples", "0", fact="int from 1 to 1000000000 or null")),
        ("samples: 8", "samples: 8.0", at("2:32: dataset.samples", "8.0", "Write 8.", fact="int from 1 to 1000000000 or null")),
        ("samples: 8", "shuffle: true", at("2:32: dataset.shuffle", "true", fact="int from 0 to 4294967295 or false, default 0")),
        ("draws: 4", "draws: 0", at("14:19: protocol.draws", "0", fact="int from 1 to 10000, default 16")),
        (
            "decide: mean",
            "decide: maen",
            at(
                "14:30: protocol.decide",
                "the text 'maen'",
                "Did you mean 'mean'?",
                fact="one of mean, majority, any, default 'mean'",
            ),
        ),
        ("norm: Linf", "norm: linf", at("4:9: threat.norm", "the text 'linf'", "Did you mean 'Linf'?", fact="one of Linf, L2, L1")),
        (
            "gradient: blind",
            "gradient: blnd",
            at(
                "13:28: attacks[1].gradient",
                "the text 'blnd'",
                "Did you mean 'blind'?",
                fact="one of auto, exact, checkpointed, bpda,",
            ),
        ),
        ("eot: 2", "eot: 0", at("13:40: attacks[1].eot", "0", fact="int from 1 to 10000, default 1")),
        ("eot: 2", "eot: 1000000000", at("13:40: attacks[1].eot", "1000000000", fact="int from 1 to 10000, default 1")),
        ("eot: 2", "steps: 1000000000", at("13:42: attacks[1].steps", "1000000000", fact="int from 1 to 1000, default 40")),
        ("steps: 10", "steps: -1", at("12:25: attacks[0].steps", "-1", fact="int from 1 to 1000, default 40")),
        ("steps: 10", "steps: 2.5", at("12:25: attacks[0].steps", "2.5", fact="int from 1 to 1000, default 40")),
        (
            "quality: 50",
            "gentle: no",
            at("10:28: purifiers[1].gentle", "the text 'no'", "Write false.", fact="true or false, default false"),
        ),
        ("quality: 50", "strength: big", at("10:30: purifiers[1].strength", "the text 'big'", fact="number, default 0.5")),
        ("quality: 50", "strength: .nan", at("10:30: purifiers[1].strength", "nan", fact="a finite number")),
        (
            "quality: 50",
            "mode: fats",
            at(
                "10:26: purifiers[1].mode",
                "the text 'fats'",
                "Did you mean 'fast'?",
                fact="one of fast, slow, default 'fast'",
            ),
        ),
        (
            "{draws: 4, decide: mean, seed: 1}",
            "fast",
            at("14:11: protocol", "the text 'fast'", fact="a map of draws, select_draws, decide, seed, convergence"),
        ),
        ("\n  - net:small", " net:small", at("6:12: backbones", "the text 'net:small'", "Write ['net:small'].")),
        ("\n  - net:small", " []", at("6:12: backbones", "the list []", fact="at least 1 item")),
        ("  - identity\n", "  - [identity]\n", at("9:5: purifiers[0]", "the list ['identity']", fact="a map of name, as, params, noise")),
        ("  - identity\n", "  -\n", at("9:4: purifiers[0]", "null", fact="a map of name, as, params, noise")),
        # eps
        ("eps: 8/255", "eps: 8", at("5:8: threat.eps", "8", "Write 8/255.", fact="is outside (0, 1]; pixels are in [0, 1]")),
        ("eps: 8/255", "eps: 300", at("5:8: threat.eps", "300", "Write 8/255.", fact="is outside (0, 1]; pixels are in [0, 1]")),
        ("eps: 8/255", "eps: 1.01", at("5:8: threat.eps", "1.01", "Write 8/255.", fact="is outside (0, 1]; pixels are in [0, 1]")),
        ("eps: 8/255", "eps: 0", at("5:8: threat.eps", "0", "Write 8/255.", fact="is no radius; an attack needs one above 0")),
        ("eps: 8/255", "eps: -8/255", at("5:8: threat.eps", "-8/255", "Write 8/255.", fact="is no radius; an attack needs one above 0")),
        ("eps: 8/255", "eps: .nan", at("5:8: threat.eps", "nan", "Write 8/255.", fact="a finite number")),
        ("eps: 8/255", "eps: .inf", at("5:8: threat.eps", "inf", "Write 8/255.", fact="a finite number")),
        ("eps: 8/255", "eps: big", at("5:8: threat.eps", "the text 'big'", "Write 8/255.", fact="a number or a fraction")),
        ("eps: 8/255", "eps: 8/0", at("5:8: threat.eps", "the text '8/0'", "Write 8/255.", fact="a number or a fraction")),
        ("eps: 8/255", "eps: true", at("5:8: threat.eps", "true", "Write 8/255.", fact="a number or a fraction")),
        ("eps: 8/255", "eps: {a: 1}", at("5:8: threat.eps", "a map", "Write 8/255.", fact="a number or a fraction")),
        ("eps: 8/255", "eps: []", at("5:8: threat.eps", "the list []", fact="at least 1 item")),
        ("eps: 8/255", "eps: [8/255, 4]", at("5:16: threat.eps[1]", "4", "Write 4/255.", fact="is outside (0, 1]; pixels are in [0, 1]")),
        ("eps: 8/255", "eps: [8/255, 16/510]", at("5:16: threat.eps[1]", remedy="Remove one of them.", fact="the same work as line 5")),
        # labels and combinations
        (
            "quality: 50",
            "as: identity",
            at(
                "10:24: purifiers[1].as",
                remedy="Give this one another with `as:`.",
                fact="the label 'identity' is taken (line 9)",
            ),
        ),
        (
            "quality: 50",
            "as: IDENTITY",
            at(
                "10:24: purifiers[1].as",
                remedy="Give this one another with `as:`.",
                fact="the label 'IDENTITY' is taken (line 9)",
            ),
        ),
        (
            "gradient: blind, eot: 2",
            "steps: 3",
            at(
                "13:12: attacks[1].name",
                remedy="Give this one another with `as:`.",
                fact="the label 'walk' is taken (line 12)",
            ),
        ),
        (
            "gradient: blind, eot: 2",
            "steps: 10, as: b",
            at("13:5: attacks[1]", remedy="Remove one of them.", fact="the same work as line 12"),
        ),
        (
            "quality: 50",
            "as: 'a, b'",
            at("10:24: purifiers[1].as", "'a, b'", "Write it without.", fact="commas and slashes are used by --only"),
        ),
        ("quality: 50", "as: ' a'", at("10:24: purifiers[1].as", "' a'", fact="a label has no spaces at its ends and no")),
        ("quality: 50", "as: ''", at("10:24: purifiers[1].as", "the text ''", fact="text (1 to 80 long) or null")),
        (
            "quality: 50",
            'as: "\\e[31mred"',
            at("10:24: purifiers[1].as", "'\\x1b[31mred'", fact="a label has no spaces at its ends and no"),
        ),
        ("quality: 50", "as: no, quality: no", at("10:37: purifiers[1].quality", "the text 'no'", fact="int from 1 to 100, default 75")),
        ("norm: Linf", "norm: L1", at("12:12: attacks[0].name", fact="'walk' cannot attack L1; it does Linf and L2")),
        (
            "name: walk, g",
            "name: drawn, g",
            at(
                "13:41: attacks[1].eot",
                remedy="Use its own eot_iter.",
                fact="'drawn' draws for a whole batch and takes",
            ),
        ),
        (
            "eot: 2",
            "purifiers: [smoth]",
            at(
                "13:47: attacks[1].purifiers[0]",
                remedy="Did you mean 'smooth'?",
                fact="no purifier has the label 'smoth'",
            ),
        ),
        ("eot: 2", "purifiers: []", at("13:46: attacks[1].purifiers", "an empty list", "Leave it out to attack all.")),
        ("eot: 2", "purifiers: smooth", at("13:46: attacks[1].purifiers", "the text 'smooth'", "Write ['smooth'].")),
        # files
        ("name: tiny", "name: stored", at("2:17: dataset.name", found=ANY, remedy=ANY, text="stored:PATH.")),
        ("name: tiny", "name: stored:gone.npz", at("2:17: dataset.name", fact="no such file: gone.npz")),
        ("name: tiny", "name: stored, path: gone.npz", at("2:31: dataset.path", fact="no such file: gone.npz")),
    ],
)  # fmt: skip
def test_an_error_names_place_field_and_remedy(write, old, new, parts):
    assert old in SUITE
    with refused(**{**parts, "place": f"s.yaml:{parts['place']}"}):
        planned(write(SUITE.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("old", "new", "component"),
    [
        ("quality: 50", "qualty: 50", "purifier 'smooth'"),
        ("steps: 10", "steps: -1", "attack 'walk'"),
        ("name: tiny", "name: stored:gone.npz", "dataset 'stored:gone.npz'"),
        ("net:small", "net:smalll", "backbone 'net:smalll'"),
        ("norm: Linf", "norm: L1", "attack 'walk'"),
        ("draws: 4", "draws: 0", None),
    ],
)
def test_an_error_names_the_component_that_it_is_about(write, old, new, component):
    with refused(component=component):
        planned(write(SUITE.replace(old, new, 1)))


@pytest.mark.parametrize("eps", ["8/255", "0.03", "1e-3", "1", "3e-5", "[8/255, 0.5]"])
def test_radii_are_kept_exactly_as_written(write, eps):
    spec = load_suite(write(SUITE.replace("8/255", eps)))
    assert all(float(e.exact) == e.value for e in spec.threat.eps)
    assert spec.threat.eps[0].text in (eps, eps.strip("[]").split(",")[0], "0.001", "3e-05")


def test_an_l2_radius_may_be_above_one(write):
    assert load_suite(write(SUITE.replace("norm: Linf\n  eps: 8/255", "norm: L2\n  eps: 3"))).threat.eps[0].value == 3


def test_a_mistyped_key_is_shown_rather_than_the_missing_one(write):
    with refused(place="s.yaml:4:3: threat.nrom", remedy="Did you mean 'norm'?") as caught:
        planned(write(SUITE.replace("  norm: Linf\n  eps: 8/255", "  nrom: Linf\n  eps: 8/255")))
    assert str(caught.value) == "s.yaml:4:3: threat.nrom: no such key. Did you mean 'norm'?"


def test_the_first_of_several_errors_is_shown(write):
    with refused(place="s.yaml:2:32: dataset.samples", found="0"):
        planned(write(SUITE.replace("draws: 4", "draws: 0").replace("samples: 8", "samples: 0")))


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
    ("override", "parts"),
    [
        ("attacks[0].stesp=5", at(": attacks[0].stesp", remedy=some("Did you mean 'steps'? (int from 1 to 1000,"))),
        ("threat.eps=8", at(": threat.eps", "8", "Write 8/255.", fact="is outside (0, 1]; pixels are in [0, 1]")),
        ("attacks[7].steps=5", at("", remedy="The list has 2 items, 0 to 1.", fact="no item '7'")),
        ("purifiers[smoth].quality=5", at("", remedy="Did you mean 'smooth'?", fact="no item 'smoth'")),
        ("attacks.steps=5", at(": steps", fact="what holds it is a list; name an item as in")),
        ("dataset[0]=5", at("", fact="found [...] after something that is no list")),
        ("dataset.samples.x=5", at(": x", fact="what holds it is no map")),
        ("a", at("", remedy="Write e.g. --set attacks[0].steps=5.")),
        ("=3", at("", remedy="Write e.g. --set attacks[0].steps=5.")),
        ("a[=3", at("", remedy="Write e.g. --set attacks[0].steps=5.")),
        (".=3", at("", remedy="Write e.g. --set attacks[0].steps=5.")),
        ("a..b=3", at("", remedy="Write e.g. --set attacks[0].steps=5.")),
        ("dataset.samples=[1", at("", fact="not YAML")),
        (
            "dataset.samples=!!python/name:os.system",
            at("", "the tag 'tag:yaml.org,2002:python/name:os.system'", "Remove it."),
        ),
        ("dataset.samples=*a", at("", "the alias *a", "Write the value again.")),
        ("newkey=3", at(": newkey", remedy=some("It takes suite, dataset, threat, backbones,"))),
    ],
)
def test_a_wrong_override_is_named_as_it_was_typed(write, override, parts):
    with refused(**{**parts, "place": f"--set {override}{parts['place']}"}):
        planned(write(), override)


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
    with refused(
        component="purifier 'smooth'",
        place="purifiers[0].qualty",
        remedy="Did you mean 'quality'? (int from 1 to 100, default 75)",
    ):
        plan(SuiteSpec.model_validate(document))
    document["purifiers"] = [{"name": "smooth", "label": "S", "params": {"quality": 3}}]
    assert plan(SuiteSpec.model_validate(document)).cells[1].purifier.label == "S"
