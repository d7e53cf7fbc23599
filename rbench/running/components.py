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

from rbench.backbones.head import load_backbone
from rbench.datasets.subset import load_dataset
from rbench.datasets.types import Dataset
from rbench.engine.audits import Audits
from rbench.engine.defended import DefendedModel
from rbench.engine.fixed_noise import load_purifier
from rbench.engine.unattacked import UnattackedVerdicts
from rbench.errors import InputError
from rbench.registry import load, registry
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
class Components:
    """Loads what cells name; asking twice gives the same object.

    Attributes:
        device: where models live.
        audits: what was measured of them.
        unattacked: the verdicts on images without an attack.
    """

    device: torch.device
    audits: Audits = field(default_factory=Audits)
    unattacked: UnattackedVerdicts = field(default_factory=UnattackedVerdicts)
    _made: dict[str, Any] = field(default_factory=dict)
    _hashes: dict[str, str] = field(default_factory=dict)

    def of(self, cell: Cell) -> Loaded:
        """All that a cell names.

        Raises:
            InputError: something is unknown or broken, or refuses its parameters.
            MissingError: something needs a module or file that is not there.
        """
        attack: Attack = self._once("attack", cell.attack)
        return Loaded(
            dataset=self.dataset(cell.dataset),
            model=self.defended(cell.backbone, cell.purifier),
            attack=attack,
            remake=partial(_changed_attack, cell.attack),
            audits=self.audits,
            unattacked=self.unattacked,
            device=self.device,
            source=self._bare(attack.source) if attack.source else None,
            stand_in=None if cell.stand_in is None else self._module("purifier", cell.stand_in),
        )

    def dataset(self, part: Part) -> Dataset:
        """The data set."""
        dataset: Dataset = self._once("dataset", part)
        return dataset

    def data_hash(self, part: Part, ids: np.ndarray) -> str:
        """sha256 of the images and labels of some samples; all cells of a slice share one reading."""
        key = json.dumps([part.document(), ids.tolist()], sort_keys=True)
        if key not in self._hashes:
            self._hashes[key] = data_hash(self.dataset(part), ids)
        return self._hashes[key]

    def defended(self, backbone: Part, purifier: Part) -> DefendedModel:
        """The purifier in front of the backbone, on the device."""
        return DefendedModel(
            self._module("purifier", purifier), self._module("backbone", backbone), name=purifier.label
        )

    def _bare(self, backbone: str) -> DefendedModel:
        """A backbone without a purifier, by its name."""
        return self.defended(resolve_part("backbone", backbone, {}), resolve_part("purifier", "identity", {}))

    def forget_models(self) -> None:
        """Makes purifiers and backbones anew when they are next asked for."""
        self._made = {key: made for key, made in self._made.items() if not isinstance(made, nn.Module)}

    def _module(self, kind: str, part: Part) -> nn.Module:
        module: nn.Module = self._once(kind, part)
        if not isinstance(module, nn.Module):
            raise InputError(f"{kind} '{part.given_name}' is no torch.nn.Module (got {type(module).__name__})")
        return module.to(self.device)

    def _once(self, kind: str, part: Part) -> Any:
        key = json.dumps([kind, part.given_name, part.given_params], sort_keys=True)
        if key not in self._made:
            self._made[key] = make(kind, part.given_name, part.given_params)
        return self._made[key]


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
    special = {"backbone": load_backbone, "dataset": load_dataset, "purifier": load_purifier}.get(registry(kind).kind)
    return load(kind, name, params) if special is None else special(name, params)


def order(dataset: Dataset, chosen: Slice) -> np.ndarray:
    """The sample ids of a slice: the first after a permutation, in ascending order, int64.

    Raises:
        InputError: the data set has fewer samples.
    """
    count = len(dataset)
    wanted = count if chosen.samples is None else chosen.samples
    if wanted > count:
        problem = f"{wanted} asked for, but the data set has {count}"
        raise InputError(problem, place="dataset.samples", found=str(wanted))
    places = np.arange(count) if chosen.shuffle is False else np.random.default_rng(chosen.shuffle).permutation(count)
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
