"""Spans grow while they are soon done; what they give does not depend on it."""

from small_runs import rbench, records

from rbench.results.store import RunFolder
from rbench.running import runner

SUITE = """\
suite: spans
dataset: {name: fashion-mnist-mini, samples: 60}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
attacks: [{name: pgd, steps: 2}]
"""


def spans_of(root, suite, monkeypatch):
    found, write = [], RunFolder.write_chunk
    monkeypatch.setattr(RunFolder, "write_chunk", lambda self, *chunk: found.append(chunk[1:3]) or write(self, *chunk))
    assert rbench("run", suite, "--out", root, "--batch-size", 4, "--workers", 1) == 0
    monkeypatch.setattr(RunFolder, "write_chunk", write)
    return found


def test_spans_grow_while_they_are_soon_done(tmp_path, monkeypatch):
    suite = tmp_path / "spans.yaml"
    suite.write_text(SUITE)
    grown = spans_of(tmp_path / "grown", suite, monkeypatch)
    sizes = [stop - start for start, stop in grown]
    assert sizes[:2] == [8, 16]
    assert sum(sizes) == 60
    monkeypatch.setattr(runner, "SOON", 0)
    assert {stop - start for start, stop in spans_of(tmp_path / "even", suite, monkeypatch)} == {8, 4}
    hashes = [[one.result_hash for one in records(tmp_path / name).values()] for name in ("grown", "even")]
    assert hashes[0] == hashes[1]


def test_images_of_a_span_have_their_bounds(tmp_path, monkeypatch):
    suite = tmp_path / "spans.yaml"
    suite.write_text(SUITE)
    monkeypatch.setattr(runner, "SPAN_BYTES", 4 * 28 * 28 * 11)
    assert {stop - start for start, stop in spans_of(tmp_path / "few", suite, monkeypatch)} == {8, 4}
