"""Rows that are judged side by side, in processes of their own, get the verdicts that they get one after the other."""

import json

import pytest
from small_runs import SHORT, rbench, verify

from rbench.results.store import RunFolder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("apart")
    (root / "small.yaml").write_text(SHORT)
    assert rbench("run", root / "small.yaml", "--out", root / "run") == 0
    return root / "run"


def said(found):
    """What was found, without times, whatever the rank of a row."""
    cells = sorted(json.loads(json.dumps(found["cells"])), key=lambda cell: cell["cell"])
    for cell in cells:
        (cell["evidence"] or {}).pop("provenance", None)
        for part in (cell["evidence"] or {}, (cell["evidence"] or {}).get("reattack") or {}):
            part.pop("seconds", None)
    return cells, found["notes"]


def test_two_workers_find_what_one_finds(made, capsys):
    one, two = (verify(made, capsys, "--survivors", "4", "--workers", count)[1] for count in ("1", "2"))
    assert all(cell["evidence"] for cell in one["cells"])
    assert said(one) == said(two)


def test_a_fault_is_found_in_another_process_too(made, capsys):
    folder = RunFolder(made)
    path = folder.images_path(next(iter(made.glob("records/*"))).stem)
    images, ids = folder.read_images(path.stem)
    before = path.read_bytes()
    try:
        folder.write_images(path.stem, images[::-1].copy(), ids)
        code, found, err = verify(made, capsys, "--survivors", "0", "--workers", "2")
    finally:
        path.write_bytes(before)
    assert code == 4
    assert [cell["cell"] for cell in found["cells"] if cell["faults"]] == [path.stem]
    assert "FAILED" in err
