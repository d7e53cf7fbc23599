"""Flags: typed doubts about a result, each with its meaning, its usual cause, its cure and the numbers that it speaks from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FlagName = Literal[
    "randomised",
    "not-logits",
    "zero-gradients",
    "no-gradient-path",
    "wrong-gradient",
    "black-box-wins",
    "transfer-wins",
    "blind-wins",
    "not-converged",
    "weaker-with-more",
    "unbounded-survivors",
    "one-step-wins",
    "noise-wins",
    "silent-success",
    "unstable",
    "batch-dependent",
    "optimises-at-test-time",
    "few-samples",
    "weak-gradient",
    "unverified",
    "no-eot",
    "not-reproducible",
    "keeps-state",
    "out-of-range",
    "low-precision",
    "leaks",
    "near-chance",
    "provisional",
]


@dataclass(frozen=True)
class Threshold:
    """A number that a flag speaks from.

    Attributes:
        value: the number; shares and points of accuracy as fractions of all samples.
        unit: how it is written.
        of: what is compared with it.
    """

    value: float
    unit: Literal["", "%", "points", "samples"]
    of: str

    @property
    def text(self) -> str:
        """As documents write it: `1 %`, `0.2 points`, `100 samples`, `1e-4`."""
        shown = 100 * self.value if self.unit in ("%", "points") else self.value
        number = f"{shown:.0e}".replace("e-0", "e-") if 0 < shown < 0.01 else f"{shown:g}"
        unit = "point" if self.unit == "points" and shown == 1 else self.unit
        return f"{number} {unit}".rstrip()


@dataclass(frozen=True)
class FlagFacts:
    """What a reader needs to know about one flag.

    Attributes:
        short: two characters for narrow tables.
        meaning: what was seen.
        cause: what usually brings it about.
        cure: what to do before believing the number.
        thresholds: the numbers that it speaks from, by a name for the code; empty where what was seen either is so or is not.
    """

    short: str
    meaning: str
    cause: str
    cure: str
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)


LUCK_CONFIDENCE = 0.998
"""Under a random defence a margin must also exceed what the draws explain: this interval of a paired bootstrap must exclude zero. Several
flags on many rows are looked at, so 95 % would raise too many."""

_LOGITS = "of logits from which on two are not the same"

FLAGS: dict[FlagName, FlagFacts] = {
    "randomised": FlagFacts(
        "RA",
        "Repeated passes over one image differ by more than 1e-4 though the purifier says deterministic.",
        "The purifier draws from a generator, or uses dropout, without declaring `stochastic = True`.",
        "Declare it; the row is then judged over several draws and attacked with EOT.",
        {"difference": Threshold(1e-4, "", f"difference {_LOGITS}")},
    ),
    "not-logits": FlagFacts(
        "NL",
        "The backbone returns probabilities, their logarithms, or other squashed outputs instead of logits.",
        "A softmax or a sigmoid is part of the model; its saturation hides gradients from the attacks.",
        "Give the backbone without its last softmax or sigmoid.",
        {
            "rounding": Threshold(1e-5, "", "how far probabilities may be from a sum of 1, and beyond their bounds"),
            "end": Threshold(0.01, "%", "of the range of all outputs, within which an output lies at its end"),
            "crowded": Threshold(0.5, "%", "share of the outputs at the ends from which on they are squashed"),
        },
    ),
    "zero-gradients": FlagFacts(
        "ZG",
        "The gradient at the input is zero for some samples.",
        "Rounding, quantising or saturation in front of the backbone, or a constant classifier.",
        "Attack with `gradient: bpda`, another loss, and a black-box attack.",
        {"share": Threshold(0.01, "%", "share of the attacked samples at their first query, or of all queries")},
    ),
    "no-gradient-path": FlagFacts(
        "NG",
        "The graph of the defended model does not reach its input.",
        "The purifier works under `no_grad`, detaches, or leaves torch.",
        "Attack with `gradient: bpda`, or give the purifier a `surrogate`.",
    ),
    "wrong-gradient": FlagFacts(
        "WR",
        "The gradient of the exact path is not the slope of the loss: it differs by more than a tenth from finite differences, or the "
        "checkpointed one from the plain one.",
        "A custom backward pass, a `detach`, or noise that is drawn again when a step is replayed.",
        "Draw through `noise` before the steps; attack with `gradient: bpda` where the exact gradient is a stand-in anyway.",
        {
            "slopes": Threshold(
                0.1, "", "difference of slopes by the graph and by finite differences, relative to the longer"
            ),
            "slopes in 16 bits": Threshold(
                0.5, "", "the same where the forward pass computes in 16 bits, whose rounding is no lie"
            ),
            "replayed": Threshold(
                1e-3, "", "difference of the checkpointed gradient and the plain one, relative to the longer"
            ),
        },
    ),
    "black-box-wins": FlagFacts(
        "BB",
        "A black-box attack lowers robust accuracy more than 0.2 points below the white-box attacks.",
        "Masked gradients: the white-box attacks were led astray.",
        "Use another gradient path, more EOT or another loss until the white-box attacks win.",
        {"margin": Threshold(0.002, "points", "robust accuracy")},
    ),
    "transfer-wins": FlagFacts(
        "TW",
        "Examples made on another model fool more than 1 % of the samples that stood the white-box attacks.",
        "Masked gradients, or too few steps.",
        "Use another gradient path or start the attack from the transferred examples.",
        {"margin": Threshold(0.01, "points", "robust accuracy")},
    ),
    "blind-wins": FlagFacts(
        "BW",
        "An attack that does not know the purifier lowers robust accuracy more than one point below every attack that does.",
        "The attacks that know the purifier were stopped too early, or follow gradients that mislead.",
        "Raise their steps and EOT, use another gradient path or momentum, or attack with `adaptive`.",
        {"margin": Threshold(0.01, "points", "robust accuracy")},
    ),
    "not-converged": FlagFacts(
        "NC",
        "Doubling the steps, restarts or EOT changes robust accuracy by more than one point.",
        "The attack was stopped too early.",
        "Raise steps, restarts or EOT until the number stands still.",
        {"change": Threshold(0.01, "points", "robust accuracy, up or down")},
    ),
    "weaker-with-more": FlagFacts(
        "WM",
        "Doubling the steps, restarts or EOT raises robust accuracy by more than one point.",
        "The attack does not keep the best of its points, or follows gradients that mislead.",
        "Keep the best point over all steps; use another gradient path, more EOT or another loss.",
        {"rise": Threshold(0.01, "points", "robust accuracy")},
    ),
    "unbounded-survivors": FlagFacts(
        "US",
        "A sample stands although the attacker may replace the whole image (eps = 1).",
        "The attack does not work on this defended model.",
        "Repair the attack (gradient path, loss, step size) before reading its numbers.",
    ),
    "one-step-wins": FlagFacts(
        "1S",
        "One step (FGSM) fools more than many steps (PGD) along the same gradient path.",
        "Masked gradients, or a step size that does not fit.",
        "Use another gradient path, a smaller step or more restarts.",
    ),
    "noise-wins": FlagFacts(
        "NW",
        "Uniform noise in the ball fools more than 1 % of the samples that stood the gradient attacks.",
        "The gradients point nowhere useful.",
        "Use another gradient path, more EOT or a black-box attack.",
        {"share": Threshold(0.01, "%", "share of the samples")},
    ),
    "silent-success": FlagFacts(
        "SS",
        "An iterate of the attack was adversarial, the point it returned is not.",
        "The attack returns its last point instead of its best one.",
        "Keep the best point of the attack.",
    ),
    "unstable": FlagFacts(
        "UN",
        "Small random directions in the ball change the loss by more than half on average.",
        "A shattered loss surface, or undeclared randomness.",
        "Use BPDA or a smoothed gradient (EOT over noise).",
        {"change": Threshold(0.5, "", "mean change of the margin, relative to its mean size at the images")},
    ),
    "batch-dependent": FlagFacts(
        "BD",
        "The logits of a sample change with the order or the split of its batch.",
        "Batch statistics, attention over the batch, or one draw shared by the batch.",
        "Make the model treat samples one by one; draw through `noise`.",
        {
            "difference": Threshold(1e-4, "", f"difference {_LOGITS}, relative to the largest (to 1 if that is more)"),
            "difference in 16 bits": Threshold(
                0.02, "", "the same where the forward pass computes in 16 bits, which round by 0.004"
            ),
        },
    ),
    "optimises-at-test-time": FlagFacts(
        "OT",
        "The defended model calls autograd inside its forward pass.",
        "The purifier optimises at test time.",
        "Unroll the loop in the attack, or use BPDA and transfer beside it.",
    ),
    "few-samples": FlagFacts(
        "FS",
        "Fewer than 100 samples, or too few to tell this row from its neighbour (McNemar, p >= 0.05).",
        "The slice of the data set is small for the difference claimed.",
        "Evaluate more samples, or call the rows equal.",
        {
            "samples": Threshold(100, "samples", "below which a slice is small"),
            "p": Threshold(0.05, "", "p-value of McNemar's test from which on two neighbours cannot be told apart"),
        },
    ),
    "weak-gradient": FlagFacts(
        "WG",
        "Only BPDA, blind or surrogate gradients were used behind a differentiable purifier.",
        "The suite has no attack along the exact gradient.",
        "Add an attack with `gradient: exact`.",
        {
            "zero": Threshold(
                0.5,
                "%",
                "share of the audited samples with a gradient that is zero or not finite, from which on there is none",
            )
        },
    ),
    "unverified": FlagFacts(
        "UV",
        "The adversarial examples have not been judged again since the run, or were not stored.",
        "Nobody has verified the folder, its files have changed since, or the suite has `store: {images: none}`.",
        "Run `rbench verify DIR`; where nothing was stored, run again with `store: {images: all}` first.",
    ),
    "no-eot": FlagFacts(
        "NE",
        "A random purifier was attacked with a single draw of its randomness per gradient.",
        "The attack has `eot: 1`.",
        "Give the attack `eot: 10` or more.",
    ),
    "not-reproducible": FlagFacts(
        "NR",
        "The output differs under the same seeds.",
        "The purifier seeds itself from the clock or reads a source that cannot be seeded.",
        "Draw through `noise`, or from torch's global generator.",
        {"difference": Threshold(1e-4, "", f"difference {_LOGITS}")},
    ),
    "keeps-state": FlagFacts(
        "KS",
        "The first questions of the audit, asked again at the end of the cell, got other answers; the cell fails.",
        "The purifier counts its calls, or remembers images that it was shown.",
        "Make the answer a function of the image and the noise alone.",
        {"difference": Threshold(1e-4, "", f"difference {_LOGITS}")},
    ),
    "out-of-range": FlagFacts(
        "OR",
        "Purified pixels lie outside [0, 1] by more than rounding.",
        "The purifier adds noise or a correction, and does not clip.",
        "Clip in the purifier, or take the row as that of another backbone: it was not made for such images.",
        {"pixels": Threshold(1e-6, "", "distance of a purified pixel from [0, 1] above which it is no rounding")},
    ),
    "low-precision": FlagFacts(
        "LP",
        "The defended model computes in 16 bits somewhere in its forward pass.",
        "A cast to half precision, or autocast inside.",
        "Evaluate it in float32; in 16 bits small steps of an attack round to nothing.",
    ),
    "leaks": FlagFacts(
        "LK",
        "The purifier turns attacked images into the clean ones, bit by bit, and does not do so where the images are rolled.",
        "It has stored images of the test set, or keeps those that it was shown.",
        "Keep the test set from the purifier; no number behind it says anything.",
        {"share": Threshold(0.01, "%", "share of the attacked images that the purifier changed")},
    ),
    "near-chance": FlagFacts(
        "CH",
        "Standard accuracy is not above that of guessing, or less than half of what the backbone has without a purifier.",
        "Labels that belong to other pictures, another order of the classes, or a purifier that destroys the images.",
        "Compare some labels with their pictures, and the preprocessing of the backbone with its card.",
        {
            "p": Threshold(
                0.05, "", "p-value of the one-sided binomial test against 1 / classes, from which on it may be guessing"
            ),
            # Below half, most of what a row calls fooled was wrong before any attack.
            "undefended": Threshold(0.5, "%", "share of the standard accuracy of the same backbone without a purifier"),
        },
    ),
    "provisional": FlagFacts(
        "PV",
        "The gradients are zero, not finite or wrong, and no attack of the row did without them; or answers depend much on the batch.",
        "The suite has attacks along gradients alone, and the purifier rounds, detaches or has a backward pass of its own.",
        "Add a black-box attack (`square`), or `adaptive`, which has one; until then the row ranks below all others.",
        {
            "share": Threshold(0.1, "%", "share of the audited samples whose exact gradient is zero, or not finite"),
            "promise": Threshold(
                0.1,
                "",
                "rise of the margin after a step along the gradient at attacked images, as a share of what it promises",
            ),
            "batch": Threshold(
                0.05, "", "difference of logits in batches of another order or size, relative to the largest"
            ),
        },
    ),
}


def threshold(name: FlagName, which: str) -> float:
    """A number that a flag speaks from, by the flag and its name in the catalogue."""
    return FLAGS[name].thresholds[which].value
