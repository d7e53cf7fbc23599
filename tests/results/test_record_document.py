"""A record is a typed, versioned document; reading one trusts nothing in it."""

import json
import os
from contextlib import suppress

import pytest
from costs import allocated, times_as_long
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_runs import document, record
from pydantic import BaseModel, ValidationError

from rbench.errors import InputError
from rbench.results import record as module
from rbench.results.record import Cost, Flag, read_record, record_text

IGNORED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
MODELS = [m for m in vars(module).values() if isinstance(m, type) and issubclass(m, BaseModel) and m.model_fields]

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_of_a_record_is_described(model):
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name}"
        assert field.description.endswith(".")


@settings(max_examples=60, deadline=None, suppress_health_check=IGNORED)
@given(
    provenance=st.dictionaries(words, json_values, max_size=4),
    audit=st.dictionaries(words, st.none() | st.booleans() | numbers | words, max_size=4),
    seconds=st.floats(0, 1e12),
    flags=st.lists(st.builds(Flag, name=st.just("unstable"), value=st.none() | numbers, detail=words), max_size=3),
    failed=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
    purifier=words,
)
def test_a_written_record_is_read_back_equal(tmp_path, provenance, audit, seconds, flags, failed, purifier):
    made = record(
        document(purifier=purifier),
        flags=tuple(flags),
        provenance=provenance,
        audit=audit,
        failed_samples=tuple(failed),
        cost=Cost(seconds=seconds),
    )
    path = tmp_path / "record.json"
    path.write_text(record_text(made), encoding="utf-8")
    again = read_record(path)
    assert again == made
    assert record_text(again) == record_text(made)


def test_the_keys_that_others_rely_on_are_where_they_look(tmp_path):
    content = json.loads(record_text(record(document())))
    assert {"schema", "cell", "status", "dataset", "threat", "backbone", "purifier", "attack", "protocol"} <= set(
        content
    )
    assert {"cost", "flags", "provenance", "summary"} <= set(content)
    assert content["schema"] == 1
    assert set(content["summary"]["standard_accuracy"]) == {"value", "low", "high", "n"}
    assert set(content["summary"]["robust_accuracy"]) == {"value", "low", "high", "n"}
    assert content["threat"] == {"kind": "ball", "norm": "Linf", "eps_text": "8/255", "eps": 8 / 255}


def test_a_cell_that_is_not_done_has_no_figures():
    summary = record(document()).summary
    with pytest.raises(ValidationError, match="never a number"):
        record(document(), status="failed", summary=summary)
    with pytest.raises(ValidationError, match="has a summary"):
        record(document(), summary=None)


def test_a_failed_cell_says_why_in_one_line():
    made = record(document(), status="failed", error="sample 3:\n  logits are NaN")
    assert made.error == "sample 3: logits are NaN"
    with pytest.raises(ValidationError, match="says why"):
        record(document(), status="failed", error=" ")


def test_not_a_number_is_never_written():
    with pytest.raises(ValidationError):
        Cost(seconds=float("nan"))
    with pytest.raises(ValidationError, match="finite"):
        record(document(), provenance={"x": float("inf")})


def change(**changes):
    content = json.loads(record_text(record(document())))
    for path, value in changes.items():
        *parents, last = path.split("__")
        target = content
        for key in parents:
            target = target[key]
        target[last] = value
    return json.dumps(content)


VALID = record_text(record(document()))
REFUSED = {
    "empty": ("", "empty"),
    "only spaces": ("  \n", "empty"),
    "torn": (VALID[: len(VALID) // 2], "not JSON"),
    "a list": ("[1]", "not a record"),
    "no schema": ("{}", "schema"),
    "schema true": (change(schema=True), "schema"),
    "newer schema": (change(schema=7), "newer rbench (schema 7; this one reads 1). Upgrade rbench."),
    "NaN": (change(cost__seconds=float("nan")), "NaN is no number"),
    "infinity in a free field": (change(provenance={"x": float("-inf")}), "-Infinity is no number"),
    "overflowing number": (VALID.replace('"seconds": 2.0', '"seconds": 1e999'), "too large"),
    "duplicate key": (VALID.replace('"schema": 1', '"schema": 1, "schema": 1'), "'schema' appears twice"),
    "unknown key": (change(surprise=1), "surprise"),
    "number as text": (change(cost__seconds="2"), "cost.seconds"),
    "accuracy above one": (change(summary__robust_accuracy__value=1.5), "summary.robust_accuracy.value"),
    "unknown flag": (change(flags=[{"name": "nice"}]), "flags[0].name"),
    "path as id": (change(cell__id="../../etc/passwd"), "cell"),
    "cell without parts": (change(cell={"id": "abc"}), "no dataset, backbone, purifier, threat, attack, protocol"),
    "duplicate key after many": (
        json.dumps({str(i): 0 for i in range(5000)})[:-1] + ', "4999": 0}',
        "appears twice",
    ),
    "deep": ("[" * 10**6 + "]" * 10**6, "nested deeper"),
    "deep within the parser's limit": (change(provenance={"x": json.loads("[" * 70 + "]" * 70)}), "nested deeper"),
    "enormous integer": (VALID.replace('"seconds": 2.0', f'"seconds": {"9" * 5000}'), "record.json"),
    "lone surrogate": (change(error="\ud800"), "record.json"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_a_broken_record_is_refused_with_its_path_and_field(tmp_path, text, message):
    path = tmp_path / "record.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_record(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name, (text, _) in REFUSED.items() if len(text) > 5000])
def test_a_bomb_is_refused_about_as_fast_as_an_honest_record_of_its_size_is_read(tmp_path, name):
    text, _ = REFUSED[name]
    broken, honest = tmp_path / "broken.json", tmp_path / "honest.json"
    broken.write_text(text, encoding="utf-8")
    entries = max(0, len(text) - len(VALID)) // len('"12345": 0, ')
    honest.write_text(change(provenance={str(10_000 + i): 0 for i in range(entries)}), encoding="utf-8")

    def refuse():
        with suppress(InputError):
            read_record(broken)

    assert times_as_long(refuse, lambda: read_record(honest)) < 4


def test_a_record_above_the_cap_is_refused_and_not_read_whole(tmp_path):
    path = tmp_path / "big.json"
    with path.open("wb") as file:
        file.truncate(2**30)

    def refuse():
        with pytest.raises(InputError, match="larger than 16 MiB"):
            read_record(path)

    assert allocated(refuse) < 2 * 16 * 2**20


def test_what_is_no_regular_utf8_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_record(tmp_path / "none.json")
    with pytest.raises(InputError, match="not a regular file"):
        read_record(tmp_path)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(InputError, match="not a regular file"):
        read_record(tmp_path / "pipe.json")
    (tmp_path / "latin.json").write_bytes(b'{"\xe9": 1}')
    with pytest.raises(InputError, match="not UTF-8 at byte 2"):
        read_record(tmp_path / "latin.json")


def test_any_truncated_or_altered_record_is_read_or_refused_in_words(tmp_path):
    path = tmp_path / "record.json"
    data = VALID.encode()
    cases = [data[:k] for k in range(0, len(data), 23)]
    cases += [data[:k] + bytes([data[k] ^ (1 << k % 8)]) + data[k + 1 :] for k in range(0, len(data), 7)]
    for case in cases:
        path.write_bytes(case)
        with suppress(InputError):  # anything else fails the test
            read_record(path)
