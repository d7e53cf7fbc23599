"""The record of one corruption of one defended model, and the only way to read it back."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator

from rbench.errors import InputError
from rbench.results.decide import decided
from rbench.results.hashes import array_hash
from rbench.results.record import (
    CELL_ID,
    MAX_BYTES,
    BackbonePart,
    Cost,
    DatasetPart,
    Document,
    Figure,
    OneLine,
    Protocol,
    PurifierPart,
    first_error,
)
from rbench.results.statistics import Estimate, clustered
from rbench.results.untrusted import parse_json, read_text

PARTS = ("dataset", "backbone", "purifier", "threat", "protocol")
"""What every resolved cell of a corruption says, each part a map."""
SCHEMA = pa.schema(
    [
        pa.field("sample", pa.int64(), nullable=False),
        pa.field("label", pa.int64(), nullable=False),
        pa.field("severity", pa.int8(), nullable=False),
        pa.field("predictions", pa.list_(pa.field("element", pa.int32())), nullable=False),
    ]
)
"""One row for each sample and severity: the classes that the defended model gives the corrupted image, one a draw."""


class SeverityPart(Document):
    """What came out at one severity."""

    severity: int = Field(ge=0, le=5, description="From 1 to 5; 0 for images as they are.")
    accuracy: Figure = Field(description="Accuracy on these images.")
    images_sha256: str = Field(description="Hash of the pixels that were judged, in the order of the samples.")


class CorruptionRecord(Document):
    """The result of one corruption on one defended model. Reading it imports, opens and fetches nothing that it names."""

    schema_version: Literal[1] = Field(default=1, alias="schema", description="Version of this document.")
    cell: dict[str, JsonValue] = Field(
        description="The resolved cell: all that makes its `id`, the `id`, and the `labels`."
    )
    status: Literal["done", "failed"] = Field(description="Only a `done` cell has figures.")
    error: OneLine | None = Field(default=None, description="Why the cell failed, in one line.")
    dataset: DatasetPart = Field(description="The data the cell was judged on.")
    backbone: BackbonePart = Field(description="The frozen classifier.")
    purifier: PurifierPart = Field(description="The transform in front of the backbone.")
    protocol: Protocol = Field(description="How a random defence is judged.")
    severities: tuple[SeverityPart, ...] = Field(default=(), description="What came out at each severity.")
    mean_accuracy: Figure | None = Field(
        default=None,
        description="Mean over the severities, with an interval clustered by image; null unless the cell is done.",
    )
    cost: Cost = Field(default=Cost(), description="What the cell took.")
    audit: dict[str, bool | int | float | str | None] = Field(
        default={}, description="What was measured of the defended model before."
    )
    result_hash: str | None = Field(
        default=None, description="Hash of the per-sample outcome: equal for equal results."
    )
    provenance: dict[str, JsonValue] = Field(
        default={}, description="Versions, platform, device, date and hashes of weights."
    )

    @property
    def id(self) -> str:
        """The id of the cell."""
        return str(self.cell["id"])

    @field_validator("cell")
    @classmethod
    def _has_an_id(cls, cell: dict[str, JsonValue]) -> dict[str, JsonValue]:
        require_cell(cell)
        return cell

    @model_validator(mode="after")
    def _figures_only_when_done(self) -> Self:
        if (self.status == "done") != (self.mean_accuracy is not None and bool(self.severities)):
            raise ValueError("a done cell has figures, and no other has")
        if self.status == "failed" and not self.error:
            raise ValueError("a failed cell says why in `error`")
        threat = self.cell["threat"]
        asked = threat.get("severity") if isinstance(threat, dict) else None
        if self.status == "done" and [part.severity for part in self.severities] != asked:
            raise ValueError(f"its severities are not those of the cell, {asked}")
        return self


def require_cell(cell: Mapping[str, Any]) -> None:
    """Refuses what is no resolved cell of a corruption.

    Raises:
        ValueError: it lacks an id or a part, or has no name and severities.
    """
    if not isinstance(cell.get("id"), str) or not CELL_ID.fullmatch(str(cell["id"])):
        raise ValueError("the cell has no `id`, or one that is no lower-case word")
    if lacking := [part for part in PARTS if not isinstance(cell.get(part), dict)]:
        raise ValueError(f"the cell has no {', '.join(lacking)}")
    threat = cell["threat"]
    severity = threat.get("severity")
    known = isinstance(severity, list) and severity and all(type(one) is int for one in severity)
    if threat.get("kind") != "corruption" or not isinstance(threat.get("name"), str) or not known:
        raise ValueError("its threat is no corruption with a name and severities")


def read_corruption(path: Path) -> CorruptionRecord:
    """Read a record that nobody vouches for.

    Raises:
        InputError: it is missing, too big, not JSON, or breaks the schema; the message names the file and the field.
    """
    text = read_text(path, MAX_BYTES)
    parse_json(text, path)
    try:
        return CorruptionRecord.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error)}") from None


class Judged:
    """What a defended model says of the corrupted images of a cell.

    Attributes:
        ids: int64 [N] of the samples.
        labels: int64 [N].
        severity: the severities, ascending.
        predictions: int32 [N, severities, draws].
    """

    def __init__(
        self,
        ids: NDArray[np.int64],
        labels: NDArray[np.int64],
        severity: tuple[int, ...],
        predictions: NDArray[np.int32],
    ) -> None:
        self.ids, self.labels, self.severity, self.predictions = ids, labels, severity, predictions

    def values(self, decide: Any) -> NDArray[np.float64]:
        """The value in [0, 1] of each sample at each severity, float64 [N, severities], by the decide rule."""
        places = range(len(self.severity))
        return np.stack([decided(self.predictions[:, place], self.labels, decide) for place in places], axis=1).astype(
            float
        )

    def hash(self) -> str:
        """sha256 of what was decided about every sample."""
        arrays: dict[str, NDArray[Any]] = {
            "sample": self.ids,
            "label": self.labels,
            "severity": np.asarray(self.severity, np.int64),
            "predictions": self.predictions.astype(np.int32),
        }
        return array_hash(arrays, tuple(arrays))

    def encode(self) -> bytes:
        """The samples as Parquet, see `SCHEMA`."""
        count, draws = len(self.severity), self.predictions.shape[2]
        flat = pa.array(self.predictions.astype(np.int32).ravel())
        offsets = np.arange(len(self.ids) * count + 1, dtype=np.int32) * np.int32(draws)
        columns = [
            pa.array(np.repeat(self.ids, count)),
            pa.array(np.repeat(self.labels, count)),
            pa.array(np.tile(np.asarray(self.severity, np.int8), len(self.ids))),
            pa.ListArray.from_arrays(offsets, flat, type=SCHEMA.field("predictions").type),
        ]
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_arrays(columns, schema=SCHEMA), sink, compression="zstd", write_page_checksum=True)
        return sink.getvalue()


def read_judged(path: Path, record: CorruptionRecord) -> Judged:
    """The samples of a done record.

    Raises:
        InputError: missing, torn, of another schema, or not as many as the record speaks of.
    """
    severity = tuple(part.severity for part in record.severities)
    rows = record.dataset.samples * len(severity)
    if not path.is_file():
        raise InputError(f"{path}: no such file, though its record is done.")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            if [(one.name, str(one.type)) for one in file.schema_arrow] != [
                (one.name, str(one.type)) for one in SCHEMA
            ]:
                raise InputError(f"{path}: its columns are not those of corrupted samples.")
            if file.metadata.num_rows != rows or not rows:
                raise InputError(f"{path}: {file.metadata.num_rows} rows, but its record has {rows}.")
            table = file.read()
        ids, labels, found = (table[name].to_numpy() for name in ("sample", "label", "severity"))
        lists = table["predictions"].combine_chunks()
        flat = lists.flatten().to_numpy()
        predictions = flat.reshape(record.dataset.samples, len(severity), record.protocol.draws)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path}: unreadable: {' '.join(str(error).split())[:200]}") from None
    width = np.diff(lists.offsets.to_numpy())
    shape = (record.dataset.samples, len(severity))
    alike = all((one.reshape(shape) == one.reshape(shape)[:, :1]).all() for one in (ids, labels))
    if not alike or (found.reshape(shape) != severity).any() or (width != record.protocol.draws).any():
        raise InputError(f"{path}: not one row for each sample and severity with {record.protocol.draws} draws.")
    return Judged(ids[:: len(severity)], labels[:: len(severity)], severity, predictions)


def figure(values: NDArray[np.float64]) -> Figure:
    """The accuracy of per-image values in [0, 1] with its interval, see `clustered`."""
    found: Estimate = clustered(values)
    return Figure(value=found.value, low=found.low, high=found.high, n=found.n)
