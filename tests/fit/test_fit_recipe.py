import pytest
from parts import refused, some

from rbench.fit.load import load_recipe

CONTRASTIVE = "objective 'adversarial-contrastive'"


@pytest.mark.parametrize(
    ("old", "new", "place", "parts"),
    [
        (
            "train: purifier",
            "train: purify",
            ":3:8: train",
            {"found": "'purify'", "remedy": "Did you mean 'purifier'?"},
        ),
        ("train: purifier\n", "", ":2:1: train", {"remedy": "Say what is trained: purifier, head, backbone."}),
        ("epochs: 3", "epoch: 3", ": training.epoch", {"remedy": "Did you mean 'epochs'?"}),
        ("epochs: 3", "epochs: 0", ": training.epochs", {"found": "0"}),
        (
            "lam: 5",
            "lambda: 5",
            ": objective.lambda",
            {"component": CONTRASTIVE, "remedy": some("Did you mean 'lam'?")},
        ),
        ("lam: 5", "lam: -1", ": objective.lam", {"component": CONTRASTIVE, "found": "-1"}),
        ("adversarial-contrastive", "contrastive", ": objective.name", {"component": "objective 'contrastive'"}),
        ("autoencoder", "autoencodr", ": network.name", {"text": some("Close: autoencoder")}),
        ("recipe: tiny", "recipe: Tiny Thing", ": recipe", {"found": "the text 'Tiny Thing'"}),
        ("network:", "net:", ": net", {"remedy": "Did you mean 'network'?"}),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said_with_its_place(write, old, new, place, parts):
    path = write()
    path.write_text(path.read_text().replace(old, new))
    with refused(**parts) as caught:
        load_recipe(path)
    assert caught.value.place.startswith(f"{path}:")
    assert caught.value.place.endswith(place)


@pytest.mark.parametrize("text", ["", "[1, 2]", "just words"])
def test_a_file_that_is_no_map_is_refused(write, text):
    path = write()
    path.write_text(text)
    with refused(place=f"{path}:1:1", problem=some("a map with recipe, dataset")):
        load_recipe(path)


def test_missing_data_is_said_with_its_place_before_anything_is_trained(write):
    bound = load_recipe(write(), ["dataset.path=nowhere.npz"])
    with refused(component="dataset 'npz'", place=some(": dataset.path"), problem=some("nowhere.npz")):
        bound.resolved()


@pytest.mark.parametrize("key", ["backbone", "head"])
def test_a_purifier_recipe_cannot_name_a_backbone_or_a_head(recipe, key):
    with refused(place=some(f": {key}"), problem=some("without access to any backbone"), remedy="Remove it."):
        recipe("purifier", f"{key}=bundled:fashion-cnn")
