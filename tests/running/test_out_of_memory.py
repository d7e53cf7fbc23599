"""A device with too little memory: smaller batches, the same results."""

import pytest
from small_runs import outcome, rbench, records

HUNGRY = '''
import torch

class Hungry(torch.nn.Module):
    """The images as they are, if they are few."""

    def __init__(self, *, most: int = 1000):
        super().__init__()
        self.most = most

    def forward(self, x):
        if len(x) > self.most:
            raise torch.OutOfMemoryError(f"no room for {len(x)} images")
        return x
'''
SUITE = """\
suite: hungry
dataset: {{name: fashion-mnist-mini, samples: 24}}
threat: {{norm: Linf, eps: 0.05}}
backbones: [bundled:fashion-cnn]
purifiers: [{{name: hungry, most: {most}}}]
attacks: [{{name: pgd, steps: 5}}]
"""


@pytest.fixture
def run(plugins, tmp_path, capsys):
    plugins.add("hungry", {"hungry": HUNGRY}, {"rbench.purifiers": {"hungry": "hungry:Hungry"}})

    def ran(most, *arguments):
        suite = tmp_path / f"most{most}.yaml"
        suite.write_text(SUITE.format(most=most))
        code = rbench("run", suite, "--out", tmp_path / str(most), *arguments)
        return code, capsys.readouterr().err

    return ran


def test_memory_that_runs_out_halves_the_batch_and_changes_no_verdict(run, tmp_path):
    assert run(1000, "--batch-size", 16)[0] == 0
    code, err = run(17, "--batch-size", 64)
    assert code == 0, err
    assert "out of memory with batches of 64; it goes on with batches of 32" in err
    assert "it goes on with batches of 16" in err
    assert "batches of 8" not in err
    few, many = (records(tmp_path / name)["hungry/pgd"] for name in ("17", "1000"))
    assert few.result_hash == many.result_hash
    assert few.provenance["batch_size"] == 16


def test_a_model_for_which_there_is_never_room_fails_its_cell(run, tmp_path):
    code, err = run(1, "--batch-size", 4)
    assert code == 1
    record = records(tmp_path / "1")["hungry/pgd"]
    assert record.status == "failed"
    assert "out of memory" in record.error
    assert "Traceback" not in err
    assert outcome(tmp_path / "1")
