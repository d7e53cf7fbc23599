"""What a cell's files say against each other; no model, no torch."""

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa

from rbench.errors import CellFailed, InputError
from rbench.results import sample_columns as column
from rbench.results.decide import decided
from rbench.results.flags import of_cell
from rbench.results.flags.catalogue import FlagName, threshold
from rbench.results.hashes import array_hash
from rbench.results.record import Figure, Flag, Record
from rbench.results.samples import predictions
from rbench.results.statistics import accuracy
from rbench.results.store import RunFolder
from rbench.suite.cell import id_of
from rbench.threat.terms import EXTERNAL_TOLERANCE, summed
from rbench.verifying.blame import blamed

_ROUNDING = 1e-9
_PARTS = ("backbone", "purifier", "attack")
_MEASURED = (
    *column.SHARES,
    *column.PREDICTIONS,
    *(column.ZERO_GRADIENTS, column.ZERO_AT_START, column.PASSED_BY),
)
"""Columns that every run fills; only older ones lack some, see `recent`."""
_FIGURES = {
    "standard_accuracy": column.CLEAN,
    "noise_accuracy": column.NOISE,
    "robust_accuracy": column.ROBUST,
    "robust_accuracy_8bit": column.ROBUST_8BIT,
}
"""The figures of a summary, and the columns whose means they are."""


def contradictions(
    folder: RunFolder, record: Record, samples: pa.Table, planned: Mapping[str, Any], *, old: bool = False
) -> list[str]:
    """Everything in the files of a done cell that does not fit the rest, one line each; empty if they agree.

    Args:
        folder: the run folder, for the stored examples.
        record: the cell's record.
        samples: its samples.
        planned: the cell as `cells.jsonl` has it.
        old: it was judged by another version of the rules, so that its examples, if they are gone, could not be judged again anyway.
    """
    try:
        with blamed("the files"):
            return _contradictions(folder, record, samples, planned, old=old)
    except CellFailed as error:
        return [str(error)]


def _contradictions(
    folder: RunFolder, record: Record, samples: pa.Table, planned: Mapping[str, Any], *, old: bool
) -> list[str]:
    arrays = arrays_of(samples)
    return [
        *_cell(record, planned),
        *(_complete(record, samples) if recent(record) else ()),
        *_samples(record, samples, arrays),
        *_figures(record, samples, arrays),
        *_flags(record, samples),
        *([] if not kept(folder, record) and (old or never_kept(record)) else _examples(folder, record, samples)),
    ]


def kept(folder: RunFolder, record: Record) -> bool:
    """Whether there is a file with the adversarial examples of a done cell."""
    return folder.images_path(record.id).is_file()


def never_kept(record: Record) -> bool:
    """Whether a done cell says that its examples were not stored; older records do not say that they were."""
    return record.images in (None, "none")


def recent(record: Record) -> bool:
    """Whether a cell was planned since select draws have a number of their own; records and samples of older ones say less."""
    protocol = record.cell["protocol"]
    return isinstance(protocol, dict) and "select_draws" in protocol


def _complete(record: Record, samples: pa.Table) -> Iterator[str]:
    """Fields and columns without which examples, pictures and flags could not be judged again."""
    if record.images is None:
        yield "images: the record does not say which examples were stored"
    for name in _MEASURED:
        if name in samples.column_names and samples[name].null_count:
            yield f"{name}: {samples[name].null_count} of {len(samples)} samples have none, and every run fills this column"


def arrays_of(samples: pa.Table) -> dict[str, np.ndarray]:
    """The columns that were hashed, as they were hashed; those that an older run did not store are left out."""
    arrays = {name: samples[name].to_numpy() for name in (column.SAMPLE, column.LABEL)}
    for name in column.PREDICTIONS:
        if samples[name].null_count == 0:
            arrays[name] = predictions(samples, name).astype(np.int64)
    return arrays


