"""All properties that purifiers and backbones share, looked at one after the other."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from rbench.engine.defended import DefendedModel
from rbench.errors import CellFailed, InputError
from rbench.testing.answers import first_answers, measured, of_logits, of_range, steady
from rbench.testing.case import Case
from rbench.testing.gradients import of_gradient, of_hooks
from rbench.testing.machine import cost, in_float64, left_alone, on_any_device
from rbench.testing.pictures import SHAPES, fitting, pictures
from rbench.testing.subject import Shape, Subject, written
from rbench.testing.verdict import Verdict, fails, refused, skipped, tried

_LATER = ("state", "batches", "determinism", "randomness", "gradient", "float64", "device")
_SIZES: tuple[Shape, ...] = (*SHAPES[:2], (3, 33, 47))
_SAME = "Let the answer be a function of image and noise alone: no counters, no caches, no questions about who asks."
_FIRST = "what fails above comes first"

Defended = Callable[[Shape], DefendedModel]
"""The defended model that a component is part of, for images of a shape."""


def examined(subject: Subject, defended: Defended) -> tuple[str, list[Verdict]]:
    """What was asked, in words, and the verdicts.

    Args:
        subject: a purifier or a backbone.
        defended: puts it into a defended model.
    """
    shape = fitting(subject.shape, lambda one: _ask(subject, defended, one))
    if isinstance(shape, dict):
        return f"images of {' or '.join(map(written, shape))}", [_refusal(shape)]
    case = Case.of(subject, defended(shape), shape)
    with left_alone(case) as later:
        verdicts = list(_verdicts(case))
    return f"{subject.images} images of {written(shape)}", [*verdicts, *later, _sizes(subject, defended, shape)]


def _ask(subject: Subject, defended: Defended, shape: Shape) -> tuple[int, ...]:
    """The shape of what it returns for two images, which need not be right."""
    case = Case.of(subject, defended(shape), shape)
    returned = case.raw(pictures(2, shape))
    return tuple(getattr(returned, "shape", ()))


def _refusal(raised: dict[Shape, BaseException]) -> Verdict:
    """No shape was taken: what was said of colour images of the usual size, or of the shape that was asked for."""
    shape, error = list(raised.items())[min(1, len(raised) - 1)]
    verdict = refused("shape", "Give the shape that it takes: --shape 3x64x64.", error)
    return Verdict("shape", "fails", f"{written(shape)}: {verdict.found}", verdict.cure)


def _verdicts(case: Case) -> Iterator[Verdict]:
    first = first_answers(case)
    yield from first
    if fails(first):
        yield from skipped(_LATER, _FIRST)
        return
    try:
        case = case.labelled()
        seen, gradients = measured(case)
    except (CellFailed, InputError) as error:
        yield Verdict("state", "fails", error.problem, error.remedy or _SAME)
        yield from skipped(_LATER[1:], _FIRST)
        return
    except Exception as error:
        yield refused("state", _SAME, error)
        yield from skipped(_LATER[1:], _FIRST)
        return
    yield of_range(seen) if case.is_purifier else of_logits(seen)
    yield from steady(case, seen, gradients.low_precision if gradients else None)
    yield Verdict(
        "state", "holds", "asked again after other images, with gradients on and off, it gives the same answer"
    )
    yield from of_gradient(case, seen, gradients, case.subject.declared)
    yield from of_hooks(case) if case.is_purifier else ()
    yield in_float64(case, seen)
    yield on_any_device(case)
    yield tried("cost", "", partial(cost, case))


def _sizes(subject: Subject, defended: Defended, shape: Shape) -> Verdict:
    """Which other sizes are taken: a fixed one is no fault. A purifier that is shown its classifier was shown another one then."""
    taken, changed = [shape], list[Shape]()
    for other in _SIZES:
        if other == shape:
            continue
        with suppress(Exception):
            returned = _ask(subject, defended, other)
            kept = subject.kind != "purifier" or returned == (2, *other)
            (taken if kept else changed).append(other)
    found = f"takes {', '.join(map(written, taken))}"
    if not changed:
        return Verdict("sizes", "measured", found)
    cure = "Pad to a size that it takes and cut the padding off again."
    return Verdict("sizes", "note", f"{found}; returns another size for {', '.join(map(written, changed))}", cure)
