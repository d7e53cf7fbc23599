"""From a recipe to trained weights: of a purifier, a head or a backbone."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rbench.backbones.head import LAYER, features_of
from rbench.errors import InputError
from rbench.fit.data import Samples
from rbench.fit.head import Head, features, fit_head
from rbench.fit.loop import Course, Place, Progress, Task, seeded, train
from rbench.fit.recipe import AnyRecipe, HeadRecipe, PurifierRecipe, Training
from rbench.fit.tasks import backbone_task, purifier_task
from rbench.networks.file import write_network
from rbench.results.files import write_bytes
from rbench.running.components import make
from rbench.suite.cell import Part


@dataclass(frozen=True)
class Watch:
    """Functions of the caller that are called with the progress of a training.

    Attributes:
        reading: called with how many samples are read or turned into features, and how many there are.
        training: called after every step.
    """

    reading: Callable[[int, int], None] = lambda done, total: None
    training: Callable[[Progress], None] = lambda progress: None


@dataclass(frozen=True)
class Made:
    """Weights that are trained but not written yet."""

    write: Callable[[Path], None]
    parameters: int
    course: Course
    metrics: dict[str, float]


def make_weights(
    spec: AnyRecipe, parts: Mapping[str, Part], kept: Samples, held_out: Samples, place: Place, watch: Watch
) -> Made:
    """Trains what a recipe asks for.

    Args:
        spec: the recipe.
        parts: its components.
        kept: samples to train on.
        held_out: samples to measure on; may be empty.
        place: device and checkpoint.
        watch: called with the progress.
    """
    if isinstance(spec, HeadRecipe):
        return _head(spec, parts, kept, held_out, place, watch)
    if isinstance(spec, PurifierRecipe):
        network, objective = parts["network"], parts["objective"]
        with _fresh_weights(spec.training.seed):
            module: nn.Module = _component("network", network)
        task = purifier_task(module, _component("objective", objective))

        def write(path: Path) -> None:
            write_network(
                path,
                module,
                name=network.given_name,
                params=network.given_params,
                objective=objective.given_name,
                half=spec.stored == "fp16",
            )

        return _trained(task, write, kept, held_out, spec.training, place, watch)
    backbone = _component("backbone", parts["backbone"]).requires_grad_()
    return _trained(
        backbone_task(backbone, spec.attack),
        lambda path: _write_tensors(path, backbone.state_dict(), {}),
        kept,
        held_out,
        spec.training,
        place,
        watch,
    )


def _trained(
    task: Task,
    write: Callable[[Path], None],
    kept: Samples,
    held_out: Samples,
    training: Training,
    place: Place,
    watch: Watch,
) -> Made:
    course = train(task, kept, held_out, training, place, watch.training)
    last = course.curve[-1]
    metrics = {name: value for name, value in last.items() if isinstance(value, float)}
    metrics |= {f"held_out.{name}": value for name, value in last.get("held_out", {}).items()}
    return Made(write, sum(p.numel() for p in task.network.parameters()), course, metrics)


def _head(
    spec: HeadRecipe, parts: Mapping[str, Part], kept: Samples, held_out: Samples, place: Place, watch: Watch
) -> Made:
    began = time.monotonic()
    purifier = _component("purifier", parts["purifier"]) if spec.purifier else nn.Identity()
    extractor = features_of(_component("backbone", parts["backbone"]), spec.layer)
    total, done = len(kept) + len(held_out), [0]

    def more(count: int) -> None:
        done[0] += count
        watch.reading(done[0], total)

    inputs, rest = (
        features(purifier, extractor, part, seed=spec.training.seed, device=place.device, on_done=more)
        if len(part)
        else torch.empty(0, extractor.width)
        for part in (kept, held_out)
    )
    assert kept.labels is not None
    limit = spec.training.iterations
    head = fit_head(inputs, kept.labels, spec.training, lambda step: watch.training(Progress(step, limit, 1, 1)))
    metrics = {"loss": head.curve[-1]["loss"], "accuracy": round(head.accuracy(inputs, kept.labels), 6)}
    if len(held_out):
        assert held_out.labels is not None
        metrics["held_out.accuracy"] = round(head.accuracy(rest, held_out.labels), 6)
    course = Course(len(head.curve), time.monotonic() - began, {}, head.curve)
    return Made(
        lambda path: _write_head(path, head, spec.layer), head.weight.numel() + head.bias.numel(), course, metrics
    )


def _write_head(path: Path, head: Head, layer: str | None) -> None:
    _write_tensors(path, {"weight": head.weight, "bias": head.bias}, {} if layer is None else {LAYER: layer})


def _write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], header: dict[str, str]) -> None:
    from safetensors.torch import save

    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(whole, metadata=header or None))


def _component(kind: str, part: Part) -> Any:
    made = make(kind, part.given_name, part.given_params)
    is_one, wanted = (
        (callable(made), "a function") if kind == "objective" else (isinstance(made, nn.Module), "a module")
    )
    if not is_one:
        component = f"{kind} '{part.given_name}'"
        raise InputError(
            f"{component} makes no {kind}: expected {wanted}", component=component, found=type(made).__name__
        )
    return made


@contextmanager
def _fresh_weights(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeded(torch.device("cpu"), seed, "weights", 0).initial_seed())
        yield
