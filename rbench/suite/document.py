"""YAML text to a tree that remembers the line and column of each value.

PyYAML's parser gives the events; what they mean is decided here, because YAML 1.1 reads `no` as false,
`8/255` and `1e-3` as text and `010` as 8, takes the last of two equal keys, and expands aliases without end.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rbench.errors import InputError

MAX_BYTES = 1 << 20
MAX_DEPTH = 24
MAX_NODES = 50_000
TOO_DEEP = f"nested more than {MAX_DEPTH} deep, the limit."

_INT = re.compile(r"[-+]?(0|[1-9]\d*)")
_FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?")
_SPECIAL: dict[str, Any] = dict.fromkeys(("", "~", "null", "Null", "NULL"))
_SPECIAL |= dict.fromkeys(("true", "True", "TRUE"), True)
_SPECIAL |= dict.fromkeys(("false", "False", "FALSE"), False)
_SPECIAL |= dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf)
_SPECIAL |= dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf)
_SPECIAL |= dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan)
_VARIABLE = re.compile(r"\$\{[^{}\n]{1,200}\}")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

FieldPath = tuple[str | int, ...]
"""Keys and indices from the root of a document to a value."""


@dataclass(frozen=True)
class Place:
    """Where something is written: `suite.yaml:3:7`, or the override that set it."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source

    def __lt__(self, other: "Place") -> bool:
        return (self.line, self.column) < (other.line, other.column)


@dataclass
class Node:
    """A value with its place.

    Attributes:
        place: where the value starts.
        value: of a scalar; None for a list or map.
        items: of a list.
        entries: of a map, by key.
        keys: where each key of a map starts.
    """

    place: Place
    value: Any = None
    items: list["Node"] | None = None
    entries: dict[str, "Node"] | None = None
    keys: dict[str, Place] = field(default_factory=dict)

    def find(self, path: FieldPath, *, key: bool = False) -> tuple[Place, FieldPath]:
        """The place of a value and its path; where there is no such value, those of the innermost list or map around it that exists.

        Args:
            path: from this node.
            key: the place of the last key instead of its value.
        """
        node, done, place = self, 0, self.place
        for part in path:
            if isinstance(part, int) and node.items is not None and part < len(node.items):
                node = node.items[part]
                place = node.place
            elif node.entries is not None and part in node.entries:
                parent, node = node, node.entries[str(part)]
                place = parent.keys[str(part)] if key else node.place
            else:
                break
            done += 1
        return place, path[:done]

    def at(self, path: FieldPath) -> "Node":
        """The node at a path that exists."""
        node = self
        for part in path:
            node = node.items[part] if isinstance(part, int) else node.entries[part]  # type: ignore[index]
        return node

    @property
    def is_scalar(self) -> bool:
        """Whether it is neither list nor map."""
        return self.items is None and self.entries is None

    def plain(self) -> Any:
        """The value without places."""
        if self.entries is not None:
            return {key: node.plain() for key, node in self.entries.items()}
        if self.items is not None:
            return [node.plain() for node in self.items]
        return self.value


def read_text(path: Path) -> str:
    """The text of a file that a user named.

    Raises:
        InputError: missing, no regular file, too large, or no UTF-8 text (with the offset of the bad byte).
    """
    try:
        if path.is_dir():
            raise InputError("is a directory.", place=path, remedy="Name a suite file.")
        if not path.exists():
            raise InputError("no such file.", place=path)
        if not path.is_file():
            raise InputError("is no regular file.", place=path, remedy="Name a suite file.")
        size = path.stat().st_size
        with path.open("rb") as file:
            data = b"" if size > MAX_BYTES else file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # no permission; a NUL in the name
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}.", place=path) from None
    if max(size, len(data)) > MAX_BYTES:
        found = f"{max(size, len(data)):,} bytes"
        problem, remedy = f"{found} is above the limit of {MAX_BYTES:,}.", "Is this a suite file?"
        raise InputError(problem, place=path, found=found, remedy=remedy)
    return _decode(data, str(path))


def _decode(data: bytes, source: str) -> str:
    def fail(offset: int, found: str, problem: str = "") -> InputError:
        before = data[:offset].decode("utf-8-sig", errors="replace")
        place = _at(source, before, len(before))
        problem, remedy = f"{found}{problem} at byte offset {offset}.", "Save the file as UTF-8 text."
        return InputError(problem, place=place, found=found, remedy=remedy)

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        offset = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        offset = min(offset, len(data) - 1)
        raise fail(offset, f"byte 0x{data[offset]:02x}", " is not UTF-8") from None
    if bad := _UNPRINTABLE.search(text):
        offset = len(text[: bad.start()].encode()) + (len(data) - len(text.encode()))
        name = "NUL byte" if bad[0] == "\0" else f"control character U+{ord(bad[0]):04X}"
        raise fail(offset, name)
    return text


def _at(source: str, text: str, index: int) -> Place:
    start = text.rfind("\n", 0, index) + 1
    return Place(source, text.count("\n", 0, index) + 1, index - start + 1)


