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
        tau: its temperature, the same for all.
        batch: at most so many images are each other's negatives; see `batches`.
        seed: of the starts.
    """

    steps: int = 50
    restarts: int = 2
    contrastive: Contrastive = "infonce"
    tau: float = 0.5
    batch: int = 128
    seed: int = 0

    def batches(self, n: int) -> int:
        """Into how many batches n >= 2 images go.

        L_con grows with the number of negatives, and one image alone has none. So there is no short last batch: all have the same size, or
        one more. Three images in batches of two are one batch of three.
        """
        return min(-(-n // self.batch), n // 2)


@dataclass(frozen=True)
class Point:
    """One measurement; means over all images, right or wrong.

    Attributes:
        key: of the content: components, samples, radius and settings.
        dataset: label of the data set.
        backbone: label of the backbone.
        frozen: registry name of the backbone, with `+ head` where its head was replaced. Heads are trained for one purifier each, so
            this is what points have in common.
        purifier: label of the purifier.
        eps: Linf radius as written.
        radius: the same as a number, on the [0, 1] pixel scale.
        lam: lambda that the purifier was trained with; 0 for a plain auto-encoder, None where there is none or no card has it.
        n: images.
        clean_ce: cross-entropy of the defended model, in nats.
        adversarial_ce: the same at the worst image that PGD sees through purifier and backbone; never below `clean_ce`.
        clean_contrastive: L_con without an attacker (z_adv = z).
        attacked_contrastive: L_con at the worst code that PGD sees on the encoder; below the true maximum.
        standard_accuracy: accuracy without an attack.
        robust_accuracy: accuracy under attack.
        robust_from: `run` if it is the worst case of a finished run, `pgd` if it is what the PGD of `adversarial_ce` leaves.
    """

    key: str
    dataset: str
    backbone: str
    frozen: str
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
        """The smallest constant that makes the theorem hold at this point: (adversarial CE - clean CE) / L_con.

        None where L_con is not positive, which the form `paper` allows.
        """
        return self._rise_per(self.attacked_contrastive)

    @property
    def excess_contrastive(self) -> float:
        """What the attacker adds to L_con: attacked - clean. In the form `paper` it is (1 - cosine) / tau, without any negative."""
        return self.attacked_contrastive - self.clean_contrastive

    @property
    def excess_kappa(self) -> float | None:
        """(adversarial CE - clean CE) / excess L_con. Not the theorem's constant: without an attack L_con is not 0, excess L_con is."""
        return self._rise_per(self.excess_contrastive)

    def row(self) -> dict[str, Any]:
        """All of it by name, what is computed from it included."""
        computed = {name: getattr(self, name) for name in ("kappa", "excess_contrastive", "excess_kappa")}
        return {**asdict(self), **computed}

    def _rise_per(self, loss: float) -> float | None:
        return (self.adversarial_ce - self.clean_ce) / loss if loss > 0 else None


def pooled(eps: str) -> str:
    """The name of the group of all points at one radius."""
    return f"eps {eps}, all backbones"
