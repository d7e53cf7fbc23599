"""The columns of the leaderboard: what each means, its unit, and which end is good."""

from dataclasses import dataclass
from typing import Literal

Unit = Literal["fraction", "count", "seconds", "pixel scale", "text", "yes/no"]


@dataclass(frozen=True)
class Column:
    """What a column means.

    Attributes:
        meaning: one sentence.
        unit: of its values.
        direction: which end is good; None if neither.
    """

    meaning: str
    unit: Unit
    direction: Literal["higher", "lower"] | None = None


COLUMNS: dict[str, Column] = {
    "rank": Column(
        "Place by robust accuracy among rows judged alike: verified rows first, provisional ones last; ties share it.",
        "count",
        "lower",
    ),
    "dataset": Column("The data set.", "text"),
    "backbone": Column("The frozen classifier.", "text"),
    "purifier": Column("The transform in front of it.", "text"),
    "norm": Column("Norm of the perturbation.", "text"),
    "eps": Column("Radius of the ball.", "pixel scale"),
    "n": Column("Samples judged, all of them in every denominator.", "count"),
    "standard_accuracy": Column("Accuracy without an attack.", "fraction", "higher"),
    "robust_accuracy": Column("Accuracy in the pointwise worst case over all attacks.", "fraction", "higher"),
    "robust_low": Column("Lower end of its 95 % interval.", "fraction", "higher"),
    "robust_high": Column("Upper end of its 95 % interval.", "fraction", "higher"),
    "blind_robust_accuracy": Column(
        "The same over the attacks that ignore the purifier; empty if there were none.", "fraction", "higher"
    ),
    "strongest_attack": Column(
        "The attack with the lowest accuracy of its own; by the select draws if the purifier is random.", "text"
    ),
    "stochastic": Column("Whether the purifier was seen to be random.", "yes/no"),
    "gradient": Column("The gradient path of the strongest attack.", "text"),
    "flags": Column("Typed doubts about the row.", "text"),
    "verified": Column("Whether the stored examples were judged again.", "yes/no"),
    "status": Column("`done`, or what blocks the row.", "text"),
    "noise_accuracy": Column("Accuracy under uniform noise in the ball.", "fraction", "higher"),
    "cost_seconds": Column("Seconds that the row's cells took together.", "seconds", "lower"),
    "eps_text": Column("Radius as written.", "text"),
    "draws": Column("Draws that each image was judged by.", "count"),
    "decide": Column("How the draws of an image become one value.", "text"),
    "judge": Column("Version of the rules that judged the row.", "text"),
    "group": Column("Rows with one mark were judged alike: same samples, threat and protocol.", "text"),
}
