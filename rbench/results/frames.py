"""`rbench.read`: a finished run as pandas frames."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from rbench.results.runs import Broken, ReadCell, read_runs
from rbench.results.samples import SCHEMA
from rbench.results.table import table


@dataclass(frozen=True)
class Frames:
    """What a run folder holds.

    Attributes:
        records: a row for each cell: its id, labels, status, figures and cost.
        samples: a row for each sample of each done cell, with the id of the cell and its labels; predictions are lists.
        leaderboard: a row for each defended model under a threat.
        broken: files that could not be used.
    """

    records: pd.DataFrame
    samples: pd.DataFrame
    leaderboard: pd.DataFrame
    broken: tuple[Broken, ...] = ()


def read(folder: str | Path) -> Frames:
    """Read a run folder; nothing that a record names is imported, opened or fetched.

    Raises:
        InputError: no such folder, or no records in it.

    Example:
        >>> import rbench
        >>> frames = rbench.read("results/quickstart")
        >>> frames.leaderboard[["purifier", "robust_accuracy"]].columns.tolist()
        ['purifier', 'robust_accuracy']
        >>> len(frames.records) == frames.samples["cell"].nunique()
        True
    """
    runs = read_runs([Path(folder)])
    records = pd.DataFrame([_flat(cell) for cell in runs.cells])
    return Frames(records, _samples(runs.cells), table(runs).frame, runs.broken)


def _flat(cell: ReadCell) -> dict[str, Any]:
    labels = {part: cell.label(part) for part in ("dataset", "backbone", "purifier", "attack")}
    row: dict[str, Any] = {"cell": cell.id, **labels, "status": cell.status}
    if cell.record is None:
        return row
    record = cell.record.model_dump(mode="json", by_alias=True, exclude={"cell", "status", *labels, "flags"})
    record["gradient"] = cell.record.attack.gradient
    record["stochastic"] = cell.record.purifier.stochastic
    return row | _flattened(record) | {"flags": tuple(flag.name for flag in cell.record.flags)}


def _flattened(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


_NAMES = ("cell", "backbone", "purifier", "attack")
"""What tells the samples of one cell from those of another."""


def _samples(cells: tuple[ReadCell, ...]) -> pd.DataFrame:
    tables = []
    for cell in cells:
        if cell.samples is not None:
            same = pa.repeat(pa.scalar(0, pa.int32()), len(cell.samples))
            names = [cell.id, cell.label("backbone"), cell.label("purifier"), cell.label("attack")]
            named = [pa.DictionaryArray.from_arrays(same, pa.array([name], pa.string())) for name in names]
            tables.append(pa.table([*named, *cell.samples.columns], names=[*_NAMES, *cell.samples.column_names]))
    kind = pa.dictionary(pa.int32(), pa.string())
    empty = pa.schema([*(pa.field(name, kind) for name in _NAMES), *SCHEMA]).empty_table()
    # Lists stay in Arrow: as Python objects they would cost a hundred times their size.
    joined = pa.concat_tables(tables).unify_dictionaries() if tables else empty
    frame: pd.DataFrame = joined.to_pandas(
        types_mapper=lambda kind: pd.ArrowDtype(kind) if pa.types.is_list(kind) else None
    )
    return frame
