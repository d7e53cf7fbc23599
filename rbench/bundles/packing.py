"""What goes into a bundle: the results, the weights that their suite names, and the samples that were judged. Never code."""

import hashlib
import json
import os
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

import torch

from rbench.backbones import torch_cache
from rbench.bundled_files import ASSETS
from rbench.bundles.archive import Content, described
from rbench.bundles.manifest import SCHEMA, Data, Lacking, Manifest, PackedPlugIn, Placed, is_member, runs
from rbench.datasets.hub_folders import hub_cache
from rbench.datasets.kept_slice import kept_slice
from rbench.elsewhere import is_absolute, located, parted, portable
from rbench.errors import InputError, WrongHash
from rbench.registry import Bound
from rbench.results.corrupted_runs import ReadCorrupted
from rbench.results.runs import ReadCell, Runs, read_runs
from rbench.results.store import RunFolder
from rbench.results.untrusted import parse_json, read_text
from rbench.running.components import Components, order
from rbench.suite.binding import BoundPart, BoundSuite, bind_suite
from rbench.suite.cell import Cell
from rbench.suite.document import parse
from rbench.suite.files import digest, digests
from rbench.suite.places import texts
from rbench.suite.plan import Plan
from rbench.verifying.corruptions import held
from rbench.verifying.needs import brought
from rbench.verifying.planned import asked_of

_CARD, _SUITE = 2**26, 2**20


@dataclass
class Packed:
    """What a bundle will hold.

    Attributes:
        members: content by name.
        manifest: of them.
        notes: what the user should know, one line each.
    """

    members: dict[str, Content]
    manifest: Manifest
    notes: tuple[str, ...]


@dataclass
class _Packing:
    members: dict[str, Content] = field(default_factory=dict)
    places: dict[str, Placed] = field(default_factory=dict)
    lacking: dict[str, Lacking] = field(default_factory=dict)


def packed(folder: RunFolder, plan: Plan, *, with_data: bool) -> Packed:
    """What a bundle of a run folder holds; nothing is changed.

    Args:
        folder: locked by the caller.
        plan: of the suite beside the results, made today.
        with_data: whether the judged samples are in it, where no package brings the data.

    Raises:
        WrongHash: files are not those that were judged.
        InputError: a component is wrong, or a folder of weights holds code.
        MissingError: a file is missing.
    """
    read = read_runs([folder.root])
    _require_judged(read, plan, folder)
    packing, suite = _Packing(dict(_results(folder.root))), bind_suite(plan.spec)
    for part in _parts(suite):
        _pack_part(packing, part)
    for cell in plan.corrupted:
        for name, sha256 in cell.corruption.files.items():
            packing.lacking[f"corruptions {name}"] = Lacking(component="threat.corruptions", name=name, sha256=sha256)
    data = _data(packing, read, plan, suite, with_data=with_data)
    _without_absolute(packing, plan)
    said = brought(folder)
    manifest = Manifest(
        bundle=SCHEMA,
        rbench=version("rbench"),
        members=described(packing.members),
        places=tuple(packing.places[text] for text in sorted(packing.places)),
        data=data,
        plug_ins=tuple(PackedPlugIn(**vars(one)) for one in said.plug_ins),
        code=dict(said.code),
        lacking=tuple(packing.lacking[name] for name in sorted(packing.lacking)),
    )
    return Packed(packing.members, manifest, tuple(_notes(manifest)))


def _require_judged(read: Runs, plan: Plan, folder: RunFolder) -> None:
    """Refuses a folder that could not be verified where it lies: a bundle of it would be no better."""
    for broken in read.broken:
        raise InputError(broken.message, remedy="rbench verify says more")
    if not any(status == "done" for status in [*(c.status for c in read.cells), *(c.status for c in read.corrupted)]):
        raise InputError("no finished cell", place=folder.root, remedy="rbench run makes some")
    asked, _ = asked_of(read.cells, plan)
    faults = [fault for one in asked.values() for fault in one.faults]
    faults += [fault for row in held(read.corrupted, plan) for fault in row[2]]
    for fault in faults:
        raise WrongHash(fault, place=folder.root, remedy="rbench verify says more")


