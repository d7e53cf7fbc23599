"""What a user writes: the suite as frozen pydantic models."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from rbench.bundled_files import weights_name
from rbench.elsewhere import portable
from rbench.registry.own import usual_label
from rbench.signature import Mistake, fraction, kind_of
from rbench.suite.cell import Decide, Eps, GradientChoice, Norm, Precision
from rbench.suite.model import FileModel, Model
from rbench.suite.threat_spec import ThreatSpec

MAX_SEED = 2**32 - 1
MAX_DRAWS = 10_000
MAX_EOT = 10_000
MAX_SAMPLES = 1_000_000_000
MAX_CLASSES = 1_000_000
_SHOWN = 6


def _label(text: str) -> str:
    if text != text.strip() or not text.isprintable():
        problem = f"found {text!r}; a label has no spaces at its ends and no control characters."
        raise Mistake(problem, found=repr(text))
    if set(text) & set(",/"):
        problem = f"found {text!r}; commas and slashes are used by --only."
        raise Mistake(problem, found=repr(text), remedy="Write it without.")
    return text


def _name(text: str) -> str:
    if "\0" in text:  # no system opens a path with it
        raise Mistake("holds the character NUL.", found=repr(text), remedy="Write it without.")
    return text


def number(value: Any) -> Any:
    """The float of a fraction written as text; anything else as it is."""
    exact = fraction(value) if isinstance(value, str) else None
    return value if exact is None else float(exact)


def distinct_classes(classes: list[int]) -> list[int]:
    """The classes chosen of a data set.

    Raises:
        Mistake: fewer than two, or one of them twice.
    """
    if len(classes) < 2:
        found = kind_of(classes)
        problem = f"found {found}; a classifier needs at least 2 classes."
        raise Mistake(problem, found=found, remedy="Leave it out for all.")
    if twice := [one for one, count in Counter(classes).items() if count > 1]:
        raise Mistake(f"class {twice[0]} is there twice.", found=f"class {twice[0]}", remedy="Name each once.")
    return classes


def require_bpda(gradient: str, stand_in: object) -> None:
    """Refuses a stand-in that nothing would use.

    Args:
        gradient: the gradient path.
        stand_in: what BPDA is to differentiate, or None.

    Raises:
        Mistake: there is one, and the path is not `bpda`.
    """
    if stand_in is not None and gradient != "bpda":
        found, remedy = f"gradient: {gradient}", "Write gradient: bpda, or leave it out."
        raise Mistake("BPDA alone has a stand-in.", found=found, remedy=remedy)


def require_within(norm: Norm, eps: Eps, values: int) -> None:
    """Refuses a radius beyond that of the whole pixel range, which can be told once images are known.

    Args:
        norm: of the ball.
        eps: its radius.
        values: numbers in an image, channels * height * width.

    Raises:
        Mistake: no two images lie so far apart.
    """
    widest = {"Linf": 1.0, "L2": math.sqrt(values), "L1": float(values)}[norm]
    if eps.value > widest:
        problem = f"{eps.text} is outside (0, {widest:g}]; no two images of {values} pixel values in [0, 1] are further apart in {norm}."
        raise Mistake(problem, found=eps.text, remedy=f"Write at most {widest:g}.")


Label = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_label)]
Name = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_name)]
Draws = Annotated[int, Field(ge=1, le=MAX_DRAWS)]
Eot = Annotated[int, Field(ge=1, le=MAX_EOT)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
BatchSize = Annotated[int, Field(ge=1, le=MAX_SAMPLES)]
Classes = Annotated[
    list[Annotated[int, Field(ge=0, le=MAX_CLASSES)]],
    AfterValidator(distinct_classes),
    Field(json_schema_extra={"minItems": 2, "uniqueItems": True}),
]


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class PartSpec(Model):
    """A component: its name alone, or a map of `name`, `as` and the component's own parameters."""

    name: Name = Field(description="Registry name, with the item after a colon for a source.")
    label: Label | None = Field(None, alias="as", description="What tables call it; the name if not given.")
    params: dict[str, Any] = Field(default_factory=dict, description="The component's own parameters.")

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any, info: ValidationInfo) -> Any:
        """A bare name becomes a map; keys that are not ours are the component's parameters."""
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, Mapping):
            return value
        own = {"as", *cls.model_fields} - {"params", "label"}
        if info.context is None and set(value) <= own | {"params", "label"}:
            return dict(value)  # built in Python, not read from a file
        return {
            **{key: item for key, item in value.items() if key in own},
            "params": {key: item for key, item in value.items() if key not in own},
        }

    @property
    def default_label(self) -> str:
        """The label in tables if the suite gives none."""
        return usual_label(portable(self.name))

    @property
    def added(self) -> dict[str, Any]:
        """Keys of the suite that change what the component computes and are none of its parameters, e.g. `head`; empty if none is given.

        They join the parameters in the cell, and so its id.
        """
        return {}


