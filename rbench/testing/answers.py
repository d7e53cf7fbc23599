"""What a purifier or backbone answers: its shape, type and range, and whether it is a function of image and noise alone."""

from functools import partial

import torch
from torch import Tensor

from rbench.engine.audit import Audit, audit
from rbench.engine.gradient_audit import GradientAudit, audit_gradients
from rbench.results.flags import of_cell
from rbench.results.flags.catalogue import FLAGS, threshold
from rbench.results.record import Flag
from rbench.testing.case import BALL, Case
from rbench.testing.subject import written
from rbench.testing.verdict import Verdict, judged, raised, skipped, tried

_FEW = (1, 2, 3)
"""Sizes of batches that the module itself is asked about: one image, and an odd number of them."""
_INPUT = "Let forward make new tensors; leave out x.mul_, x += and x[...] =."
_FINITE = "Look for a division by zero, and for roots and logarithms of zero."
_RETURN = "Let forward return one tensor for all images of the batch, and keep the batch as the first axis."


def first_answers(case: Case) -> list[Verdict]:
    """What must be right before anything else can be asked: shape, type, input left alone, finite numbers."""
    shape = tried("shape", _RETURN, partial(_shape, case))
    if shape.outcome == "fails":
        return [shape, *skipped(("dtype", "input", "finite"), "what fails above comes first")]
    return [
        shape,
        tried("dtype", _RETURN, partial(_dtype, case)),
        tried("input", _INPUT, partial(_input, case)),
        tried("finite", _FINITE, partial(_finite, case)),
    ]


def measured(case: Case) -> tuple[Audit, GradientAudit | None]:
    """What the engine's own audits find, as before every cell; None where that of the gradient raises.

    Raises:
        CellFailed: the model cannot be judged: it keeps state, or answers attackers otherwise than the judge.
    """
    seen, _ = audit(case.model, case.batch, case.noise, BALL, len(case.batch))
    known = {"reproducible": seen.reproducible, "same_shape": seen.global_generator or seen.batch_dependent}
    try:
        return seen, audit_gradients(case.model, case.batch, case.noise, **known)
    except Exception:  # the gradient as attacks take it is looked at all the same
        return seen, None


def steady(case: Case, seen: Audit, narrow: str | None) -> list[Verdict]:
    """What is the same whoever asks: batches of any size, the same noise again, and what the module says of its randomness.

    Args:
        case: the model.
        seen: what the audit measured.
        narrow: the 16-bit type that it computes in; None if it does not.
    """
    return [
        tried("batches", _RETURN, partial(_batches, case, seen, narrow)),
        _determinism(seen),
        _randomness(case, seen),
    ]


def of_range(seen: Audit) -> Verdict:
    """Whether purified images are images."""
    if of_cell.out_of_range(seen.out_of_range):
        found = f"pixels lie up to {seen.out_of_range:.3g} outside [0, 1]"
        return Verdict("range", "fails", found, "End forward with `.clamp(0, 1)`.")
    return Verdict("range", "holds", "all pixels are in [0, 1], of clean images and of images under noise")


def of_logits(seen: Audit) -> Verdict:
    """Whether a backbone returns logits."""
    flags = of_cell.not_logits(seen.not_logits)
    found = f"outputs are {seen.not_logits}" if flags else f"{seen.classes} logits an image"
    return judged("logits", found, FLAGS["not-logits"].cure, holds=not flags)


def flagged(name: str, flags: list[Flag], otherwise: str, cure: str = "") -> Verdict:
    """A property that fails where the engine would raise a flag, in the words of the catalogue.

    Args:
        name: of the property.
        flags: those that were raised.
        otherwise: what is said if there are none.
        cure: another cure than that of the flag.
    """
    if not flags:
        return Verdict(name, "holds", otherwise)
    facts, value = FLAGS[flags[0].name], flags[0].value
    found = facts.meaning if value is None else f"{facts.meaning.removesuffix('.')} (here {value:.3g})."
    return Verdict(name, "fails", found, cure or facts.cure)


def _answer(case: Case, x: Tensor) -> Tensor:
    return case.checked(case.raw(x.clone()), x)


def _shape(case: Case) -> Verdict:
    x = case.batch.x
    shape = tuple(_answer(case, x).shape)
    return Verdict("shape", "holds", f"{written(tuple(x.shape))} in, {written(shape)} out")


def _dtype(case: Case) -> Verdict:
    x = case.batch.x
    returned = _answer(case, x).dtype
    if returned == x.dtype:
        return Verdict("dtype", "holds", "float32 in, float32 out")
    return Verdict(
        "dtype", "note", f"float32 in, {_word(returned)} out; rbench casts it back", "Return `.to(x.dtype)`."
    )


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _input(case: Case) -> Verdict:
    x = case.batch.x.clone()
    case.raw(x)
    left = torch.equal(x, case.batch.x)
    found = "the images that it was given are as they were" if left else "it changes the images that it was given"
    return judged("input", found, _INPUT, holds=left)


def _finite(case: Case) -> Verdict:
    for what, x in (("clean images", case.batch.x), ("images under noise", case.moved())):
        whole = torch.isfinite(_answer(case, x)).flatten(1).all(1)
        if not whole.all():
            found = f"NaN or infinite numbers for {int((~whole).sum())} of {len(x)} {what}"
            return Verdict("finite", "fails", found, _FINITE)
    return Verdict("finite", "holds", "no NaN and no infinite number")


def _batches(case: Case, seen: Audit, narrow: str | None) -> Verdict:
    few = [size for size in _FEW if size <= len(case.batch)]
    for size in few:
        x = case.batch.x[:size]
        try:
            _answer(case, x)
        except Exception as error:
            return Verdict("batches", "fails", f"a batch of {size}: {_problem(error)}", _RETURN)
    sizes = ", ".join(map(str, sorted({*few, len(case.batch)})))
    if seen.global_generator and seen.random:
        same = f"batches of {sizes} are answered; draws of a global generator differ between them, so no answers are compared"
        return Verdict("batches", "holds", same)
    if not seen.reproducible:
        return Verdict("batches", "skipped", "the same noise gives other answers, so batches cannot be compared")
    flags = of_cell.batch_dependent(seen.batch_difference, narrow)
    return flagged("batches", flags, f"an image gets the same answer in batches of {sizes} and in any order")


def _problem(error: Exception) -> str:
    return getattr(error, "problem", None) or raised(error)


def _determinism(seen: Audit) -> Verdict:
    flags = of_cell.not_reproducible(reproducible=seen.reproducible)
    return flagged("determinism", flags, "the same image and noise get the same answer")


def _randomness(case: Case, seen: Audit) -> Verdict:
    name = "randomness"
    if not case.is_purifier:
        found = "random: passes over one image differ" if seen.random else "not random, as a classifier must be"
        return judged(name, found, "Turn dropout and other noise off: `model.eval()`.", holds=not seen.random)
    flags = of_cell.randomised(seen.repeat_difference, random=seen.random, declared=seen.declared_random)
    if seen.declared_random and not seen.random:
        least = threshold("randomised", "difference")
        found = f"`stochastic = True`, but passes over one image differ by less than {least:g}"
        return Verdict(name, "note", found, "Say `stochastic = False`, if it never draws.")
    return flagged(name, flags, "random, as it says" if seen.random else "not random, as it says")
