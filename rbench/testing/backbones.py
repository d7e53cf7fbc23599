"""The conformance check of a backbone: a frozen classifier that takes pixels in [0, 1] and returns logits."""

from torch import nn

from rbench.engine.defended import DefendedModel
from rbench.purifiers.identity import Identity
from rbench.testing.models import examined
from rbench.testing.subject import Shape, Subject
from rbench.testing.verdict import Verdict


def examine(subject: Subject) -> tuple[str, list[Verdict]]:
    """What the backbone was asked about, and a verdict on each property."""
    made = subject.made
    if not isinstance(made, nn.Module):
        found = f"it is a {type(made).__name__}, not a torch.nn.Module"
        return "nothing", [Verdict("type", "fails", found, "Return the classifier as a torch.nn.Module.")]
    mode = _mode(made)  # before it is frozen

    def defended(shape: Shape) -> DefendedModel:  # noqa: ARG001 - one classifier for all shapes
        return DefendedModel(Identity(), made, name="identity", backbone_name=subject.name)

    shown, verdicts = examined(subject, defended)
    return shown, [mode, *verdicts]


def _mode(made: nn.Module) -> Verdict:
    training = sum(part.training for part in made.modules())
    learning = sum(parameter.requires_grad for parameter in made.parameters())
    if not training and not learning:
        return Verdict("eval mode", "holds", "it comes in eval mode, no parameter asks for a gradient")
    said = [f"{training} of its modules in train mode"] * bool(training)
    said += [f"{learning} parameters that ask for gradients"] * bool(learning)
    found = f"it comes with {' and '.join(said)}; rbench freezes it"
    return Verdict("eval mode", "note", found, "Return `model.eval().requires_grad_(False)`.")
