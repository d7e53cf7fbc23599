"""Frozen models of what a user writes, which know the line and column of each value in the file."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, PrivateAttr

from rbench.errors import InputError
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
        versions: keys by which a later rbench may say how its files are to be read; this one has none.
    """

    noun: ClassVar[str] = "file"
    refused: ClassVar[dict[str, str]] = {}
    versions: ClassVar[tuple[str, ...]] = ("schema", "schema_version", "version", "rbench")

    _document: Node | None = PrivateAttr(None)

    def remember(self, document: Node) -> None:
        """Keeps the place of each value, for messages about it later on."""
        self._document = document

    def wrong(
        self,
        path: FieldPath,
        problem: str,
        *,
        component: str | None = None,
        found: str | None = None,
        remedy: str | None = None,
    ) -> InputError:
        """An error about a field, with its place.

        Args:
            path: of the field.
            problem: what is wrong.
            component: the component that the field belongs to.
            found: the value found.
            remedy: what to do.
        """
        return InputError(problem, component=component, place=self.place(path), found=found, remedy=remedy)

    def place(self, path: FieldPath, *, key: bool = False) -> str:
        """Where a field is: `suite.yaml:3:7: threat.eps`, or its path alone if the model was not read from a file.

        Args:
            path: of the field.
            key: whether its key is meant, not its value.
        """
        return dotted(path) if self._document is None else place_of(self._document, path, key=key)

    def line(self, path: FieldPath) -> str:
        """`line 12` of a field, or its path if the suite was not read from a file."""
        if self._document is None:
            return dotted(path)
        place = self._document.find(path)[0]
        return f"line {place.line}" if place.line else str(place)


def place_of(document: Node, path: FieldPath, *, key: bool = False) -> str:
    """Where a field of a document is, with its path."""
    place, existing = document.find(path, key=key)
    rest = path[len(existing) :]
    bare = rest == (0,) or (rest == ("name",) and document.at(existing).is_scalar)
    named = existing if bare else path  # `jpeg` stands for {name: jpeg}, and one radius for a list of it
    return f"{place}: {dotted(named)}" if named else str(place)
