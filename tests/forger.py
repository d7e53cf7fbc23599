"""Forging a done cell: something is changed, and everything that needs no model is made to agree with it."""

import copy
import json
from pathlib import Path

import numpy as np
import yaml

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
from rbench.suite.cell import id_of
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


class Cheat(Forger):
    """A forger who changes what is around a cell as well: the plan, the suite, the labels, the tables."""

    @property
    def root(self):
        """The run folder."""
        return self.folder.root

    def replan(self, change):
        """Change the lines of `cells.jsonl`: a function of one cell's document, which returns it, or None to take it out."""
        cells = [change(json.loads(line)) for line in (self.root / "cells.jsonl").read_text().splitlines()]
        self.folder.write_cells([cell for cell in cells if cell is not None])

    def rename(self, part, label):
        """Call a part otherwise wherever tables look."""
        self.replan(lambda cell: cell | {"labels": cell["labels"] | {part: label}})
        for path in self.folder.record_paths():
            content = json.loads(path.read_text())
            content["cell"]["labels"][part] = label
            content[part]["label"] = label
            path.write_text(json.dumps(content))
        self.record = json.loads(self.record_path.read_text())

    def say(self, change):
        """Change every record and every planned cell by one function of its document, ids made to fit, files moved with them."""
        ids = {}

        def changed(cell):
            new = change(copy.deepcopy(cell))
            content = {key: value for key, value in new.items() if key not in ("id", "labels")}
            ids[cell["id"]] = new["id"] = id_of(content)
            return new

        self.replan(changed)
        for old, new in ids.items():
            path = self.folder.record_path(old)
            content = json.loads(path.read_text())
            content["cell"] = changed(content["cell"])
            path.write_text(json.dumps(content))
            for file in self.root.glob(f"*/{old}.*"):
                file.rename(file.with_name(file.name.replace(old, new)))
        return ids

    def drop(self):
        """Take the cell out: its files, and its line in the plan."""
        for path in self.root.glob(f"*/{self.id}.*"):
            path.unlink()
        self.replan(lambda cell: None if cell["id"] == self.id else cell)

    def suite(self, change):
        """Change the suite beside the results by a function of its content."""
        path = self.root / "suite.yaml"
        content = yaml.safe_load(path.read_text())
        change(content)
        path.write_text(yaml.safe_dump(content))

    def without(self, purifier):
        """Take a purifier out of suite, plan and records, as if it had never been asked for."""

        def change(content):
            content["purifiers"] = [part for part in content["purifiers"] if part["name"] != purifier]
            content["attacks"] = [part for part in content["attacks"] if part["purifiers"] != [purifier]]

        self.suite(change)
        for path in self.folder.record_paths():
            if read_record(path).purifier.name == purifier:
                path.unlink()
        self.replan(lambda cell: None if cell["purifier"]["name"] == purifier else cell)

    def forget_examples(self, rows):
        """Leave out the examples of some samples, as `images: fooled` leaves out those of survivors."""
        kept = np.ones(len(self.ids), dtype=bool)
        kept[rows] = False
        self.images, self.ids = self.images[kept], self.ids[kept]
        self.record["images"] = "fooled"
