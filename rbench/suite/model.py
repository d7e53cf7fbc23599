"""Frozen models of what a user writes, which know where in the file each value stands."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, PrivateAttr

from rbench.suite.document import FieldPath, Node, dotted


class Model(BaseModel):
    """A frozen model without unknown keys and without guesses between types."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
        populate_by_name=True,
    )


class FileModel(Model):
    """The root of a file.

    Attributes:
        noun: what such a file is called.
        refused: keys that a reader may expect here, and why there are none.
    """

    noun: ClassVar[str] = "file"
    refused: ClassVar[dict[str, str]] = {}

    _document: Node | None = PrivateAttr(None)

    def remember(self, document: Node) -> None:
        """Keeps where each value stands, for messages about it later on."""
        self._document = document

    def wrong(self, path: FieldPath, detail: str, *, key: bool = False) -> str:
        """The one line of an error: place (if read from a file), field path, what was found, what to do.

        Args:
            path: of the field.
            detail: what was found and what to do.
            key: whether its key is wrong, not its value.
        """
        if self._document is None:
            return f"{dotted(path)}: {detail}"
        return locate(self._document, path, detail, key=key)

    def line(self, path: FieldPath) -> str:
        """`line 12` of a field, or its path if the suite was not read from a file."""
        if self._document is None:
            return dotted(path)
        place = self._document.find(path)[0]
        return f"line {place.line}" if place.line else str(place)


def locate(document: Node, path: FieldPath, detail: str, *, key: bool = False) -> str:
    """The one line of an error about a field of a document."""
    place, existing = document.find(path, key=key)
    rest = path[len(existing) :]
    bare = rest == (0,) or (rest == ("name",) and document.at(existing).is_scalar)
    named = existing if bare else path  # `jpeg` stands for {name: jpeg}, and one radius for a list of it
    return f"{place}: {dotted(named)}: {detail}" if named else f"{place}: {detail}"
