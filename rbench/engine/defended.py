"""The defended model: a purifier, then a backbone, both frozen.

Every pass is counted, and a purifier that draws from global random generators finds them seeded for each call and leaves them as they were.
"""

import copy
import hashlib
import inspect
import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rbench.engine.fixed_noise import FixedNoise
from rbench.engine.inventory import refuse_patched, take_inventory
from rbench.engine.modes import modes_kept
from rbench.engine.returned import images_of, logits_of
from rbench.engine.weights_type import asked
from rbench.errors import CellFailed
from rbench.process_state import NOTES, kept
from rbench.purifiers.identity import Identity
from rbench.threat.draws import Draws
from rbench.threat.noise import SampleNoise

StandIn = Callable[[Tensor, SampleNoise], Tensor]
"""What BPDA differentiates in place of the purifier: (images, the noise that the purifier itself is given) -> images."""


def shown_to(purifier: object, noise: SampleNoise) -> Draws | SampleNoise:
    """What code may see of its noise: draws and nothing else, except for rbench's own `FixedNoise`, which hands on draws itself."""
    return noise if type(purifier) is FixedNoise else Draws(noise)


def stand_in_of(function: Callable[..., Tensor], purifier: nn.Module | None = None) -> StandIn:
    """A stand-in from a function or module of images that may or may not draw `noise`.

    Args:
        function: the stand-in.
        purifier: whose own it is; None where a suite names it.
    """
    call = function.forward if isinstance(function, nn.Module) else function
    takes_noise = "noise" in inspect.signature(call).parameters

    def stand_in(x: Tensor, noise: SampleNoise) -> Tensor:
        with modes_kept("a stand-in of BPDA"):
            return function(x, noise=shown_to(purifier, noise)) if takes_noise else function(x)

    return stand_in


@dataclass
class Meter:
    """What was spent, in images (a batch of 8 is 8 passes)."""

    forwards: int = 0
    backwards: int = 0
    purifier_passes: int = 0
    queries: int = 0

    def totals(self) -> dict[str, int]:
        """The counts by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass
class Known:
    """What is known of a purifier, shared by all defended models that it is part of.

    Attributes:
        sizes: of the batches that it was shown.
        draws_globally: it may draw from a global generator (torch, NumPy or Python), which is seeded for it at every call.
        shown: ids of the samples that it was shown last.
    """

    sizes: set[int] = field(default_factory=set)
    draws_globally: bool = True
    shown: Tensor | None = None


def freeze(module: nn.Module) -> nn.Module:
    """Puts a module in eval mode and takes its parameters out of every gradient, in place."""
    return module.eval().requires_grad_(requires_grad=False)


def state_hash(module: nn.Module) -> str:
    """sha256 of all parameters and buffers, by name, and of which submodules are in train mode."""
    digest = hashlib.sha256()
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        data = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(data.tobytes())
    digest.update(str([name for name, part in module.named_modules() if part.training]).encode())
    return digest.hexdigest()


@contextmanager
def global_generators(seed: int, device: torch.device) -> Iterator[None]:
    """Runs a block under seeded global generators (torch, NumPy, Python) and gives the old states back."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    devices = [device.index or 0] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices):
            # `torch.manual_seed` formats the stack at every call in a build for CUDA, a millisecond each.
            torch.default_generator.manual_seed(seed)
            for index in devices:
                torch.cuda.default_generators[index].manual_seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            random.seed(seed)
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


def moves_global_generators(model: "DefendedModel", x: Tensor, noise: SampleNoise) -> bool:
    """Whether the purifier draws from a global generator (torch, NumPy or Python): one pass over `x` moves the state of one."""
    given = {"noise": shown_to(model.purifier, replace(noise))} if model.accepts_noise else {}
    with global_generators(replace(noise).global_seed(), x.device), torch.no_grad():
        before = generator_states(x.device)
        model.purifier(x, **given)
        return before != generator_states(x.device)


def generator_states(device: torch.device) -> bytes:
    """The states of the global generators of torch, NumPy and Python, to compare."""
    states = [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]
    return pickle.dumps(([state.tolist() for state in states], np.random.get_state(), random.getstate()))  # noqa: NPY002


