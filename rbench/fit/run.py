"""From a recipe to weights and their card."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rbench.datasets.types import Dataset
from rbench.engine.devices import resolve_device
from rbench.errors import InputError
from rbench.fit.card import Card, Data, Weights, read_card, write_card
from rbench.fit.data import Samples, read_samples, split
from rbench.fit.load import BoundRecipe
from rbench.fit.loop import Place
from rbench.fit.made import Watch, make_weights
from rbench.fit.recipe import PurifierRecipe, Training
from rbench.results import disk
from rbench.results.files import tidy, writing
from rbench.results.lock import locked
from rbench.results.versions import versions
from rbench.running.components import make, order
from rbench.suite.cell import Part, Slice
from rbench.suite.files import digest


@dataclass(frozen=True)
class Fitted:
    """The result of a recipe.

    Attributes:
        weights: the safetensors file.
        card: what is known of it.
        fresh: whether it was made now.
    """

    weights: Path
    card: Card
    fresh: bool


def fit(bound: BoundRecipe, out: Path, *, device: str = "auto", watch: Watch = Watch()) -> Fitted:  # noqa: B008 - frozen
    """Trains what a recipe describes; goes on where an earlier start was stopped, and does nothing if it had ended.

    Args:
        bound: the recipe.
        out: folder for NAME.safetensors and NAME.json.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        watch: called with the progress.

    Raises:
        InputError: a component, file or value is wrong, or `out` holds the work of another recipe or weights without a card.
        MissingError: a module, device or space on the disk is missing.
        Interrupted: a signal came; what was done is kept.
    """
    spec, parts = bound.spec, bound.resolved()
    place = resolve_device(device)
    _refuse_precision(bound, place)
    with writing(out):
        disk.make_folder(out)
    weights, card_file = out / f"{spec.recipe}.safetensors", out / f"{spec.recipe}.json"
    lock, checkpoint = out / f".{spec.recipe}.fit.lock", out / f"{spec.recipe}.checkpoint.pt"
    begun = lock.exists() or checkpoint.exists()  # an earlier start was killed, and the weights may be its own
    fingerprint = _fingerprint(bound, parts)
    with locked(lock):
        tidy(out)
        done = read_card(card_file)
        if done is not None:
            return Fitted(weights, _same(done, fingerprint, card_file, weights), fresh=False)
        if weights.exists() and not begun:
            problem = f"is there without the card of rbench fit ({card_file.name}), so it may be of other origin."
            raise InputError(problem, place=weights, remedy="Move it, or give another --out.")
        dataset: Dataset = make("dataset", parts["dataset"].given_name, parts["dataset"].given_params)
        ids = order(dataset, Slice(spec.dataset.samples, spec.dataset.shuffle, spec.dataset.balanced))
        samples = _read(dataset, ids, labelled=not isinstance(spec, PurifierRecipe), watch=watch)
        kept, held_out = split(samples, spec.training.held_out)
        spot = Place(place, checkpoint, fingerprint)
        made = make_weights(spec, parts, kept, held_out, spot, watch)
        made.write(weights)
        with _removed_without_card(weights):
            card = Card(
                name=spec.recipe,
                train=spec.train,
                recipe=document(bound, parts),
                fingerprint=fingerprint,
                files={name: value for part in parts.values() for name, value in part.files.items()},
                components={field: part.version for field, part in parts.items()},
                weights=Weights(
                    file=weights.name, sha256=digest(weights), bytes=weights.stat().st_size, parameters=made.parameters
                ),
                data=Data(
                    source=dataset.provenance | {"source": Path(dataset.source).name},
                    sha256=kept.digest(),
                    samples=len(kept),
                    held_out=len(held_out),
                ),
                seed=spec.training.seed,
                metrics=made.metrics,
                seconds=round(made.course.seconds, 1),
                device=str(place),
                threads=torch.get_num_threads(),
                versions=versions(),
                curve=made.course.curve,
            )
            write_card(card_file, card)
        disk.remove(spot.checkpoint)
    return Fitted(weights, card, fresh=True)


@contextmanager
def _removed_without_card(weights: Path) -> Iterator[None]:
    """Removes weights whose card cannot be written: the next start would take them for somebody else's."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            disk.remove(weights)
        raise


def _read(dataset: Dataset, ids: np.ndarray, *, labelled: bool, watch: Watch) -> Samples:
    done = [0]

    def more(count: int) -> None:
        done[0] += count
        watch.reading(done[0], len(ids))

    return read_samples(dataset, ids, labelled=labelled, on_read=more)


def _refuse_precision(bound: BoundRecipe, device: torch.device) -> None:
    training = bound.spec.training
    if isinstance(training, Training) and training.precision == "bf16" and device.type == "cpu":
        problem = "bf16 needs a GPU, and this runs on the CPU."
        raise bound.spec.wrong(("training", "precision"), problem, found="bf16", remedy="Write fp32.")


def document(bound: BoundRecipe, parts: Mapping[str, Part]) -> dict[str, Any]:
    """The recipe with every default written out, and files by their names alone."""
    spec = bound.spec
    whole = spec.model_dump(mode="json")
    for field, part in parts.items():
        own = {key: value for key, value in whole[field].items() if key not in ("name", "label", "params", "sha256")}
        if own.get("balanced") is False:  # a recipe that does not ask for it stays the recipe that it was
            del own["balanced"]
        whole[field] = {"name": part.name, **own, **part.params}
    return whole


def _fingerprint(bound: BoundRecipe, parts: Mapping[str, Part]) -> str:
    content = {
        "recipe": document(bound, parts),
        "files": {field: part.files for field, part in parts.items()},
        "components": {field: part.version for field, part in parts.items()},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _same(card: Card, fingerprint: str, file: Path, weights: Path) -> Card:
    if card.fingerprint != fingerprint:
        problem = "is of another recipe, other data or another version."
        raise InputError(problem, place=file, remedy="Remove it, or give another --out")
    if not weights.is_file() or digest(weights) != card.weights.sha256:
        problem = f"is not what its card {file.name} tells of."
        raise InputError(problem, place=weights, remedy="Remove both to train again")
    return card
