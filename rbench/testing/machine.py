"""How a purifier or backbone runs: in float64, on another device than the CPU, and at what cost; and what it changes that it must not."""

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from rbench.engine.audit import Audit
from rbench.engine.defended import DefendedModel, state_hash
from rbench.engine.inventory import take_inventory
from rbench.process_state import NOTES, kept
from rbench.testing.case import Case
from rbench.testing.verdict import Verdict, judged, raised

_AGREE, _ROUNDS = 1e-2, 1e-4
"""Mean difference in float32 and float64, of pixels or relative to the largest logit: above the first they are two functions, above the
second rounding decides here and there."""
_TIMED = 3
"""Passes that are timed; the fastest counts."""


def in_float64(case: Case, seen: Audit) -> Verdict:
    """Whether float32 and float64 give the same answer: by it the gradient is held to finite differences."""
    name = "float64"
    if not seen.reproducible or (seen.global_generator and seen.random):
        return Verdict(name, "skipped", "in another type it draws other noise, so the answers cannot be compared")
    x = case.batch.x
    try:
        double = DefendedModel(copy.deepcopy(case.model.purifier).double(), copy.deepcopy(case.model.backbone).double())
        with torch.no_grad():
            wide, single = case.part(double, x.double()), case.part(case.model, x).double()
    except Exception as error:
        cure = "Make tensors in the type of the images: dtype=x.dtype."
        return Verdict(name, "note", f"{raised(error)}; float32 is checked alone", cure)
    apart = (wide - single).abs()
    mean = float(apart.mean() if case.is_purifier else apart.max() / wide.abs().max().clamp(min=1))
    found = f"answers in float32 and float64 differ by {mean:.1g} {'on average' if case.is_purifier else 'at most'}"
    cure = "Leave out what rounding decides: comparisons for equality, sums of unlike sizes, casts to 16 bits."
    if mean > _AGREE:
        return Verdict(name, "fails", found, cure)
    return Verdict(name, "note", f"{found}: rounding decides here and there", cure) if mean > _ROUNDS else _held(found)


def _held(found: str) -> Verdict:
    return Verdict("float64", "holds", found)


def on_any_device(case: Case) -> Verdict:
    """Whether every tensor is made where the images are.

    Torch's `meta` device stands for a GPU. First it is the default of tensors that are made without a device; code that makes them
    anywhere and moves them is then asked about images that are on `meta` themselves.
    """
    x, model = case.batch.x[:2], _copied(case)
    try:
        with torch.device("meta"), torch.no_grad():
            case.part(model, x)
    except Exception as first:
        try:
            _on_meta(case, x)
        except Exception:
            cure = "Say where: torch.zeros(..., device=x.device), x.new_zeros(...), and register_buffer for constants."
            return Verdict("device", "fails", f"a tensor is made on no given device: {raised(first)}", cure)
    return Verdict("device", "holds", "every tensor is made where the images are")


def _copied(case: Case) -> DefendedModel:
    """A copy, since what is made once and kept would stay on `meta`; the model itself where it cannot be copied."""
    try:
        return DefendedModel(copy.deepcopy(case.model.purifier), copy.deepcopy(case.model.backbone))
    except Exception:
        return case.model


def _on_meta(case: Case, x: Tensor) -> None:
    module, images = copy.deepcopy(case.module).to("meta"), x.to("meta")
    ids = torch.arange(len(x), device="meta")
    noise = (
        {"noise": case.noise.of("audit", ids, images.device)} if case.is_purifier and case.model.accepts_noise else {}
    )
    with torch.no_grad():
        case.checked(module(images, **noise), images)


@contextmanager
def left_alone(case: Case) -> Iterator[list[Verdict]]:
    """A block that asks a model; the list that it gives has, after it, the verdicts on what was changed meanwhile."""
    NOTES.forget()
    verdicts = list[Verdict]()
    weights, inventory = state_hash(case.model), take_inventory(case.model.purifier, case.model.backbone, case.owner)
    with kept(case.owner):
        yield verdicts
    changed = inventory.changes()
    if state_hash(case.model) != weights:
        changed.insert(0, "parameters, buffers or train modes")
    found = f"it changes {', '.join(changed[:3])} when it is called" if changed else _FROZEN
    verdicts.append(judged("frozen", found, "Compute from the images alone; keep nothing.", holds=not changed))
    notes = NOTES.take()
    said = "; ".join(notes[:3]) if notes else "torch's settings, seeds, streams and folder are as they were"
    verdicts.append(judged("process", said, "Leave out what sets it, or do it in the script.", holds=not notes))


_FROZEN = "no parameter, buffer, hook or class is changed by calls"


def cost(case: Case) -> Verdict:
    """Seconds and bytes that an image takes."""
    x, count = case.batch.x, len(case.batch)
    taken = list[float]()
    with torch.no_grad():
        for _ in range(_TIMED):
            start = time.perf_counter()
            case.part(case.model, x)
            taken.append(time.perf_counter() - start)
    for_gradient = _graph_bytes(case, x) / count
    found = (
        f"{1e3 * min(taken) / count:.3g} ms an image in batches of {count}, and {_size(for_gradient)} for its gradient"
    )
    return Verdict("cost", "measured", found)


def _graph_bytes(case: Case, x: Tensor) -> int:
    """Bytes that autograd keeps until the gradient of the images is taken, parameters and buffers apart."""
    held = dict[int, int]()
    own = {tensor.untyped_storage().data_ptr() for tensor in (*case.model.parameters(), *case.model.buffers())}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        answer = case.part(case.model, x.clone().requires_grad_())
    total = sum(size for place, size in held.items() if place not in own)
    del answer  # until here the graph lives, so no place in memory was given twice
    return total


def _size(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"
