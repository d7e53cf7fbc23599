"""The verification of a cell: who judged its stored examples again, what came out, and of which files that is true."""

from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, ValidationError

from rbench.errors import InputError
from rbench.results.hashes import file_hash
from rbench.results.record import Count, Document, Share, first_error
from rbench.results.untrusted import parse_json, read_text

MAX_BYTES = 2**20


class Reattack(Document):
    """Claimed survivors of a row that were attacked again with another seed."""

    seed: int = Field(description="The other seed.")
    attacked: Count = Field(description="Survivors of the row's worst case, drawn at random.")
    fell: Count = Field(
        description="Those that the new attacks fooled: of a random defence, most fresh draws are wrong."
    )
    by_chance: Count = Field(
        default=0,
        description="Of a random defence, so many may fall on fresh draws though nothing is false, with 95 % confidence.",
    )
    attacks: tuple[str, ...] = Field(
        default=(), description="The attacks that they met; in older documents, that of the row alone."
    )
    false_at_most: Share = Field(
        description="With 95 % confidence, at most this share of the claimed survivors is false."
    )
    seconds: float = Field(ge=0, description="Wall-clock seconds.")


class Rerun(Document):
    """The whole cell run again with another seed, order and batch size."""

    seed: int = Field(description="The other seed.")
    batch_size: int = Field(ge=1, description="The other batch size; the samples came in reverse order.")
    robust_accuracy: Share = Field(description="What it found.")
    difference: float = Field(
        description="Robust accuracy of the record less that of the second run, on the same samples."
    )
    low: float = Field(description="Lower end of the paired 95 % interval of the difference.")
    high: float = Field(description="Upper end of the paired 95 % interval of the difference.")
    seconds: float = Field(ge=0, description="Wall-clock seconds.")


class Verification(Document):
    """That the examples of a cell were judged again and the record was found to be true."""

    schema_version: Literal[1] = Field(default=1, alias="schema", description="Version of this document.")
    cell: str = Field(description="Id of the cell.")
    record_sha256: str = Field(description="Hash of the record's file; another record is not verified by this.")
    samples_sha256: str = Field(description="Hash of the samples' file.")
    images_sha256: str = Field(description="Hash of the file of adversarial examples.")
    examples: Count = Field(description="Stored examples that were judged again.")
    near_ties: Count = Field(
        description="Predictions that came out otherwise by rounding alone: the two logits were as good as equal."
    )
    largest_distance: float = Field(ge=0, description="Largest norm of a perturbation, measured in float64.")
    passes: Count = Field(description="Images passed forward through the defended model.")
    seconds: float = Field(ge=0, description="Wall-clock seconds of judging again.")
    reattack: Reattack | None = Field(
        default=None, description="Survivors of the row attacked again; with the strongest attack of the row only."
    )
    rerun: Rerun | None = Field(default=None, description="The whole cell run again; with `--audit` only.")
    provenance: dict[str, JsonValue] = Field(default={}, description="Versions, platform, device and date.")


def read_verification(path: Path) -> Verification | None:
    """The verification in a file; None if there is none.

    Raises:
        InputError: it is broken.
    """
    if not path.exists():
        return None
    text = read_text(path, MAX_BYTES)
    parse_json(text, path)
    try:
        return Verification.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error)}") from None


def holds(verification: Verification, record: Path, samples: Path) -> bool:
    """Whether record and samples are still those that were verified. The examples are not read: of a million they take minutes."""
    return file_hash(record) == verification.record_sha256 and file_hash(samples) == verification.samples_sha256
