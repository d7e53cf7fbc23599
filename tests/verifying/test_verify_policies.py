"""Verifying where not every example is stored, where logits are as good as tied, and where the machine works in other batches."""

import json

import numpy as np
import pytest
import torch
from forger import Forger
from small_runs import rbench, without
from torch import nn

from rbench.attacks.fgsm import fgsm
from rbench.engine.defended import DefendedModel
from rbench.engine.setup import Protocol, set_up
from rbench.results.store import RunFolder
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.verifying.again import NEAR_TIE, nearly_tied

OURS, PLAIN = without("autoattack"), without("autoattack", "gaussian-noise")


@pytest.fixture(params=[PLAIN])
def fooled(request, tmp_path):
    (tmp_path / "small.yaml").write_text(request.param + "store: {images: fooled}\n")
    assert rbench("run", tmp_path / "small.yaml", "--out", tmp_path / "run", "--set", "threat.eps=0.02") == 0
    return tmp_path / "run"


@pytest.mark.parametrize("fooled", [OURS], ids=["both"], indirect=True)
def test_where_fooled_examples_are_stored_those_are_judged_again(fooled, capsys):
    capsys.readouterr()
    assert rbench("verify", fooled, "--json", "--batch-size", "5", "--survivors", "0") == 0
    found = {cell["title"]: cell["evidence"] for cell in json.loads(capsys.readouterr().out)["cells"]}
    plain = found["bundled:fashion-cnn/identity/pgd"]
    stored = len(RunFolder(fooled).read_images(Forger(fooled, "identity/pgd").id)[1])
    assert 0 < plain["examples"] == stored < 24


def test_a_fooled_example_that_was_thrown_away_is_missed_by_a_new_attack_only(fooled, capsys):
    forger = Forger(fooled, "identity/pgd")
    rows = np.flatnonzero(forger.samples["robust"] < 0.5)
    right = forger.samples["clean_predictions"][rows, 0] == forger.samples["label"][rows]
    forger.claim(rows[right], robust=True)
    kept = ~np.isin(forger.ids, forger.samples["sample"][rows[right]])
    forger.images, forger.ids = forger.images[kept], forger.ids[kept]
    forger.agree()
    forger.write()
    forger.report()
    assert rbench("verify", fooled, "--survivors", "0") == 0
    assert rbench("verify", fooled, "--survivors", "20") == 4
    assert "survivors are fooled" in capsys.readouterr().err


class Nearly(nn.Module):
    """Ten classes; the first two are a given share of the largest logit apart."""

    def __init__(self, apart):
        super().__init__()
        self.apart = apart

    def forward(self, x):
        logits = 0 * x.flatten(1)[:, :10] - 1
        logits[:, 1] = 1
        logits[:, 0] = 1 - self.apart
        return logits


@pytest.mark.parametrize(("apart", "forgiven"), [(0.5 * NEAR_TIE, True), (2 * NEAR_TIE, False)])
def test_another_prediction_is_forgiven_only_where_two_logits_are_as_good_as_equal(apart, forgiven):
    shown = Batch(torch.rand(4, 1, 8, 8), torch.ones(4, dtype=torch.int64), torch.arange(4))
    model = DefendedModel(nn.Identity(), Nearly(apart))
    setup = set_up(model, fgsm(), Protocol(Ball("Linf", 0.1)), shown)
    assert nearly_tied(setup, shown, "score").tolist() == [forgiven] * 4
