"""The components of a run, each made once."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rbench.attacks.types import Attack, IterativeAttack
from rbench.backbones.head import load_backbone
from rbench.datasets.subset import load_dataset
from rbench.datasets.types import Dataset
from rbench.engine.audits import Audits
from rbench.engine.defended import DefendedModel
from rbench.engine.fixed_noise import load_purifier
from rbench.errors import InputError
from rbench.registry import load, registry
from rbench.suite.cell import Cell, Part, Slice


@dataclass
class Components:
    """Loads what cells name; asking twice gives the same object.

    Attributes:
        device: where models live.
        audits: what was measured of them.
    """

    device: torch.device
    audits: Audits = field(default_factory=Audits)
    _made: dict[str, Any] = field(default_factory=dict)
    _hashes: dict[str, str] = field(default_factory=dict)

    def dataset(self, part: Part) -> Dataset:
        """The data set."""
        found: Dataset = self._once("dataset", part.given_name, part.given_params)
        return found

    def data_hash(self, part: Part, ids: np.ndarray) -> str:
        """sha256 of the images and labels of some samples; all cells of a slice share one reading."""
        key = json.dumps([part.document(), ids.tolist()], sort_keys=True)
        if key not in self._hashes:
            self._hashes[key] = _data_hash(self.dataset(part), ids)
        return self._hashes[key]

    def attack(self, part: Part) -> Attack:
        """The attack."""
        found: Attack = self._once("attack", part.given_name, part.given_params)
        return found

    def changed_attack(self, part: Part, changes: Mapping[str, int | None]) -> Attack | None:
        """The attack with other parameters; None where it has no such parameters, or refuses the values."""
        known = registry("attack").get(part.given_name).signature().parameters
        if not {parameter.name for parameter in known} >= set(changes):
            return None
        try:
            made: Attack = make("attack", part.given_name, {**part.given_params, **changes})
        except InputError:  # twice the most that it takes: nothing to compare, and no reason to stop a run
            return None
        return made

    def purifier(self, part: Part) -> nn.Module:
        """The purifier alone, on the device."""
        return self._module("purifier", part.given_name, part.given_params)

    def defended(self, backbone: Part, purifier: Part) -> DefendedModel:
        """The purifier in front of the backbone, on the device."""
        return DefendedModel(
            self.purifier(purifier),
            self._module("backbone", backbone.given_name, backbone.given_params),
            name=purifier.label,
        )

    def source(self, attack: Attack) -> DefendedModel | None:
        """The bare backbone that a transfer attack crafts on; None for every other attack."""
        if not isinstance(attack, IterativeAttack) or attack.source is None:
            return None
        identity = self._module("purifier", "identity", {})
        return DefendedModel(identity, self._module("backbone", attack.source, {}), name="identity")

    def forget_models(self) -> None:
        """Makes purifiers and backbones anew when they are next asked for."""
        self._made = {key: made for key, made in self._made.items() if not isinstance(made, nn.Module)}

    def _module(self, kind: str, name: str, params: dict[str, Any]) -> nn.Module:
        module: nn.Module = self._once(kind, name, params)
        if not isinstance(module, nn.Module):
            raise InputError(f"{kind} '{name}' is no torch.nn.Module (got {type(module).__name__})")
        return module.to(self.device)

    def _once(self, kind: str, name: str, params: dict[str, Any]) -> Any:
        key = json.dumps([kind, name, params], sort_keys=True)
        if key not in self._made:
            self._made[key] = make(kind, name, params)
        return self._made[key]


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


def read_batch(dataset: Dataset, ids: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Images, labels and ids of some samples, on the device."""
    images = torch.from_numpy(np.ascontiguousarray(dataset.read(ids), dtype=np.float32))
    labels = torch.from_numpy(dataset.labels[ids].astype(np.int64))
    return images.to(device), labels.to(device), torch.from_numpy(ids.copy()).to(device)


def _data_hash(dataset: Dataset, ids: np.ndarray) -> str:
    digest = hashlib.sha256()
    for start in range(0, len(ids), 256):
        part = ids[start : start + 256]
        digest.update(np.ascontiguousarray(dataset.read(part), dtype=np.float32).tobytes())
        digest.update(dataset.labels[part].astype(np.int64).tobytes())
    return digest.hexdigest()


def preload(cells: Sequence[Cell], components: Components) -> None:
    """Makes every component of the cells, so that a bad one stops the run before anything is computed."""
    for cell in cells:
        components.source(components.attack(cell.attack))
        components.defended(cell.backbone, cell.purifier)
        if cell.stand_in is not None:
            components.purifier(cell.stand_in)
        order(components.dataset(cell.dataset), cell.slice)