class BackboneSpec(PartSpec):
    """The frozen classifier behind the purifier."""

    head: Name | None = Field(
        None,
        description="A linear classifier in place of the last linear layer: a safetensors file, or `bundled:NAME`.",
    )
    class_names: Annotated[list[Name], Field(min_length=2, max_length=MAX_CLASSES)] | None = Field(
        None,
        description="What each of its logits stands for, in their order: they are matched with the class names of the data set, and those "
        "of other classes are left out, as is usual for parts of ImageNet. If null, label k is logit k. A zero-shot backbone takes them as "
        "the texts of its classes, in the order of the labels; those of the data set if null.",
    )
    sha256: Sha256 | None = Field(
        None,
        description="That of its file of weights, as `sha256sum` tells it; another one stops the run with exit code 4. Of several files, "
        "the head's among them, that of the lines `sha256  name` of all.",
    )
    purifiers: list[str] | None = Field(
        None, description="Labels of the only purifiers to put before it; all if null. A head may be trained for one."
    )

    @property
    def default_label(self) -> str:
        """The name, with that of the head if there is one."""
        # A comma or slash would be read by --only.
        name = usual_label(portable(self.name))
        return name if self.head is None else f"{name}+{re.sub('[,/]', '-', weights_name(self.head))}"

    @property
    def added(self) -> dict[str, Any]:
        """`head` and `class_names`, if the suite gives them."""
        given = {"head": self.head, "class_names": self.class_names}
        return {name: value for name, value in given.items() if value is not None}


class PurifierSpec(PartSpec):
    """The image-to-image transform in front of the backbone."""

    noise: Literal["fresh", "fixed"] = Field(
        "fresh",
        description="`fixed`: one draw for every image, the same whenever it is asked, which the attacker knows.",
    )
    sha256: Sha256 | None = Field(None, description="That of its files, as for a backbone.")

    @property
    def default_label(self) -> str:
        """The name, with `(fixed noise)` if it is fixed, since that is another defence."""
        name = usual_label(portable(self.name))
        return name if self.noise == "fresh" else f"{name} (fixed noise)"

    @property
    def added(self) -> dict[str, Any]:
        """`noise`, if it is not the usual `fresh`."""
        return {} if self.noise == "fresh" else {"noise": self.noise}


class DatasetSpec(PartSpec):
    """The images and labels, and which of them."""

    samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] | None = Field(
        None, description="How many samples; all if null."
    )
    shuffle: Annotated[int, Field(ge=0, le=MAX_SEED)] | Literal[False] = Field(
        0,
        description="Seed of the permutation that picks the samples; false takes the first ones as stored.",
    )
    balanced: bool = Field(
        False,
        description="Whether each class gets the same number of samples: `samples` in all, or as many of each as the smallest class has.",
    )
    classes: Classes | None = Field(
        None, description="Only these classes, renumbered from 0 in this order; all if null."
    )
    sha256: Sha256 | None = Field(
        None,
        description="That of the file of the data, as `sha256sum` tells it; another one stops the run with exit code 4. Of several files "
        "or a folder, that of the lines `sha256  name` of all files.",
    )

    @property
    def default_label(self) -> str:
        """The name, with the classes if some were chosen, since fewer classes are another task."""
        name = usual_label(portable(self.name))
        if self.classes is None:
            return name
        shown = ", ".join(map(str, self.classes))
        return f"{name} ({f'classes {shown}' if len(self.classes) <= _SHOWN else f'{len(self.classes)} classes'})"

    @property
    def added(self) -> dict[str, Any]:
        """`classes`, if some were chosen."""
        return {} if self.classes is None else {"classes": self.classes}


