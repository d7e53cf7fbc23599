"""Checked components to resolved parts (defaults filled in, files hashed), and a plan back to a suite file."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from rbench.elsewhere import data_of, is_absolute, parted, portable
from rbench.errors import InputError
from rbench.registry import Bound, resolved
from rbench.registry.own import public_name, usual_label
from rbench.signature import ParameterError, to_json
from rbench.signature.version import joined_version, source_version
from rbench.suite.binding import BoundPart, BoundSuite
from rbench.suite.cell import Part
from rbench.suite.document import FieldPath, resolve_scalar
from rbench.suite.files import digest, digests, require_sha256
from rbench.suite.model import FileModel
from rbench.suite.spec import SuiteSpec
from rbench.suite.threat_spec import ThreatSpec


def resolve_part(kind: str, name: str, params: Mapping[str, Any], label: str | None = None) -> Part:
    """One component from its name and parameters, as a cell holds it.

    Args:
        kind: `purifier`, `backbone`, `dataset` or `attack`.
        name: registry name, with the item after a colon for a source.
        params: the parameters given; defaults are filled in.
        label: what tables call it; the name if not given.

    Raises:
        InputError: unknown component, wrong parameter or missing file.
    """
    bound = resolved(kind, name, params)
    return _part(name, label or usual_label(name), bound, digests(_files(bound)))


def _files(bound: Bound) -> list[Path]:
    """Its files, each known to exist."""
    paths = bound.files()
    for path in paths:
        if not path.exists():
            digest(path)  # raises the error for a missing file
    return paths


def part_of(spec: FileModel, part: BoundPart) -> Part:
    """One component of a file, its files hashed.

    Raises:
        InputError: a file is missing or cannot be read; with the place in the file.
    """
    added = part.spec.added
    heads = [] if part.head is None else [part.head]
    kept = data_of(part.name) if part.bound.component.kind == "dataset" else None
    try:
        hashes = digests([*part.bound.files(), *heads]) if kept is None else dict(kept.files)
        bare = _part(part.name, part.label, part.bound, hashes)
    except ParameterError as error:  # of a value that only the registries know to be wrong
        at = (*part.path, error.parameter)
        raise spec.wrong(at, error.problem, component=part.component, found=error.found, remedy=error.remedy) from None
    except InputError as error:
        raise error.at(spec.place(_path_of_file(part, heads, error)), component=part.component) from error
    wanted = getattr(part.spec, "sha256", None)
    require_sha256(hashes, wanted, place=spec.place((*part.path, "sha256")), component=part.component)
    public = {**added, "head": heads[0].name} if heads else added
    return replace(
        bare,
        params={**bare.params, **public},
        given_params={**bare.given_params, **added},
        version=_with_code_of(added, bare.version),
    )


_CODE = {"head": "rbench.backbones.head", "class_names": "rbench.backbones.named", "classes": "rbench.datasets.subset"}
"""The modules with the code for each key of `PartSpec.added`."""


def _with_code_of(added: Mapping[str, Any], version: str) -> str:
    """The version of a component joined with those of the code for what the suite changes in it (`PartSpec.added`)."""
    more = [source_version(_CODE[name], lambda top: top == "rbench") for name in added if name in _CODE]
    if not more:
        return version
    distribution, _, digest = version.rpartition("+")
    return f"{distribution}+{joined_version(digest, more)}"


def _path_of_file(part: BoundPart, heads: Sequence[Path], error: InputError) -> FieldPath:
    for name, value in part.bound.arguments.items():
        if isinstance(value, Path) and str(value) in str(error) and name != part.bound.in_name:
            return (*part.path, name)
    return (*part.path, "name" if all(head.exists() for head in heads) else "head")


def _part(name: str, label: str, bound: Bound, files: dict[str, str]) -> Part:
    given, idle = _given(bound), _idle(bound)
    arguments = {key: bound.arguments[key] for key in given if key not in idle}
    params = {key: value.name if isinstance(value, Path) else _public(given[key]) for key, value in arguments.items()}
    place = _place(bound)
    public = public_name(portable(name)) if place is None else f"{bound.component.name}:{place.name}"
    return Part(public, params, name, given, label, f"{bound.component.distribution}+{bound.version()}", files)


def _place(bound: Bound) -> Path | None:
    """The path that the text after the colon of a name is; a source whose texts may be folders has the fact `takes_folders`."""
    item = bound.located.get(bound.in_name or "")
    if isinstance(item, str) and bound.component.facts().get("takes_folders") and Path(item).is_dir():
        return Path(item).resolve()
    return item if isinstance(item, Path) else None


def _public(value: Any) -> Any:
    """A parameter without absolute paths, and without the folders of code of the user's own that it names."""
    if isinstance(value, list):
        return [_public(one) for one in value]
    return public_name(_stored(value)) if isinstance(value, str) else value


