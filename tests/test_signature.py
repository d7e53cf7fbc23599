import inspect
import sys
import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Interval, Le, MaxLen
from fake_plugins import Plugins

from rbench.registry import registry
from rbench.signature import Parameter, ParameterError, Signature, describe, read_signature
from rbench.signature.source import ModuleMissingError, NotStaticError

KINDS = '''
import typing as t
from pathlib import Path
from typing import Annotated, Literal, Optional, Union

import annotated_types
from annotated_types import Ge, Gt, Interval, Le

Loss = Literal["ce", "dlr"]
Count = Annotated[int, Ge(1), Le(10)]
LIMIT = 3
DEFAULT = "ce"


class Base:
    def __init__(self, path: Path, count: Count = LIMIT * 2, *, loss: Loss = DEFAULT, ratio: "float | None" = None,
                 size: Annotated[float, annotated_types.Gt(0)] = 8 / 255, either: Union[int, str] = -1,
                 maybe: Optional[bool] = None, pair: tuple[int, int] = (1, 2), names: list[str] = ["a"],
                 table: dict[str, float] = {"x": 1.0}, choice: t.Literal[1, "two", None] = None,
                 where: Path = Path("x"), bare=3, text="t", flag=False) -> None:
        """Makes one.

        Args:
            path: where it is.
            count: how many,
                on two lines.
            loss (str): which.
        """


class Child(Base):
    """No constructor of its own."""


def function(first, /, second: int = 1, *, third: float, **rest):
    """A function."""
'''


def of(text: str, plugins: Plugins, name: str = "thing", **more: str) -> Signature:
    plugins.add("written", {"written": text, **more}, {})
    return read_signature("written", name)


GUESTS = '''
from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import torch
from annotated_types import Ge

if TYPE_CHECKING:
    from torch import nn


class Root(torch.nn.Module):
    """A network.

    Args:
        path: where it is,
            on two lines.
        size: how large,
            as the class says.
    """

    def __init__(self, path: Path, /, size: Annotated[int, Ge(1)] | None = None, *, model: nn.Module = None,
                 tensors: list[torch.Tensor] | None = None, by_name: dict[str, Annotated[torch.Tensor, Ge(0)]] = {}):
        """Makes one.

        Args:
            size: how large,
                as the constructor says.
            tensors: some.
        """


class Inherits(Root):
    """Its own words for one of the parameters.

    Args:
        path: where this one is.
    """


class Silent(Inherits):
    stochastic = True


class Nothing(torch.nn.Module):
    """No constructor but that of every network."""


def wrapped(path: Path, *, size: Annotated[int, Ge(1)] = 3, mode: Literal["a", "b"] = "a", **rest) -> nn.Module:
    """A function.

    Args:
        path: where it is,
            on two lines.
    """
'''


@pytest.mark.parametrize("name", ["Base", "Child", "function"])
def test_reading_the_source_gives_the_same_as_importing(plugins: Plugins, name: str):
    plugins.add("kinds", {"kinds": KINDS}, {})
    static = read_signature("kinds", name)
    assert "kinds" not in sys.modules
    import kinds

    assert static == Signature.of(getattr(kinds, name))
    assert [p.name for p in static.parameters if p.positional] == ["first" if name == "function" else "path"]


@pytest.mark.parametrize("name", ["Root", "Inherits", "Silent", "Nothing", "wrapped"])
def test_text_annotations_torch_types_and_inherited_constructors_are_read_the_same_way(plugins: Plugins, name: str):
    plugins.add("guests", {"guests": GUESTS}, {})
    static = read_signature("guests", name)
    assert "guests" not in sys.modules
    import guests

    assert static == Signature.of(getattr(guests, name))


@pytest.mark.parametrize(
    ("name", "path", "size"),
    [
        ("Root", "where it is, on two lines.", "how large, as the class says."),
        ("Inherits", "where this one is.", "how large, as the class says."),
        ("Silent", "where this one is.", "how large, as the class says."),
    ],
)
def test_the_closest_docstring_describes_a_parameter_and_each_is_read_once(plugins: Plugins, name, path, size):
    plugins.add("guests", {"guests": GUESTS}, {})
    sentences = {p.name: p.description for p in read_signature("guests", name).parameters}
    assert sentences == {"path": path, "size": size, "model": "", "tensors": "some.", "by_name": ""}


