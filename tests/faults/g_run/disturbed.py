"""What is asked of a run folder that was disturbed."""

from small_runs import litter, outcome, records

SUITE = """\
suite: tiny
dataset: {name: fashion-mnist-mini, samples: 6}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
purifiers: [identity]
attacks: [noise, {name: fgsm, gradient: exact}]
"""
FGSM = "identity/fgsm"
SAMPLES = 12
"""Of both cells together."""
MOST = 4
"""Samples of the largest chunk: the first of a cell has two of them, later ones grow while they are soon done."""


def samples_of(names):
    """How many samples chunks have."""
    ends = [name.rpartition("/")[2].split("-") for name in names]
    return sum(int(stop) - int(start) for start, stop in ends)


def same(root, whole):
    assert outcome(root) == outcome(whole)
    assert litter(root) == []


def hashes(root):
    return {title: one.result_hash for title, one in records(root).items()}


def id_of(root, title=FGSM):
    return records(root)[title].id
