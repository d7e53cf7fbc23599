"""The components of a run, each made once."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from rbench.attacks.loading import load_attack
from rbench.backbones.head import load_backbone
from rbench.backbones.named import Named
from rbench.backbones.zero_shot import named_by_suite, zero_shot_in
from rbench.datasets.balanced import balanced
from rbench.datasets.different import different, told_repeats
from rbench.datasets.subset import load_dataset
from rbench.datasets.types import Dataset
from rbench.engine.audits import Audits
from rbench.engine.copies import own_copy
from rbench.engine.defended import DefendedModel, freeze
from rbench.engine.fixed_noise import load_purifier
from rbench.engine.inventory import patching, reached
from rbench.engine.patches import Patches, of_classes, of_judging, of_package, undo_patches
from rbench.engine.unattacked import UnattackedVerdicts
from rbench.errors import CellFailed, InputError
from rbench.process_state import kept
from rbench.registry import load, registry
from rbench.running.measured import Shelf
from rbench.running.read_once import read_once
from rbench.suite.cell import Cell, Part, Slice
from rbench.suite.resolve import resolve_part
from rbench.threat.attack import Attack
from rbench.threat.batch import Batch

Remake = Callable[[Mapping[str, int | None]], Attack | None]
"""Parameters to change -> the attack with them; None where it has no such parameters, or refuses the values."""


@dataclass(frozen=True)
class Loaded:
    """What a cell names, constructed, on the device.

    Attributes:
        dataset: the whole of it.
        model: purifier and backbone.
        attack: as the suite has it.
        remake: makes the attack anew with other parameters.
        audits: what was measured of models before.
        unattacked: the verdicts on images without an attack, shared by the cells of a row.
        device: where samples are wanted.
        source: the bare backbone that a transfer attack is crafted on.
        stand_in: what BPDA differentiates in place of the purifier, if the suite names something.
    """

    dataset: Dataset
    model: DefendedModel
    attack: Attack
    remake: Remake
    audits: Audits
    unattacked: UnattackedVerdicts
    device: torch.device
    source: DefendedModel | None = None
    stand_in: nn.Module | None = None


@dataclass
class _Row:
    """The defended model in use.

    Attributes:
        key: of its two parts.
        model: purifier and a backbone of its own.
        classes: those of the backbone, as they were before the purifier was imported.
        audits: what was measured of it.
        unattacked: the verdicts on images without an attack.
        stand_ins: what BPDA differentiates in its place, by part.
    """

    key: str
    model: DefendedModel
    classes: Patches
    audits: Audits
    unattacked: UnattackedVerdicts = field(default_factory=UnattackedVerdicts)
    stand_ins: dict[str, nn.Module] = field(default_factory=dict)


@dataclass
class Components:
    """Loads what cells name. Data sets and attacks are kept; of models the one that is in use, since no two rows share one.

    Every defended model has a purifier and a backbone of its own: what one leaves on its backbone reaches no other. The backbone as it
    was loaded never runs; it is copied, or loaded afresh where it cannot be. Asking twice in a row for one defended model gives the same.

    Attributes:
        device: where models live.
        shelf: what other runs and processes have measured; None where everything is measured anew.
    """

    device: torch.device
    shelf: Shelf | None = None
    _made: dict[str, Any] = field(default_factory=dict)
    _hashes: dict[str, str] = field(default_factory=dict)
    _slices: dict[str, np.ndarray] = field(default_factory=dict)
    _loaded: dict[str, nn.Module | None] = field(default_factory=dict)
    _row: _Row | None = None
    _source: tuple[str, DefendedModel] | None = None
    _plain: dict[str, Patches] = field(default_factory=dict)
    _refused: dict[str, CellFailed] = field(default_factory=dict)

    def __post_init__(self) -> None:
        of_judging()  # as it is before a plug-in is constructed

    def of(self, cell: Cell) -> Loaded:
        """All that a cell names.

        Raises:
            InputError: something is unknown or broken, or refuses its parameters.
            MissingError: something needs a module or file that is not there.
            CellFailed: a component changed torch, rbench or the backbone when it was imported, made or attached.
        """
        attack: Attack = self._once("attack", cell.attack)
        row = self._in_use(cell.backbone, cell.purifier, cell.dataset)
        return Loaded(
            dataset=self.dataset(cell.dataset),
            model=row.model,
            attack=attack,
            remake=partial(_changed_attack, cell.attack),
            audits=row.audits,
            unattacked=row.unattacked,
            device=self.device,
            source=self._bare(attack.source, cell.dataset) if attack.source else None,
            stand_in=None if cell.stand_in is None else self._stand_in(row, cell.stand_in),
        )

    def dataset(self, part: Part) -> Dataset:
        """The data set; what it has decoded once it does not decode again."""
        key = _key("dataset", part)
        if key not in self._made:
            self._made[key] = read_once(self._make("dataset", part))
        dataset: Dataset = self._made[key]
        return dataset

    def chosen(self, part: Part, chosen: Slice) -> np.ndarray:
        """The ids of the different images of a slice, int64, ascending; all are read, so that a wrong one is told before anything runs.

        Raises:
            InputError: the data set has fewer samples, one of them is wrong, or an image has two labels.
        """
        key = json.dumps([_key("dataset", part), chosen.samples, chosen.shuffle, chosen.balanced])
        if key not in self._slices:
            dataset = self.dataset(part)
            with kept(f"dataset '{part.label}'"):
                self._slices[key] = different(dataset, order(dataset, chosen))
        return self._slices[key]

    def told(self, part: Part, chosen: Slice) -> tuple[str, ...]:
        """What a user should know of the data of a slice whose samples have been read, one line each."""
        dataset, ids = self.dataset(part), self.chosen(part, chosen)
        return (*dataset.told(ids), *told_repeats(self.repeats(part, chosen), len(ids) + self.repeats(part, chosen)))

    def repeats(self, part: Part, chosen: Slice) -> int:
        """How many samples of a slice repeat an image that stands before them, and so are left out."""
        return len(order(self.dataset(part), chosen)) - len(self.chosen(part, chosen))

    def data_hash(self, part: Part, ids: np.ndarray) -> str:
        """sha256 of the images and labels of some samples; all cells of a slice share one reading."""
        key = json.dumps([part.document(), ids.tolist()], sort_keys=True)
        if key not in self._hashes:
            with kept(f"dataset '{part.label}'"):
                self._hashes[key] = data_hash(self.dataset(part), ids)
        return self._hashes[key]

    def values(self, part: Part, ids: np.ndarray) -> int:
        """How many numbers an image has; the first of some samples is read once for all cells."""
        key = json.dumps(["values", part.document(), ids.tolist()], sort_keys=True)
        if key not in self._made:
            with kept(f"dataset '{part.label}'"):
                self._made[key] = int(read_batch(self.dataset(part), ids[:1], self.device).x.numel())
        values: int = self._made[key]
        return values

    def defended(self, backbone: Part, purifier: Part, dataset: Part | None = None) -> DefendedModel:
        """The purifier in front of the backbone, on the device.

        Args:
            backbone: the classifier.
            purifier: what stands before it.
            dataset: by whose class names the logits are ordered, where those of the backbone have names; if None, they stay in its order.

        Raises:
            CellFailed: one of them changed torch, rbench or the backbone when it was imported, made or attached.
        """
        return self._in_use(backbone, purifier, dataset).model

    @property
    def in_use(self) -> DefendedModel | None:
        """The defended model that was asked for last, if it is still kept."""
        return None if self._row is None else self._row.model

    def forget_models(self) -> None:
        """Makes purifiers and backbones anew when they are next asked for."""
        self._leave_row()
        self._source = None

    def _in_use(self, backbone: Part, purifier: Part, dataset: Part | None) -> _Row:
        by_name = "" if dataset is None else self._named_by(backbone, dataset)
        key = _key("backbone", backbone) + _key("purifier", purifier) + by_name
        if self._row is None or self._row.key != key:
            self._leave_row()
            own = self._own_backbone(backbone, dataset)
            if isinstance(own, Named) and dataset is not None:
                known = self.dataset(dataset)
                own.match(known.class_names, known.source)
            classes = of_classes(reached(own))
            try:
                model = DefendedModel(
                    self._module("purifier", purifier), own, name=purifier.label, backbone_name=backbone.label
                )
            finally:
                patched = classes.put_back()
            self._refuse(_key("purifier", purifier), f"purifier '{purifier.label}'", patched)
            kept_of_row = None if self.shelf is None else self.shelf.of(backbone, purifier, self.device)
            self._row = _Row(key, model, classes, Audits(kept_of_row))
        return self._row

    def _leave_row(self) -> None:
        self._row = None
        for package in self._plain.values():
            package.reset()

    def _stand_in(self, row: _Row, part: Part) -> nn.Module:
        key = _key("purifier", part)
        if key not in row.stand_ins:
            row.stand_ins[key] = self._module("purifier", part)
            row.audits.names[id(row.stand_ins[key])] = part.document()
        return row.stand_ins[key]

    def _bare(self, backbone: str, dataset: Part) -> DefendedModel:
        """A backbone without a purifier, by its name; kept until another one is asked for."""
        if self._source is None or self._source[0] != backbone:
            self._source = None
            own = self._own_backbone(resolve_part("backbone", backbone, {}), dataset)
            plain = make("purifier", "identity").to(self.device)
            self._source = backbone, DefendedModel(plain, own, name="identity", backbone_name=backbone)
        return self._source[1]

    def _named_by(self, backbone: Part, dataset: Part) -> str:
        """The data set, if the classes of the backbone are named by it; else nothing."""
        asks = registry("backbone").get(backbone.given_name).facts().get("asks_class_names", False)
        return _key("dataset", dataset) if asks or "class_names" in backbone.given_params else ""

    def _frozen(self, part: Part, dataset: Part | None) -> nn.Module:
        """A backbone as it is loaded; a zero-shot one with the classes of the data set, if nobody else names them."""
        loaded = freeze(self._module("backbone", part))
        waiting = zero_shot_in(loaded)
        if waiting is not None and dataset is not None:
            known = self.dataset(dataset)
            waiting.name_classes(known.class_names, known.source)
        return freeze(loaded)

    def _own_backbone(self, part: Part, dataset: Part | None) -> nn.Module:
        key = _key("backbone", part) + ("" if dataset is None else self._named_by(part, dataset))
        if key not in self._loaded:
            self._loaded = {key: self._frozen(part, dataset)}
        loaded = self._loaded[key]
        own = None if loaded is None else own_copy(loaded)
        if own is None:
            self._loaded[key] = None  # it cannot be copied; the next one is loaded
            own = self._frozen(part, dataset) if loaded is None else loaded
        return own.to(self.device)

    def _module(self, kind: str, part: Part) -> nn.Module:
        module = self._make(kind, part)
        if not isinstance(module, nn.Module):
            raise InputError(f"{kind} '{part.given_name}' is no torch.nn.Module (got {type(module).__name__})")
        return module if kind == "backbone" else module.to(self.device)

    def _once(self, kind: str, part: Part) -> Any:
        key = _key(kind, part)
        if key not in self._made:
            self._made[key] = self._make(kind, part)
        return self._made[key]

    def _make(self, kind: str, part: Part) -> Any:
        key, component = _key(kind, part), f"{kind} '{part.label}'"
        self._refuse(key, component, undo_patches())
        code = registry(kind).get(part.given_name)
        code.load()
        if code.module not in self._plain:
            self._plain[code.module] = of_package(code.module)
        try:
            made = make(kind, part.given_name, part.given_params)
        finally:
            patched = undo_patches()
        self._refuse(key, component, patched)
        return made

    def _refuse(self, key: str, component: str, patched: list[str]) -> None:
        """Refuses a component that patched something, also when it is made once more: what it did when it was imported happens once."""
        if patched:
            self._refused[key] = patching(component, patched)
        if key in self._refused:
            raise self._refused[key]


def _key(kind: str, part: Part) -> str:
    return json.dumps([kind, part.given_name, part.given_params], sort_keys=True)


def _changed_attack(part: Part, changes: Mapping[str, int | None]) -> Attack | None:
    known = registry("attack").get(part.given_name).signature().parameters
    if not {parameter.name for parameter in known} >= set(changes):
        return None
    try:
        made: Attack = make("attack", part.given_name, {**part.given_params, **changes})
    except InputError:  # above the largest value that it takes: nothing to compare, and no reason to stop a run
        return None
    return made


def make(kind: str, name: str, params: Mapping[str, Any] | None = None) -> Any:
    """A component by its registry name; a backbone with its `head`, a data set of its `classes`, a purifier with its `noise`.

    Args:
        kind: `purifier`, `backbone`, ...
        name: its name, with the item after a colon for a source.
        params: its parameters, and those three.

    Raises:
        InputError: it is unknown or broken, or refuses its parameters.
        MissingError: it needs a module or file that is not there.
    """
    loaders = {"backbone": _load_backbone, "dataset": load_dataset, "purifier": load_purifier, "attack": load_attack}
    special: Callable[..., Any] | None = loaders.get(registry(kind).kind)
    return load(kind, name, params) if special is None else special(name, params)


def _load_backbone(name: str, params: Mapping[str, Any] | None = None) -> nn.Module:
    return named_by_suite(load_backbone(name, params))


def order(dataset: Dataset, chosen: Slice) -> np.ndarray:
    """The sample ids of a slice: the first after a permutation, or the first of each class, in ascending order, int64.

    Raises:
        InputError: the data set, or a class of a balanced slice, has fewer samples.
    """
    count = len(dataset)
    wanted = count if chosen.samples is None else chosen.samples
    if wanted > count:
        problem = f"{wanted} asked for, but the data set has {count}"
        raise InputError(problem, place="dataset.samples", found=str(wanted))
    places = np.arange(count) if chosen.shuffle is False else np.random.default_rng(chosen.shuffle).permutation(count)
    if chosen.balanced:
        return balanced(dataset, places, chosen.samples)
    return np.sort(dataset.ids[places[:wanted]]).astype(np.int64)


def read_batch(dataset: Dataset, ids: np.ndarray, device: torch.device) -> Batch:
    """Some samples of a data set, on the device."""
    images = torch.from_numpy(np.ascontiguousarray(dataset.read(ids), dtype=np.float32))
    labels = torch.from_numpy(dataset.labels[ids].astype(np.int64))
    return Batch(images.to(device), labels.to(device), torch.from_numpy(ids.copy()).to(device))


def data_hash(dataset: Dataset, ids: np.ndarray) -> str:
    """sha256 of the images and labels of some samples, in their order."""
    digest = hashlib.sha256()
    for start in range(0, len(ids), 256):
        part = ids[start : start + 256]
        digest.update(np.ascontiguousarray(dataset.read(part), dtype=np.float32).tobytes())
        digest.update(dataset.labels[part].astype(np.int64).tobytes())
    return digest.hexdigest()
