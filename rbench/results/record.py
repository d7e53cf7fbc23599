"""The record: the versioned document of one cell, and the only way to read it back."""

import json
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
    model_validator,
)

from rbench.errors import InputError
from rbench.harmless import STORED, one_line
from rbench.results.flags.catalogue import FlagName
from rbench.results.untrusted import parse_json, read_text

SCHEMA = 1
"""The version of the document; raised when a reader of the old one would misread the new one."""

MAX_BYTES = 16 * 2**20
CELL_ID = re.compile(r"[0-9a-z][0-9a-z-]{0,63}")
"""What a cell id looks like: it becomes a file name, so no separators, dots or capitals."""
CELL_PARTS = ("dataset", "backbone", "purifier", "threat", "attack", "protocol")
"""What every resolved cell says, each part a map."""

Status = Literal["done", "failed", "cancelled"]
GradientPath = Literal["exact", "checkpointed", "bpda", "blind", "none"]
THROUGH_PURIFIER: tuple[GradientPath, ...] = ("exact", "checkpointed")
"""The paths along the gradient of the purifier itself."""
Knows = Literal["white-box", "black-box", "transfer", "blind", "noise"]


def _one_line(value: object) -> object:
    return one_line(value, STORED) if isinstance(value, str) else value


OneLine = Annotated[str, BeforeValidator(_one_line)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Document(BaseModel):
    """What every part of a stored document obeys: frozen, no unknown field, no NaN."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_by_name=True, validate_by_alias=True
    )


class Figure(Document):
    """An accuracy with its 95 % interval."""

    value: Share = Field(description="The accuracy, a fraction of all samples.")
    low: Share = Field(description="Lower end of the 95 % interval.")
    high: Share = Field(description="Upper end of the 95 % interval.")
    n: int = Field(ge=1, description="Number of samples in the denominator.")


class Confirmation(Document):
    """How many proposals of the attack the judge upheld on draws the attack had not seen."""

    proposed: Count = Field(description="Samples whose proposed point the attacker's own draws see fooled.")
    confirmed: Count = Field(description="Those of them that the judge's select draws see fooled.")


class Summary(Document):
    """The figures of a finished cell."""

    standard_accuracy: Figure = Field(description="Accuracy of the defended model without an attack.")
    noise_accuracy: Figure = Field(description="Accuracy under one uniform draw from the ball, no attack.")
    robust_accuracy: Figure = Field(description="Accuracy under this attack, judged in float32.")
    robust_accuracy_8bit: Figure | None = Field(
        default=None, description="The same for images rounded to 8 bits and projected back into the ball."
    )
    confirmed: Confirmation = Field(description="Proposed and confirmed adversarial examples.")


class Cost(Document):
    """What the cell took."""

    seconds: float = Field(default=0.0, ge=0, description="Wall-clock seconds, from a monotonic clock.")
    forwards: Count = Field(default=0, description="Images passed forward through the backbone.")
    backwards: Count = Field(default=0, description="Images passed backward through the backbone.")
    purifier_passes: Count = Field(default=0, description="Images passed forward through the purifier.")
    queries: Count = Field(default=0, description="Questions asked by the attack, one an image.")


class RungPart(Document):
    """What one attack of a ladder did."""

    label: str = Field(description="Name of the rung.")
    path: GradientPath = Field(description="Its gradient path; `none` if it asks for no gradient.")
    attacked: Count = Field(description="Samples that still stood when it began.")
    fooled: Count = Field(description="Those that no select draw gets right after it.")
    backwards: Count = Field(description="Images passed backward through the backbone.")
    seconds: float = Field(ge=0, description="Wall-clock seconds, from a monotonic clock.")


class ConvergencePart(Document):
    """What an attack of another budget did to the first samples of the cell."""

    what: Literal["curve", "budget", "steps", "restarts", "eot", "eps"] = Field(
        description="What differs from the cell: `curve`, fewer steps; `budget`, nothing; `steps`, `restarts`, `eot`, twice as many; "
        "`eps`, a radius that forbids nothing."
    )
    steps: int = Field(ge=1, description="Steps of each restart.")
    restarts: int = Field(ge=1, description="Independent starts.")
    eot: int = Field(ge=1, description="Draws of the defence per gradient.")
    eps: float = Field(gt=0, description="Radius on the [0, 1] pixel scale.")
    samples: int = Field(ge=1, description="Number of samples.")
    robust_accuracy: Share = Field(description="Their accuracy, on the draws that the cell is scored on.")
    standing: Count = Field(description="Samples that at least one draw gets right.")
    loss: float | None = Field(
        default=None, description="Mean loss at the points proposed; null where nothing was attacked."
    )
    seconds: float = Field(ge=0, description="Wall-clock seconds; not in the cost of the cell.")


class Flag(Document):
    """A typed doubt about this cell."""

    name: FlagName = Field(description="The flag; `rbench.results.flags.catalogue` has its meaning, cause and cure.")
    value: float | None = Field(default=None, description="The measured value that raised the flag.")
    detail: OneLine = Field(default="", description="What was seen, in one line.")


class DatasetPart(Document):
    """The data the cell was judged on."""

    name: str = Field(description="Registry name of the data set.")
    label: str | None = Field(default=None, description="Name in tables; the registry name if null.")
    samples: Count = Field(description="Number of samples judged.")
    sha256: str | None = Field(default=None, description="Hash of the images and labels that were judged.")
    classes: Count | None = Field(default=None, description="Number of classes, from the logits.")
    duplicates: Count = Field(
        default=0,
        description="Samples of the slice that were left out, since each repeats the image of an earlier one.",
    )
    class_names: tuple[OneLine, ...] = Field(
        default=(),
        description="The name of each class number; empty where the data set has none, and in older records.",
    )
    told: tuple[OneLine, ...] = Field(
        default=(), description="What was done to the data when they were read: chosen, converted, turned, left out."
    )


class ThreatPart(Document):
    """What the attacker may do."""

    kind: Literal["ball"] = Field(default="ball", description="What kind of threat: a ball around the image.")
    norm: Literal["Linf", "L2", "L1"] = Field(description="Norm of the perturbation.")
    eps_text: str = Field(description="Radius as written, e.g. `8/255`.")
    eps: float = Field(gt=0, description="Radius on the [0, 1] pixel scale.")


class NamedPart(Document):
    """A component by its names and parameters."""

    label: str = Field(description="Name in tables.")
    name: str = Field(description="Registry name.")
    params: dict[str, JsonValue] = Field(default={}, description="Every parameter with its value.")


class BackbonePart(NamedPart):
    """The frozen classifier."""

    told: tuple[OneLine, ...] = Field(
        default=(),
        description="What it does to pixels before its network sees them: resized, normalised; empty in older records.",
    )


class PurifierPart(NamedPart):
    """The transform in front of the backbone."""

    stochastic: bool | None = Field(
        default=None, description="Whether it was seen to be random; null if the cell failed before that."
    )


class AttackPart(NamedPart):
    """The attack."""

    gradient: GradientPath | None = Field(
        default=None, description="The gradient path really used; null if the cell failed before that."
    )
    gradient_requested: Literal["auto", "exact", "checkpointed", "bpda", "blind"] = Field(
        default="auto", description="The gradient path that the suite asked for."
    )
    stand_in: str | None = Field(
        default=None,
        description="What BPDA differentiated in place of the purifier: `identity`, its own `surrogate`, or the label of another one.",
    )
    eot: int = Field(default=1, ge=1, description="Draws of the defence's randomness per gradient.")
    knows: Knows | None = Field(
        default=None,
        description="What the attacker uses: `white-box`, gradients of the defended model along its gradient path; `black-box`, outputs "
        "alone; `transfer`, gradients of another model; `blind`, those of the bare backbone; `noise`, nothing but the ball. Null in older "
        "records.",
    )
    steps: int | None = Field(
        default=None,
        ge=0,
        description="Gradient steps of a restart up a loss of the label, 1 for attacks of one step; null where there are none, where "
        "nobody can tell, and in older records.",
    )


class Protocol(Document):
    """How a random defence is judged."""

    draws: int = Field(ge=1, description="Independent draws of the defence really used to judge each image.")
    select_draws: int | None = Field(
        default=None, ge=1, description="Other draws, by which images are chosen; null in older records."
    )
    decide: Literal["mean", "majority", "any"] = Field(description="How the draws of an image become one value.")
    seed: int = Field(description="The seed that all noise is keyed by.")


class Record(Document):
    """The result of one cell. Reading it imports, opens and fetches nothing that it names."""

    schema_version: Literal[1] = Field(default=1, alias="schema", description="Version of this document.")
    cell: dict[str, JsonValue] = Field(
        description="The resolved cell: all that makes its `id`, the `id`, and the `labels` of the parts."
    )
    status: Status = Field(description="`done`, `failed` or `cancelled`; only a `done` cell has figures.")
    error: OneLine | None = Field(default=None, description="Why the cell failed, in one line.")
    failed_samples: tuple[int, ...] = Field(default=(), description="Ids of the samples that broke the rule.")
    dataset: DatasetPart = Field(description="The data the cell was judged on.")
    threat: ThreatPart = Field(description="What the attacker may do.")
    backbone: BackbonePart = Field(description="The frozen classifier.")
    purifier: PurifierPart = Field(description="The transform in front of the backbone.")
    attack: AttackPart = Field(description="The attack.")
    protocol: Protocol = Field(description="How a random defence is judged.")
    summary: Summary | None = Field(default=None, description="The figures; null unless the cell is done.")
    cost: Cost = Field(default=Cost(), description="What the cell took.")
    rungs: tuple[RungPart, ...] = Field(
        default=(), description="What each rung of a ladder did, in order; empty for every other attack."
    )
    convergence: tuple[ConvergencePart, ...] = Field(
        default=(), description="The first samples attacked with other budgets; empty unless the suite asks for it."
    )
    converged: bool | None = Field(
        default=None, description="No doubling moved robust accuracy by more than a point; null if none was tried."
    )
    images: Literal["all", "fooled", "none"] | None = Field(
        default=None,
        description="Which adversarial images were stored; null unless the cell is done, and in older records.",
    )
    flags: tuple[Flag, ...] = Field(default=(), description="Doubts about this cell.")
    audit: dict[str, bool | int | float | str | None] = Field(
        default={},
        description="What the checks before the attack measured, and what the purifier made of the attacked images.",
    )
    result_hash: str | None = Field(
        default=None,
        description="Hash of the per-sample outcome: equal for equal results.",
    )
    provenance: dict[str, JsonValue] = Field(
        default={}, description="Versions, platform, device, date and the hashes of weights."
    )

    @property
    def id(self) -> str:
        """The id of the cell."""
        return str(self.cell["id"])

    @field_validator("cell")
    @classmethod
    def _has_an_id(cls, cell: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if not isinstance(cell.get("id"), str) or not CELL_ID.fullmatch(str(cell["id"])):
            raise ValueError("the cell has no `id`, or one that is no lower-case word")
        # Rows are put together by these: cells that lack them would all look alike.
        if lacking := [part for part in CELL_PARTS if not isinstance(cell.get(part), dict)]:
            raise ValueError(f"the cell has no {', '.join(lacking)}")
        return cell

    @model_validator(mode="after")
    def _figures_only_when_done(self) -> Self:
        if self.status == "done" and self.summary is None:
            raise ValueError("a done cell has a summary")
        if self.status != "done" and self.summary is not None:
            raise ValueError(f"a {self.status} cell is a state, never a number: its summary is null")
        if self.status == "failed" and not self.error:
            raise ValueError("a failed cell says why in `error`")
        return self


def record_text(record: Document) -> str:
    """The record as JSON: sorted keys, one field a line, no NaN or Infinity."""
    content = record.model_dump(mode="json", by_alias=True)
    return json.dumps(content, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def read_record(path: Path) -> Record:
    """Read a record that nobody vouches for.

    Raises:
        InputError: it is too big, too deep, not JSON, has duplicate keys or numbers that are not finite, was
            written by a newer rbench, or breaks the schema; the message names the file and the field.
    """
    text = read_text(path, MAX_BYTES)
    content = parse_json(text, path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a record (found a JSON {type(content).__name__}).")
    version = content.get("schema")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InputError(f"{path}: schema: not a record of rbench (found {str(version)[:40]!r}).")
    if version > SCHEMA:
        raise InputError(
            f"{path}: written by a newer rbench (schema {version}; this one reads {SCHEMA}). Upgrade rbench."
        )
    try:
        return Record.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error)}") from None


def first_error(error: ValidationError) -> str:
    """`field.path: what is wrong (found ...)` of the first error, and how many more there are."""
    errors = error.errors(include_url=False)
    first = errors[0]
    where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in first["loc"]).lstrip(".")
    value = first["input"]
    found = "" if isinstance(value, dict | list | BaseModel) else f" (found {str(value)[:60]!r})"
    more = f" And {len(errors) - 1} more." if len(errors) > 1 else ""
    return f"{where or 'record'}: {first['msg']}{found}.{more}"
