"""What trains a purifier can see images and nothing else."""

import numpy as np
import torch

from rbench.fit.run import fit
from rbench.fit.tasks import purifier_task


def test_the_weights_of_a_purifier_do_not_depend_on_the_labels(recipe, tmp_path, data):
    first = fit(recipe("purifier"), tmp_path / "a").card
    arrays = dict(np.load(data))
    np.savez(data, images=arrays["images"], labels=(arrays["labels"] * 7 + 3) % 11)
    second = fit(recipe("purifier"), tmp_path / "b").card
    assert first.files != second.files
    assert first.weights.sha256 == second.weights.sha256
    assert first.data.sha256 == second.data.sha256


def test_an_objective_is_called_with_a_network_images_and_a_generator_alone(recipe, tmp_path, monkeypatch):
    seen = []

    def spying(network, objective):
        def spy(*arguments, **more):
            seen.append((arguments, more))
            return objective(*arguments, **more)

        return purifier_task(network, spy)

    monkeypatch.setattr("rbench.fit.made.purifier_task", spying)
    fit(recipe("purifier"), tmp_path)
    assert seen
    for arguments, more in seen:
        assert [type(a).__name__ for a in arguments] == ["Autoencoder", "Tensor", "Generator"]
        assert arguments[1].dtype == torch.float32
        assert not more


def test_training_a_purifier_loads_no_backbone(recipe, tmp_path, monkeypatch):
    import rbench.registry

    kinds = []
    original = rbench.registry.Bound.make
    monkeypatch.setattr(
        rbench.registry.Bound, "make", lambda bound: (kinds.append(bound.component.kind), original(bound))[1]
    )
    fit(recipe("purifier"), tmp_path)
    assert sorted(kinds) == ["dataset", "network", "objective"]
