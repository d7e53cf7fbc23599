"""The same attacks by others: the authors' AutoAttack, torchattacks, foolbox and adversarial-library."""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor, nn

from bench.budgets import WHOLE, Budget
from bench.rows import MissingPartError

Perturb = Callable[[nn.Module, Tensor, Tensor, float, Budget], Tensor]
"""(model, images, labels, Linf radius, budget) -> attacked images."""


def missing(library: str) -> str | None:
    """Why a library cannot be used here; None where it can."""
    try:
        import_module({"adv-lib": "adv_lib.attacks"}.get(library, library))
    except Exception as error:  # whatever old code meets in a new Python
        return f"not installed: {error}" if isinstance(error, ImportError) else f"cannot be imported: {error!r}"
    return None


def version_of(library: str) -> str:
    """As its distribution says."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "unknown"


def perturb_of(library: str, attack: str) -> Perturb:
    """An attack of a library.

    Raises:
        MissingPartError: the library is not here.
    """
    why = missing(library)
    if why is not None:
        raise MissingPartError(why)
    return REFERENCES[attack][library]


def seeded(perturb: Perturb) -> Perturb:
    """From the same random numbers at every run."""

    def run(model: nn.Module, x: Tensor, y: Tensor, eps: float, budget: Budget) -> Tensor:
        torch.manual_seed(0)
        return perturb(model, x, y, eps, budget)

    return run


# --- pyautoattack -------------------------------------------------------------------------------------------------


def _common(x: Tensor, eps: float) -> dict[str, Any]:
    return {"norm": "Linf", "eps": eps, "seed": 0, "device": str(x.device)}


def _apgd(model: nn.Module, x: Tensor, y: Tensor, eps: float, budget: Budget) -> Tensor:
    from pyautoattack.autopgd_base import APGDAttack

    return APGDAttack(model, n_iter=budget.steps, n_restarts=1, loss="ce", **_common(x, eps)).perturb(x, y)


def _apgd_targeted(model: nn.Module, x: Tensor, y: Tensor, eps: float, budget: Budget) -> Tensor:
    from pyautoattack.autopgd_base import APGDAttack_targeted

    terms = {"n_iter": budget.steps, "n_restarts": 1, "n_target_classes": budget.targets}
    return APGDAttack_targeted(model, **terms, **_common(x, eps)).perturb(x, y)


def _fab_targeted(model: nn.Module, x: Tensor, y: Tensor, eps: float, budget: Budget) -> Tensor:
    from pyautoattack.fab_pt import FABAttack_PT

    terms = {"n_iter": budget.steps, "n_restarts": 1, "targeted": True, "n_target_classes": budget.targets}
    return FABAttack_PT(model, **terms, **_common(x, eps)).perturb(x, y)


def _square(model: nn.Module, x: Tensor, y: Tensor, eps: float, budget: Budget) -> Tensor:
    from pyautoattack.square import SquareAttack

    terms = {"n_queries": budget.queries, "n_restarts": 1, "p_init": 0.8, "resc_schedule": False}
    return SquareAttack(model, **terms, **_common(x, eps)).perturb(x, y)


def _autoattack(model: nn.Module, x: Tensor, y: Tensor, eps: float, budget: Budget) -> Tensor:
    from pyautoattack import AutoAttack

    adversary = AutoAttack(model, **_common(x, eps))
    adversary.apgd.n_iter = adversary.apgd_targeted.n_iter = adversary.fab.n_iter = budget.steps
    adversary.apgd_targeted.n_target_classes = adversary.fab.n_target_classes = budget.targets
    adversary.square.n_queries = budget.queries
    return adversary.run_standard_evaluation(x, y, batch_size=len(x))[0]


# --- torchattacks, foolbox, adversarial-library ---------------------------------------------------------------------


def _torchattacks_pgd(model: nn.Module, x: Tensor, y: Tensor, eps: float, budget: Budget) -> Tensor:
    import torchattacks

    return torchattacks.PGD(model, eps=eps, alpha=2.5 * eps / budget.pgd, steps=budget.pgd)(x, y)


def _torchattacks_apgd(model: nn.Module, x: Tensor, y: Tensor, eps: float, budget: Budget) -> Tensor:
    import torchattacks

    return torchattacks.APGD(model, eps=eps, steps=budget.steps, loss="ce")(x, y)


def _torchattacks_square(model: nn.Module, x: Tensor, y: Tensor, eps: float, budget: Budget) -> Tensor:
    import torchattacks

    return torchattacks.Square(model, eps=eps, n_queries=budget.queries, resc_schedule=False)(x, y)


def _foolbox_pgd(model: nn.Module, x: Tensor, y: Tensor, eps: float, budget: Budget) -> Tensor:
    import foolbox

    shown = foolbox.PyTorchModel(model, bounds=(0, 1), device=x.device)
    return foolbox.attacks.LinfPGD(abs_stepsize=2.5 * eps / budget.pgd, steps=budget.pgd).run(shown, x, y, epsilon=eps)


def _adv_lib_pgd(model: nn.Module, x: Tensor, y: Tensor, eps: float, budget: Budget) -> Tensor:
    from adv_lib.attacks import pgd_linf

    return pgd_linf(model, x, y, eps, steps=budget.pgd, absolute_step_size=2.5 * eps / budget.pgd)


def _adv_lib_apgd(model: nn.Module, x: Tensor, y: Tensor, eps: float, budget: Budget) -> Tensor:
    from adv_lib.attacks import apgd

    return apgd(model, x, y, eps, norm=float("inf"), n_iter=budget.steps, loss_function="ce")


def _adv_lib_apgd_targeted(model: nn.Module, x: Tensor, y: Tensor, eps: float, budget: Budget) -> Tensor:
    from adv_lib.attacks import apgd_targeted

    return apgd_targeted(
        model, x, y, eps, norm=float("inf"), n_iter=budget.steps, num_targets=budget.targets, loss_function="dlr"
    )


def _adv_lib_fab(model: nn.Module, x: Tensor, y: Tensor, eps: float, budget: Budget) -> Tensor:
    """Looks for the nearest point, whatever the radius, so no sample is ever done."""
    from adv_lib.attacks import fab

    return fab(model, x, y, float("inf"), n_iter=budget.steps, restarts=budget.targets, targeted_restarts=True, ε=eps)


REFERENCES: Mapping[str, Mapping[str, Perturb]] = {
    "pgd": {"torchattacks": _torchattacks_pgd, "foolbox": _foolbox_pgd, "adv-lib": _adv_lib_pgd},
    "apgd": {"pyautoattack": _apgd, "torchattacks": _torchattacks_apgd, "adv-lib": _adv_lib_apgd},
    "apgd-t": {"pyautoattack": _apgd_targeted, "adv-lib": _adv_lib_apgd_targeted},
    "fab-t": {"pyautoattack": _fab_targeted, "adv-lib": _adv_lib_fab},
    "square": {"pyautoattack": _square, "torchattacks": _torchattacks_square},
    WHOLE: {"pyautoattack": _autoattack},
}
"""Who has each attack. AutoAttack of torchattacks is an older copy of the authors' code."""
