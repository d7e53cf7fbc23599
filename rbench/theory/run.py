"""From a suite to its points; those that were measured before are taken from a file."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rbench.bundled_files import weights_file
from rbench.errors import InputError
from rbench.fit.card import read_card
from rbench.results.files import write_text
from rbench.running.components import Components, read_batch
from rbench.suite.cell import Cell
from rbench.theory.measure import measure
from rbench.theory.points import Point, Settings

METHOD = 1
"""Part of the key of a point; raised whenever the same settings may give other figures."""

_LAMBDAS = {"reconstruction": 0.0}

Note = Callable[[str], None]


@dataclass(frozen=True)
class Progress:
    """How far the measuring is: which of how many points, and images done of it."""

    title: str
    position: int
    points: int
    images: int
    total: int


def with_codes(cells: Sequence[Cell], components: Components, on_note: Note = lambda line: None) -> list[Cell]:
    """One cell for every purifier with a code, backbone and radius of a suite; its attack does not matter.

    Args:
        cells: those of the suite's plan.
        components: loads them.
        on_note: called with a line for each purifier that is left out, except `identity`, which every suite has.

    Raises:
        InputError: the threat is not Linf, which the inner maximisation is made for, or no purifier has a code.
    """
    with_code: dict[str, Cell] = {}
    left_out: set[str] = set()
    for cell in cells:
        if cell.threat.norm != "Linf":
            raise InputError(f"threat.norm: {cell.threat.norm} found; the theory is measured under Linf alone")
        content = json.dumps([cell.purifier.document(), cell.backbone.document(), str(cell.threat.eps.exact)])
        if cell.purifier.name == "identity" or cell.purifier.label in left_out or content in with_code:
            continue
        if components.defended(cell.backbone, cell.purifier, cell.dataset).encodes:
            with_code[content] = cell
        else:
            left_out.add(cell.purifier.label)
            on_note(f"purifier '{cell.purifier.label}' has no code (`encode`) and is left out")
    if not with_code:
        raise InputError(
            "purifiers: none of the suite has a code (`encode`); the theory is about auto-encoders such as cropd"
        )
    return list(with_code.values())


def measure_cells(
    cells: Sequence[Cell],
    components: Components,
    settings: Settings,
    cache: Path,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_note: Note = lambda line: None,
) -> list[Point]:
    """A point for every cell, in their order.

    Args:
        cells: of purifiers with a code.
        components: loads them.
        settings: how to measure.
        cache: a file of points, one JSON document a line; written after every point, so that a killed command goes on.
        on_progress: called with the progress.
        on_note: called with a line for each card that is of other weights.

    Raises:
        InputError: the slice has a single image.
        CellFailed: a purifier is random, or answers with something that is not finite.
    """
    known = _known(cache)
    points: list[Point] = []
    purifiers = {cell.purifier.label: cell for cell in cells}
    trained = {label: trained_lambda(cell, on_note) for label, cell in purifiers.items()}
    for position, cell in enumerate(cells, 1):
        key = _key(cell, settings)
        if key not in known:
            known[key] = _measured(cell, components, settings, key, (position, len(cells)), on_progress)
            write_text(cache, "".join(f"{json.dumps(asdict(point))}\n" for point in known.values()))
        points.append(_named(known[key], cell, trained[cell.purifier.label]))
    return points


def _measured(
    cell: Cell,
    components: Components,
    settings: Settings,
    key: str,
    place: tuple[int, int],
    on_progress: Callable[[Progress], None],
) -> Point:
    dataset = components.dataset(cell.dataset)
    samples = read_batch(dataset, components.chosen(cell.dataset, cell.slice), components.device)
    if len(samples) < 2:
        raise InputError("dataset.samples: 1 found; L_con compares an image with others, so it needs 2 or more")
    title, done = f"{cell.purifier.label}/{cell.backbone.label}", [0]

    def more(count: int) -> None:
        done[0] += count
        on_progress(Progress(title, *place, done[0], len(samples)))

    model = components.defended(cell.backbone, cell.purifier, cell.dataset)
    measured = measure(model, samples, cell.threat.eps.value, settings, more)
    return Point(
        key=key,
        dataset=cell.dataset.label,
        backbone=cell.backbone.label,
        frozen=frozen_name(cell),
        purifier=cell.purifier.label,
        eps=cell.threat.eps.text,
        radius=cell.threat.eps.value,
        lam=None,
        n=len(samples),
        **asdict(measured),
    )


def _named(point: Point, cell: Cell, lam: float | None) -> Point:
    """The point with what is not in its key and may have changed since: labels, how the radius is written, the card."""
    return replace(
        point,
        dataset=cell.dataset.label,
        backbone=cell.backbone.label,
        frozen=frozen_name(cell),
        purifier=cell.purifier.label,
        eps=cell.threat.eps.text,
        lam=lam,
    )


def frozen_name(cell: Cell) -> str:
    """The backbone without its label and head: what heads of several purifiers have in common."""
    head = " + head" if "head" in cell.backbone.params else ""
    params = ", ".join(f"{name}={value}" for name, value in cell.backbone.params.items() if name != "head")
    return f"{cell.backbone.name} ({params}){head}" if params else f"{cell.backbone.name}{head}"


def trained_lambda(cell: Cell, on_note: Note = lambda line: None) -> float | None:
    """What the card beside the weights of a purifier says of lambda; None where it says nothing or is of other weights."""
    weights = cell.purifier.given_params.get("weights")
    path = weights_file(weights) if isinstance(weights, str) else None
    card = None if path is None else read_card(path.with_suffix(".json"))
    if path is None or card is None:
        return None
    if cell.purifier.files.get(path.name) != card.weights.sha256:
        on_note(f"{path.with_suffix('.json')}: the card of other weights than {path.name}; lambda is not known")
        return None
    objective = card.recipe.get("objective")
    if not isinstance(objective, dict):
        return None
    lam = objective.get("lam", _LAMBDAS.get(str(objective.get("name"))))
    return float(lam) if isinstance(lam, int | float) else None


def _key(cell: Cell, settings: Settings) -> str:
    content = cell.document()
    kept = {name: content[name] for name in ("dataset", "backbone", "purifier", "threat")}
    text = json.dumps({**kept, "settings": asdict(settings), "method": METHOD}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _known(cache: Path) -> dict[str, Point]:
    if not cache.exists():
        return {}
    try:
        points = [Point(**json.loads(line)) for line in cache.read_text(encoding="utf-8").splitlines()]
    except (ValueError, TypeError) as error:
        cause = " ".join(str(error).split())[:100]
        raise InputError(f"{cache}: holds no points of rbench theory ({cause}). Remove it to measure again") from None
    return {point.key: point for point in points}
