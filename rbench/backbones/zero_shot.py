"""Zero-shot classifiers: an image's features beside those of a text for each class."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from rbench.backbones.named import Named
from rbench.backbones.without_classes import NoClasses
from rbench.errors import InputError

Describe = Callable[[Sequence[str]], Tensor]
"""Names of classes -> their features [classes, width], each of length 1."""
_LISTED = 5


class Cosine(nn.Module):
    """The cosine of features with those of each class, scaled.

    Args:
        texts: [classes, width], each of length 1; kept as a buffer.
        scale: what cosines are multiplied by.
        bias: what is added to them then.
    """

    texts: Tensor

    def __init__(self, texts: Tensor, scale: float, bias: float) -> None:
        super().__init__()
        self.register_buffer("texts", texts)
        self.scale, self.bias = scale, bias

    def forward(self, features: Tensor) -> Tensor:
        """Logits [B, classes] of features [B, width]."""
        return self.scale * linear(normalize(features, dim=-1), self.texts) + self.bias


class ZeroShot(nn.Module):
    """An image tower whose classes are named later, or that is given a head instead.

    Args:
        image: normalised images to features [B, width].
        width: number of features.
        describe: computes the features of classes; called once, and dropped with the text tower that it holds.
        scale: what cosines are multiplied by.
        bias: what is added to them then.
        what: the backbone, for messages.
    """

    def __init__(
        self, image: nn.Module, width: int, describe: Describe, *, scale: float, bias: float = 0.0, what: str = "it"
    ) -> None:
        super().__init__()
        self.image = image
        remedy = (
            "write class_names: [...], one for each label, take a data set that names its classes, or give it a head"
        )
        self.classifier: nn.Module = NoClasses(width, what, remedy)
        self.describe: Describe | None = describe
        self.scale, self.bias, self.what = scale, bias, what

    def name_classes(self, names: Sequence[str], source: str) -> None:
        """Makes it a classifier of these classes, in their order; the first time counts.

        Args:
            names: of the classes, as prompts say them: underscores are read as spaces.
            source: who names them, for messages.

        Raises:
            InputError: two classes have one name.
        """
        if self.describe is None or not names:
            return
        said = [" ".join(name.replace("_", " ").split()) for name in names]
        if twice := sorted({name for name in said if said.count(name) > 1}):
            shown = ", ".join(repr(name[:60]) for name in twice[:_LISTED])
            remedy = "write class_names, one for each label"
            raise InputError(f"two classes of {source} have one name", place="backbone", found=shown, remedy=remedy)
        self.classifier = Cosine(self.describe(said), self.scale, self.bias).train(self.training)
        self.describe = None

    def forward(self, x: Tensor) -> Tensor:
        """Logits, once the classes are named."""
        logits: Tensor = self.classifier(self.image(x))
        return logits


def zero_shot_in(backbone: nn.Module) -> ZeroShot | None:
    """The part of a backbone whose classes can be named; None if there is none, or a head has taken its place."""
    found = [part for part in backbone.modules() if isinstance(part, ZeroShot)]
    if len(found) != 1 or not isinstance(found[0].classifier, NoClasses):
        return None
    return (
        None if found[0].classifier._forward_pre_hooks else found[0]
    )  # a head that takes over where the classifier stands


def named_by_suite(backbone: nn.Module) -> nn.Module:
    """A backbone whose `class_names` are, if it is a zero-shot one, the texts of its classes and no names of logits that it has."""
    if not isinstance(backbone, Named):
        return backbone
    waiting = zero_shot_in(backbone.network)
    if waiting is None:
        return backbone
    waiting.name_classes(backbone.names, "class_names")
    return backbone.network
