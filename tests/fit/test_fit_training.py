import json
import signal

import pytest
import torch
from parts import refused, some
from safetensors.torch import load_file

import rbench
from rbench.engine.defended import state_hash
from rbench.errors import Interrupted
from rbench.fit import loop
from rbench.fit.data import Samples
from rbench.fit.made import Watch
from rbench.fit.recipe import Training
from rbench.fit.run import fit


def weights(fitted):
    return load_file(fitted.weights)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_a_purifier_is_trained_written_and_loaded_by_its_name(recipe, tmp_path):
    fitted = fit(recipe("purifier"), tmp_path / "out")
    purifier = rbench.load("purifier", "cropd", weights=fitted.weights)
    x = torch.rand(3, 1, 8, 8)
    assert purifier(x).shape == x.shape
    assert purifier.encode(x).norm(dim=1).tolist() == pytest.approx([6**0.5] * 3, rel=1e-5)
    assert same(purifier.state_dict(), weights(fitted))
    assert not any(p.requires_grad for p in purifier.parameters())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["tiny.json", "tiny.safetensors"]


def test_weights_of_another_objective_are_refused(recipe, tmp_path):
    fitted = fit(recipe("purifier"), tmp_path / "out")
    found = "weights trained with the objective 'adversarial-contrastive'"
    with refused(found=found, problem=some("not 'reconstruction'"), remedy="use the purifier of that objective"):
        rbench.load("purifier", "autoencoder", weights=fitted.weights)


def test_the_card_tells_all_that_made_the_weights(recipe, tmp_path):
    fitted = fit(recipe("purifier"), tmp_path / "out")
    card = json.loads((tmp_path / "out" / "tiny.json").read_text())
    assert card["recipe"]["objective"]["tau"] == 0.5  # a default
    assert card["recipe"]["dataset"]["path"] == "tiny.npz"  # a name, not a place
    assert str(tmp_path) not in (tmp_path / "out" / "tiny.json").read_text()
    assert (card["data"]["samples"], card["data"]["held_out"]) == (34, 6)
    assert [entry["epoch"] for entry in card["curve"]] == [1, 2, 3]
    assert set(card["curve"][0]["held_out"]) == {"loss", "reconstruction", "contrastive", "cosine"}
    assert card["weights"]["parameters"] == sum(t.numel() for t in weights(fitted).values())
    assert card["metrics"]["held_out.loss"] == card["curve"][-1]["held_out"]["loss"]


def test_training_lowers_the_loss_and_the_same_seed_gives_the_same_weights(recipe, tmp_path):
    long = ["training.epochs=40", "training.learning_rate=0.01"]
    a, b, c = (
        fit(recipe("purifier", *long, f"training.seed={seed}"), tmp_path / name)
        for seed, name in [(0, "a"), (0, "b"), (1, "c")]
    )
    curve = a.card.curve
    assert curve[-1]["reconstruction"] < 0.8 * curve[0]["reconstruction"]
    assert same(weights(a), weights(b))
    assert not same(weights(a), weights(c))


@pytest.mark.parametrize("kind", ["purifier", "backbone"])
def test_a_training_that_was_killed_at_any_step_ends_with_the_same_weights(recipe, tmp_path, monkeypatch, kind):
    """Killed without a chance to save: it goes on from the checkpoint before."""
    whole = fit(recipe(kind), tmp_path / "whole")
    original = loop.write_checkpoint
    written = []

    def dying(path, checkpoint):
        original(path, checkpoint)
        written.append(checkpoint.step)
        if len(written) in (2, 5, 6):
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "write_checkpoint", dying)
    monkeypatch.setattr("rbench.fit.run.Place", lambda *args: loop.Place(*args, every=0.0))
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            fit(recipe(kind), tmp_path / "killed")
    killed = fit(recipe(kind), tmp_path / "killed")
    assert same(weights(killed), weights(whole))
    assert killed.card.curve == whole.card.curve
    assert not list((tmp_path / "killed").glob("*.checkpoint.pt"))


