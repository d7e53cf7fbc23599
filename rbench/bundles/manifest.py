"""The manifest of a bundle: what is in it, by sha256, and what paths of its suite stand for. Anybody may have written it."""

import json
import re
from pathlib import PurePath

from pydantic import Field, ValidationError, field_validator

from rbench.elsewhere import is_absolute
from rbench.errors import InputError
from rbench.harmless import NAME, harmless
from rbench.results.record import Document, first_error

SCHEMA = 1
NAME_IN_BUNDLE = "manifest.json"
MOST_BYTES = 32 * 2**20
_ID = r"[0-9a-z][0-9a-z-]{0,63}"
_PLAIN = r"[^/\\:\x00-\x1f\x7f*?\"<>|]{1,255}"
_KNOWN = re.compile(
    rf"suite\.yaml|cells\.jsonl|leaderboard\.(md|csv|html|more\.html|tex|json)|(records|verified|corruptions)/{_ID}\.json"
    rf"|corruptions\.(jsonl|csv)|(samples|corruptions)/{_ID}\.parquet"
    rf"|(images|gallery)/{_ID}\.safetensors|figures/[\w.-]{{1,100}}\.(md|csv|png|svg|pdf)"
    r"|data/(labels|ids|images|chosen)\.npy|data/about\.json"
    rf"|(files/[0-9a-f]{{12}}|cache/torch|cache/hub)(/{_PLAIN}){{1,16}}",
    re.ASCII,
)
_RUNS = re.compile(r"(?i).*\.(py[a-z0-9]?|pyc|so|pyd|dll|dylib|egg|sh|bat|exe)(\.\d+)*")
"""Names of files that Python or a system would run. `.pth` is a usual name of weights, and Python reads it in folders of packages alone."""
Sha256 = Field(pattern=r"^[0-9a-f]{64}$")


class Member(Document):
    """One file of a bundle."""

    sha256: str = Sha256
    bytes: int = Field(ge=0, description="When unpacked.")


class Placed(Document):
    """A file or folder that the suite names by a path."""

    text: str = Field(min_length=1, max_length=4096, description="The path as the suite has it.")
    at: str = Field(pattern=r"^files/[0-9a-f]{12}$", description="The folder in the bundle that holds it.")
    folder: bool = Field(description="Whether it is a folder, which may be empty here.")

    @field_validator("text")
    @classmethod
    def _is_a_path(cls, text: str) -> str:
        name = PurePath(text).name
        if (
            is_absolute(text)
            or ":" in text
            or not text.isprintable()
            or name in ("", "..")
            or not is_member(f"files/{'0' * 12}/{name}")
        ):
            raise ValueError("no relative path of a file")
        return text

    @property
    def member(self) -> str:
        """Its path in the bundle."""
        return f"{self.at}/{PurePath(self.text).name}"


class Data(Document):
    """The data set."""

    name: str = Field(min_length=1, max_length=4096, description="As the suite has it.")
    files: dict[str, str] = Field(description="sha256 of the files of the whole data set by name.")
    kept: bool = Field(description="Whether the judged samples are in the bundle.")
    own: bool = Field(description="Whether its files come with a package, so that none are needed.")


class PackedPlugIn(Document):
    """A component that another package than rbench brought; its code is not in the bundle."""

    kind: str
    name: str
    distribution: str
    version: str | None


class Lacking(Document):
    """A file that a component reads from a place of its own, and that is not in the bundle."""

    component: str
    name: str
    sha256: str = Sha256


class Manifest(Document):
    """All that a bundle says of itself."""

    bundle: int = Field(ge=1, description="Version of this document.")
    rbench: str = Field(description="Version of rbench that packed it.")
    members: dict[str, Member] = Field(description="Every other file of the bundle.")
    places: tuple[Placed, ...] = Field(default=(), description="What paths of the suite stand for.")
    data: Data
    plug_ins: tuple[PackedPlugIn, ...] = Field(default=(), description="Whose code is not in the bundle.")
    code: dict[str, str] = Field(
        default={}, description="sha256 of files of the author's own code, by name; none is in the bundle."
    )
    lacking: tuple[Lacking, ...] = ()


def is_member(name: str) -> bool:
    """Whether a file of a bundle may be called so: relative, without `..`, of a folder that bundles have, and nothing that would be run."""
    parts = name.split("/")
    hidden = any(part.startswith(".") or part.endswith((".", " ")) for part in parts)
    return len(name) <= 1024 and not hidden and name.isprintable() and bool(_KNOWN.fullmatch(name)) and not runs(name)


def runs(name: str) -> bool:
    """Whether Python or a system would run a file of this name."""
    return bool(_RUNS.fullmatch(name))


def manifest_text(manifest: Manifest) -> str:
    """As JSON with sorted keys."""
    return json.dumps(manifest.model_dump(mode="json"), sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def read_manifest(content: object, text: str, place: object) -> Manifest:
    """Reads a manifest.

    Args:
        content: its JSON, limits checked.
        text: of it.
        place: the bundle, for messages.

    Raises:
        InputError: it is none, or of a later version.
    """
    version = content.get("bundle") if isinstance(content, dict) else None
    if isinstance(version, int) and version > SCHEMA:
        problem = f"packed by a newer rbench (bundle {version}; this one reads {SCHEMA})."
        raise InputError(problem, place=place, remedy="Upgrade rbench.")
    try:
        found = Manifest.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise InputError(f"no manifest of a bundle: {first_error(error)}", place=f"{place}: {NAME_IN_BUNDLE}") from None
    for name in found.members:
        if not is_member(name):
            raise InputError(f"no name of a file in a bundle: {harmless(repr(name), 2 * NAME)}", place=place)
    return found
