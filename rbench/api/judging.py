"""`rbench.evaluate` and `rbench.attack`: models in memory, judged by the rules of a suite but without files."""

from __future__ import annotations  # help() shows names of types, not what they stand for

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from rbench.api.asking import Eps, OneAttack, attacks_asked, plain, threat_asked
from rbench.api.models import Given, Model, model_of
from rbench.api.result import Evaluation, concluded
from rbench.api.setting import Setting, set_up
from rbench.api.shown import Told, bar
from rbench.datasets.different import different, told_repeats
from rbench.datasets.types import Dataset
from rbench.engine.devices import resolve_device
from rbench.engine.patches import of_judging
from rbench.errors import RbenchError
from rbench.process_state import NOTES
from rbench.purifiers.identity import Identity
from rbench.registry.trust import trusting
from rbench.running.components import make, order
from rbench.running.given import by_argument, given, only
from rbench.running.span import run_span
from rbench.suite.cell import Decide, GradientChoice, Norm, Slice
from rbench.suite.resolve import resolve_part

of_judging()  # as it is before a user's purifier is made

Images: TypeAlias = (
    Tensor
    | NDArray[Any]
    | Sequence[Any]
    | DataLoader[Any]
    | TorchDataset[Any]
    | Dataset
    | str
    | Mapping[str, Any]
    | None
)
"""Images, or images with their labels; None only for what was forgotten."""
Labels: TypeAlias = Tensor | NDArray[Any] | Sequence[Any] | None
"""Class numbers; None where the images have them."""


def evaluate(
    backbone: Given,
    images: Images,
    labels: Labels = None,
    *,
    purifier: Given | None = None,
    attack: OneAttack = "pgd",
    attacks: Sequence[OneAttack] | None = None,
    threat: Mapping[str, Any] | None = None,
    norm: Norm = "Linf",
    eps: Eps = "8/255",
    samples: int | None = None,
    gradient: GradientChoice = "auto",
    stand_in: Given | None = None,
    eot: int = 1,
    draws: int = 16,
    select_draws: int = 64,
    decide: Decide = "mean",
    seed: int = 0,
    batch_size: int = 64,
    device: str = "auto",
    label: str | None = None,
    progress: bool = True,
    trust: bool = False,
    **params: Any,
) -> Evaluation:
    """Judges a classifier behind a purifier under one attack or several, as a suite would, without files.

    What comes back is a row of a leaderboard: an image counts as robust only if it survives every attack, uniform noise, and the rounding
    of a file of 8 bits. Your modules are as they were afterwards: modes, gradients, hooks, buffers, device; a copy of the backbone is
    judged, where it can be copied.

    One attack is `attack`, with its parameters as further keywords; several are `attacks`, each written as in a suite. `norm` and `eps` are
    the threat, or `threat={"norm": "Linf", "eps": "8/255"}` as in a suite.

    Models are modules, functions of a tensor, registry names (`"jpeg"`, `"timm:resnet18"`), or names with parameters as in a suite
    (`{"name": "jpeg", "quality": 50}`).

    Args:
        backbone: [0, 1] pixels [B, C, H, W] to logits [B, classes]; it normalises inside.
        images: a tensor, an array or a list of them, [N, C, H, W], [N, H, W, C] or, if grey, [N, H, W]: floats in [0, 1], or uint8. Or what
            has labels as well: a `DataLoader` or data set of torch, a data set of rbench, or the name of one, alone or in a map with its
            parameters (`{"name": "parquet", "path": "test.parquet"}`).
        labels: [N] true classes, integers from 0, likewise.
        purifier: images to images of the same shape; the identity if not given.
        attack: registry name, e.g. `pgd`, or an attack object.
        attacks: several of these, or maps such as `{"name": "pgd", "steps": 100, "gradient": "bpda", "as": "pgd-bpda"}`.
        threat: norm and eps, as in a suite, in place of the next two.
        norm: `Linf`, `L2` or `L1`.
        eps: radius on the [0, 1] pixel scale; text such as `8/255` is exact.
        samples: only so many images: of a data set by name those that a suite takes with `samples:`, otherwise the first.
        gradient: `auto`, `exact`, `checkpointed`, `bpda` or `blind`; of attacks that do not say it themselves.
        stand_in: what `bpda` differentiates in place of the purifier; its own surrogate if it has one, else the identity, if not given.
        eot: draws averaged per query of a random defence; of attacks that do not say it themselves.
        draws: draws of a random defence that value an image; nothing is chosen by them.
        select_draws: other draws, by which the worst of several images is chosen.
        decide: `mean`, `majority` or `any` (the worst of the draws).
        seed: the root of all randomness.
        batch_size: samples at once; the results of rbench's own attacks do not depend on it.
        device: `auto` (a GPU if there is one), `cpu`, `cuda` or `cuda:N`; the modules are moved there for the time being.
        label: what tables call the purifier; the name of its class if not given.
        progress: whether a bar is shown on a terminal and in a notebook.
        trust: whether code of your own may run that a name is of, as for `load`.
        **params: parameters of the one attack, if it is a name.

    Raises:
        InputError: images, labels or parameters are wrong; one line, in the words that a suite gets.
        MissingError: a component needs a module or file that is not there.
        CellFailed: the defended model or an attack broke a rule of judging; names the samples.

    Warns:
        UserWarning: an image is there more than once, and counts once; or code of a third party changed the state of the process (default
            dtype, seed, ...), which was put back.

    Example:
        >>> import rbench, torch
        >>> asked = {"purifier": "jpeg", "samples": 4, "attack": "pgd", "steps": 5, "eps": 0.1}
        >>> found = rbench.evaluate("bundled:fashion-cnn", "fashion-mnist-mini", **asked)
        >>> found
        Evaluation(jpeg on bundled:fashion-cnn, Linf 0.1, 4 images: standard 100.0 %, robust 0.0 % (0.0 to 49.0) under pgd; ...)
        >>> found.robust_accuracy.value
        0.0

        Modules and functions of your own, and the worst case over two attacks:

        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
        >>> images = torch.rand(8, 1, 4, 4)
        >>> found = rbench.evaluate(
        ...     net, images, net(images).argmax(1), purifier=lambda x: (x * 7).round() / 7, label="8 levels",
        ...     threat={"norm": "L2", "eps": 1}, attacks=["fgsm", {"name": "pgd", "steps": 3, "gradient": "bpda"}],
        ... )
        >>> found.attacks["pgd"].robust_accuracy.value >= found.robust_accuracy.value
        True
    """
    trusting(trust=trust)([backbone, purifier, stand_in, attack, attacks, params, images])
    data = _data(images, labels, plain(samples))
    models = _models(backbone, purifier, label)
    place = _device(device)
    terms = {"gradient": gradient, "eot": eot, "draws": draws, "select_draws": select_draws, "decide": decide}
    terms |= {"seed": seed, "batch_size": batch_size, **threat_asked(threat, norm, eps)}
    asked = attacks_asked(attack, attacks, params, stand_in, data, **terms)
    NOTES.take()  # what is told here is of this call
    with by_argument():
        ids = different(data, data.ids)
    for line in told_repeats(len(data) - len(ids), len(data)):
        NOTES.say(f"{line}; `samples` and `adversarial` have as many rows")
    setting = Setting(data, ids, *models, tuple(asked), place)
    with setting.judging() as loaded, bar(wanted=progress) as told, by_argument():
        done = []
        for one in asked:
            prepared = set_up(setting, loaded, one)
            size = one.attack.chunk(one.terms.batch_size)
            spans = [ids[start : start + size] for start in range(0, len(ids), size)]
            on_done = partial(_tell, told, one.part.label, len(ids) * len(asked))
            parts = [run_span(prepared, span, on_done) for span in spans]
            done.append(concluded(setting, one, prepared, parts))
        cost = loaded.model.meter.totals()
    for line in NOTES.take():
        warnings.warn(line, stacklevel=2)
    return Evaluation(setting, tuple(done), cost)


