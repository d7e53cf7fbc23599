"""The samples of a finished cell: one row each, in a Parquet file with a fixed schema."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rbench.errors import InputError
from rbench.results import sample_columns as column

SCHEMA = pa.schema(
    [
        pa.field(column.SAMPLE, pa.int64(), nullable=False),
        pa.field(column.LABEL, pa.int64(), nullable=False),
        pa.field(column.CLEAN, pa.float32(), nullable=False),
        pa.field(column.CLEAN_SELECT, pa.float32()),
        pa.field(column.NOISE, pa.float32(), nullable=False),
        pa.field(column.SELECT, pa.float32(), nullable=False),
        pa.field(column.ROBUST, pa.float32(), nullable=False),
        pa.field(column.ROBUST_8BIT, pa.float32()),
        pa.field(column.NOISE_SELECT, pa.float32()),
        pa.field(column.ROBUST_8BIT_SELECT, pa.float32()),
        pa.field(column.CLEAN_PREDICTIONS, pa.list_(pa.int32()), nullable=False),
        pa.field(column.NOISE_PREDICTIONS, pa.list_(pa.int32())),
        pa.field(column.SELECT_PREDICTIONS, pa.list_(pa.int32())),
        pa.field(column.ROBUST_PREDICTIONS, pa.list_(pa.int32()), nullable=False),
        pa.field(column.ROBUST_8BIT_PREDICTIONS, pa.list_(pa.int32())),
        pa.field(column.DISTANCE, pa.float64(), nullable=False),
        pa.field(column.LOSS_FIRST, pa.float32()),
        pa.field(column.LOSS_LAST, pa.float32()),
        pa.field(column.QUERIES, pa.int32(), nullable=False),
        pa.field(column.ZERO_GRADIENTS, pa.int32()),
        pa.field(column.ZERO_AT_START, pa.bool_()),
        pa.field(column.PASSED_BY, pa.bool_()),
        pa.field(column.OUTCOME, pa.string(), nullable=False),
    ]
)
"""`clean`, `noise`, `robust` and `robust_8bit` are in [0, 1] after the decide rule. `clean_select`, `noise_select`, `select` and
`robust_8bit_select` are shares of other draws: what is chosen by these is valued by those.
`zero_gradients` counts the queries that were answered with a zero gradient, `zero_at_start` says whether the first one was,
`passed_by` whether the attack saw the sample fooled and gave it back unfooled."""

MAX_BYTES = 4 * 2**30


def encode(columns: Mapping[str, Any]) -> bytes:
    """The samples as Parquet; arguments as for `table_of`."""
    sink = io.BytesIO()
    pq.write_table(table_of(columns), sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()


def table_of(columns: Mapping[str, Any]) -> pa.Table:
    """The samples as a table of the schema.

    Args:
        columns: an array [n] for each column of the schema; [n, draws] for the predictions. Columns that may
            be null may be missing; `outcome` is derived from `robust` if it is missing.
    """
    robust = np.asarray(columns[column.ROBUST], dtype=np.float32)
    given = {column.OUTCOME: np.where(robust >= 0.5, "robust", "fooled"), **columns}
    if unknown := set(given) - set(SCHEMA.names):
        raise ValueError(f"no such columns of samples: {sorted(unknown)}")
    arrays = [_column(given.get(field.name), field, len(robust)) for field in SCHEMA]
    table = pa.Table.from_arrays(arrays, schema=SCHEMA)
    for name in column.SHARES:
        values = _there(table[name])
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"column {name!r} has values outside [0, 1]")
    return table


def read(path: Path, n: int) -> pa.Table:
    """Read samples that nobody vouches for.

    Args:
        path: the Parquet file.
        n: the number of samples that its record speaks of.

    Raises:
        InputError: missing, torn, too large, of another schema or length, or with values outside [0, 1].
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file, though its record is done.")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            metadata, found = file.metadata, file.schema_arrow  # every access makes the schema anew
            lacking = [field for field in SCHEMA if field.name not in found.names and field.nullable]
            if not found.equals(pa.schema([field for field in SCHEMA if field not in lacking])):
                raise InputError(f"{path}: its columns are not those of samples.")
            if metadata.num_rows != n:
                raise InputError(f"{path}: {metadata.num_rows} samples, but its record has {n}.")
            size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
            if size > MAX_BYTES:
                raise InputError(f"{path}: larger than {MAX_BYTES / 2**30:g} GiB unpacked.")
            table = file.read()
            for field in lacking:  # it was written before there was such a column
                table = table.append_column(field, pa.nulls(len(table), field.type))
            table = table.select(SCHEMA.names)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:  # pyarrow answers torn files with any
        raise InputError(f"{path}: unreadable: {' '.join(str(error).split())[:200]}") from None
    table = table.replace_schema_metadata(None)
    _check(table, path)
    return table