def test_objects_that_no_suite_can_write_are_unchecked_in_the_imported_object_too(plugins: Plugins):
    plugins.add("guests", {"guests": GUESTS}, {})
    import guests

    found = {p.name: p.annotation for p in Signature.of(guests.Root).parameters}
    assert found["path"] is Path
    assert found["size"] == Annotated[int, Ge(1)] | None
    assert found["model"] is Any
    assert found["tensors"] == list[Any] | None
    assert found["by_name"] == dict[str, Annotated[Any, Ge(0)]]
    assert Signature.of(guests.Nothing) == Signature()


def test_an_annotation_that_does_not_resolve_leaves_the_others_checked():
    def thing(a: Annotated[int, Ge(1)] = 1, *, b: "Gone" = 2, c: "list[" = 3, d: "Path | None" = None) -> "Gone":  # noqa: F821, F722
        """A function."""

    signature = Signature.of(thing)
    assert [p.annotation for p in signature.parameters] == [Annotated[int, Ge(1)], Any, Any, Path | None]
    with pytest.raises(ParameterError, match="found 0, expected int at least 1, default 1"):
        signature.validate({"a": 0})
    assert signature.validate({"b": "anything"})["b"] == "anything"


def test_the_names_of_an_inherited_constructor_are_those_of_its_own_module(plugins: Plugins):
    base = "from __future__ import annotations\nSize = int\nclass Base:\n  def __init__(self, *, size: Size): ..."
    child = "from base_written import Base\nSize = str\nclass Child(Base): ..."
    plugins.add("two", {"base_written": base, "child_written": child}, {})
    import child_written

    assert Signature.of(child_written.Child).parameters == (Parameter("size", int),)
    assert read_signature("child_written", "Child") == Signature.of(child_written.Child)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import torch\nclass thing(torch.nn.Linear): ...", ["in_features", "out_features", "bias", "device", "dtype"]),
        ("from fractions import Fraction\nclass thing(Fraction): ...", ["numerator", "denominator"]),
        ("class A: ...\nclass B:\n  def __init__(self, b: int): ...\nclass thing(A, B): ...", ["b"]),
        ("class B:\n  def __init__(self, b: int): ...\nclass thing([B][0]): ...", ["b"]),
        ("class B:\n  def __new__(cls, b: int): ...\nclass thing(B): ...", ["b"]),
    ],
)
def test_a_constructor_that_the_source_does_not_show_is_asked_of_the_imported_object(plugins: Plugins, text, names):
    plugins.add("hidden", {"hidden": text}, {"rbench.purifiers": {"hidden": "hidden:thing"}})
    signature = registry("purifier").get("hidden").signature()
    assert [p.name for p in signature.parameters][: len(names)] == names


def test_the_sentences_of_the_docstring_are_kept(plugins: Plugins):
    plugins.add("kinds", {"kinds": KINDS}, {})
    sentences = {p.name: p.description for p in read_signature("kinds", "Child").parameters}
    assert sentences["path"] == "where it is."
    assert sentences["count"] == "how many, on two lines."
    assert sentences["loss"] == "which."
    assert sentences["ratio"] == ""


def test_a_module_that_cannot_be_imported_is_still_read(plugins: Plugins):
    signature = of("raise SystemExit\ndef thing(*, a: int = 1): ...", plugins)
    assert [p.name for p in signature.parameters] == ["a"]


def test_names_from_other_modules_are_followed_without_importing(plugins: Plugins):
    signature = of(
        "from written_pack import thing",
        plugins,
        **{
            "written_pack/__init__": "from .deep.impl import Real as thing\nraise SystemExit",
            "written_pack/deep/__init__": "raise SystemExit",
            "written_pack/deep/impl": "from ..types import Size\nclass Real:\n  def __init__(self, *, size: Size): ...",
            "written_pack/types": "import torch\nfrom typing import Annotated\nfrom annotated_types import Ge\n"
            "Size = Annotated[int, Ge(2)]",
        },
    )
    assert signature.parameters == (Parameter("size", Annotated[int, Ge(2)]),)
    assert not any(name.startswith("written") for name in sys.modules)


def test_a_namespace_package_inside_another_is_found(plugins: Plugins):
    plugins.add("spaces", {"space_a/space_b/inner": "def thing(*, a: int = 1): ..."}, {})
    assert read_signature("space_a.space_b.inner", "thing").parameters[0].name == "a"


