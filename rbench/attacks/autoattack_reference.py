"""AutoAttack by its authors' code, over the oracle."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rbench.attacks.autoattack_members import Member, Version, restarts_said
from rbench.errors import MissingError
from rbench.signature.source import exists
from rbench.threat.attack import ExternalAttack
from rbench.threat.terms import Norm

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rbench.threat.ball import Ball
    from rbench.threat.batch import Batch

NORMS: tuple[Norm, ...] = ("Linf", "L2", "L1")


def reference(version: Version, attacks: list[Member] | None, batch_size: int) -> ExternalAttack:
    """AutoAttack as its authors wrote it; arguments as in `rbench.attacks.autoattack.autoattack`.

    Raises:
        MissingError: neither their package nor pyautoattack is installed.
    """
    if not any(map(exists, ("autoattack", "pyautoattack"))):
        raise MissingError(
            "needs the package pyautoattack", component="attack 'autoattack'", remedy="pip install pyautoattack"
        )

    def perturb(module: "nn.Module", batch: "Batch", ball: "Ball", classes: int, seed: int) -> "Tensor":
        adversary = _adversary(module, ball, seed, version, attacks, batch.device)
        _fit_classes(adversary, classes)
        with _quiet():
            returned = adversary.run_standard_evaluation(batch.x, batch.y, **{_batch_word(adversary): len(batch)})
        adversarial: Tensor = returned[0] if isinstance(returned, tuple) else returned
        return adversarial

    def said(classes: int) -> dict[str, str]:
        return _notes(classes) | restarts_said(version)

    return ExternalAttack(perturb, batch_size, NORMS, averages_draws=version == "rand", said=said)


def _notes(classes: int) -> dict[str, str]:
    if classes >= 10:
        return {}
    notes = {"targets": f"{classes - 1} targets (9 in the reference; the backbone has {classes} classes)"}
    if classes < 4:
        replaced = "targeted dlr" if classes == 3 else "dlr and targeted dlr"
        notes["loss"] = f"margin instead of {replaced} ({classes} classes)"
    return notes


def _adversary(
    module: "nn.Module", ball: "Ball", seed: int, version: Version, attacks: list[Member] | None, device: Any
) -> Any:
    """The authors' package `autoattack` where it is installed, else `pyautoattack`, which names some arguments differently."""
    common: dict[str, Any] = {
        "norm": ball.norm,
        "eps": float(ball.eps),
        "seed": seed,
        "version": version,
        "device": device,
    }
    try:
        from autoattack import AutoAttack
    except ModuleNotFoundError:
        from pyautoattack import AutoAttack as PyAutoAttack

        return PyAutoAttack(module, attacks=attacks, **common)
    return AutoAttack(module, attacks_to_run=attacks or [], verbose=False, **common)


def _batch_word(adversary: Any) -> str:
    return "batch_size" if type(adversary).__module__.startswith("pyautoattack") else "bs"


def _fit_classes(adversary: Any, classes: int) -> None:
    """docs/judging.md, rule 1.10: the class count comes from the logits."""
    if classes >= 10:
        return
    for member in (adversary.apgd_targeted, adversary.fab):
        member.n_target_classes = min(member.n_target_classes, classes - 1)
    if classes < 4:
        targeted = adversary.apgd_targeted

        def margin_to_target(logits: "Tensor", y: "Tensor") -> "Tensor":
            return _at(logits, targeted.y_target) - _at(logits, y)

        targeted.dlr_loss_targeted = margin_to_target
    if classes < 3:
        from rbench.threat.losses import margin

        adversary.apgd.dlr_loss = margin


def _at(logits: "Tensor", y: "Tensor") -> "Tensor":
    return logits.gather(1, y[:, None])[:, 0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the reference's log from the terminal and gives the trace function back, which its check for dynamic defences removes."""
    trace, logger, silence = sys.gettrace(), logging.getLogger("auto-attack"), logging.NullHandler()
    logger.addHandler(silence)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        sys.settrace(trace)
        logger.removeHandler(silence)
        logger.propagate = propagate