def parse(text: str, source: str) -> Node:
    """The tree of a YAML document.

    Args:
        text: the document.
        source: what to call it in messages.

    Raises:
        InputError: one line with the place: a syntax error, or one of the refused things (duplicate keys,
            aliases, tags, several documents, too deep, too large).
    """
    try:
        return _Composer(text, source).document()
    except yaml.MarkedYAMLError as error:
        if "nesting depth" in (error.problem or ""):  # the parser's own limit, which it may meet first
            raise InputError(TOO_DEEP, place=Place(source, 1, 1), remedy="Write it flatter.") from None
        mark, opened = error.problem_mark, error.context_mark
        if mark is None or (opened is not None and text.count("\n") < mark.line):
            mark = opened or mark  # the text ended inside something: say where that began
        place = Place(source, mark.line + 1, mark.column + 1) if mark else Place(source, 1, 1)
        context = f" {error.context}" if error.context else ""
        problem = f"not YAML: {error.problem or 'unreadable'}{context}."
        raise InputError(problem, place=place, remedy=_advice(error, text, place)) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"not YAML: {' '.join(str(error).split())}.", place=Place(source, 1, 1)) from None


def _advice(error: yaml.MarkedYAMLError, text: str, place: Place) -> str | None:
    line = "".join(text.split("\n")[place.line - 1 : place.line])
    if line[place.column - 1 : place.column] == "\t":
        return "Indent with spaces, not tabs."
    if "${" in line:
        return "Write the value: nothing is put in the place of ${...}."
    if "mapping values are not allowed" in (error.problem or ""):
        return "Quote text that holds a colon and a space."
    return None


def dotted(path: FieldPath) -> str:
    """A field path as messages write it: `purifiers[1].quality`; odd keys made short and printable."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_shown(part)}" for part in path)
    return text.removeprefix(".")


def _shown(key: str) -> str:
    short = key if len(key) <= 60 else f"{key[:57]}..."
    return short if short.isprintable() else repr(short)


class _Composer:
    """Builds the tree from PyYAML's events, refusing at the first event that breaks a rule."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self.nodes = 0

    def document(self) -> Node:
        root: Node | None = None
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                raise self.refuse(event, (), "a second document.", remedy="Keep one suite in a file.")
            if isinstance(event, yaml.NodeEvent):
                root = self.node(event, ())
        return root or Node(Place(self.source, 1, 1))

    def place(self, event: Any) -> Place:
        return Place(self.source, event.start_mark.line + 1, event.start_mark.column + 1)

    def refuse(
        self, event: Any, path: FieldPath, problem: str, *, found: str | None = None, remedy: str | None = None
    ) -> InputError:
        place = f"{self.place(event)}: {dotted(path)[:200]}" if path else self.place(event)
        return InputError(problem, place=place, found=found, remedy=remedy)

    def node(self, event: Any, path: FieldPath) -> Node:
        place = self.place(event)
        self.nodes += 1
        if len(path) >= MAX_DEPTH:
            raise self.refuse(event, path[:3], TOO_DEEP, remedy="Write it flatter.")
        if self.nodes > MAX_NODES:
            raise self.refuse(event, path, f"more than {MAX_NODES:,} values, the limit.", remedy="Split the suite.")
        if isinstance(event, yaml.AliasEvent):
            alias = f"the alias *{str(event.anchor)[:60]}"
            problem, remedy = f"found {alias}; a suite has none.", "Write the value again."
            raise self.refuse(event, path, problem, found=alias, remedy=remedy)
        if event.tag is not None:
            tag = f"the tag {event.tag[:60]!r}"
            raise self.refuse(event, path, f"found {tag}; a suite has none.", found=tag, remedy="Remove it.")
        if isinstance(event, yaml.ScalarEvent):
            return Node(place, self.scalar(event, path))
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
                items.append(self.node(event, (*path, len(items))))
            return Node(place, items=items)
        parent = Node(place, entries={})
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            self.entry(parent, event, path)
        return parent

    def entry(self, parent: Node, event: Any, path: FieldPath) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            what = "a list, map or alias as a key"
            raise self.refuse(event, path, f"found {what}.", found=what, remedy="Keys are words.")
        key = event.value
        if event.tag is not None:
            self.node(event, path)
        assert parent.entries is not None
        path = (*path, key)
        if key in parent.entries:
            first = parent.keys[key].line
            problem = f"duplicate key; the first is on line {first}."
            raise self.refuse(event, path, problem, remedy="Remove one of them.")
        parent.keys[key] = self.place(event)
        parent.entries[key] = self.node(next(self.events), path)

    def scalar(self, event: Any, path: FieldPath) -> Any:
        if variable := _VARIABLE.search(event.value):
            found = _shown(variable[0])
            problem = f"found the variable {found}; nothing is put in its place."
            raise self.refuse(event, path, problem, found=found, remedy="Write the value, or give it with --set.")
        if not event.implicit[0]:
            return event.value
        try:
            return resolve_scalar(event.value)
        except ValueError:
            found = f"a number of {len(event.value)} digits"
            raise self.refuse(event, path, f"found {found}.", found=found, remedy="Write a shorter one.") from None


def resolve_scalar(text: str) -> Any:
    """What an unquoted scalar means: YAML 1.2's JSON-like core, so `no`, `on` and `8/255` stay text.

    Raises:
        ValueError: an integer of more than 18 digits.
    """
    if text in _SPECIAL:
        return _SPECIAL[text]
    if _INT.fullmatch(text):
        if len(text) > 19:
            raise ValueError(text)
        return int(text)
    if _FLOAT.fullmatch(text) and not re.fullmatch(r"[-+]?0\d+", text):
        return float(text)
    return text