class DefendedModel(nn.Module):
    """Purifier, then backbone; both frozen here.

    A batch of one image is evaluated as two copies of it: for a single image torch may pick other kernels, which round otherwise.

    Args:
        purifier: [B, C, H, W] in [0, 1] to the same; its `forward` may take `noise`. If it has `attach(backbone)`, it is given the
            classifier by it; if it has `stages(x, noise)`, they are its forward pass in steps; `surrogate(x)` is its stand-in for BPDA.
        backbone: [B, C, H, W] in [0, 1] to logits [B, classes].
        name: what errors call the purifier.
        backbone_name: what they call the backbone, if it has a name.
    """

    def __init__(
        self, purifier: nn.Module, backbone: nn.Module, *, name: str = "purifier", backbone_name: str | None = None
    ) -> None:
        super().__init__()
        refuse_patched(f"purifier '{name}'")
        self.purifier = freeze(purifier)
        self.backbone = freeze(backbone)
        self.name = name
        self.backbone_name = backbone_name
        self.meter = Meter()
        self.known = Known()
        self.accepts_noise = "noise" in inspect.signature(purifier.forward).parameters
        self.eval()
        self.draws_known = bool(getattr(purifier, "draws_known", False))
        own = getattr(purifier, "surrogate", None)
        self.surrogate: StandIn | None = None if own is None else stand_in_of(own, purifier)
        attach = getattr(purifier, "attach", None)
        if callable(attach):
            self._attach(attach)

    def _attach(self, attach: Callable[[nn.Module], object]) -> None:
        """Shows the purifier the backbone, which it must leave as it is."""
        before = take_inventory(self.purifier, self.backbone, f"purifier '{self.name}'")
        weights = state_hash(self.backbone)
        with before.unchanged("when it was attached"), kept(f"purifier '{self.name}'"):
            attach(self.backbone)
        if state_hash(self.backbone) != weights:
            raise CellFailed(
                f"purifier '{self.name}' changed the parameters, buffers or modes of the backbone when it was attached",
                component=f"purifier '{self.name}'",
            )

    @property
    def staged(self) -> bool:
        """Whether the purifier brings `stages(x, noise)`: pure functions of images whose composition is its forward pass."""
        return callable(getattr(self.purifier, "stages", None))

    def purify_checkpointed(self, x: Tensor, noise: SampleNoise) -> Tensor:
        """The images of `purify`, bit for bit, with gradient checkpointing: each stage runs again when its gradient is computed.

        The graph keeps only the images between stages; a purifier without stages is one stage. All noise is drawn before the first stage
        runs, or drawn again from a copy. `torch.utils.checkpoint` would restore torch's global generator alone, and a purifier with a
        generator of its own would get the right image with a wrong gradient.
        """
        self.known.sizes.add(len(x))
        self.known.shown = noise.ids
        if len(x) == 1:
            return self.purify_checkpointed(torch.cat([x, x]), noise.padded())[:1]
        if not self.staged:
            again = replace(noise)
            return _replayed(lambda images: self.purify(images, replace(again)), x)
        self.meter.purifier_passes, dtype = self.meter.purifier_passes + len(x), x.dtype
        stages: Callable[..., list[Callable[[Tensor], Tensor]]] = self.purifier.stages  # type: ignore[assignment]
        with modes_kept(self.owner):
            for stage in stages(x, shown_to(self.purifier, noise)):
                x = _replayed(stage, x)
        return x.to(dtype)

    def purify(self, x: Tensor, noise: SampleNoise) -> Tensor:
        """The purified images [B, C, H, W]; refuses a purifier that writes to its input or changes the shape."""
        self.known.sizes.add(len(x))
        self.known.shown = noise.ids
        if len(x) == 1:
            return self.purify(torch.cat([x, x]), noise.padded())[:1]
        self.meter.purifier_passes += len(x)
        version = x._version
        if self.accepts_noise:
            with modes_kept(self.owner):
                purified = self.purifier(x, noise=shown_to(self.purifier, noise))
        else:
            with self._seeded(noise):
                purified = self.purifier(x)
        if x._version != version:
            raise writes_to_input(f"purifier '{self.name}'")
        # A purifier may work in another type, the backbone in that of its weights.
        return images_of(purified, x, f"purifier '{self.name}'").to(x.dtype)

    def classify(self, images: Tensor) -> Tensor:
        """The backbone's logits [B, classes] of (purified) images."""
        if len(images) == 1:
            return self.classify(torch.cat([images, images]))[:1]
        self.meter.forwards += len(images)
        version = images._version
        with modes_kept(self.owner):
            logits = asked(self.backbone, images)
        if images._version != version:
            raise writes_to_input(self.classifier)
        return logits_of(logits, images, self.classifier).to(images.dtype)

    @property
    def classifier(self) -> str:
        """What errors call the backbone."""
        return "the backbone" if self.backbone_name is None else f"backbone '{self.backbone_name}'"

    @property
    def owner(self) -> str:
        """Whose code runs here, for errors and for notes on what it changed: rbench's own identity is to blame for nothing."""
        if type(self.purifier) is Identity:
            return self.classifier
        return f"purifier '{self.name}' or its backbone"

    @contextmanager
    def _seeded(self, noise: SampleNoise) -> Iterator[None]:
        if not self.known.draws_globally:
            with modes_kept(self.owner):
                yield
            return
        seed = noise.global_seed()
        with global_generators(seed, noise.device), modes_kept(self.owner):
            yield
            if torch.initial_seed() != seed:
                NOTES.add(self.owner, "the seed of torch's global generator")

    @property
    def encodes(self) -> bool:
        """Whether the purifier brings `encode(x) -> [B, D]`, its latent code."""
        return callable(getattr(self.purifier, "encode", None))

    def encode(self, x: Tensor, noise: SampleNoise) -> Tensor:
        """The purifier's latent code [B, D]; counted as a pass through the purifier."""
        if len(x) == 1:
            return self.encode(torch.cat([x, x]), noise.padded())[:1]
        self.meter.purifier_passes += len(x)
        encode: Callable[..., object] = self.purifier.encode  # type: ignore[assignment]
        if "noise" in inspect.signature(encode).parameters:
            with modes_kept(self.owner):
                code = encode(x, noise=shown_to(self.purifier, noise))
        else:
            with self._seeded(noise):
                code = encode(x)
        if not isinstance(code, Tensor) or code.dim() != 2 or len(code) != len(x):
            returned = tuple(code.shape) if isinstance(code, Tensor) else type(code).__name__
            raise CellFailed(f"encode of purifier '{self.name}' returned {returned}, not a code of shape ({len(x)}, D)")
        return code

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, classes] of (purified) images, and their features [B, D], the input of the last linear layer that the backbone runs.

        For a backbone without a linear layer the features are the logits.
        """
        if len(images) == 1:
            logits, features = self.features(torch.cat([images, images]))
            return logits[:1], features[:1]
        given: list[Tensor] = []
        hooks = [
            layer.register_forward_pre_hook(lambda layer, inputs: given.append(inputs[0]))
            for layer in self.backbone.modules()
            if isinstance(layer, nn.Linear)
        ]
        try:
            logits = self.classify(images)
        finally:
            for hook in hooks:
                hook.remove()
        return logits, given[-1].reshape(len(images), -1).to(images.dtype) if given else logits

    def with_backbone(self, backbone: nn.Module) -> "DefendedModel":
        """The same purifier, stand-in and meter before another backbone, which the purifier is not shown."""
        other = copy.copy(self)
        other._modules = {**self._modules, "backbone": freeze(backbone)}
        return other

    def with_stand_in(self, stand_in: StandIn | None) -> "DefendedModel":
        """The same defended model and meter with another stand-in for BPDA; None for the identity."""
        other = copy.copy(self)
        other.surrogate = stand_in
        return other

    def forward(self, x: Tensor, noise: SampleNoise) -> Tensor:
        """Logits [B, classes] of the purified images."""
        return self.classify(self.purify(x, noise))


def writes_to_input(owner: str) -> CellFailed:
    """The error about a module that changed the images that it was given."""
    return CellFailed(f"{owner} modifies its input in place; let it return a new tensor", component=owner)


class _Replay(torch.autograd.Function):
    """One stage under gradient checkpointing: its graph is made when its gradient is computed, and dropped after that.

    `torch.utils.checkpoint` would keep the nodes of every stage, which for a deep network are much larger than its images.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, stage: Callable[[Tensor], Tensor]) -> Tensor:
        """The output of the stage."""
        ctx.stage = stage
        ctx.save_for_backward(x)
        return stage(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        """The gradient at the input of the stage; zeros where the stage cuts the graph."""
        with torch.enable_grad():
            x = ctx.saved_tensors[0].detach().requires_grad_()
            images = ctx.stage(x)
            if not images.requires_grad:
                return torch.zeros_like(x), None
            (gradient,) = torch.autograd.grad(images, x, grad_outputs, allow_unused=True)
        return torch.zeros_like(x) if gradient is None else gradient, None


def _replayed(stage: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    images: Tensor = _Replay.apply(x, stage)
    return images
