"""A data set or a reporter with one fault fails the property that is about it."""

import itertools

import numpy as np
import pytest

from rbench.datasets.types import Dataset
from rbench.reports.csv import report as csv
from rbench.testing.conformance import check_made
from rbench.testing.reporters import LABEL

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 3, 5, 5), np.uint8)
LABELS = np.arange(9) % 3
CALLS = itertools.count()


def images(ids):
    return PIXELS[ids].astype(np.float32) / 255


KEPT = images(np.arange(9))


def data(read=images, labels=LABELS, **facts):
    return Dataset(labels, read, **{"provenance": {"source": "tiny"}, **facts})


FAULTS = {
    "images": lambda: data(lambda ids: PIXELS[ids]),
    "images (range)": lambda: data(lambda ids: images(ids) * 255),
    "images (black)": lambda: data(lambda ids: images(ids) / 255),
    "ids": lambda: data(chosen=np.array([4, 2, 7])),
    "read twice": lambda: data(lambda ids: np.roll(images(ids), next(CALLS) % 4, 3)),
    "read twice (handed out)": lambda: data(lambda ids: KEPT[ids] if len(ids) != 9 else KEPT),
    "order": lambda: data(lambda ids: images(np.sort(ids))),
    "one by one": lambda: data(lambda ids: images(ids) if len(ids) > 1 else images(ids) / 2),
    "different": lambda: data(lambda ids: images(np.zeros_like(ids))),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_data_set_is_found(fault):
    found = check_made("dataset", FAULTS[fault](), images=9)
    assert fault.partition(" (")[0] in found.failed, found.text()


def test_an_honest_data_set_fails_nothing_and_a_class_without_samples_is_noted():
    found = check_made("dataset", data(classes=("a", "b", "c", "d")))
    assert not found.failed, found.text()
    assert [one.property for one in found.verdicts if one.outcome == "note"] == ["classes"]
    assert check_made("dataset", []).failed == ("type",)


def text(table):
    return "".join(f"{row['purifier']}\n" for row in table.rows()) or "none\n"


def emptied(table):
    made = text(table)
    for record in table.records:
        record["purifier"] = ""
    return {"a.txt": made}


REPORTS = {
    "files": lambda table: text(table),
    "files (raises)": lambda table: {"a.txt": f"{[row['robust_accuracy'] * 100 for row in table.rows()]}"},
    "files (path)": lambda table: {"../a.txt": text(table)},
    "written": lambda table: {"a": text(table), "a/b": text(table)},
    "escapes": lambda table: {"a.html": f"<p>{text(table)}</p>"},
    "escapes (formula)": lambda table: {"a.csv": text(table)},
    "again": lambda table: {"a.txt": f"{text(table)}{next(CALLS)}\n"},
    "table": emptied,
    "no rows": lambda table: {"a.txt": text(table) if table.rows()[0] else ""},
}


@pytest.mark.parametrize("fault", REPORTS)
def test_a_fault_of_a_reporter_is_found(fault, monkeypatch):
    found = check_made("reporter", REPORTS[fault])
    assert fault.partition(" (")[0] in found.failed, found.text()


def test_an_honest_reporter_fails_nothing():
    found = check_made("reporter", csv)
    assert not found.failed, found.text()
    assert LABEL.startswith("=")