def test_objects_that_no_suite_can_write_are_unchecked(plugins: Plugins):
    text = "import torch\nfrom torch import nn\ndef thing(model: nn.Module, x: list[torch.Tensor] = None): ..."
    assert [p.annotation for p in of(text, plugins).parameters] == [Any, list[Any]]


@pytest.mark.parametrize(
    "text",
    [
        "def make(): return lambda: 1\nthing = make()",
        "import os\ndef thing(*, a=os.environ): ...",
        "from dataclasses import dataclass\n@dataclass\nclass thing:\n  a: int = 1",
        "class Own: ...\ndef thing(*, a: Own): ...",
        "from written import thing",
        "def thing(*, a: int[3] = 1): ...",
        "def thing(*, a: int = __import__('os').getcwd()): ...",
        "nothing = 1",
        "def thing(:",
    ],
)
def test_what_only_running_can_tell_is_not_guessed(plugins: Plugins, text: str):
    with pytest.raises(NotStaticError):
        of(text, plugins)


def test_a_missing_module_is_named():
    with pytest.raises(ModuleMissingError, match=r"rbench\.no_such_room"):
        read_signature("rbench.no_such_room.inside", "thing")


@pytest.mark.parametrize(
    ("annotation", "given", "expected"),
    [
        (int, 3, 3),
        (float, 3, 3.0),
        (float, "8/255", 8 / 255),
        (Annotated[float, Gt(0)] | None, "1/2", 0.5),
        (float | None, None, None),
        (bool, True, True),
        (str, "8/255", "8/255"),
        (str | float, "8/255", "8/255"),
        (Path, "a/b", Path("a/b")),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[float, float], ["1/2", 1], (0.5, 1.0)),
        (list[str], ["a"], ["a"]),
        (dict[str, float], {"a": "1/4"}, {"a": 0.25}),
        (Literal["a", 3], 3, 3),
        (int | float, 3, 3),
        (Any, {"a": [1, None]}, {"a": [1, None]}),
        (inspect.Signature, "anything", "anything"),
    ],
)
def test_a_value_of_the_right_type_is_taken(annotation, given, expected):
    checked = Parameter("p", annotation).check(given)
    assert checked == expected
    assert type(checked) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "given", "words"),
    [
        (int, True, "found true, expected int."),
        (int, "75", "found the text '75', expected int. Remove the quotes."),
        (int, "010", "found the text '010', expected int. Write it without leading zeros."),
        (int, 5.0, "found 5.0, expected int. Write 5."),
        (int, 5.5, "found 5.5, expected int."),
        (int, None, "found null, expected int."),
        (float, True, "found true, expected number."),
        (float, "big", "found the text 'big', expected number."),
        (float, "1/0", "found the text '1/0', expected number."),
        (float, float("nan"), "found nan, expected a finite number."),
        (float, float("inf"), "found inf, expected a finite number."),
        (bool, "no", "found the text 'no', expected true or false. Write false."),
        (bool, "on", "found the text 'on', expected true or false. Write true."),
        (bool, 1, "found 1, expected true or false."),
        (str, 1, "found 1, expected text."),
        (Literal["ce", "dlr"], "drl", "found the text 'drl', expected one of ce, dlr. Did you mean 'dlr'?"),
        (Annotated[int, Interval(ge=1, le=100)], 0, "found 0, expected int from 1 to 100."),
        (Annotated[float, Gt(0)] | None, "-1/2", "found the text '-1/2', expected number above 0 or null."),
        (tuple[int, int], [1], "found the list [1], expected list of 2 (int, int)."),
        (list[int], 3, "found 3, expected list of int."),
        (dict[str, int], [], "found the list [], expected map of text to int."),
        (int, {}, "found a map, expected int."),
        (int, object(), "found a object, expected text, a number, a list or a map."),
        (str, "x" * 10**5, None),
    ],
)
def test_a_wrong_value_is_refused_in_words(annotation, given, words):
    if words is None:
        annotation, given = int, "x" * 10**5
        words = f"found the text '{'x' * 56}..., expected int."
    with pytest.raises(ParameterError) as caught:
        Parameter("p", annotation).check(given)
    assert caught.value.detail == words


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Annotated[int, Ge(1)], "int at least 1"),
        (Annotated[float, Interval(gt=0, le=1)], "number above 0 and at most 1"),
        (Annotated[list[int], MaxLen(2)], "list of int (at most 2 long)"),
        (Annotated[int, Le(3)] | None, "int at most 3 or null"),
        (int | float | None, "number or null"),
        (Literal["one"], "one"),
        (Any, "any value"),
        (inspect.Signature, "Signature"),
    ],
)
def test_types_are_said_in_words(annotation, words):
    assert describe(annotation) == words


