"""Flags of a row that need several of its cells, or its neighbour: thresholds of the rules of judging."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rbench.results.flags.catalogue import LUCK_CONFIDENCE, FlagName, threshold
from rbench.results.record import THROUGH_PURIFIER, Knows
from rbench.results.statistics import binomial_tail, mcnemar, paired_bootstrap
from rbench.results.worst_case import Rule, Scores, Values


@dataclass(frozen=True)
class RowFlag:
    """A doubt about a row.

    Attributes:
        name: the flag.
        value: the measured value that raised it.
        detail: what was seen, in one line.
        attack: label of the cell that it comes from; None if it comes from several.
    """

    name: FlagName
    value: float | None = None
    detail: str = ""
    attack: str | None = None


@dataclass(frozen=True)
class Judged:
    """A done cell of a row.

    Attributes:
        label: what tables call the attack.
        knows: what the attacker used; `blind` if the gradient path was, whatever the attack could have used.
        steps: gradient steps of a restart up a loss of the label; None where there are none, or nobody can tell.
        gradient: the gradient path that was used.
        scores: per sample.
        noise: [n] accuracy under uniform noise in the ball.
        cascaded: its scores hold what other attacks of a cascade have fooled before it.
    """

    label: str
    knows: Knows
    steps: int | None
    gradient: str | None
    scores: Scores
    noise: Values
    cascaded: bool = False

    @property
    def by_gradient(self) -> bool:
        """Whether it followed gradients of the defended model, or of its backbone alone."""
        return self.knows in ("white-box", "blind")


def flags_of_cells(cells: Sequence[Judged], rule: Rule) -> list[RowFlag]:
    """The flags that come from comparing the attacks of one row.

    Under a random defence a margin must also exceed what the draws explain (99.8 % paired bootstrap: several
    flags on many rows, so 95 % would cry wolf).
    """
    white = [cell for cell in cells if cell.knows == "white-box"]
    by_gradient = [cell for cell in cells if cell.by_gradient]
    return [
        *_wins("black-box-wins", cells, "black-box", white, rule),
        *_wins("transfer-wins", cells, "transfer", white, rule),
        *_noise_wins(cells, by_gradient, rule),
        *_one_step_wins(by_gradient, rule),
    ]


def blind_wins(cells: Sequence[Judged], rule: Rule) -> RowFlag | None:
    """The flag of a row whose blind attacks leave less than every attack that knows the purifier.

    Not for the identity: around it a blind attack knows all there is.
    """
    blind = [cell for cell in cells if cell.knows == "blind"]
    knowing = [cell for cell in cells if cell.knows in ("white-box", "black-box")]
    if not blind or not knowing:
        return None
    left = [(cell.label, rule.worst([cell.scores]).value) for cell in knowing]
    strongest, before = min(left, key=lambda one: float(one[1].mean()))
    after = rule.worst([cell.scores for cell in blind]).value
    lost = _drop(before, after, threshold("blind-wins", "margin"), random=rule.random)
    labels = ", ".join(cell.label for cell in blind)
    return None if lost is None else RowFlag("blind-wins", lost, f"{labels}: {_points(lost)} below {strongest}")


def weak_gradient(paths: Sequence[str | None], *, differentiable: bool) -> RowFlag | None:
    """The flag of a row whose attacks all went around a purifier that a gradient goes through.

    Args:
        paths: the gradient path of every attack and every rung that asks for a gradient.
        differentiable: the audit found a gradient at the input that is not zero.
    """
    if not differentiable or not set(paths).isdisjoint(THROUGH_PURIFIER):
        return None
    used = ", ".join(sorted({path for path in paths if path})) or "no gradient"
    return RowFlag("weak-gradient", None, f"{used} alone, though a gradient goes through the purifier")


def provisional(reasons: Sequence[str], *, black_box: bool, batch: str | None = None) -> RowFlag | None:
    """The doubt about a row that was attacked along gradients alone, though they may mislead, or whose answers depend on the batch.

    Args:
        reasons: why the gradient is not to be trusted, from each of its cells that has one.
        black_box: some attack, or some part of one, asked for the outputs of the defended model alone.
        batch: that an image gets quite another answer in another batch, which no attack makes up for.
    """
    if batch:
        return RowFlag("provisional", None, f"{batch}, so no attack met the model that was judged")
    if black_box or not reasons:
        return None
    return RowFlag("provisional", None, f"{reasons[0]}, and no black-box attack was run")


def near_chance(
    rights: Values, classes: int | None, *, undefended: float | None = None, undefended_near_chance: bool = False
) -> RowFlag | None:
    """The doubt about a row of which little is right without an attack.

    Args:
        rights: [n] value of each sample without an attack.
        classes: width of the logits; None in older records.
        undefended: standard accuracy of the same backbone without a purifier; None if there is no such row.
        undefended_near_chance: that one is near chance.
    """
    standard = float(rights.mean())
    if classes is not None and binomial_tail(round(float(rights.sum())), len(rights), 1 / classes) >= threshold(
        "near-chance", "p"
    ):
        detail = f"{100 * standard:.1f} % right without an attack, guessing gives {100 / classes:.1f} %"
        return RowFlag("near-chance", standard, detail)
    if undefended is None:
        return None
    bare = f"{100 * undefended:.1f} % without a purifier"
    if undefended_near_chance:
        return RowFlag("near-chance", undefended, f"the backbone is not above guessing: {bare}")
    if standard < threshold("near-chance", "undefended") * undefended:
        return RowFlag("near-chance", standard, f"{100 * standard:.1f} % right without an attack, {bare}")
    return None


def unverified(attacks: Sequence[str]) -> RowFlag | None:
    """The doubt about a row of which the examples of some attacks have not been judged again."""
    if not attacks:
        return None
    return RowFlag("unverified", None, f"not judged again: {', '.join(attacks)}")


def few_samples(n: int) -> RowFlag | None:
    """The flag of a slice below 100 samples."""
    return RowFlag("few-samples", float(n), f"{n} samples") if n < threshold("few-samples", "samples") else None


def inseparable(first: Values, second: Values) -> float | None:
    """The p-value of McNemar's test if the accuracies differ and this many samples cannot tell them apart."""
    if len(first) != len(second) or np.isclose(first.mean(), second.mean(), rtol=0, atol=1e-12):
        return None
    p_value = mcnemar(first >= 0.5, second >= 0.5).p_value
    return p_value if p_value >= threshold("few-samples", "p") else None