def _results(root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        inside = name.partition("/")[0] not in ("files", "cache", "data")
        if inside and path.is_file() and not path.is_symlink() and is_member(name):
            yield name, path


def _parts(suite: BoundSuite) -> Iterator[BoundPart]:
    """All but the data set."""
    yield from (*suite.backbones, *suite.purifiers)
    for attack in suite.attacks:
        yield attack
        if attack.stand_in is not None:
            yield attack.stand_in


def _pack_part(packing: _Packing, part: BoundPart) -> None:
    for bound in (part.bound, *part.bound.all_used()):
        files = bound.files()
        rest = [file for file in files if not any(_covers(place, file) for _, place in _named(bound, files))]
        for text, place in _named(bound, files):
            _place(packing, text, place, [file for file in files if _covers(place, file)])
        for file in rest:
            _pack_apart(packing, part, file, {used for one in bound.all_used() for used in one.files()})
    head = part.spec.added.get("head")
    if part.head is not None and isinstance(head, str) and not _comes_along(part.head):
        _place(packing, head, part.head, [part.head])


def _named(bound: Bound, files: Sequence[Path]) -> list[tuple[str, Path]]:
    """The texts of its arguments that are paths, with what is there."""
    found = []
    for value in bound.arguments.values():
        if not isinstance(value, Path | str) or not str(value):
            continue
        place = Path(located(value))
        try:
            there = place.exists()
        except (OSError, ValueError):  # a text that is no path
            continue
        if there and (isinstance(value, Path) or any(_covers(place, file) for file in files)):
            found.append((str(value), place))
    return found


def _covers(place: Path, file: Path) -> bool:
    whole, inner = Path(os.path.abspath(place)), Path(os.path.abspath(file))  # noqa: PTH100 - links stay: they have other names
    return inner.is_relative_to(whole)


def _place(packing: _Packing, written: str, place: Path, files: Sequence[Path]) -> None:
    """Packs what a path of the suite stands for."""
    text = portable(written)
    at = f"files/{hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:12]}"
    name, is_folder = PurePath(text).name, place.is_dir()
    if not is_member(f"{at}/{name}") or is_absolute(text) or ":" in text:
        raise InputError("a bundle has no files of such names", place=place, found=repr(text), remedy="rename it")
    whole = [one for file in files for one in (sorted(file.rglob("*")) if file.is_dir() else [file]) if one.is_file()]
    for file in whole:
        inner = PurePath(os.path.relpath(file, place)).as_posix() if is_folder else ""
        member = f"{at}/{name}/{inner}" if is_folder else f"{at}/{name}"
        if runs(member):
            raise InputError("code, which a bundle never carries", place=file, remedy="keep weights apart from code")
        if not is_member(member):
            raise InputError("a bundle has no files of such names", place=file, remedy="rename it")
        packing.members[member] = file
        if (card := _card(file)) is not None:
            packing.members[str(PurePath(member).with_suffix(".json"))] = card
    packing.places[text] = Placed(text=text, at=at, folder=is_folder)


def _card(weights: Path) -> bytes | None:
    """The card of `rbench fit` beside weights, without absolute paths; None where there is none that says which samples were seen.

    One that names its data by an absolute path names none that a cell has, so it says nothing.
    """
    path = weights.with_suffix(".json")
    if path == weights or not path.is_file():
        return None
    try:
        card = parse_json(read_text(path, _CARD), path)
    except InputError:
        return None
    recipe = card.get("recipe") if isinstance(card, dict) else None
    data = recipe.get("dataset") if isinstance(recipe, dict) else None
    if data is None or any(is_absolute(parted(text)[1]) for text in texts(data)):
        return None
    return (json.dumps(_without_paths(card), sort_keys=True, indent=1) + "\n").encode()


def _without_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_paths(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_paths(one) for one in value]
    return portable(value) if isinstance(value, str) else value


def _pack_apart(packing: _Packing, part: BoundPart, file: Path, of_others: set[Path]) -> None:
    """Packs a file that no path of the suite names: of a cache that both sides have, or else says that it is lacking."""
    if _comes_along(file) or file in of_others:
        return
    for cache, root in (("torch", torch_cache.folder().parents[1]), ("hub", hub_cache())):
        if _covers(root, file):
            member = f"cache/{cache}/{PurePath(os.path.relpath(file, root)).as_posix()}"
            if is_member(member):
                packing.members[member] = file
                if cache == "hub":
                    _pack_refs(packing, root, file)
                return
    packing.lacking[f"{part.component} {file.name}"] = Lacking(
        component=part.component, name=file.name, sha256=digest(file)
    )


def _pack_refs(packing: _Packing, root: Path, file: Path) -> None:
    """The branches of a repository in the cache that lead to the commit of a file."""
    repository, _, commit = PurePath(os.path.relpath(file, root)).parts[:3]
    for ref in sorted((root / repository / "refs").rglob("*")):
        if ref.is_file() and ref.read_text(encoding="utf-8", errors="replace").strip() == commit:
            member = f"cache/hub/{PurePath(os.path.relpath(ref, root)).as_posix()}"
            if is_member(member):
                packing.members[member] = ref


def _comes_along(file: Path) -> bool:
    """Whether a file is part of an installed package, so that whoever installs that has it."""
    folders = [
        ASSETS,
        *map(Path, (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages())),
    ]
    return any(_covers(folder, file) for folder in folders if folder != Path(sys.prefix))


def _without_absolute(packing: _Packing, plan: Plan) -> None:
    """Packs the suite of an older folder without its absolute paths, and no page that shows them."""
    suite = packing.members["suite.yaml"]
    assert isinstance(suite, Path)
    content = parse(read_text(suite, _SUITE), str(suite)).plain()
    if any(is_absolute(parted(text)[1]) for text in texts(content)):
        packing.members["suite.yaml"] = plan.resolved.encode()
        packing.members.pop("leaderboard.html", None)
        packing.members.pop("leaderboard.more.html", None)


def _data(packing: _Packing, read: Runs, plan: Plan, suite: BoundSuite, *, with_data: bool) -> Data:
    bound = suite.dataset.bound
    files = bound.files()
    own = all(map(_comes_along, files))
    hashes = digests(files)
    kept = with_data and not own
    for text, place in _named(bound, files):
        stored = portable(text)
        if kept and place.is_dir():  # an empty folder stands for it: names are taken from its name
            _place(packing, text, place, [])
        elif not own and not is_member(f"files/{'0' * 12}/{PurePath(stored).name}"):
            raise InputError("a bundle has no data of such names", place=place, remedy="rename it")
    if kept:
        packing.members |= _samples(read, [*plan.cells, *(cell.probe for cell in plan.corrupted)][0])
    return Data(name=portable(suite.dataset.name), files=hashes, kept=kept, own=own)


def _samples(read: Runs, first: Cell) -> Mapping[str, bytes]:
    """The samples that all cells were judged on."""
    components = Components(torch.device("cpu"))
    dataset, ids = components.dataset(first.dataset), components.chosen(first.dataset, first.slice)
    found = components.data_hash(first.dataset, ids)
    cells: list[ReadCell | ReadCorrupted] = [*read.cells, *read.corrupted]
    for cell in cells:
        if cell.record is not None and cell.status == "done" and cell.record.dataset.sha256 != found:
            problem = "images or labels are not those that were judged (dataset.sha256)"
            raise WrongHash(problem, place=cell.root, component=cell.id, found=found)
    return {f"data/{name}": content for name, content in kept_slice(dataset, order(dataset, first.slice)).items()}


def _notes(manifest: Manifest) -> Iterator[str]:
    data = manifest.data
    if not (data.kept or data.own) and data.files:
        listed = ", ".join(f"{name} (sha256 {sha256})" for name, sha256 in data.files.items())
        yield f"the data are not in it: whoever verifies it needs {listed}, and says where with --files"
    for one in manifest.lacking:
        yield f"{one.name} is not in it: {one.component} reads it from a place of its own (sha256 {one.sha256})"
    for plug_in in manifest.plug_ins:
        yield f"{plug_in.kind} {plug_in.name!r} is code of {plug_in.distribution} {plug_in.version or ''}, which is not in it".replace(
            " ,", ","
        )
    for name, sha256 in manifest.code.items():
        yield f"{name} is code of your own, which is not in it (sha256 {sha256}): whoever verifies it needs the file"