SIGNATURE = Signature((Parameter("quality", int, 75), Parameter("source", str)))


def test_defaults_are_filled_in():
    assert SIGNATURE.validate({"source": "x"}) == {"quality": 75, "source": "x"}


@pytest.mark.parametrize(
    ("params", "parameter", "words"),
    [
        ({"qualty": 3}, "qualty", "no such parameter of 'jpeg'. Did you mean 'quality'? (int, default 75)"),
        ({"zzz": 3}, "zzz", "no such parameter of 'jpeg'. It takes quality, source, samples."),
        ({"sample": 3}, "sample", "no such parameter of 'jpeg'. Did you mean 'samples'?"),
        ({}, "source", "missing; 'jpeg' needs it (text)."),
    ],
)
def test_unknown_and_missing_parameters_are_named(params, parameter, words):
    with pytest.raises(ParameterError) as caught:
        SIGNATURE.validate(params, "jpeg", ["samples"])
    assert (caught.value.parameter, caught.value.detail) == (parameter, words)


def test_an_open_signature_takes_any_other_keyword():
    assert Signature((), open=True).validate({"a": (1, 2)}) == {"a": [1, 2]}


def test_the_json_schema_of_a_number_accepts_a_fraction():
    schema = Parameter("size", Annotated[float, Gt(0)] | None, 8 / 255, description="How far.").json_schema()
    number, fraction, null = schema["anyOf"][0]["anyOf"][0], schema["anyOf"][0]["anyOf"][1], schema["anyOf"][1]
    assert number == {"type": "number", "exclusiveMinimum": 0}
    assert fraction["type"] == "string"
    assert null == {"type": "null"}
    assert schema["default"] == 8 / 255
    assert schema["description"] == "How far."


@pytest.mark.parametrize(
    ("annotation", "default", "expected"),
    [
        ("float", "-1 + 3 * 2", 5),
        ("float", "10 - 1 / 2", 9.5),
        ("float", 'float("inf")', float("inf")),
        ("list[int]", "[1, 2]", [1, 2]),
        ("dict[str, int]", '{"a": 1}', {"a": 1}),
        ("Path", 'Path("a")', Path("a")),
        ("t.Annotated[int, at.Interval(ge=1, le=LIMITS[0])]", "1", 1),
        ("int", "-'a'", None),
        ("int", "'a' + 'b'", None),
        ("int", "1 / 0", None),
        ("int", "print()", None),
        ("'int |'", "1", None),
        ("int", "ROUND", None),
        ("int", "missing.attribute", None),
        ("int", "len", None),
        ("int", "(lambda: 1)()", None),
    ],
)
def test_defaults_are_evaluated_as_far_as_they_are_plain(plugins: Plugins, annotation, default, expected):
    text = (
        "import typing as t\nimport annotated_types as at\nfrom pathlib import Path\nLIMITS = (1,)\n"
        f"ROUND = AGAIN\nAGAIN = ROUND\ndef thing(*, a: {annotation} = {default}): ..."
    )
    if expected is None:
        with pytest.raises(NotStaticError):
            of(text, plugins)
    else:
        assert of(text, plugins).parameters[0].default == expected


def test_conditional_definitions_are_found(plugins: Plugins):
    text = (
        "try:\n  from gone import Loss\nexcept ImportError:\n  Loss = str\n"
        "if True:\n  Size = int\nelse:\n  Size = str\n"
        "async def thing(*, a: Size = 1): ..."
    )
    assert of(text, plugins).parameters[0].annotation is int


def test_a_module_in_a_zip_file_is_read(plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as file:
        file.writestr("in_a_zip.py", "def thing(*, a: int = 1): ...")
    monkeypatch.syspath_prepend(str(tmp_path / "zipped.zip"))
    assert read_signature("in_a_zip", "thing").parameters[0].default == 1


@pytest.mark.parametrize("module", ["sys", "_json"])
def test_a_compiled_module_has_no_source(module: str):
    with pytest.raises(NotStaticError):
        read_signature(module, "thing")
