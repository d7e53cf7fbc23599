"""Calls pyautoattack directly on the bare backbone and compares it with the committed cell, sample by sample.

    python results/autoattack_reference.py suites/cifar10-linf.yaml results/cifar10-linf --set dataset.path=cifar10-test.parquet

Nothing of rbench's engine is between the reference and the model here: only the suite's slice, seed and batch size are taken over. Writes
`autoattack-reference.json` beside the records.
"""

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import torch
from pyautoattack import AutoAttack

import rbench
from rbench.results.store import RunFolder
from rbench.running.components import order
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

parser = argparse.ArgumentParser()
parser.add_argument("suite")
parser.add_argument("folder", type=Path)
parser.add_argument("--set", action="append", default=[])
options = parser.parse_args()
logging.getLogger("auto-attack").addHandler(logging.NullHandler())

cells = plan(load_suite(options.suite, options.set)).cells
cell = next(c for c in cells if c.purifier.name == "identity" and c.attack.name == "autoattack")
dataset = rbench.load("dataset", cell.dataset.given_name, cell.dataset.given_params)
ids = order(dataset, cell.slice)
x, y = torch.from_numpy(dataset.read(ids)), torch.from_numpy(dataset.labels[ids])
model = rbench.load("backbone", cell.backbone.given_name, cell.backbone.given_params)

torch.manual_seed(12345)  # the reference seeds itself; what the generators held before must not matter
version, batch_size = cell.attack.params["version"], cell.attack.params["batch_size"]
reference = AutoAttack(model, norm=cell.threat.norm, eps=cell.threat.eps.value, seed=cell.seed, version=version)
adversarial, predicted = reference.run_standard_evaluation(x, y, batch_size=batch_size)

folder = RunFolder(options.folder)
record = folder.read_record(cell.id)
assert record is not None, f"no record of cell {cell.id}; run the suite first"
samples = folder.read_samples(record)
robust = samples["robust"].to_numpy() == 1
assert np.array_equal(samples["sample"].to_numpy(), ids)
found = {
    "cell": cell.id,
    "samples": len(ids),
    "reference_robust_accuracy": float((predicted == y).float().mean()),
    "rbench_robust_accuracy": float(robust.mean()),
    "different_verdicts": int((robust != (predicted == y).numpy()).sum()),
}
if folder.images_path(cell.id).exists():
    stored, stored_ids = folder.read_images(cell.id)
    kept = np.searchsorted(ids, stored_ids)
    found["identical_images"] = int((adversarial.numpy()[kept] == stored).all((1, 2, 3)).sum())
(options.folder / "autoattack-reference.json").write_text(json.dumps(found, indent=1) + "\n")
print(json.dumps(found, indent=1))