def _cell(record: Record, planned: Mapping[str, Any]) -> Iterator[str]:
    content = {key: value for key, value in record.cell.items() if key not in ("id", "labels")}
    if id_of(content) != record.id:
        yield f"cell: its content has the id {id_of(content)}, the record says {record.id}"
    if content != {key: value for key, value in planned.items() if key not in ("id", "labels")}:
        yield "cell: not the cell that cells.jsonl plans under this id"
    cell: Any = record.cell
    if record.dataset.name != cell["dataset"].get("name"):
        yield f"dataset: '{record.dataset.name}', the cell has '{cell['dataset'].get('name')}'"
    for part in _PARTS:
        said = getattr(record, part)
        if (said.name, said.params) != (cell[part].get("name"), cell[part].get("params")):
            yield f"{part}: name or parameters are not those of the cell"
    eps = float(Fraction(str(cell["threat"].get("eps"))))
    if record.threat.norm != cell["threat"].get("norm") or record.threat.eps != eps:
        yield f"threat: {record.threat.norm} {record.threat.eps:.9g}, the cell has {cell['threat'].get('norm')} {eps:.9g}"
    if _number(record.threat.eps_text) != eps:
        yield f"threat.eps_text: '{record.threat.eps_text}' is what tables print, the cell has {eps:.9g}"
    protocol, said = record.protocol, cell["protocol"]
    if (protocol.seed, protocol.decide) != (said.get("seed"), said.get("decide")):
        yield "protocol: seed or decide are not those of the cell"
    if protocol.draws != (said.get("draws") if record.purifier.stochastic else 1):
        yield f"protocol.draws: {protocol.draws}, the cell asks for {said.get('draws')} if the purifier is random and 1 if not"
    if recent(record) and protocol.select_draws != (said.get("select_draws") if record.purifier.stochastic else 1):
        yield f"protocol.select_draws: {protocol.select_draws}, the cell asks for {said.get('select_draws')} if the purifier is random"


def _number(text: str) -> float | None:
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        return None


def _samples(record: Record, samples: pa.Table, arrays: Mapping[str, np.ndarray]) -> Iterator[str]:
    ids, label = arrays[column.SAMPLE], arrays[column.LABEL]
    for name, draws in {**column.DRAWS_OF, **column.SELECT_DRAWS_OF}.items():
        if draws in arrays:
            decide = "mean" if name in column.SELECT_DRAWS_OF else record.protocol.decide
            expected = decided(arrays[draws], label, decide)
            yield from _differ(ids, samples[name].to_numpy() != expected, f"{name}: not what its predictions give")
    robust = samples[column.ROBUST].to_numpy()
    outcome = np.where(robust >= 0.5, "robust", "fooled")
    yield from _differ(ids, samples[column.OUTCOME].to_numpy() != outcome, "outcome: not what `robust` gives")
    # Judged again, our own attacks are held to the radius itself.
    reach = record.threat.eps + summed(EXTERNAL_TOLERANCE, record.threat.norm, record.threat.eps)
    outside = ~(samples[column.DISTANCE].to_numpy() <= reach)
    yield from _differ(ids, outside, f"distance: outside the ball of {record.threat.eps_text}")
    decided_columns = column.DECIDED if column.ROBUST_8BIT_PREDICTIONS in arrays else column.DECIDED_BEFORE
    if set(decided_columns) <= set(arrays) and array_hash(arrays, decided_columns) != record.result_hash:
        yield "result_hash: the samples have another"


def _figures(record: Record, samples: pa.Table, arrays: Mapping[str, np.ndarray]) -> Iterator[str]:
    assert record.summary is not None
    averaged = bool(record.purifier.stochastic) and record.protocol.decide == "mean"
    for field, name in _FIGURES.items():
        said: Figure | None = getattr(record.summary, field)
        if said is None:
            continue
        if samples[name].null_count:
            yield f"summary.{field}: no values of samples are behind it"
            continue
        values, drawn = samples[name].to_numpy(), arrays.get(column.DRAWS_OF[name])
        given: tuple[float, ...] = (float(values.mean(dtype=np.float64)),)
        if not averaged or drawn is not None:
            given = accuracy(
                values, drawn == arrays[column.LABEL][:, None] if averaged and drawn is not None else None
            )[:3]
        recorded = (said.value, said.low, said.high)[: len(given)]
        if said.n != len(values) or not np.allclose(given, recorded, rtol=0, atol=_ROUNDING):
            yield f"summary.{field}: {_spelled(recorded)}, the samples give {_spelled(given)}"


def _flags(record: Record, samples: pa.Table) -> Iterator[str]:
    robust = samples[column.ROBUST].to_numpy()
    expected: dict[FlagName, list[Flag]] = {
        "noise-wins": of_cell.noise_wins(samples[column.NOISE].to_numpy(), robust),
        "few-samples": of_cell.few_samples(len(samples)),
        "unverified": of_cell.unverifiable(record.images),
        "black-box-wins": of_cell.black_box_wins(record.rungs, len(samples)),
    }
    if samples[column.PASSED_BY].null_count == 0:
        passed = np.asarray(samples[column.PASSED_BY].to_pylist(), dtype=bool)
        expected["silent-success"] = of_cell.silent_success(passed, robust)
    raised = {flag.name: flag for flag in record.flags}
    for name, found in expected.items():
        yield from flag_difference(name, raised.get(name), next(iter(found), None))
    yield from _convergence(record, {flag.name for flag in record.flags})


