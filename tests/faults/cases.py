"""Wrong arguments and wrong arrays: what a suite and `rbench.evaluate` refuse, one table for both."""

import json
from typing import Any, NamedTuple

import numpy as np

NAN, INF = float("nan"), float("inf")


class Case(NamedTuple):
    """A wrong value: the field that both name last, and what else is asked for."""

    field: str
    value: Any
    attack: str = "pgd"
    more: tuple[tuple[str, Any], ...] = ()

    @property
    def title(self) -> str:
        return f"{self.attack}-{self.field}-{self.value}"[:40]


COUNTS = (0, -1, 2.5, 10**9, True, "5", NAN, None)
VALUES: dict[str, tuple[Any, ...]] = {
    "eps": (8, 255, 300, 1.5, 0, -8, "-8/255", "0/255", 1e-9, "1/999999999999", NAN, INF, -INF, "1/0", "big", True, None, {"a": 1}),
    "norm": ("L3", "linf", 2, None, True, ""),
    "decide": ("median", "Mean", 1, None),
    "gradient": ("bpa", "EXACT", 3, None),
    "draws": COUNTS,
    "select_draws": COUNTS,
    "eot": COUNTS,
    "seed": (-1, 1.5, 2**32, True, "0", None),
    "steps": COUNTS,
    "restarts": COUNTS,
    "step_size": (0, -1, NAN, INF, 2, 8, "x", True),
    "momentum": (-0.1, 1.5, "x"),
    "stepz": (5,),
}  # fmt: skip
ARGUMENTS = [Case(field, value) for field, values in VALUES.items() for value in values] + [
    Case("eot", 2, "autoattack"),
    Case("gradient", "bpda", "latent"),
    Case("steps", 0, "torchattacks:PGD"),
    Case("steps", -3, "torchattacks:PGD"),
    Case("steps", 10.0, "torchattacks:PGD"),
    Case("steps", 10**9, "torchattacks:PGD"),
    Case("alpha", 2, "torchattacks:PGD"),
    Case("alpha", -1, "torchattacks:PGD", (("norm", "Linf"),)),
    Case("eot_iter", 0, "torchattacks:APGD"),
    Case("n_queries", 0, "torchattacks:Square"),
    Case("queries", 1, "square"),
    Case("queries", 10**9, "rays"),
    Case("tries", 0, "noise"),
]

SUITE = """\
suite: same
dataset: {name: npz, path: x.npz}
threat: {norm: NORM, eps: EPS}
backbones: [bundled:fashion-cnn]
attacks: [{name: ATTACK, gradient: GRADIENT, eot: EOTPARAMS}]
protocol: {draws: DRAWS, select_draws: SELECT, decide: DECIDE, seed: SEED}
"""
USUAL = {
    "norm": "Linf",
    "eps": 0.1,
    "gradient": "auto",
    "eot": 1,
    "draws": 8,
    "select_draws": 8,
    "decide": "mean",
    "seed": 0,
}


def asked(case: Case) -> dict[str, Any]:
    """The arguments of `rbench.evaluate`."""
    return {"attack": case.attack, **USUAL, **dict(case.more), case.field: case.value}


def suite_of(case: Case) -> str:
    """The suite that asks for the same."""
    values = asked(case)
    params = {name: value for name, value in values.items() if name not in USUAL and name != "attack"}
    slots = {"select_draws": "SELECT", **{name: name.upper() for name in USUAL if name != "select_draws"}}
    text = SUITE.replace("PARAMS", "".join(f", {name}: {_yaml(value)}" for name, value in params.items()))
    for name, slot in {**slots, "attack": "ATTACK"}.items():
        text = text.replace(slot, _yaml(values[name]))
    return text


def _yaml(value: Any) -> str:
    if isinstance(value, float) and (value != value or value in (INF, -INF)):
        return {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}[str(value)]
    return json.dumps(value)


X = np.linspace(0, 1, 6 * 3 * 8 * 9, dtype=np.float32).reshape(6, 3, 8, 9)
Y = np.arange(6) % 3


def _spoilt(value: float) -> np.ndarray:
    x = X.copy()
    x[2, 1, 3, 3] = value
    return x


ARRAYS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "0 to 255": (X * 255, Y),
    "-1 to 1": (X * 2 - 1, Y),
    "normalised": ((X - 0.5) / 0.25, Y),
    "slightly above 1": (_spoilt(1.01), Y),
    "NaN": (_spoilt(NAN), Y),
    "infinite": (_spoilt(INF), Y),
    "int64 images": ((X * 255).astype(np.int64), Y),
    "bool images": (X > 0.5, Y),
    "almost black": ((X > 0.5).astype(np.uint8), Y),
    "names of files": (np.array(["a.png"] * 6), Y),
    "complex images": (X.astype(np.complex64), Y),
    "one vector a sample": (X.reshape(6, -1), Y),
    "no pixels": (X[:, :, :0], Y),
    "grey without pixels": (X[:, 0, :, :0], Y),
    "five axes": (X[None], Y),
    "float labels": (X, Y.astype(np.float32)),
    "labels as text": (X, Y.astype(str)),
    "one-hot": (X, np.eye(3, dtype=np.int64)[Y]),
    "one-hot floats": (X, np.eye(3)[Y]),
    "labels -1": (X, np.where(Y == 2, -1, Y)),
    "bool labels": (X, Y > 0),
    "label that is no int64": (X, np.where(Y == 2, np.uint64(2**64 - 1), Y.astype(np.uint64))),
    "fewer labels": (X, Y[:4]),
    "more labels": (X[:4], Y),
    "nothing": (X[:0], Y[:0]),
}
