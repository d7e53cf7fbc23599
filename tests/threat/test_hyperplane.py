"""The nearest point of a hyperplane in the pixel range, against a solver."""

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, linprog, minimize

from rbench.threat.hyperplane import onto_hyperplane


def problem(seed, n=5):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, generator=generator, dtype=torch.float64)
    normal = torch.randn(n, generator=generator, dtype=torch.float64)
    if seed % 3 == 0:
        normal[1] = 0.0
    if seed % 4 == 0:
        x[2], x[3] = 0.0, 1.0
    reach = float((normal.clamp(min=0) * (1 - x) - normal.clamp(max=0) * x).sum())
    return x, normal, (-1) ** seed, reach


def shortest(x, normal, missing, norm):
    """The length of the shortest change by SciPy."""
    x, normal = x.numpy(), normal.numpy()
    n = len(x)
    bounds = list(zip(-x, 1 - x, strict=True))
    if norm == "L2":
        found = minimize(
            lambda d: d @ d,
            np.zeros(n),
            jac=lambda d: 2 * d,
            bounds=bounds,
            constraints=LinearConstraint(normal, missing, missing),
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        return float(np.sqrt(found.fun))
    # Variables: the change, and its length in one number (Linf) or one a pixel (L1).
    extra = 1 if norm == "Linf" else n
    ones = np.ones((n, 1)) if norm == "Linf" else np.eye(n)
    at_most = np.block([[np.eye(n), -ones], [-np.eye(n), -ones]])
    cost = np.r_[np.zeros(n), np.ones(extra)]
    equal = np.r_[normal, np.zeros(extra)][None]
    bounds += [(0, None)] * extra
    found = linprog(cost, at_most, np.zeros(2 * n), equal, [missing], bounds)
    return found.fun


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_the_change_is_the_shortest_that_reaches_the_hyperplane(norm, seed, share):
    x, normal, sign, _ = problem(seed)
    normal = normal * sign
    up = float((normal.clamp(min=0) * (1 - x) - normal.clamp(max=0) * x).sum())
    missing = share * up
    change = onto_hyperplane(x[None], normal[None], torch.tensor([missing], dtype=torch.float64), norm)[0]
    assert float(normal @ change) == pytest.approx(missing, abs=1e-9)
    assert (x + change).min() >= 0
    assert (x + change).max() <= 1
    order = {"Linf": torch.inf, "L2": 2, "L1": 1}[norm]
    assert float(change.norm(p=order)) == pytest.approx(shortest(x, normal, missing, norm), abs=1e-5)


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_where_the_range_is_too_small_every_pixel_goes_to_its_end(norm):
    x, normal, _, _ = problem(1)
    change = onto_hyperplane(x[None], normal[None], torch.tensor([1e3], dtype=torch.float64), norm)[0]
    assert torch.allclose(x + change, (normal > 0).double())


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_nothing_moves_where_nothing_is_missing_or_there_is_no_slope(norm):
    x, normal, _, _ = problem(1)
    rows = torch.stack([normal, torch.zeros_like(normal)])
    change = onto_hyperplane(x.repeat(2, 1), rows, torch.tensor([0.0, 1.0], dtype=torch.float64), norm)
    assert torch.equal(change, torch.zeros(2, len(x), dtype=torch.float64))


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_float32_and_tiny_gradients_do_as_well(norm):
    x, normal, _, reach = problem(2)
    for size in (1e-12, 1e12):
        wide = onto_hyperplane(x[None], normal[None], torch.tensor([0.3 * reach], dtype=torch.float64), norm)
        narrow = onto_hyperplane(
            x[None].float(), (size * normal[None]).float(), torch.tensor([0.3 * reach * size]).float(), norm
        )
        assert torch.allclose(narrow.double(), wide, atol=1e-5)