def flag_difference(name: FlagName, said: Flag | None, found: Flag | None) -> Iterator[str]:
    """What is wrong with a flag of a record, if anything.

    Args:
        name: of the flag.
        said: as recorded, None if it is not raised.
        found: as it must be.
    """
    if (said is None) != (found is None):
        detail = f" ({found.detail or found.value})" if found else ""
        yield f"flags: {name} is {'raised' if said else 'not raised'}, the evidence says otherwise{detail}"
        return
    if said is None or found is None or said.value is None or found.value is None:
        return
    if not math.isclose(said.value, found.value, rel_tol=0.02, abs_tol=1e-4):
        yield f"flags: {name}: value {said.value:.6g}, the evidence gives {found.value:.6g}"


def _convergence(record: Record, raised: set[str]) -> Iterator[str]:
    parts = {part.what: part for part in record.convergence}
    base = parts.get("budget")
    doubled = [parts[what] for what in ("steps", "restarts", "eot") if what in parts]
    rises = [part.robust_accuracy - base.robust_accuracy for part in doubled] if base else []
    seen: dict[FlagName, bool] = {
        "not-converged": any(abs(rise) > threshold("not-converged", "change") + _ROUNDING for rise in rises),
        "weaker-with-more": any(rise > threshold("weaker-with-more", "rise") + _ROUNDING for rise in rises),
    }
    for name, shown in seen.items():
        if name in raised and not shown:
            yield f"flags: {name} is raised, the convergence recorded says otherwise"
        # Under a random defence a change must also exceed what the draws explain, which the parts do not tell.
        if shown and name not in raised and not record.purifier.stochastic:
            yield f"flags: {name} is not raised, the convergence recorded says otherwise"
    if record.converged is not None and record.converged == ("not-converged" in raised):
        yield f"converged: {record.converged}, its flags say otherwise"
    free = parts.get("eps")
    surviving = free is not None and free.robust_accuracy > 0 and free.standing > 0
    if "unbounded-survivors" in raised and not surviving:
        yield "flags: unbounded-survivors is raised, the convergence recorded says otherwise"
    if surviving and "unbounded-survivors" not in raised and not record.purifier.stochastic:
        yield "flags: unbounded-survivors is not raised, the convergence recorded says otherwise"


def _examples(folder: RunFolder, record: Record, samples: pa.Table) -> Iterator[str]:
    if record.images == "none":
        yield "images: the record says that none are stored, and there are some"
        return
    try:
        images, ids = folder.read_images(record.id)
    except InputError as error:
        yield f"images: {error}"
        return
    expected = samples[column.SAMPLE].to_numpy()
    if record.images == "fooled":
        expected = expected[samples[column.ROBUST].to_numpy() < 1]
    if not np.array_equal(ids, expected):
        yield f"images: {len(ids)} stored, not those of the {len(expected)} samples that the record speaks of"
        return
    said = record.provenance.get("images_sha256")
    if record.images != "fooled" and said and array_hash({column.IMAGES: images}, (column.IMAGES,)) != said:
        yield "images: the stored examples are not those that were judged (provenance.images_sha256)"
    flat = images.reshape(len(images), int(np.prod(images.shape[1:])))
    yield from _differ(ids, ~np.isfinite(flat).all(axis=1), "images: NaN or infinite pixels")
    outside = np.any((flat < -EXTERNAL_TOLERANCE) | (flat > 1 + EXTERNAL_TOLERANCE), axis=1)
    yield from _differ(ids, outside, "images: pixels outside [0, 1]")


def _differ(ids: np.ndarray, wrong: np.ndarray, what: str) -> Iterator[str]:
    if wrong.any():
        first = ids[np.flatnonzero(wrong)[0]]
        more = f", and {int(wrong.sum()) - 1} more" if wrong.sum() > 1 else ""
        yield f"sample {first}{more}: {what}"


def _spelled(figures: tuple[float, ...]) -> str:
    value, *interval = (f"{100 * figure:.2f} %" for figure in figures)
    return f"{value} ({interval[0]} to {interval[1]})" if interval else value
