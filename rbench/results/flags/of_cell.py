"""Flags of one cell that follow from plain values: what was measured before the attack, its samples, its rungs and its other budgets.

Each function gives the flag, or nothing. Whoever has the values can raise the flags again, without the model.
"""

from collections.abc import Sequence

import numpy as np

from rbench.results.flags.catalogue import LUCK_CONFIDENCE, threshold
from rbench.results.record import THROUGH_PURIFIER, Flag, GradientPath, RungPart
from rbench.results.statistics import paired_bootstrap

# --- what the audit measured --------------------------------------------------------------------------------------


def randomised(difference: float, *, random: bool, declared: bool) -> list[Flag]:
    """Random though it does not say so.

    Args:
        difference: largest difference of logits over repeated passes.
        random: it was seen to be random.
        declared: it says that it is.
    """
    return [Flag(name="randomised", value=_finite(difference))] if random and not declared else []


def not_reproducible(*, reproducible: bool) -> list[Flag]:
    """The same noise gave other logits."""
    return [] if reproducible else [Flag(name="not-reproducible", detail="the same noise gave other logits")]


def batch_dependent(difference: float, narrow: str | None = None) -> list[Flag]:
    """A sample's logits depend on who else is in the batch.

    Args:
        difference: of logits between orders and splits of a batch, relative to the largest.
        narrow: the 16-bit type that the model computes in, which rounds otherwise in batches of other shapes; None if it does not.
    """
    if difference <= threshold("batch-dependent", "difference in 16 bits" if narrow else "difference"):
        return []
    return [Flag(name="batch-dependent", value=_finite(difference))]


def not_logits(kind: str | None) -> list[Flag]:
    """The outputs are something else than logits.

    Args:
        kind: what they are; None if they are logits.
    """
    return [Flag(name="not-logits", detail=f"outputs are {kind}")] if kind else []


def no_gradient_path(path: GradientPath, *, reaches_input: bool) -> list[Flag]:
    """The graph of the path that the attack went along ends before the input.

    Args:
        path: of the attack.
        reaches_input: the graph of the exact path does.
    """
    if path not in THROUGH_PURIFIER or reaches_input:
        return []
    return [Flag(name="no-gradient-path", detail="the graph of the exact path does not reach the input")]


def out_of_range(distance: float) -> list[Flag]:
    """The purifier gives the backbone pixels that are no pixels.

    Args:
        distance: largest, of a purified pixel from [0, 1].
    """
    return [Flag(name="out-of-range", value=distance)] if distance > threshold("out-of-range", "pixels") else []


def low_precision(narrow: str | None) -> list[Flag]:
    """The defended model computes in 16 bits somewhere.

    Args:
        narrow: the type; None if it does not.
    """
    return [Flag(name="low-precision", detail=f"{narrow} inside the forward pass")] if narrow else []


def wrong_slope(path: GradientPath, difference: float | None, precision: str, narrow: str | None) -> list[Flag]:
    """The gradient that the attack went along is not the slope of the loss.

    Args:
        path: of the attack.
        difference: of slopes by the graph and by finite differences, relative; None if it was not measured.
        precision: in which it was measured.
        narrow: the 16-bit type that the model computes in, whose rounding is no lie; None if it does not.
    """
    limit = threshold("wrong-gradient", "slopes in 16 bits" if narrow else "slopes")
    if path not in THROUGH_PURIFIER or difference is None or difference <= limit:
        return []
    detail = f"slopes by the graph and by finite differences ({precision}) differ by this, relative"
    return [Flag(name="wrong-gradient", value=difference, detail=detail)]


def wrong_replay(path: GradientPath, difference: float | None) -> list[Flag]:
    """The checkpointed gradient that the attack went along is not the plain one.

    Args:
        path: of the attack.
        difference: of the two gradients, relative; None if it was not measured.
    """
    if path != "checkpointed" or difference is None or difference <= threshold("wrong-gradient", "replayed"):
        return []
    detail = "the checkpointed gradient and the plain one differ by this, relative"
    return [Flag(name="wrong-gradient", value=difference, detail=detail)]


def wrong_in_batches(path: GradientPath, difference: float | None) -> list[Flag]:
    """The gradient of an image that the attack went along is another one in large batches.

    Args:
        path: of the attack.
        difference: of the gradients in a small and in a large batch, relative; None if it was not measured.
    """
    if path not in THROUGH_PURIFIER or difference is None or difference <= threshold("wrong-gradient", "slopes"):
        return []
    detail = "the gradients of an image in small and in large batches differ by this, relative"
    return [Flag(name="wrong-gradient", value=difference, detail=detail)]


def unstable(change: float | None, points: int) -> list[Flag]:
    """The loss does not hold still around an image.

    Args:
        change: mean change of the margin in the ball, relative; None if it was not measured.
        points: of the ball, so many around each image.
    """
    if change is None or change <= threshold("unstable", "change"):
        return []
    detail = f"mean change of the margin over {points} points of the ball, relative"
    return [Flag(name="unstable", value=change, detail=detail)]


def optimises_at_test_time(*, autograd_in_forward: bool) -> list[Flag]:
    """The defended model differentiates inside its forward pass."""
    if not autograd_in_forward:
        return []
    return [Flag(name="optimises-at-test-time", detail="autograd was called inside the forward pass")]


# --- what happened during the attack ------------------------------------------------------------------------------


