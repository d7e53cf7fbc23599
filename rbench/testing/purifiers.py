"""The conformance check of a purifier: an image-to-image transform in front of a frozen classifier."""

from torch import nn

from rbench.engine.defended import DefendedModel
from rbench.testing.models import examined
from rbench.testing.pictures import classifier
from rbench.testing.subject import Shape, Subject
from rbench.testing.verdict import Verdict


def examine(subject: Subject) -> tuple[str, list[Verdict]]:
    """What the purifier was asked about, and a verdict on each property."""
    made = subject.made
    if not isinstance(made, nn.Module):
        found = f"it is a {type(made).__name__}, not a torch.nn.Module"
        return "nothing", [Verdict("type", "fails", found, "Derive the class from torch.nn.Module, or return one.")]

    def defended(shape: Shape) -> DefendedModel:
        return DefendedModel(made, classifier(shape), name=subject.name)

    return examined(subject, defended)
