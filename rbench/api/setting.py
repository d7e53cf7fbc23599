"""The models of a call, lent for judging, and what is told where they do not fit the images."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from rbench.api.asking import AskedAttack
from rbench.api.models import Model
from rbench.datasets.types import Dataset
from rbench.engine.audits import Audits
from rbench.engine.copies import own_copy
from rbench.engine.defended import DefendedModel
from rbench.engine.inventory import refuse_patched
from rbench.engine.left_as_found import left_as_found
from rbench.engine.precision import full_float32
from rbench.engine.raised import layer_of
from rbench.engine.unattacked import UnattackedVerdicts
from rbench.errors import InputError
from rbench.purifiers.identity import Identity
from rbench.running.components import Loaded, make
from rbench.running.prepare import Prepared, protocol_of, ready


@dataclass(frozen=True)
class Setting:
    """What a call of `evaluate` is about.

    Attributes:
        data: the images and labels.
        ids: those of the different images.
        backbone: the classifier.
        purifier: what stands before it.
        attacks: with their terms.
        device: where they are judged.
    """

    data: Dataset
    ids: np.ndarray
    backbone: Model
    purifier: Model
    attacks: tuple[AskedAttack, ...]
    device: torch.device

    @contextmanager
    def judging(self) -> Iterator[Loaded]:
        """A block with the defended model, which shares no audit or verdict with another block; the modules are as they were afterwards.

        Raises:
            InputError: the backbone raised an error about the number of channels.
        """
        stand_ins = [one.stand_in.module for one in self.attacks if one.stand_in is not None]
        modules = (self.backbone.module, self.purifier.module, *stand_ins)
        refuse_patched("backbone" if isinstance(self.purifier.module, Identity) else "purifier")
        # A caller who measures without gradients may ask this as well.
        with torch.inference_mode(mode=False), torch.enable_grad(), full_float32(), left_as_found(*modules):
            own = own_copy(self.backbone.module) or self.backbone.module
            model = DefendedModel(
                self.purifier.module.to(self.device), own.to(self.device), name=self.purifier.part.label
            )
            loaded = Loaded(
                dataset=self.data,
                model=model,
                attack=self.attacks[0].attack,
                remake=lambda changes: None,
                audits=Audits(),
                unattacked=UnattackedVerdicts(),
                device=self.device,
            )
            try:
                yield loaded
            except RuntimeError as error:
                if told := self._channels(error, model):
                    raise told from error
                if layer := layer_of(error, model):
                    error.add_note(f"raised {layer}")
                raise

    def _channels(self, error: BaseException, model: nn.Module) -> InputError | None:
        """An error of torch about channels, in words; None if it is about something else."""
        images, trace = self.data.shape[0], error.__traceback__
        wanted: int | None = None
        while trace is not None:
            running = trace.tb_frame.f_locals.get("self")
            wanted = running.in_channels if isinstance(running, nn.Conv2d) else wanted
            trace = trace.tb_next
        if (
            wanted is None
            or wanted == images
            or f"{wanted} channels" not in str(error)
            or f"{images} channels" not in str(error)
        ):
            return None
        cures = {
            (1, 3): "Make three of one, images.expand(-1, 3, -1, -1), as the model was trained.",
            (3, 1): "Make one of three, images.mean(1, keepdim=True), as the model was trained.",
            (4, 3): "Leave out the fourth, images[:, :3].",
        }
        remedy = cures.get((images, wanted), "Give images as the model was trained on, [N, C, H, W] or [N, H, W, C].")
        layer = layer_of(error, model) or "a Conv2d"
        problem = f"{images} channels, but the model takes {wanted} ({layer})."
        return InputError(problem, place="images", found=f"{images} channels", remedy=remedy)


def set_up(setting: Setting, loaded: Loaded, one: AskedAttack) -> Prepared:
    """One attack of a setting, ready to run.

    Args:
        setting: the setting.
        loaded: its models.
        one: the attack.

    Raises:
        InputError: the attack cannot do what is asked, or a label is no class of the model.
        CellFailed: the defended model cannot be judged.
    """
    craft = one.attack.source
    source = None if craft is None else DefendedModel(Identity(), make("backbone", craft).to(setting.device))
    stand_in = None if one.stand_in is None else one.stand_in.module
    own = replace(loaded, attack=one.attack, source=source, stand_in=stand_in)
    cell = one.cell(setting.data, setting.backbone, setting.purifier)
    return ready(own, protocol_of(cell, one.terms.batch_size), setting.ids)
