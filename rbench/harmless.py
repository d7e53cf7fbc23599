"""Text that anybody can have written, made harmless: none of it may act on a terminal, a page or a spreadsheet, or fill it.

The one way of every string of a record, a suite, a data set or a plug-in to a reader. Room of its own below all others, since an error's
words go the same way.
"""

import re
import unicodedata

NAME = 60
"""Columns of a name in running text; the longest name of a built-in component has less than half of that."""
STORED = 500
"""Characters of an error that is written into a record."""
LINE = 2000
"""Characters of a line of which a part came from somebody else."""

_ACTING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
_PATH = re.compile(
    r"""(?<![\w./\\~-])(?:/|[A-Za-z]:[\\/])(?:[^\s/\\'"<>|:*?,;()\[\]{}]+[/\\])+([^\s/\\'"<>|:*?,;()\[\]{}]*)"""
)
"""An absolute path of two parts or more, of this system or another; an address has two slashes before its parts."""
_EMPTY = frozenset("\u115f\u1160\u2800\u3164\uffa0\u034f") | frozenset(map(chr, range(0xFE00, 0xFE10)))
"""Letters, symbols and marks that are drawn as nothing."""
_QUOTED = re.compile(r"""\bb(['"])(?:(?!\1|\\).|\\.){0,99}?\\x(?:(?!\1|\\).|\\.)*(?:\1|$)""", re.DOTALL)
"""Bytes as Python writes them, where one of the first is no letter: of a picture or an archive, not of a text."""
_MARKS = 2
"""Marks on a letter that languages use; more of them climb over the lines above."""
_GAP = "..."


def harmless(text: object, most: int | None = None) -> str:
    r"""The text on one line, with what acts or cannot be seen spelled out (`\x1b`, `\u202e`), and its middle left out where it is too long.

    Harmless text stays as it is, so it may be given twice. Bytes are counted, never shown.

    Args:
        text: a string, or anything with a text; whoever made that may have broken it.
        most: columns of a terminal that it may take, at least 8; None for all that it has.
    """
    plain = text_of(text)
    seen = plain if plain.isascii() and plain.isprintable() else _spelled(plain if most is None else _kept(plain, most))
    return seen if most is None else clipped(seen, most)


def one_line(thing: object, most: int | None = None) -> str:
    """The same with every run of spaces and line breaks as one space: for sentences, such as the text of an exception."""
    return harmless(" ".join(text_of(thing).split()), most)


def without_paths(text: str) -> str:
    """The text with the last part of each absolute path in place of the path: where somebody keeps files is nobody's business."""
    return _PATH.sub(lambda found: found[1] or "a folder", text)


def block(text: str) -> str:
    """Lines whose breaks are our own, each of them harmless; strings of others are made harmless before they are put in."""
    return "\n".join(map(harmless, text.split("\n")))


def clipped(text: str, most: int) -> str:
    """The text, or its start and its end where it takes more columns than `most`: alike names often differ at the end only."""
    if columns(text) <= most:
        return text
    left = most - len(_GAP)
    end = left // 3
    return f"{_taken(text, left - end)}{_GAP}{_taken(text[::-1], end)[::-1]}"


def columns(text: str) -> int:
    """The columns that a text takes on a terminal."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _kept(text: str, most: int) -> str:
    """As much of both ends as can be shown, so that a text of megabytes costs nothing; a mark takes no column."""
    enough = 4 * most
    return text if len(text) <= 2 * enough else f"{text[:enough]}{_GAP}{text[-enough:]}"


def _taken(text: str, most: int) -> str:
    used = 0
    for place, character in enumerate(text):
        used += _width(character)
        if used > most:
            return text[:place]
    return text


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _spelled(text: str) -> str:
    parts, marks = [], 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        acts = (category in _ACTING and character != " ") or character in _EMPTY or marks > _MARKS
        parts.append(character.encode("unicode_escape", "surrogatepass").decode("ascii") if acts else character)
    return "".join(parts)


def text_of(thing: object) -> str:
    """The text of anything, whatever its maker did to it; the number of bytes for bytes, also where a text quotes them."""
    if isinstance(thing, bytes | bytearray | memoryview):
        return f"{len(thing):,} bytes"
    try:
        text = str.__str__(thing) if isinstance(thing, str) else str(thing)
    except (Exception, SystemExit, KeyboardInterrupt):  # raised by a text that somebody made
        return f"a {type(thing).__name__} whose text cannot be made"
    return _QUOTED.sub("bytes", text) if "\\x" in text else text