def test_a_signal_lets_the_step_finish_and_keeps_it(recipe, tmp_path):
    whole = fit(recipe("purifier"), tmp_path / "whole")

    def stop(progress):
        if progress.step == 5:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted, match="interrupted by SIGTERM after step 5 of 12; run again to go on") as error:
        fit(recipe("purifier"), tmp_path / "stopped", watch=Watch(training=stop))
    assert error.value.exit_code == 143
    steps = []
    stopped = fit(recipe("purifier"), tmp_path / "stopped", watch=Watch(training=lambda p: steps.append(p.step)))
    assert steps == [6, 7, 8, 9, 10, 11, 12]
    assert same(weights(stopped), weights(whole))


def test_what_is_finished_is_not_trained_again_and_another_recipe_is_refused(recipe, tmp_path):
    first = fit(recipe("purifier"), tmp_path)
    again = fit(recipe("purifier"), tmp_path, watch=Watch(training=lambda p: pytest.fail("trained again")))
    assert (first.fresh, again.fresh) == (True, False)
    with refused(place=str(tmp_path / "tiny.json"), problem=some("another recipe"), remedy=some("--out")):
        fit(recipe("purifier", "objective.tau=0.4"), tmp_path)
    first.weights.write_bytes(b"other")
    with refused(place=str(first.weights), problem=some("tiny.json"), remedy="Remove both to train again"):
        fit(recipe("purifier"), tmp_path)


def test_a_checkpoint_of_another_recipe_or_of_no_recipe_is_not_gone_on_from(recipe, tmp_path):
    def stop(progress):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        fit(recipe("purifier"), tmp_path, watch=Watch(training=stop))
    place = str(tmp_path / "tiny.checkpoint.pt")
    with refused(place=place, problem=some("another recipe"), remedy=some("Remove it to start again")):
        fit(recipe("purifier", "training.learning_rate=0.1"), tmp_path)
    (tmp_path / "tiny.checkpoint.pt").write_bytes(b"no checkpoint")
    with refused(place=place, problem=some("not a checkpoint"), remedy="Remove it to start again"):
        fit(recipe("purifier"), tmp_path)


def test_a_loss_that_explodes_names_the_rate(tmp_path):
    network = torch.nn.Linear(1, 1)
    losses = iter([1.0, 2.0, float("nan")])
    task = loop.Task(network, lambda images, labels, generator: (network.weight.sum() * 0 + next(losses), {}))
    samples = Samples(torch.zeros(8, 1, 1, 1), None)
    place = loop.Place(torch.device("cpu"), tmp_path / "c.pt", "")
    training = Training(epochs=9, batch_size=2, learning_rate=0.5)
    problem, remedy = "the loss is nan at step 3", "lower the rate (now 0.5)"
    with refused(place="training.learning_rate", problem=problem, remedy=remedy):
        loop.train(task, samples, samples.part(torch.arange(0)), training, place)


def test_bf16_is_refused_without_a_gpu(recipe, tmp_path):
    with refused(place=some("training.precision"), found="bf16", remedy="Write fp32."):
        fit(recipe("purifier", "training.precision=bf16"), tmp_path, device="cpu")


def test_more_held_out_than_there_is_is_refused(recipe, tmp_path):
    with refused(place="training.held_out", found="39", problem=some("39 of 40"), remedy="hold out fewer"):
        fit(recipe("purifier", "training.held_out=39"), tmp_path)


def test_a_backbone_trained_on_pgd_examples_stands_up_better_than_before(recipe, tmp_path):
    fitted = fit(recipe("backbone", "training.epochs=12"), tmp_path)
    before = rbench.load("backbone", "bundled:fashion-cnn")
    after = rbench.load("backbone", f"file:{fitted.weights}", architecture="fashion-cnn")
    assert state_hash(before) != state_hash(after)
    data = rbench.load("dataset", "fashion-mnist-mini")
    x, y = torch.from_numpy(data.read(range(400, 600))), torch.from_numpy(data.labels[400:600])
    robust = [rbench.evaluate(b, x, y, eps=0.1, steps=10).robust_accuracy.value for b in (before, after)]
    assert robust[1] > robust[0] + 0.2