def zero_gradients(share: float, path: GradientPath) -> list[Flag]:
    """The attack was answered with gradients of zero.

    Args:
        share: of the attacked samples at their first query, or of all queries if that is more.
        path: of the attack.
    """
    if share <= threshold("zero-gradients", "share"):
        return []
    detail = f"{path} path: share of samples at the start, or of the steps after it where that is more"
    return [Flag(name="zero-gradients", value=share, detail=detail)]


def no_eot(path: GradientPath, *, random: bool, averages: bool) -> list[Flag]:
    """A random defence met an attack that looks at single draws of it.

    Args:
        path: of the attack; a blind one does not look at the defence at all.
        random: the defence is.
        averages: no gradient of a single draw led the attack.
    """
    if not random or path == "blind" or averages:
        return []
    return [Flag(name="no-eot", detail="a random defence was attacked on single draws")]


def silent_success(passed_by: np.ndarray, robust: np.ndarray) -> list[Flag]:
    """The attack gave back worse points than it had seen.

    Args:
        passed_by: bool [N], it saw the sample fooled.
        robust: [N] value of each sample under the attack.
    """
    silent = float((passed_by & (robust >= 0.5)).mean())
    if silent <= 0:
        return []
    detail = "share of samples that the attack saw fooled inside the ball and gave back unfooled"
    return [Flag(name="silent-success", value=silent, detail=detail)]


# --- what came out ------------------------------------------------------------------------------------------------


def noise_wins(noise: np.ndarray, robust: np.ndarray) -> list[Flag]:
    """Uniform noise beats the attack.

    Args:
        noise: [N] value of each sample under noise.
        robust: [N] under the attack.
    """
    beaten = float(((noise < 0.5) & (robust >= 0.5)).mean())
    if beaten <= threshold("noise-wins", "share"):
        return []
    return [Flag(name="noise-wins", value=beaten, detail="one uniform draw from the ball beats this attack")]


def black_box_wins(rungs: Sequence[RungPart], n: int) -> list[Flag]:
    """A black-box rung is run on what survives the white-box rungs, so what it fools is its win.

    Args:
        rungs: of a ladder, in order.
        n: number of samples.
    """
    won = [rung for rung in rungs if rung.path == "none"]
    share = sum(rung.fooled for rung in won) / n
    if share <= threshold("black-box-wins", "margin"):
        return []
    labels = ", ".join(rung.label for rung in won)
    detail = f"{labels}: {100 * share:.1f} points below the other rungs"
    return [Flag(name="black-box-wins", value=share, detail=detail)]


def few_samples(n: int) -> list[Flag]:
    """Too few samples for any claim."""
    return [Flag(name="few-samples", value=float(n))] if n < threshold("few-samples", "samples") else []


def not_converged(before: np.ndarray, after: np.ndarray, what: str, *, random: bool) -> list[Flag]:
    """Twice the budget gave another robust accuracy.

    Args:
        before: [N] value of each sample under the attack.
        after: [N] the same with twice the budget.
        what: was doubled.
        random: the defence is, so that some of the change is luck.
    """
    change = _change(before, after, threshold("not-converged", "change"), random=random)
    if not change:
        return []
    detail = f"twice the {what}: {100 * change:+.1f} points on {len(before)} samples"
    return [Flag(name="not-converged", value=abs(change), detail=detail)]


def weaker_with_more(before: np.ndarray, after: np.ndarray, what: str, *, random: bool) -> list[Flag]:
    """Twice the budget left more samples right.

    Args:
        before: [N] value of each sample under the attack.
        after: [N] the same with twice the budget.
        what: was doubled.
        random: the defence is, so that some of the rise is luck.
    """
    rise = -_change(before, after, threshold("weaker-with-more", "rise"), random=random)
    if rise <= 0:
        return []
    detail = f"twice the {what}: robust accuracy {100 * rise:.1f} points higher on {len(before)} samples"
    return [Flag(name="weaker-with-more", value=rise, detail=detail)]


def unbounded_survivors(values: np.ndarray, eps: float) -> list[Flag]:
    """Samples survive though nothing is forbidden. A random defence may be right by luck on one draw; half of them are no luck.

    Args:
        values: [N] value of each sample.
        eps: the radius, that of the whole pixel range.
    """
    surviving = float((values >= 0.5).mean())
    if surviving == 0:
        return []
    detail = f"share of {len(values)} samples that survive with eps {eps:g}"
    return [Flag(name="unbounded-survivors", value=surviving, detail=detail)]


def leaks(share: float | None) -> list[Flag]:
    """The purifier handed out clean images.

    Args:
        share: of the attacked images that it changed, those that it changed to the clean one; None where it changed none.
    """
    if share is None or share <= threshold("leaks", "share"):
        return []
    return [
        Flag(name="leaks", value=share, detail="share of the attacked images that were changed back to the clean one")
    ]


# --- what was kept ------------------------------------------------------------------------------------------------


def unverifiable(images: str | None) -> list[Flag]:
    """Without images nobody can judge the cell again.

    Args:
        images: which adversarial images are stored; None in older records.
    """
    return [Flag(name="unverified", detail="store.images is none")] if images == "none" else []


def _change(before: np.ndarray, after: np.ndarray, least: float, *, random: bool) -> float:
    """By how much the mean fell; 0 where that is no more than `least`, up or down, or the draws of a random defence explain it."""
    change = float((before - after).mean())
    # In whole samples, so that a change of exactly one point is not above it by rounding.
    return 0.0 if abs(change) <= least + 1e-9 or (random and _luck(before, after)) else change


def _luck(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether the draws of a random defence explain the difference."""
    interval = paired_bootstrap(before, after, confidence=LUCK_CONFIDENCE)
    return interval.low <= 0 <= interval.high


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None
