import json
import subprocess
import sys
from pathlib import Path

import pytest
from fake_plugins import Plugins
from parts import ANY, refused, some

from rbench.errors import InputError, MissingError, RbenchError
from rbench.registry import KINDS, bind, load, registry
from rbench.reports import write as write_report
from rbench.signature import ParameterError, Signature, read_signature

BUILT_IN = [(kind, name) for kind in KINDS for name in registry(kind).names()]


def message(error: type[RbenchError], *arguments) -> str:
    with pytest.raises(error) as caught:
        load(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_kind_has_a_component():
    assert {kind for kind, _ in BUILT_IN} == set(KINDS)


@pytest.mark.parametrize(("kind", "name"), BUILT_IN)
def test_a_built_in_component_says_all_about_itself(kind: str, name: str):
    component = registry(kind).get(name)
    assert component.summary.endswith(".")
    assert not component.summary.startswith("broken")
    for parameter in component.signature().parameters:
        assert parameter.description, f"{parameter.name} has no sentence"
    if kind == "purifier":
        assert {"stochastic", "differentiable"} <= set(component.facts())
    if kind == "attack":
        assert set(component.facts()["norms"]) <= {"Linf", "L2", "L1"}


def told(signature: Signature) -> list[tuple]:
    rows = [(p.name, p.annotation, p.positional, p.description, p.expected) for p in signature.parameters]
    return [*rows, [p.json_schema() for p in signature.parameters], signature.open]


@pytest.mark.parametrize(("kind", "name"), [entry for entry in BUILT_IN if entry[0] != "reporter"])
def test_the_source_and_the_imported_object_say_the_same_of_a_built_in(kind: str, name: str):
    component = registry(kind).get(name)
    assert told(read_signature(component.module, component.attribute)) == told(Signature.of(component.load()))


@pytest.mark.parametrize("name", registry("reporter").names())
def test_a_reporter_takes_the_table_and_nothing_of_a_suite(name: str):
    reporter = registry("reporter").get(name)
    assert reporter.signature() == Signature()
    (table,) = Signature.of(reporter.load()).parameters
    assert (table.name, table.positional, table.required) == ("table", True, True)


def test_all_built_in_components_are_described_without_torch():
    code = (
        "import sys, json\nfrom rbench.registry import registry, KINDS\n"
        "for kind in KINDS:\n    for name in registry(kind).names():\n"
        "        c = registry(kind).get(name); c.signature(); c.facts(); c.doc; c.source_version\n"
        "print(json.dumps([m for m in ('torch', 'torchvision', 'numpy') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("purifier", "jpg", "unknown purifier 'jpg'. Close: jpeg.        rbench list purifiers"),
        ("purifier", "JPEG", "unknown purifier 'JPEG'. Close: jpeg.        rbench list purifiers"),
        ("purifiers", "median:3", "purifier 'median:3': name: 'median' takes nothing after a colon. Write median."),
        (
            "network",
            "zzz",
            "unknown network 'zzz'. Known: autoencoder, cifar-resnet18, efficientnet-lite0, efficientnet-lite2, fashion-cnn, unet."
            "        rbench list networks",
        ),
        ("purifyer", "jpeg", "unknown kind 'purifyer'. Close: purifiers."),
        (
            "executor",
            "ray",
            "unknown kind 'executor'. Known: purifiers, backbones, datasets, attacks, networks, objectives, reporters.",
        ),
        (
            "backbone",
            "bundled",
            "backbone 'bundled': name: 'bundled' needs more. Write bundled:fashion-cnn or bundled:fashion-cnn-adversarial.",
        ),
        (
            "purifier",
            "jpeg",
            "purifier 'jpeg': qualty: no such parameter of 'jpeg'. Did you mean 'quality'? "
            "(int from 1 to 100, default 75)",
        ),
    ],
)
def test_unknown_names_answer_with_the_nearest(kind: str, name: str, words: str):
    assert message(InputError, kind, name, {"qualty": 3} if name == "jpeg" else {}) == words


def test_a_plug_in_is_loaded_with_its_defaults_and_its_source(plugins: Plugins):
    plugins.add_parts()
    assert load("purifier", "smooth", {"strength": "8/255"}).given == (75, 8 / 255, False, "fast", "")
    assert load("backbone", "net:large", {"width": 3}) == ("large", 3)
    assert load("dataset", "stored:a/b.npz") == (Path("a/b.npz"), None)
    assert load("dataset", "stored", {"path": "c.npz", "key": "x"}) == (Path("c.npz"), "x")
    assert load("attack", "walk", {"path": [3]}) == (40, None, 1, (3,))


