"""Flags of one cell are raised above their thresholds and not below."""

import numpy as np
import pytest

from rbench.results.flags import of_cell
from rbench.results.record import RungPart

EVERY = np.ones(1000)


def fooled(count, n=1000):
    """The first `count` of n samples are fooled."""
    return (np.arange(n) >= count).astype(float)


@pytest.mark.parametrize(
    ("flags", "raised"),
    [
        (of_cell.randomised(1.0, random=True, declared=False), ["randomised"]),
        (of_cell.randomised(1.0, random=True, declared=True), []),
        (of_cell.randomised(0.0, random=False, declared=False), []),
        (of_cell.not_reproducible(reproducible=False), ["not-reproducible"]),
        (of_cell.not_reproducible(reproducible=True), []),
        (of_cell.batch_dependent(1.1e-4), ["batch-dependent"]),
        (of_cell.batch_dependent(1e-4), []),
        (of_cell.not_logits("probabilities"), ["not-logits"]),
        (of_cell.not_logits(None), []),
        (of_cell.unstable(0.51, 100), ["unstable"]),
        (of_cell.unstable(0.5, 100), []),
        (of_cell.unstable(None, 100), []),
        (of_cell.optimises_at_test_time(autograd_in_forward=True), ["optimises-at-test-time"]),
        (of_cell.optimises_at_test_time(autograd_in_forward=False), []),
        (of_cell.zero_gradients(0.011, "bpda"), ["zero-gradients"]),
        (of_cell.zero_gradients(0.01, "bpda"), []),
        (of_cell.noise_wins(fooled(11), EVERY), ["noise-wins"]),
        (of_cell.noise_wins(fooled(10), EVERY), []),
        (of_cell.noise_wins(fooled(500), fooled(500)), []),
        (of_cell.silent_success(fooled(1) < 0.5, EVERY), ["silent-success"]),
        (of_cell.silent_success(fooled(1) < 0.5, fooled(1)), []),
        (of_cell.few_samples(99), ["few-samples"]),
        (of_cell.few_samples(100), []),
        (of_cell.unverifiable("none"), ["unverified"]),
        (of_cell.unverifiable("fooled"), []),
        (of_cell.unverifiable(None), []),
        (of_cell.unbounded_survivors(fooled(999), 1.0), ["unbounded-survivors"]),
        (of_cell.unbounded_survivors(EVERY * 0.49, 1.0), []),
    ],
)
def test_a_flag_speaks_from_its_threshold_on(flags, raised):
    assert [flag.name for flag in flags] == raised


@pytest.mark.parametrize(
    ("path", "missing", "slope", "replay"),
    [
        ("exact", True, True, False),
        ("checkpointed", True, True, True),
        ("bpda", False, False, False),
        ("blind", False, False, False),
    ],
)
def test_what_is_wrong_with_the_exact_gradient_concerns_attacks_along_it(path, missing, slope, replay):
    assert bool(of_cell.no_gradient_path(path, reaches_input=False)) == missing
    assert of_cell.no_gradient_path(path, reaches_input=True) == []
    assert bool(of_cell.wrong_slope(path, 0.11, "float64", None)) == slope
    assert bool(of_cell.wrong_replay(path, 1.1e-3)) == replay
    for difference in (None, 0.1, 1e-3):
        assert of_cell.wrong_slope(path, difference, "float64", None) == []
    for difference in (None, 1e-3):
        assert of_cell.wrong_replay(path, difference) == []


@pytest.mark.parametrize(
    ("path", "random", "averages", "raised"),
    [
        ("exact", True, False, True),
        ("exact", True, True, False),
        ("exact", False, False, False),
        ("blind", True, False, False),
    ],
)
def test_single_draws_of_a_random_defence_are_too_few_for_gradients_of_it(path, random, averages, raised):
    assert bool(of_cell.no_eot(path, random=random, averages=averages)) == raised


@pytest.mark.parametrize(("count", "raised"), [(2, False), (3, True)])
def test_black_box_rungs_win_above_a_fifth_of_a_point(count, raised):
    shared = {"attacked": 900, "backwards": 0, "seconds": 1.0}
    rungs = [RungPart(label="pgd", path="exact", fooled=100, **shared)]
    rungs += [RungPart(label="square", path="none", fooled=count, **shared)]
    assert bool(of_cell.black_box_wins(rungs, 1000)) == raised
    assert of_cell.black_box_wins(rungs[:1], 1000) == []


@pytest.mark.parametrize(("changed", "raised"), [(0, False), (1, False), (2, True), (-1, False), (-2, True)])
def test_more_than_a_point_up_or_down_is_not_converged(changed, raised):
    before, after = np.zeros(100), np.zeros(100)
    before[:50], after[: 50 - changed] = 1, 1
    flags = of_cell.not_converged(before, after, "steps", random=False)
    assert bool(flags) == raised
    if raised:
        assert flags[0].detail == f"twice the steps: {changed:+.1f} points on 100 samples"


@pytest.mark.parametrize(("risen", "raised"), [(0, False), (1, False), (2, True), (-2, False)])
def test_more_than_a_point_higher_is_weaker_with_more(risen, raised):
    before, after = np.zeros(100), np.zeros(100)
    before[:50], after[: 50 + risen] = 1, 1
    flags = of_cell.weaker_with_more(before, after, "steps", random=False)
    assert bool(flags) == raised
    if raised:
        assert flags[0].value == pytest.approx(0.02)
        assert flags[0].detail == "twice the steps: robust accuracy 2.0 points higher on 100 samples"


def test_the_luck_of_the_draws_is_no_lack_of_convergence():
    rng = np.random.default_rng(0)
    lucky = [(rng.random((100, 8)) < 0.5).mean(1) for _ in range(40)]
    pairs = list(zip(lucky[::2], lucky[1::2], strict=True))
    assert max(abs(one.mean() - other.mean()) for one, other in pairs) > 0.02
    assert [of_cell.not_converged(*pair, "eot", random=True) for pair in pairs] == [[]] * 20
    assert [of_cell.weaker_with_more(*pair, "eot", random=True) for pair in pairs] == [[]] * 20
    assert of_cell.weaker_with_more(lucky[0] / 2, lucky[0], "eot", random=True)
    (flag,) = of_cell.not_converged(lucky[0], lucky[0] / 2, "eot", random=True)
    assert flag.value > 0.2


def test_a_measurement_that_is_not_finite_is_no_value_of_a_record():
    (flag,) = of_cell.randomised(float("inf"), random=True, declared=False)
    assert flag.value is None