class AttackSpec(PartSpec):
    """The attack and how it differentiates the defence."""

    gradient: GradientChoice = Field(
        "auto", description="The path through the purifier; `auto` picks it from its facts."
    )
    stand_in: PurifierSpec | None = Field(
        None,
        description="With `gradient: bpda`: the purifier that is differentiated in place of the attacked one, e.g. `identity`; "
        "its own `surrogate` if it has one, else the identity, if null.",
    )
    eot: Eot = Field(1, description="Draws of the defence per gradient.")
    precision: Precision = Field(
        "fp32",
        description="`bf16-propose`: the attack asks the backbone in bfloat16; what it finds is judged in float32. For GPUs.",
    )
    purifiers: list[str] | None = Field(None, description="Labels of the only purifiers to attack; all if null.")


class ProtocolSpec(Model):
    """How the final images are judged."""

    draws: Draws = Field(
        16, description="Independent draws of a random defence that value an image; nothing is chosen by them."
    )
    select_draws: Draws = Field(64, description="Other draws, by which the worst of several images is chosen.")
    decide: Decide = Field("mean", description="How the draws of a sample become one verdict.")
    seed: Seed = Field(0, description="Seed of all noise.")
    convergence: Annotated[int, Field(ge=0, le=MAX_SAMPLES)] = Field(
        0,
        description="So many of the first samples are attacked again with other steps, twice the restarts and draws, and no bound.",
    )
    cascade: bool = Field(
        False,
        description="Whether costly attacks of a row are run only on what the cheaper ones have left; their figures count all of them.",
    )


class StoreSpec(Model):
    """What is kept beside the records."""

    images: Literal["auto", "all", "fooled", "none"] = Field(
        "auto",
        description="Adversarial images to keep; `auto`: all up to 64x64 pixels, the fooled ones above.",
    )


def _attacks(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Every suite has attacks but one of corruptions alone, which has no ball to attack in."""
    threat = info.data.get("threat")
    alone = threat is not None and threat.norm is None
    if value is None and (alone or threat is None):  # a threat that is wrong is told instead
        return []
    if value is None:
        raise Mistake("missing.", remedy="Every suite has it.")
    if alone:
        remedy = "Give threat a norm and eps, or leave attacks out."
        raise Mistake("corruptions alone have no ball to attack in.", found=kind_of(value), remedy=remedy)
    return handler(value)


class SuiteSpec(FileModel):
    """A suite: every backbone behind every purifier under every attack."""

    noun: ClassVar[str] = "suite"
    refused: ClassVar[dict[str, str]] = dict.fromkeys(
        ("include", "includes", "import", "imports", "extends", "defaults"),
        "a suite is one file and reads no other.",
    )

    suite: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)] = Field(
        description="Name of the suite and of its folder of results: small letters, digits, `.`, `_`, `-`."
    )
    dataset: DatasetSpec
    threat: ThreatSpec
    backbones: Annotated[list[BackboneSpec], Field(min_length=1)]
    purifiers: list[PurifierSpec] = Field(default_factory=list, description="`identity` comes first if it is missing.")
    attacks: Annotated[list[AttackSpec], Field(min_length=1), WrapValidator(_attacks)] = Field(
        None,
        validate_default=True,
        description="Left out where the threat is corruptions alone.",
    )
    protocol: ProtocolSpec = Field(default_factory=lambda: ProtocolSpec())
    store: StoreSpec = Field(default_factory=lambda: StoreSpec())