def numbers(table: pa.Table, name: str) -> np.ndarray:
    """A column of numbers as an array [n], NaN where there is none."""
    return _array(table[name].combine_chunks())


def predictions(table: pa.Table, name: str) -> np.ndarray:
    """A column of predictions as int32 [n, draws]."""
    lists = table[name].combine_chunks()
    return _array(_flat(lists)).reshape(len(table), -1) if len(table) else np.zeros((0, 1), np.int32)


def _array(values: pa.Array) -> np.ndarray:
    """What `to_numpy` gives, which imports pandas: longer than a small table takes."""
    if values.null_count or not len(values):
        array: np.ndarray = values.to_numpy(zero_copy_only=False)
        return array
    dtype = np.dtype(values.type.to_pandas_dtype())
    return np.frombuffer(values.buffers()[1], dtype, len(values), values.offset * dtype.itemsize)


def _flat(lists: pa.ListArray) -> pa.Array:
    """The elements of lists of which none is null. `flatten` imports what takes longer than to read a small file."""
    offsets = _array(lists.offsets)
    return lists.values.slice(offsets[0], offsets[-1] - offsets[0])


def _there(values: pa.ChunkedArray) -> np.ndarray:
    """The values that are not null; `drop_null`, slow to import, only where some are."""
    if values.null_count == len(values):
        return np.zeros(0)
    return _array((values.drop_null() if values.null_count else values).combine_chunks())


def _column(values: Any, field: pa.Field, n: int) -> pa.Array:
    if values is None:
        if not field.nullable:
            raise ValueError(f"column {field.name!r} is missing")
        return pa.nulls(n, field.type)
    array = np.asarray(values)
    if len(array) != n:
        raise ValueError(f"column {field.name!r} has {len(array)} values for {n} samples")
    if not pa.types.is_list(field.type):
        return pa.array(array.tolist() if array.dtype.kind in "OU" else array, field.type)
    if array.ndim != 2:
        raise ValueError(f"column {field.name!r} must be [samples, draws]")
    offsets = np.arange(n + 1, dtype=np.int32) * np.int32(array.shape[1])
    return pa.ListArray.from_arrays(offsets, pa.array(array.astype(np.int32).ravel()), type=field.type)


def _check(table: pa.Table, path: Path) -> None:
    for field in SCHEMA:
        if not field.nullable and table[field.name].null_count:
            raise InputError(f"{path}: {field.name}: has nulls.")
    for name in column.SHARES:
        values = _there(table[name])
        if not ((values >= 0) & (values <= 1)).all():
            raise InputError(f"{path}: {name}: has values outside [0, 1].")
    for name in column.PREDICTIONS:
        lists = table[name].combine_chunks()
        if lists.null_count == len(lists):
            continue
        lengths = np.diff(_array(lists.offsets))
        if len(lengths) and (
            lists.null_count or lengths[0] == 0 or (lengths != lengths[0]).any() or _flat(lists).null_count
        ):
            raise InputError(f"{path}: {name}: not the same number of draws for every sample.")
    if len(np.unique(numbers(table, column.SAMPLE))) != len(table):
        raise InputError(f"{path}: sample: an id comes twice.")


def check_decided(table: pa.Table, path: Path) -> None:
    """Refuse samples that are neither right nor wrong, where one draw or a decision left nothing in between."""
    for name in column.DRAWS_OF:
        values = _there(table[name])
        if not np.isin(values, (0.0, 1.0)).all():
            raise InputError(f"{path}: {name}: has values between 0 and 1 though each is right or wrong.")
