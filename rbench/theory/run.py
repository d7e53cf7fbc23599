"""From a suite to its points: what is measured already is kept."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from rbench.bundled_files import weights_file
from rbench.engine.components import Components, order, read_batch
from rbench.errors import InputError
from rbench.fit.card import read_card
from rbench.results.files import write_text
from rbench.suite.cell import Cell
from rbench.theory.measure import measure
from rbench.theory.points import Point, Settings

_OBJECTIVES = {"reconstruction": 0.0}


@dataclass(frozen=True)
class Progress:
    """How far the measuring is: which of how many points, and images done of it."""

    title: str
    position: int
    points: int
    images: int
    total: int


def defended(cells: Sequence[Cell]) -> list[Cell]:
    """One cell for every purifier, backbone and radius of a suite; its attack does not matter.

    Raises:
        InputError: the threat is not Linf, which the inner maximisation is made for.
    """
    found: dict[str, Cell] = {}
    for cell in cells:
        if cell.norm != "Linf":
            raise InputError(f"threat.norm: {cell.norm} found; the theory is measured under Linf alone")
        found.setdefault(json.dumps([cell.purifier.document(), cell.backbone.document(), cell.eps.text]), cell)
    return list(found.values())


def measure_suite(
    cells: Sequence[Cell],
    settings: Settings,
    cache: Path,
    device: torch.device,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_note: Callable[[str], None] = lambda line: None,
) -> list[Point]:
    """Measures what a suite has of purifiers with a code; the others are named in a note.

    Args:
        cells: those of the suite's plan.
        settings: how to measure.
        cache: a file of points, one JSON document a line; added to after every point.
        device: where.
        on_progress: told how far it is.
        on_note: told what is left out.

    Raises:
        InputError: no purifier of the suite has a code.
    """
    components = Components(device)
    known = _known(cache)
    wanted = [cell for cell in defended(cells) if cell.purifier.name != "identity"]
    points: list[Point] = []
    left_out: set[str] = set()
    for position, cell in enumerate(wanted, 1):
        model = components.defended(cell.backbone, cell.purifier)
        if not model.encodes:
            if cell.purifier.label not in left_out:
                left_out.add(cell.purifier.label)
                on_note(f"purifier '{cell.purifier.label}' has no code (`encode`) and is left out")
            continue
        key = _key(cell, settings)
        if key not in known:
            known[key] = _measured(components, cell, settings, key, position, len(wanted), on_progress)
            write_text(cache, "".join(f"{json.dumps(asdict(point))}\n" for point in known.values()))
        points.append(replace(known[key], purifier=cell.purifier.label, backbone=cell.backbone.label))
    if not points:
        raise InputError(
            "purifiers: none of the suite has a code (`encode`); the theory is about auto-encoders such as cropd"
        )
    return points


def _measured(
    components: Components,
    cell: Cell,
    settings: Settings,
    key: str,
    position: int,
    points: int,
    on_progress: Callable[[Progress], None],
) -> Point:
    dataset = components.dataset(cell.dataset)
    images, labels, _ = read_batch(dataset, order(dataset, cell.slice), components.device)
    title, done = f"{cell.purifier.label}/{cell.backbone.label}", [0]

    def more(count: int) -> None:
        done[0] += count
        on_progress(Progress(title, position, points, done[0], len(images)))

    model = components.defended(cell.backbone, cell.purifier)
    found = measure(model, images, labels, cell.eps.value, settings, more)
    return Point(
        key=key,
        dataset=cell.dataset.label,
        backbone=cell.backbone.label,
        purifier=cell.purifier.label,
        eps=cell.eps.text,
        radius=cell.eps.value,
        lam=trained_lambda(cell),
        n=len(images),
        clean_ce=found["clean_ce"],
        adversarial_ce=found["adversarial_ce"],
        clean_contrastive=found["clean_contrastive"],
        attacked_contrastive=found["attacked_contrastive"],
        standard_accuracy=found["standard_accuracy"],
        robust_accuracy=found["robust_accuracy"],
    )


def trained_lambda(cell: Cell) -> float | None:
    """What the card beside the weights of a purifier says of lambda."""
    weights = cell.purifier.given_params.get("weights")
    card = read_card(weights_file(weights).with_suffix(".json")) if isinstance(weights, str) else None
    objective = card.recipe.get("objective") if card is not None else None
    if not isinstance(objective, dict):
        return None
    found = objective.get("lam", _OBJECTIVES.get(str(objective.get("name"))))
    return float(found) if isinstance(found, int | float) else None


def _key(cell: Cell, settings: Settings) -> str:
    content = cell.document()
    kept = {name: content[name] for name in ("dataset", "backbone", "purifier", "threat")}
    text = json.dumps({**kept, "settings": asdict(settings)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _known(cache: Path) -> dict[str, Point]:
    if not cache.exists():
        return {}
    try:
        found = [Point(**json.loads(line)) for line in cache.read_text(encoding="utf-8").splitlines()]
    except (ValueError, TypeError) as error:
        cause = " ".join(str(error).split())[:100]
        raise InputError(f"{cache}: holds no points of rbench theory ({cause}). Remove it to measure again") from None
    return {point.key: point for point in found}
