"""Forging a done cell: something is changed, and everything that needs no model is made to agree with it."""

import json
from pathlib import Path

import numpy as np

from rbench import reports
from rbench.results.decide import decided
from rbench.results.flags import of_cell
from rbench.results.hashes import array_hash
from rbench.results.record import read_record
from rbench.results.runs import read_runs
from rbench.results.sample_columns import DECIDED, PREDICTIONS
from rbench.results.samples import predictions
from rbench.results.statistics import accuracy
from rbench.results.store import RunFolder
from rbench.results.table import table
from rbench.verifying.files import arrays_of


class Forger:
    """The files of one cell in memory.

    Attributes:
        record: the JSON of its record.
        samples: the columns of its samples.
        images: [N, C, H, W] its adversarial examples, in the order of the samples.
    """

    def __init__(self, root: Path, title: str):
        self.folder = RunFolder(root)
        for path in self.folder.record_paths():
            found = read_record(path)
            if f"{found.purifier.label}/{found.attack.label}" == title:
                self.record_path, self.id, table = path, found.id, self.folder.read_samples(found)
        self.record = json.loads(self.record_path.read_text())
        self.samples = {name: table[name].to_numpy().copy() for name in table.column_names if name not in PREDICTIONS}
        self.samples |= {name: predictions(table, name).copy() for name in PREDICTIONS}
        images, self.ids = self.folder.read_images(self.id)
        self.images = images.copy()

    def claim(self, rows, robust):
        """Let every draw of some samples be right or wrong, so that they stand or fall."""
        label = self.samples["label"][rows][:, None]
        for name in ("robust_predictions", "select_predictions", "robust_8bit_predictions"):
            self.samples[name][rows] = label if robust else (label + 1) % 10
        self.samples["robust_8bit_select"][rows] = float(robust)

    def agree(self):
        """Make values, outcomes, figures, flags and hashes follow from the predictions and the images."""
        decide, label = self.record["protocol"]["decide"], self.samples["label"]
        for kind in ("clean", "noise", "robust", "robust_8bit"):
            self.samples[kind] = decided(self.samples[f"{kind}_predictions"], label, decide)
        self.samples["select"] = decided(self.samples["select_predictions"], label, "mean")
        self.samples["outcome"] = np.where(self.samples["robust"] >= 0.5, "robust", "fooled")
        random = self.record["purifier"]["stochastic"]
        kinds = {"standard_accuracy": "clean", "noise_accuracy": "noise"}
        kinds |= {"robust_accuracy": "robust", "robust_accuracy_8bit": "robust_8bit"}
        for name, kind in kinds.items():
            right = self.samples[f"{kind}_predictions"] == label[:, None]
            self._figure(name, self.samples[kind], right if random else None)
        others = [flag for flag in self.record["flags"] if flag["name"] != "noise-wins"]
        raised = of_cell.noise_wins(self.samples["noise"], self.samples["robust"])
        self.record["flags"] = [*others, *(flag.model_dump() for flag in raised)]
        self.record["provenance"]["images_sha256"] = array_hash({"images": self.images}, ("images",))

    def write(self, *, rehash=True):
        """Write all three files; the hash of what was decided is that of the samples, unless it is what was forged."""
        self.folder.write_samples(self.id, self.samples)
        self.folder.write_images(self.id, self.images, self.ids)
        if rehash:
            table = self.folder.read_samples(read_record(self.record_path))
            self.record["result_hash"] = array_hash(arrays_of(table), DECIDED)
        self.record_path.write_text(json.dumps(self.record))

    def report(self):
        """Write the tables beside the records anew."""
        leaderboard = table(read_runs([self.folder.root]))
        reports.write(leaderboard, self.folder.root, ("md", "csv", "html"))

    def _figure(self, name, values, right):
        found = accuracy(values, right)
        self.record["summary"][name] |= {"value": found.value, "low": found.low, "high": found.high}
