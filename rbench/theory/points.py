"""What is measured of one purifier before one backbone at one radius, and how; no torch."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Contrastive = Literal["paper", "infonce"]


@dataclass(frozen=True)
class Settings:
    """How points are measured.

    Attributes:
        steps: PGD steps, on the cross-entropy and on the encoder.
        restarts: independent starts of each; the worst counts, per image.
        contrastive: form of L_con, the same for all purifiers whatever they were trained with.
        tau: its temperature.
        batch: images that are each other's negatives; the last batches are made alike, so that none is small.
        seed: of the starts.
    """

    steps: int = 50
    restarts: int = 2
    contrastive: Contrastive = "infonce"
    tau: float = 0.5
    batch: int = 128
    seed: int = 0


@dataclass(frozen=True)
class Point:
    """One measurement; means over all images, right or wrong.

    Attributes:
        key: of the content: components, samples, radius and settings.
        dataset: label of the data set.
        backbone: label of the backbone.
        purifier: label of the purifier.
        eps: Linf radius as written.
        radius: the same as a number, on the [0, 1] pixel scale.
        lam: lambda that the purifier was trained with; 0 for a plain auto-encoder, None where there is none or no card tells.
        n: images.
        clean_ce: cross-entropy of the defended model, in nats.
        adversarial_ce: the same at the worst image that PGD finds through purifier and backbone.
        clean_contrastive: L_con without an attacker (z_adv = z).
        attacked_contrastive: L_con at the worst code that PGD finds on the encoder; below the true maximum.
        standard_accuracy: accuracy without an attack.
        robust_accuracy: accuracy under attack.
        robust_from: `run` if it is the worst case of a finished run, `pgd` if it is what the PGD of `adversarial_ce` leaves.
    """

    key: str
    dataset: str
    backbone: str
    purifier: str
    eps: str
    radius: float
    lam: float | None
    n: int
    clean_ce: float
    adversarial_ce: float
    clean_contrastive: float
    attacked_contrastive: float
    standard_accuracy: float
    robust_accuracy: float
    robust_from: Literal["run", "pgd"] = "pgd"

    @property
    def kappa(self) -> float | None:
        """The smallest constant that makes the theorem hold at this point: (adversarial CE - clean CE) / L_con."""
        if self.attacked_contrastive <= 0:
            return None
        return (self.adversarial_ce - self.clean_ce) / self.attacked_contrastive

    def row(self) -> dict[str, Any]:
        """All of it by name, kappa included."""
        return {**asdict(self), "kappa": self.kappa}