def _drop(before: Values, after: Values, margin: float, *, random: bool) -> float | None:
    lost = float((before - after).mean())
    # In whole samples, so that a drop of exactly the margin is not above it by rounding.
    if lost <= margin + 1e-9 or (random and paired_bootstrap(before, after, confidence=LUCK_CONFIDENCE).low <= 0):
        return None
    return lost


def _wins(name: FlagName, cells: Sequence[Judged], knows: Knows, white: Sequence[Judged], rule: Rule) -> list[RowFlag]:
    others = [cell for cell in cells if cell.knows == knows]
    if not others or not white:
        return []
    before = rule.worst([cell.scores for cell in white]).value
    after = rule.worst([cell.scores for cell in [*white, *others]]).value
    lost = _drop(before, after, threshold(name, "margin"), random=rule.random)
    labels = ", ".join(cell.label for cell in others)
    return [] if lost is None else [RowFlag(name, lost, f"{labels}: {_points(lost)} below the white-box attacks")]


def _noise_wins(cells: Sequence[Judged], by_gradient: Sequence[Judged], rule: Rule) -> list[RowFlag]:
    if not by_gradient:
        return []
    before = rule.worst_without_noise([cell.scores for cell in by_gradient]).value
    noises = [cell.scores.value for cell in cells if cell.knows == "noise"] + [by_gradient[0].noise]
    # A random defence may err by chance on either image of a sample, so there the means are compared.
    after = noises if rule.random else [np.minimum(before, noise) for noise in noises]
    lost = [_drop(before, values, threshold("noise-wins", "share"), random=rule.random) for values in after]
    most = max((value for value in lost if value is not None), default=None)
    detail = "" if most is None else f"uniform noise: {_points(most)} below the gradient attacks"
    return [] if most is None else [RowFlag("noise-wins", most, detail)]


def _one_step_wins(by_gradient: Sequence[Judged], rule: Rule) -> list[RowFlag]:
    flags = []
    for one in by_gradient:
        along = [cell for cell in by_gradient if cell.gradient == one.gradient]
        many = [cell for cell in along if cell.steps is not None and cell.steps > 1 and not cell.cascaded]
        if one.steps == 1 and many:
            best = min(many, key=lambda cell: float(cell.scores.value.mean()))
            lost = _drop(best.scores.value, one.scores.value, 0.0, random=rule.random)
            if lost is not None:
                flags.append(RowFlag("one-step-wins", lost, f"{one.label}: {_points(lost)} below {best.label}"))
    return flags


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"
