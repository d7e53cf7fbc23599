"""The provenance card: what a file of weights was trained on, by which recipe, and with what results."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from rbench.errors import InputError
from rbench.results.files import write_text
from rbench.results.untrusted import read_text
from rbench.suite.model import Model

MAX_BYTES = 64 * 2**20
"""Of a card; one with a curve of a million entries is larger, and is no card."""


class Weights(Model):
    """The file that the card is about."""

    file: str = Field(description="Its name; it lies beside the card.")
    sha256: str = Field(description="Of its bytes.")
    bytes: int = Field(description="Its size.")
    parameters: int = Field(description="Numbers that were trained.")


class Data(Model):
    """What it was trained on."""

    source: dict[str, str] = Field(description="Where the data came from, as its reader says.")
    sha256: str = Field(description="Of the pixels as they were trained on, with the labels if those were used.")
    samples: int = Field(description="Trained on.")
    held_out: int = Field(description="Kept out.")


class Card(Model):
    """Everything that made a file of weights."""

    card: Literal[1] = Field(1, description="Version of this format.")
    name: str = Field(description="Of the recipe.")
    train: Literal["purifier", "head", "backbone"] = Field(description="What was trained.")
    recipe: dict[str, Any] = Field(description="The recipe with every default written out.")
    fingerprint: str = Field(
        description="sha256 of recipe, files and component versions; equal ones give the same weights."
    )
    files: dict[str, str] = Field(description="sha256 of every file that a component of the recipe read.")
    components: dict[str, str] = Field(description="Package and source version of every component.")
    weights: Weights
    data: Data
    seed: int = Field(description="Of all randomness of the training.")
    metrics: dict[str, float] = Field(description="At the end, on what was held out (`held_out.`) or in training.")
    seconds: float = Field(description="Spent training, over all starts; reading data is not counted.")
    device: str = Field(description="Where.")
    threads: int = Field(description="Threads of torch.")
    versions: dict[str, Any] = Field(description="Of packages, interpreter and platform; and the time.")
    curve: list[dict[str, Any]] = Field(description="An entry per epoch, or per iteration of a solver.")


def write_card(path: Path, card: Card) -> None:
    """Writes a card as JSON, one line per entry of the curve."""
    document = card.model_dump()
    curve = document.pop("curve")
    head = json.dumps(document, indent=1, ensure_ascii=False).removesuffix("\n}")
    rows = ",\n".join(f"  {json.dumps(entry)}" for entry in curve)
    write_text(path, f'{head},\n "curve": [\n{rows}\n ]\n}}\n')


def read_card(path: Path) -> Card | None:
    """The card of a file, if there is one.

    Raises:
        InputError: it is no card.
    """
    if not path.exists():
        return None
    try:
        return Card.model_validate_json(read_text(path, MAX_BYTES))
    except ValidationError as error:
        cause = error.errors()[0]["msg"]
        raise InputError(f"no card of rbench fit ({cause}).", place=path, remedy="Give another --out") from None
