"""What a run folder gives back is what was put in; what is broken is dropped or refused, in words."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_runs import columns, document, record

from rbench.errors import InputError
from rbench.results import samples
from rbench.results.store import RunFolder

ARRAYS = {
    "images": np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 2, 2),
    "correct": np.array([[True, False], [True, True]]),
    "queries": np.array([3, 4], np.int32),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "none": np.zeros((2, 0), np.int64),
}


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run")


def test_chunks_come_back_in_order_with_their_arrays_and_meta(folder):
    folder.write_chunk("abc", 10, 12, ARRAYS, {"seconds": 1.5, "ä": [None, {"x": "y"}]})
    folder.write_chunk("abc", 2, 10, {"x": np.zeros(8)}, {})
    (first, second), notes = folder.read_chunks("abc")
    assert not notes
    assert (first.start, first.stop, second.start, second.stop) == (2, 10, 10, 12)
    assert second.meta == {"seconds": 1.5, "ä": [None, {"x": "y"}]}
    assert set(second.arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert second.arrays[name].dtype == array.dtype
        assert np.array_equal(second.arrays[name], array)


def test_equal_chunks_are_equal_bytes(folder):
    folder.write_chunk("abc", 0, 2, ARRAYS, {"b": 1, "a": 2})
    first = (folder.chunks_path("abc") / "0-2.safetensors").read_bytes()
    folder.write_chunk("abc", 0, 2, dict(reversed(ARRAYS.items())), {"a": 2, "b": 1})
    assert (folder.chunks_path("abc") / "0-2.safetensors").read_bytes() == first


def test_a_chunk_torn_at_any_byte_is_dropped_with_a_note(folder):
    folder.write_chunk("abc", 0, 2, {"x": np.arange(2.0)}, {})
    folder.write_chunk("abc", 2, 4, {"x": np.arange(2.0)}, {"seconds": 1})
    path = folder.chunks_path("abc") / "2-4.safetensors"
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        chunks, notes = folder.read_chunks("abc")
        assert [chunk.start for chunk in chunks] == [0]
        assert len(notes) == 1
        assert str(path) in notes[0]
        assert "dropped" in notes[0]


def test_a_chunk_with_any_flipped_bit_is_dropped_or_unchanged(folder):
    folder.write_chunk("abc", 0, 2, {"x": np.arange(2.0)}, {"seconds": 1})
    path = folder.chunks_path("abc") / "0-2.safetensors"
    whole = path.read_bytes()
    (good,), _ = folder.read_chunks("abc")
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        chunks, notes = folder.read_chunks("abc")
        assert len(chunks) + len(notes) == 1
        for chunk in chunks:  # a bit of the padding, say
            assert (chunk.start, chunk.stop, chunk.meta) == (0, 2, good.meta)
            assert np.array_equal(chunk.arrays["x"], good.arrays["x"])


def test_chunks_of_another_cell_or_under_another_name_or_overlapping_are_dropped(folder):
    folder.write_chunk("abc", 0, 2, {"x": np.zeros(2)}, {})
    folder.write_chunk("abc", 1, 3, {"x": np.zeros(2)}, {})
    whole = (folder.chunks_path("abc") / "0-2.safetensors").read_bytes()
    (folder.chunks_path("abc") / "7-9.safetensors").write_bytes(whole)
    folder.write_chunk("other", 3, 4, {"x": np.zeros(2)}, {})
    strange = (folder.chunks_path("other") / "3-4.safetensors").read_bytes()
    (folder.chunks_path("abc") / "3-4.safetensors").write_bytes(strange)
    chunks, notes = folder.read_chunks("abc")
    assert [chunk.start for chunk in chunks] == [0]
    text = "\n".join(notes)
    assert "overlaps" in text
    assert "belongs to cell 'other'" in text
    assert "its name does not fit" in text


def test_dropped_chunks_are_gone(folder):
    folder.write_chunk("abc", 0, 2, ARRAYS, {})
    folder.drop_chunks("abc")
    folder.drop_chunks("abc")
    assert folder.read_chunks("abc") == ([], [])
    assert not folder.chunks_path("abc").exists()


@pytest.mark.parametrize("cell_id", ["../x", "a/b", "", ".", "A", "a.b", "x" * 65, "a\n", "-a", "ä"])
def test_an_id_that_is_no_word_never_becomes_a_path(folder, cell_id):
    for path in (folder.record_path, folder.samples_path, folder.images_path, folder.chunks_path):
        with pytest.raises(InputError, match="cell id"):
            path(cell_id)


def test_samples_come_back_as_they_were_written(folder):
    cell = document(samples=3)
    written = columns([[1, 0], [1, 1], [0, 0]], [[0, 0], [1, 1], [0, 1]], clean_select=[[1, 1], [1, 1], [0, 0]])
    written |= {"distance": np.array([0.1, 1 / 3, np.pi]), "loss_last": np.array([1.0, 2.0, np.nan])}
    folder.finish(record(cell), written)
    table = folder.read_samples(folder.read_record(cell["id"]))
    assert table.schema.equals(samples.SCHEMA)
    assert table["distance"].to_pylist() == written["distance"].tolist()
    assert table["clean"].to_pylist() == [0.5, 1.0, 0.0]
    assert table["clean_select"].to_pylist() == [1.0, 1.0, 0.0]
    assert table["outcome"].to_pylist() == ["fooled", "robust", "robust"]
    assert table["robust_8bit"].null_count == 3
    assert np.array_equal(samples.predictions(table, "robust_predictions"), written["robust_predictions"])


def test_the_same_samples_are_the_same_bytes():
    written = columns([1, 0, 1], [0, 0, 1])
    assert samples.encode(written) == samples.encode(dict(reversed(written.items())))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"robust": [0.0, 1.5]}, "outside"),
        ({"robust": [0.0, float("nan")]}, "outside"),
        ({"clean": [1.0]}, "1 values for 2 samples"),
        ({"clean": None}, "'clean' is missing"),
        ({"robust_predictions": [1, 2]}, r"must be \[samples, draws\]"),
        ({"surprise": [1, 2]}, "no such columns"),
    ],
)
def test_samples_that_break_the_schema_are_not_written(changes, message):
    with pytest.raises(ValueError, match=message):
        samples.encode({**columns([1, 1], [0, 1]), **changes})


def altered(table, name, values):
    index = table.schema.get_field_index(name)
    return table.set_column(index, table.schema.field(name), pa.array(values, table.schema.field(name).type))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda table: table.drop(["noise"]), "columns are not those"),
        (lambda table: table.slice(0, 2), "2 samples, but its record has 3"),
        (lambda table: altered(table, "robust", [0.0, 2.0, 1.0]), "robust: has values outside"),
        (lambda table: altered(table, "robust", [0.0, float("nan"), 1.0]), "robust: has values outside"),
        (lambda table: altered(table, "sample", [0, 1, 1]), "an id comes twice"),
        (lambda table: altered(table, "robust_predictions", [[1], [1, 2], [1]]), "number of draws"),
        (lambda table: altered(table, "clean_predictions", [[], [], []]), "number of draws"),
    ],
)
def test_samples_that_nobody_vouches_for_are_checked(folder, spoil, message):
    cell = document(samples=3)
    made = record(cell)
    folder.finish(made, columns([1, 1, 1], [0, 1, 1]))
    path = folder.samples_path(made.id)
    pq.write_table(spoil(pq.read_table(path)), path)
    with pytest.raises(InputError, match=message) as caught:
        folder.read_samples(made)
    assert str(path) in str(caught.value)


def test_any_torn_or_altered_samples_are_refused_in_words_or_read(folder):
    made = record(document(samples=3))
    folder.finish(made, columns([1, 1, 1], [0, 1, 1]))
    path = folder.samples_path(made.id)
    whole = path.read_bytes()
    cases = [whole[:size] for size in range(0, len(whole), 41)]
    cases += [whole[:k] + bytes([whole[k] ^ (1 << k % 8)]) + whole[k + 1 :] for k in range(0, len(whole), 17)]
    refused = 0
    for case in cases:
        path.write_bytes(case)
        try:
            folder.read_samples(made)
        except InputError:
            refused += 1
    assert refused >= len(whole) // 41


def test_adversarial_examples_come_back_bit_for_bit(folder):
    images = np.random.default_rng(0).random((3, 1, 4, 4), dtype=np.float32)
    folder.write_images("abc", images, np.array([5, 2, 9]))
    again, ids = folder.read_images("abc")
    assert np.array_equal(again, images)
    assert ids.tolist() == [5, 2, 9]


def test_no_adversarial_examples_is_a_valid_answer(folder):
    folder.write_images("abc", np.zeros((0, 1, 4, 4), np.float32), np.zeros(0, np.int64))
    assert folder.read_images("abc")[0].shape == (0, 1, 4, 4)


def test_adversarial_examples_must_fit_their_ids(folder):
    with pytest.raises(ValueError, match="do not fit"):
        folder.write_images("abc", np.zeros((3, 1, 4, 4), np.float32), np.array([1, 2]))
    with pytest.raises(ValueError, match="do not fit"):
        folder.write_images("abc", np.zeros((3, 1, 4, 4)), np.array([1, 2, 3]))
    with pytest.raises(InputError, match="no such file"):
        folder.read_images("abc")
    folder.images_path("abc").write_bytes(b"\xff" * 100)
    with pytest.raises(InputError, match="no adversarial examples"):
        folder.read_images("abc")


def test_a_record_in_the_place_of_another_is_refused(folder):
    made = record(document())
    folder.write_record(made)
    folder.record_path(made.id).rename(folder.record_path("abc"))
    assert folder.read_record(made.id) is None
    with pytest.raises(InputError, match="belongs to another cell"):
        folder.read_record("abc")


def test_a_failed_cell_keeps_its_chunks(folder):
    cell = document()
    folder.write_chunk(cell["id"], 0, 2, ARRAYS, {})
    folder.finish(record(cell, status="failed"))
    assert len(folder.read_chunks(cell["id"])[0]) == 1


def test_the_plan_comes_back_in_its_order(folder):
    assert folder.read_cells() is None
    cells = [document(name) for name in ("pgd", "fgsm", "a\u2028b")]
    folder.write_cells(cells)
    assert folder.read_cells() == cells
    (folder.root / "cells.jsonl").write_text('{"id": "abc"}\n')
    with pytest.raises(InputError, match=r"cells.jsonl:1: not a resolved cell"):
        folder.read_cells()
