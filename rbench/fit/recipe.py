"""What a user writes to train something: the recipe as frozen pydantic models."""

from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Interval
from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer

from rbench.suite.model import FileModel, Model
from rbench.suite.spec import MAX_SEED, DatasetSpec, PartSpec, PurifierSpec, number

RecipeName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9._-]*$",
        max_length=80,
        description="Name of the recipe and of the files it makes: small letters, digits, `.`, `_`, `-`.",
    ),
]
HeldOut = Annotated[
    int, Field(0, ge=0, description="Samples kept out of training, to choose settings by; the last of a fixed shuffle.")
]
NO_BACKBONE = "a purifier is trained without access to any backbone or label (zero access)."


class NetworkSpec(PartSpec):
    """The network that is trained."""


class ObjectiveSpec(PartSpec):
    """What it is trained for."""


class FrozenSpec(PartSpec):
    """The backbone that is trained on top of, or trained further."""


class Augment(Model):
    """Random changes of every training image."""

    flip: bool = Field(False, description="Mirror half of the images left to right.")
    shift: Annotated[int, Interval(ge=0, le=256)] = Field(
        0, description="Move by up to so many pixels; what comes in at the border is black."
    )


class Training(Model):
    """AdamW (Loshchilov and Hutter 2019) under a rate that rises linearly and falls as a cosine."""

    epochs: Annotated[int, Interval(ge=1, le=100_000)] = Field(description="Passes over the training samples.")
    batch_size: Annotated[int, Interval(ge=2, le=1_000_000)] = Field(256, description="Images per step.")
    learning_rate: Annotated[float, Interval(gt=0, le=100)] = Field(0.002, description="The highest rate.")
    warmup: Annotated[float, Interval(ge=0, le=1)] = Field(
        0.2, description="Share of the steps in which the rate rises."
    )
    weight_decay: Annotated[float, Interval(ge=0, le=100)] = Field(0.0, description="Decoupled weight decay.")
    augment: Augment = Field(default_factory=lambda: Augment())
    held_out: HeldOut = 0
    seed: Annotated[int, Interval(ge=0, le=MAX_SEED)] = Field(0, description="Seed of weights, order and noise.")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="`bf16` is autocast on a GPU.")
    ema: Annotated[float, Interval(gt=0, lt=1)] | None = Field(
        None,
        description="Keep the moving average of the weights with this decay instead of the last ones; null keeps the last.",
    )

    @model_serializer(mode="wrap")
    def _without_null_average(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out a null `ema`, so that recipes from before there were averages keep their fingerprint."""
        whole: dict[str, Any] = dump(self)
        return whole if self.ema is not None else {key: value for key, value in whole.items() if key != "ema"}


class HeadTraining(Model):
    """Logistic regression on standardised features by L-BFGS; convex, so nothing else is to be chosen."""

    weight_decay: Annotated[float, Interval(ge=0, le=1e6)] = Field(
        0.01, description="Factor of the squared weights that is added to the mean cross-entropy."
    )
    iterations: Annotated[int, Interval(ge=1, le=100_000)] = Field(300, description="Most L-BFGS iterations.")
    held_out: HeldOut = 0
    seed: Annotated[int, Interval(ge=0, le=MAX_SEED)] = Field(0, description="Seed of a random purifier's noise.")


class InnerAttack(Model):
    """PGD on the cross-entropy, in the Linf ball; fractions such as 8/255 are understood."""

    eps: Annotated[float, BeforeValidator(number), Interval(gt=0, le=1)] = Field(
        description="Radius on the [0, 1] pixel scale."
    )
    steps: Annotated[int, Interval(ge=1, le=10_000)] = Field(7, description="Gradient steps.")
    step_size: Annotated[float, BeforeValidator(number), Interval(gt=0, le=10)] | None = Field(
        None, description="2.5 * eps / steps if null."
    )


class Recipe(FileModel):
    """What all recipes have."""

    noun: ClassVar[str] = "recipe"

    recipe: RecipeName
    dataset: DatasetSpec


class PurifierRecipe(Recipe):
    """An auto-encoder or a diffusion network trained on images alone."""

    refused: ClassVar[dict[str, str]] = {
        "backbone": NO_BACKBONE,
        "head": NO_BACKBONE,
        "purifier": "a purifier is what is trained; it is described by `network` and `objective`.",
    }

    train: Literal["purifier"]
    network: NetworkSpec
    objective: ObjectiveSpec
    training: Training
    stored: Literal["fp32", "fp16"] = Field(
        "fp32", description="Precision of the weights in the file; half of the size with fp16, and read back to fp32."
    )

    @model_serializer(mode="wrap")
    def _without_usual_precision(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out `stored` where it is fp32, so that recipes from before there was a choice keep their fingerprint."""
        whole: dict[str, Any] = dump(self)
        return whole if self.stored != "fp32" else {key: value for key, value in whole.items() if key != "stored"}


class HeadRecipe(Recipe):
    """A linear classifier on the features of a frozen backbone, on clean images, possibly purified."""

    train: Literal["head"]
    backbone: FrozenSpec
    layer: Annotated[str, Field(min_length=1, max_length=300)] | None = Field(
        None, description="The linear layer whose input are the features; the last one if null."
    )
    purifier: PurifierSpec | None = Field(None, description="Purify the images first; none if null.")
    training: HeadTraining = Field(default_factory=lambda: HeadTraining())


class BackboneRecipe(Recipe):
    """A backbone trained further on PGD examples (Madry et al. 2018, arXiv 1706.06083), for purifiers to be compared with."""

    train: Literal["backbone"]
    backbone: FrozenSpec
    attack: InnerAttack
    training: Training


RECIPES: dict[str, type[PurifierRecipe] | type[HeadRecipe] | type[BackboneRecipe]] = {
    "purifier": PurifierRecipe,
    "head": HeadRecipe,
    "backbone": BackboneRecipe,
}
AnyRecipe = PurifierRecipe | HeadRecipe | BackboneRecipe
