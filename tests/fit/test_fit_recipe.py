import pytest

from rbench.errors import InputError
from rbench.fit.load import load_recipe


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("train: purifier", "train: purify", r"recipe\.yaml:3:8: train: found 'purify'\. Did you mean 'purifier'\?"),
        (
            "train: purifier\n",
            "",
            r"recipe\.yaml:2:1: train: missing\. Say what is trained: purifier, head, backbone\.",
        ),
        ("epochs: 3", "epoch: 3", r"training\.epoch: no such key\. Did you mean 'epochs'\?"),
        ("epochs: 3", "epochs: 0", r"training\.epochs: .*0"),
        (
            "lam: 5",
            "lambda: 5",
            r"objective\.lambda: no such parameter of 'adversarial-contrastive'\. Did you mean 'lam'\?",
        ),
        ("lam: 5", "lam: -1", r"objective\.lam: .*-1"),
        ("adversarial-contrastive", "contrastive", r"objective\.name: unknown objective 'contrastive'"),
        ("autoencoder", "autoencodr", r"network\.name: unknown network 'autoencodr'\. Close: autoencoder"),
        ("recipe: tiny", "recipe: Tiny Thing", r"recipe: found the text 'Tiny Thing'\. Name of the recipe"),
        ("network:", "net:", r"net: no such key\. Did you mean 'network'\?"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said_in_one_line_with_its_place(write, old, new, message):
    path = write()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=message) as error:
        load_recipe(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[1, 2]", "just words"])
def test_a_file_that_is_no_map_is_refused(write, text):
    path = write()
    path.write_text(text)
    with pytest.raises(InputError, match=r"1:1: found .*, expected a map with recipe, dataset"):
        load_recipe(path)


def test_missing_data_is_said_with_its_place_before_anything_is_trained(write):
    bound = load_recipe(write(), ["dataset.path=nowhere.npz"])
    with pytest.raises(InputError, match=r"dataset\.path: .*nowhere\.npz"):
        bound.resolved()


@pytest.mark.parametrize("key", ["backbone", "head"])
def test_a_purifier_recipe_cannot_name_a_backbone_or_a_head(recipe, key):
    with pytest.raises(InputError, match=rf"{key}: a purifier is trained without access to any backbone or label"):
        recipe("purifier", f"{key}=bundled:fashion-cnn")
