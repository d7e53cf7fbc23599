"""One purifier or backbone as part of a defended model, with the images and the noise that it is asked with."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from rbench.engine.defended import DefendedModel, global_generators, shown_to
from rbench.engine.returned import images_of, logits_of
from rbench.engine.weights_type import asked
from rbench.testing.pictures import SEED, answer, numbered, pictures
from rbench.testing.subject import Shape, Subject
from rbench.threat.ball import Ball
from rbench.threat.batch import Batch
from rbench.threat.noise import Noise, SampleNoise

BALL = Ball("Linf", 8 / 255)
"""Where the images are moved to, as an attack would."""


@dataclass(frozen=True)
class Case:
    """A model under examination.

    Attributes:
        subject: the purifier or backbone.
        model: the defended model that it is part of.
        batch: the images; their labels are no news until `labelled`.
        noise: the root of all draws.
    """

    subject: Subject
    model: DefendedModel
    batch: Batch
    noise: Noise

    @classmethod
    def of(cls, subject: Subject, model: DefendedModel, shape: Shape) -> "Case":
        """The case for images of a shape."""
        x = pictures(subject.images, shape)
        return cls(subject, model, numbered(x, torch.zeros(len(x), dtype=torch.int64, device=x.device)), Noise(SEED))

    def labelled(self) -> "Case":
        """The same with the least likely classes as labels, so that every loss has a slope."""
        x = self.batch.x
        return replace(self, batch=numbered(x, answer(self.model, x).argmin(1)))

    @property
    def owner(self) -> str:
        """What errors call the subject."""
        return self.subject.owner

    @property
    def is_purifier(self) -> bool:
        """Whether the subject is the purifier, and not the backbone."""
        return self.subject.kind == "purifier"

    @property
    def module(self) -> nn.Module:
        """The subject."""
        return self.model.purifier if self.is_purifier else self.model.backbone

    def drawn(self, x: Tensor) -> SampleNoise:
        """The noise of the first samples, always the same."""
        return self.noise.of("audit", torch.arange(len(x), device=x.device), x.device)

    def raw(self, x: Tensor) -> object:
        """What the module itself returns for images, without gradients: neither checked nor padded."""
        with global_generators(self.drawn(x).global_seed(), x.device), torch.no_grad():
            if not self.is_purifier:
                return asked(self.module, x)
            noise = {"noise": shown_to(self.module, self.drawn(x))} if self.model.accepts_noise else {}
            returned: object = self.module(x, **noise)
        return returned

    def checked(self, returned: object, x: Tensor) -> Tensor:
        """What was returned for images, held to shape, type and device.

        Raises:
            CellFailed: it is something else.
        """
        return (images_of if self.is_purifier else logits_of)(returned, x, self.owner)

    def part(self, model: DefendedModel, x: Tensor) -> Tensor:
        """What the subject makes of images within a defended model, as the engine asks it: purified images or logits."""
        return model.purify(x, self.drawn(x)) if self.is_purifier else model.classify(x)

    def moved(self) -> Tensor:
        """The images under uniform noise in the ball."""
        ids = self.batch.ids
        return BALL.uniform(self.batch.x, self.noise.of("audit", ids, ids.device, draw=1))