@pytest.mark.parametrize(
    ("name", "params", "parameter", "words"),
    [
        ("net:huge", {}, "name", "net:huge: found the text 'huge', expected one of small, large."),
        ("net:", {}, "name", "'net' needs more. Write net:small or net:large."),
        ("net", {}, "name", "'net' needs more. Write net:small or net:large."),
        ("net:small", {"item": "large"}, "item", "given twice; 'net:small' has 'small'. Leave one out."),
    ],
)
def test_the_text_after_the_colon_is_checked(plugins: Plugins, name, params, parameter, words):
    plugins.add_parts()
    with pytest.raises(ParameterError) as caught:
        bind("backbone", name, params)
    assert (caught.value.parameter, caught.value.detail) == (parameter, words)


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        ("import kornia_is_not_here", MissingError,
         "failed to import: No module named 'kornia_is_not_here'. Install what my-purifiers needs; its author knows which package"),
        ("import my_own_extra", MissingError, "pip install 'my-purifiers[my_own_extra]'"),
        ("from broken_ae.gone import x", InputError, "No module named 'broken_ae.gone'"),
        ("raise SystemExit(3)", InputError, "failed to import: SystemExit: 3"),
        ("raise RuntimeError('two\\nlines')", InputError, "failed to import: RuntimeError: two lines"),
        ("class Quit(BaseException): ...\n1 / 0", InputError, "ZeroDivisionError"),
        ("def (", InputError, "SyntaxError"),
        ("x = 1", InputError, "AttributeError"),
        ("Ae = 3", InputError, "is no class or function: broken_ae:Ae"),
    ],
)  # fmt: skip
def test_a_broken_plug_in_breaks_only_its_own_name_and_says_who_it_is(plugins: Plugins, code, error, words):
    plugins.add(
        "my-purifiers",
        {"broken_ae": code},
        {"rbench.purifiers": {"my-ae": "broken_ae:Ae"}},
        metadata="Provides-Extra: my_own_extra\n",
    )
    found = message(error, "purifier", "my-ae")
    assert found.startswith("purifier 'my-ae' (my-purifiers 0.2.0)")
    assert words in found
    assert {"my-ae", "jpeg"} <= set(registry("purifier").names())
    assert load("purifier", "identity") is not None


def test_a_plug_in_whose_module_is_not_there_says_so(plugins: Plugins):
    plugins.add("gone", {}, {"rbench.purifiers": {"gone": "gone_module:Gone"}})
    assert "No module named 'gone_module'. Its entry point is gone_module:Gone." in message(
        InputError, "purifier", "gone"
    )
    assert registry("purifier").get("gone").summary.startswith("broken: purifier 'gone' (gone 0.2.0)")


def test_two_plug_ins_with_one_name_are_refused_when_used(plugins: Plugins):
    plugins.add_parts()
    plugins.add("rival", {"rival": "class Smooth: ..."}, {"rbench.purifiers": {"smooth": "rival:Smooth"}}, version="9")
    found = message(InputError, "purifier", "smooth")
    assert "rival 9 (rival:Smooth)" in found
    assert "tiny-parts 0.2.0 (tiny_parts:Smooth)" in found
    assert load("purifier", "identity") is not None


def test_damaged_metadata_does_not_stop_the_others(plugins: Plugins):
    plugins.add("odd", {"odd": "class Odd: ..."}, {"rbench.purifiers": {"odd": "odd:Odd"}})
    next(plugins.folder.glob("odd-*/METADATA")).unlink()
    assert registry("purifier").get("odd").value == "odd:Odd"
    assert load("purifier", "identity") is not None


def test_what_a_plug_in_prints_stays_out_of_our_output(plugins: Plugins, capsys: pytest.CaptureFixture[str]):
    text = "print('hello')\nclass Loud:\n  def __init__(self): print('again')"
    plugins.add("loud", {"loud": text}, {"rbench.purifiers": {"loud": "loud:Loud"}})
    load("purifier", "loud")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "hello\nagain\n"


REFUSING = """
class Refusing:
    def __init__(self, *, kind: str = "value"):
        if kind == "value":
            raise ValueError("radius is -1,\\nexpected 0 or more")
        if kind == "module":
            import not_installed_at_all
        raise TypeError("a bug")
"""


def test_a_refused_value_is_one_line_and_a_bug_keeps_its_traceback(plugins: Plugins):
    plugins.add("refusing", {"refusing": REFUSING}, {"rbench.purifiers": {"refusing": "refusing:Refusing"}})
    assert "radius is -1, expected 0 or more" in message(InputError, "purifier", "refusing")
    assert "No module named 'not_installed_at_all'" in message(MissingError, "purifier", "refusing", {"kind": "module"})
    with pytest.raises(TypeError, match="a bug"):
        load("purifier", "refusing", {"kind": "bug"})