def _stored(value: Any) -> Any:
    """A parameter as it is stored: the texts of files and folders without absolute paths."""
    if isinstance(value, list):
        return [_stored(one) for one in value]
    if isinstance(value, dict):
        return {key: _stored(one) for key, one in value.items()}
    if not isinstance(value, str):
        return value
    prefix, path = parted(value)
    return portable(value) if is_absolute(path) and (prefix or _is_there(path)) else value


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # a text that happens to start like a path
        return False


def _given(bound: Bound) -> dict[str, Any]:
    """The parameters beside the item in the name, as JSON values."""
    return {key: to_json(value, key) for key, value in bound.arguments.items() if key != bound.in_name}


def _idle(bound: Bound) -> tuple[str, ...]:
    """The parameters that decide nothing of an outcome.

    Those are `batch_size` of an attack with the fact `batched = False`, which draws per sample, and what a component names as its fact
    `decides_nothing`, such as whether a missing file may be fetched.
    """
    facts = bound.component.facts()
    named = facts.get("decides_nothing", ())
    own = tuple(map(str, named)) if isinstance(named, tuple | list) else ()
    return (*own, "batch_size") if facts.get("batched") is False else own


def resolved_document(spec: SuiteSpec, suite: BoundSuite) -> dict[str, Any]:
    """The suite with every default written out and no absolute path; loads again and plans the same cells."""

    def entry(part: BoundPart, own: Mapping[str, Any] | None = None) -> dict[str, Any]:
        params = {
            key: portable(value) if isinstance(part.bound.arguments[key], Path) else _stored(value)
            for key, value in _given(part.bound).items()
        }
        # A label made of a name with a slash cannot be written as `as`, and need not be: it is the default.
        label = {} if part.label == part.spec.default_label else {"as": part.label}
        pinned = getattr(part.spec, "sha256", None)
        fixed = {} if pinned is None else {"sha256": pinned}
        name, added = portable(part.name), _stored(part.spec.added)
        return {"name": name, **label, **added, **(own or {}), **fixed, **params}

    balanced = {"balanced": True} if spec.dataset.balanced else {}
    dataset = {"samples": spec.dataset.samples, "shuffle": spec.dataset.shuffle, **balanced}
    attacks = [
        entry(
            a,
            {
                "gradient": a.spec.gradient,
                **({} if a.stand_in is None else {"stand_in": entry(a.stand_in)}),
                "eot": a.spec.eot,
                **({} if a.spec.precision == "fp32" else {"precision": a.spec.precision}),
                "purifiers": a.spec.purifiers,
            },
        )
        for a in suite.attacks
    ]
    return {
        "suite": spec.suite,
        "dataset": entry(suite.dataset, dataset),
        "threat": _threat(spec.threat),
        "backbones": [entry(b, {"purifiers": b.spec.purifiers} if b.spec.purifiers else {}) for b in suite.backbones],
        "purifiers": [entry(p) for p in suite.purifiers],
        **({"attacks": attacks} if attacks else {}),
        "protocol": spec.protocol.model_dump(),
        "store": spec.store.model_dump(),
    }


def _threat(threat: ThreatSpec) -> dict[str, Any]:
    ball = {"norm": threat.norm, "eps": [_eps(eps.text) for eps in threat.eps]} if threat.eps else {}
    if not threat.names:
        return ball
    folder = {} if threat.path is None else {"path": portable(threat.path)}
    return {**ball, "corruptions": list(threat.names), "severity": list(threat.severity), **folder}


def _eps(text: str) -> Any:
    value = resolve_scalar(text)
    return value if str(value) == text else text


def dump(document: Mapping[str, Any]) -> str:
    """YAML text that `load_suite` reads back to the same values."""
    return yaml.dump(
        dict(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )


class _Dumper(yaml.SafeDumper):
    """Quotes text exactly where `resolve_scalar` would read it as another type."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own attribute

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is not yaml.ScalarNode:
            return str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]
        if not implicit[0]:  # quoted
            return "tag:yaml.org,2002:str"
        try:
            meaning = resolve_scalar(value)
        except ValueError:
            meaning = 0
        names = {bool: "bool", int: "int", float: "float", str: "str", type(None): "null"}
        return f"tag:yaml.org,2002:{names[type(meaning)]}"


def _represent_float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:float", repr(value))


_Dumper.add_representer(float, _represent_float)