def attack(
    backbone: Given,
    images: Images,
    labels: Labels = None,
    *,
    attack: OneAttack = "pgd",
    **terms: Any,
) -> Tensor:
    """Adversarial examples alone, as libraries of attacks give them.

    The same as `evaluate(...).adversarial`, with a row for every image: the defended model is audited and what comes back is judged, so an
    attack that leaves the ball, or a model that cannot be attacked so, is told and not handed over.

    Args:
        backbone: as for `evaluate`.
        images: likewise.
        labels: likewise.
        attack: likewise.
        **terms: every other keyword of `evaluate`, parameters of the attack among them.

    Returns:
        [N, C, H, W] float32 in [0, 1], within the ball around the images, on the CPU. An image that is wrong without an attack comes back
        as it is.

    Raises:
        InputError: images, labels or parameters are wrong.
        CellFailed: the defended model or the attack broke a rule of judging.

    Example:
        >>> import rbench, torch
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
        >>> images = torch.rand(8, 1, 4, 4)
        >>> moved = rbench.attack(net, images, net(images).argmax(1), attack="pgd", steps=3, eps=0.1)
        >>> moved.shape, round(float((moved - images).abs().max()), 4)
        (torch.Size([8, 1, 4, 4]), 0.1)
    """
    found = evaluate(backbone, images, labels, attack=attack, **terms)
    data = found.setting.data
    if len(found.adversarial) == len(data):
        return found.adversarial
    place = {data.read(found.setting.ids[row : row + 1]).tobytes(): row for row in range(len(found.setting.ids))}
    rows = [place[data.read(data.ids[at : at + 1]).tobytes()] for at in range(len(data))]
    return found.adversarial[torch.tensor(rows)]


def _tell(told: Told, title: str, total: int, count: int) -> None:
    told(title, count, total)


def _data(images: Images, labels: Labels, samples: int | None) -> Dataset:
    asked = {"name": images} if isinstance(images, str) else dict(images) if isinstance(images, Mapping) else {}
    if labels is None and isinstance(asked.get("name"), str):
        try:
            whole: Dataset = make("dataset", asked.pop("name"), asked)
        except RbenchError as error:
            raise error.at("images") from error
        chosen = given(whole, None, samples)  # refuses a number that is none
        if samples is None:
            return chosen
        return only(whole, order(whole, Slice(samples, shuffle=0)))
    return given(images, labels, samples)


def _models(backbone: Given, purifier: Given | None, label: str | None) -> tuple[Model, Model]:
    known = model_of("backbone", backbone)
    if purifier is None:
        return known, Model(Identity(), resolve_part("purifier", "identity", {}, label))
    return known, model_of("purifier", purifier, label)


def _device(wanted: object) -> torch.device:
    try:
        return resolve_device(str(wanted))
    except RbenchError as error:
        error.place = "device"
        raise