@pytest.mark.parametrize("error", ["ValueError", "OSError", "SystemExit", "KeyError"])
def test_a_reporter_refuses_in_one_line_and_a_bug_in_it_keeps_its_traceback(plugins: Plugins, tmp_path: Path, error):
    text = f"def report(table):\n  'Reports.'\n  raise {error}('no')"
    plugins.add("mine", {"mine": text}, {"rbench.reporters": {"mine": "mine:report"}})
    with pytest.raises(KeyError if error == "KeyError" else InputError, match="no") as caught:
        write_report(None, tmp_path, ["mine"])
    told = "'no'" if error == "KeyError" else f"reporter 'mine' (mine 0.2.0) failed to write its report: {error}: no"
    assert str(caught.value) == told


def test_a_name_that_is_imported_in_vain_is_one_line_whatever_is_raised(plugins: Plugins):
    plugins.add("odd", {"odd": "raise KeyError('gone')"}, {"rbench.purifiers": {"odd": "odd:Odd"}})
    component = registry("purifier").get("odd")
    with pytest.raises(InputError, match="failed to import: KeyError: 'gone'"):
        component.load()
    with pytest.raises(KeyError), component.blamed("anything", (ValueError,)):
        raise KeyError("gone")
    with (
        pytest.raises(InputError, match="failed to anything: ValueError: refused"),
        component.blamed("anything", (ValueError,)),
    ):
        raise ValueError("refused")


DYNAMIC = '''
from dataclasses import dataclass

@dataclass
class Dynamic:
    """Made at run time."""
    strength: float = 0.5
    stochastic = True
    label: object = None
'''


def test_what_the_source_does_not_say_is_asked_of_the_imported_object(plugins: Plugins):
    plugins.add("dynamic", {"dynamic": DYNAMIC}, {"rbench.purifiers": {"dynamic": "dynamic:Dynamic"}})
    component = registry("purifier").get("dynamic")
    assert [p.name for p in component.signature().parameters] == ["strength", "label"]
    assert component.facts()["stochastic"] is True
    assert load("purifier", "dynamic", {"strength": "1/4"}).strength == 0.25


def test_the_facts_of_a_function_made_at_run_time_are_those_of_its_module(plugins: Plugins):
    text = "import functools\nNORMS = ('L2',)\ndef base(*, a: int = 1): 'Made.'\nmade = functools.wraps(base)(lambda **k: k)"
    plugins.add("made", {"made_late": text}, {"rbench.attacks": {"made": "made_late:made"}})
    component = registry("attack").get("made")
    assert component.facts() == {"norms": ("L2",)}
    assert [p.name for p in component.signature().parameters] == ["a"]
    assert (component.doc, component.written_names()) == ("Made.", ["made"])


HOOKED = '''
from pathlib import Path
from rbench.reports import write as write_report
from rbench.signature import Parameter, Signature

def parameters(rest):
    if rest == "bad":
        raise ValueError("no such item")
    return Signature((Parameter("steps", int, 10),))

def files(name, **params):
    return [Path(__file__)]

def hooked(name: str, /, *, size: int = 3, **params):
    """A source of many."""
    return name, size, params
'''


def test_a_source_describes_the_parameters_and_files_of_each_item(plugins: Plugins):
    plugins.add("hooked", {"hooked": HOOKED}, {"rbench.attacks": {"hooked": "hooked:hooked"}})
    assert load("attack", "hooked:one", {"steps": 3}) == ("one", 3, {"steps": 3})
    assert bind("attack", "hooked:one", {}).files() == [plugins.folder / "hooked.py"]
    assert "no such parameter of 'hooked:one'" in message(InputError, "attack", "hooked:one", {"stesp": 3})
    assert "failed to describe 'bad': ValueError: no such item" in message(InputError, "attack", "hooked:bad")


def test_the_source_version_changes_with_the_source(plugins: Plugins):
    plugins.add("first", {"first": "class A: ..."}, {"rbench.purifiers": {"a": "first:A"}})
    plugins.add("second", {"second": "class A: pass"}, {"rbench.purifiers": {"b": "second:A"}})
    versions = [registry("purifier").get(name).source_version for name in "ab"]
    assert len(set(versions)) == 2
    assert all(len(version) == 12 for version in versions)


def test_errors_of_the_registry_carry_their_parts(plugins: Plugins):
    plugins.add("lost", {"lost": "import not_there_at_all\nclass A: ..."}, {"rbench.purifiers": {"lost": "lost:A"}})
    with refused(component="purifier 'jpgg'", problem="unknown purifier 'jpgg'.", remedy=some("Close: jpeg")):
        registry("purifier").get("jpgg")
    with refused(MissingError, component="purifier 'lost'", remedy=some("Install what lost needs")):
        load("purifier", "lost")
    with refused(ParameterError, component=ANY, place="name", remedy=some("Write bundled:")):
        bind("backbone", "bundled", {})
