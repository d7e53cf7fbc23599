"""The conformance check of an attack: it stays in the ball, moves, takes the steps it is given and asks the oracle alone."""

from collections.abc import Iterator
from functools import partial

import torch

from rbench.errors import InputError
from rbench.testing.arena import Arena, Try, arena_for, sequential, tried_on
from rbench.testing.subject import Subject
from rbench.testing.verdict import Verdict, fails, judged, skipped, tried
from rbench.threat.attack import Attack, ExternalAttack, IterativeAttack
from rbench.threat.ladder import Ladder
from rbench.threat.terms import Norm

BUDGETS = ("steps", "queries", "tries")
"""What parameters that say how long an attack goes on are called."""
COUNTS = (4, 8)
"""Values of such a parameter that are compared."""
_ODD = 3
_INSIDE = "Project with `ball.project(points, origin)`, which leaves every image in the ball and in [0, 1]."
_LATER = ("moves", "oracle", "knows", "determinism", "batches", "steps")


def examine(subject: Subject) -> tuple[str, list[Verdict]]:
    """What the attack was tried on, and a verdict on each property."""
    attack = subject.made
    if not isinstance(attack, IterativeAttack | ExternalAttack | Ladder):
        found = f"it is a {type(attack).__name__}"
        cure = "Return an IterativeAttack, an ExternalAttack or a Ladder."
        return "nothing", [Verdict("type", "fails", found, cure)]
    runs = dict[Norm, tuple[Arena, Try]]()
    verdicts = [tried(f"ball ({norm})", _INSIDE, partial(_ball, subject, attack, norm, runs)) for norm in attack.norms]
    shown = f"{subject.images} images of {next(iter(runs.values()))[0].shown}" if runs else "no image"
    if fails(verdicts):
        return shown, [*verdicts, *skipped(_LATER, "what fails above comes first")]
    return shown, [*verdicts, *_verdicts(subject, attack, runs)]


def _ball(subject: Subject, attack: Attack, norm: Norm, runs: dict[Norm, tuple[Arena, Try]]) -> Verdict:
    arena = arena_for(subject, attack, norm)
    found = tried_on(arena, attack, norm, arena.reach, subject.images)
    runs[norm] = arena, found
    said = f"every image is in [0, 1] and at most {float(found.moved.max()):.3g} away, the radius is {arena.reach:.3g}"
    return Verdict(f"ball ({norm})", "holds", said)


def _verdicts(subject: Subject, attack: Attack, runs: dict[Norm, tuple[Arena, Try]]) -> Iterator[Verdict]:
    yield from (_moves(runs), _oracle(runs), _knows(attack, runs))
    yield from (_finds(norm, *run) for norm, run in runs.items() if run[0].safe is not None)
    norm = attack.norms[0]
    arena, first = runs[norm]
    again = partial(tried_on, arena, norm=norm, eps=arena.reach)
    same = tried("determinism", "", lambda: _determinism(first, again(attack, batch_size=subject.images)))
    yield same
    if same.outcome == "fails":
        yield from skipped(["batches"], "what fails above comes first")
    elif sequential(attack):
        yield tried("batches", "", lambda: _batches(first, again(attack, batch_size=_ODD), subject.images))
    else:
        yield Verdict("batches", "skipped", "it may draw for a whole batch; its batch size is part of a cell")
    yield tried("steps", "Take the number from the parameter.", partial(_steps, subject, arena, norm))


def _moves(runs: dict[Norm, tuple[Arena, Try]]) -> Verdict:
    idle = [norm for norm, (_, run) in runs.items() if not run.moved.any()]
    far = ", ".join(f"{norm} {float(run.moved.mean()):.3g}" for norm, (_, run) in runs.items())
    found = f"it hands every image back as it was under {', '.join(idle)}" if idle else f"on average by {far}"
    return judged("moves", found, "Look at its step size, and whether it fails silently.", holds=not idle)


def _oracle(runs: dict[Norm, tuple[Arena, Try]]) -> Verdict:
    unseen = sum(run.unseen for _, run in runs.values())
    found = f"{unseen} images were asked about past the oracle" if unseen else "all questions go through the oracle"
    cure = "Ask the module that `perturb` is given, or let `update` take the oracle's answer: queries must be counted."
    return judged("oracle", found, cure, holds=not unseen)


def _knows(attack: Attack, runs: dict[Norm, tuple[Arena, Try]]) -> Verdict:
    taken = sum(run.backwards for _, run in runs.values())
    blind = attack.knows in ("black-box", "noise")
    found = f"it says `{attack.knows}` and took {taken} gradients"
    if attack.knows == "white-box" and not taken:
        return Verdict("knows", "note", found, 'If it needs none, say `knows="black-box", asks=("logits",)`.')
    return judged("knows", found, "Say `white-box`, or take no gradients.", holds=not (blind and taken))


def _finds(norm: Norm, arena: Arena, run: Try) -> Verdict:
    fooled, count = int(run.fooled.sum()), len(run.fooled)
    found = f"it fools {fooled} of {count} at a radius of {arena.reach:.3g}, where a perfect attack fools all"
    return Verdict(f"finds ({norm})", "measured", found)


def _determinism(first: Try, second: Try) -> Verdict:
    same = torch.equal(first.images, second.images)
    found = "the same seed gives the same images" if same else "the same seed gives other images"
    cure = "Draw through `noise`, or seed a generator of its own from the `seed` that it is given."
    return judged("determinism", found, cure, holds=same)


def _batches(first: Try, odd: Try, whole: int) -> Verdict:
    same = torch.equal(first.fooled, odd.fooled)
    found = f"batches of {whole} and of {_ODD} fool {'the same' if same else 'other'} images"
    cure = "Keep everything per sample: tensors with the batch first, no mean or maximum over the batch."
    return judged("batches", found, cure, holds=same)


def _steps(subject: Subject, arena: Arena, norm: Norm) -> Verdict:
    budget = next((name for name in BUDGETS if name in subject.parameters), None)
    if subject.remake is None or budget is None:
        return Verdict("steps", "skipped", f"it has no parameter {' or '.join(f'`{name}`' for name in BUDGETS)}")
    try:
        few, many = (subject.remake({budget: count}) for count in COUNTS)
    except InputError:
        return Verdict("steps", "skipped", f"its `{budget}` cannot be {' or '.join(map(str, COUNTS))}")
    # Nobody is to be fooled before the last step.
    eps = arena.reach / 1000 if arena.safe is None else arena.safe
    asked = [tried_on(arena, attack, norm, eps, subject.images).queries for attack in (few, many)]
    each = " and ".join(f"{count / subject.images:.3g}" for count in asked)
    found = f"`{budget}` of {COUNTS[0]} and of {COUNTS[1]} ask {each} queries an image"
    cure = "Give the parameter on: IterativeAttack(init, update, steps=steps, ...)."
    return judged("steps", found, cure, holds=asked[1] > asked[0])
