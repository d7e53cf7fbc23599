"""The code that pages show: fenced blocks with what stands beside them, and commands of rbench wherever they are written."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

_BLOCK = re.compile(
    r'^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?```(?P<language>\w*)(?: title="(?P<title>[^"\n]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
_INDENTED = re.compile(r"^ {4,}(?:\w+\$ )?(rbench .+)$", re.MULTILINE)
_SPAN = re.compile(r"`(rbench [a-z][^`\n]*)`")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: of its fence, empty if it has none.
        title: the file that it is, if it has a name.
        text: what is in it.
        reason: why it is not run, if it is not.
    """

    language: str
    title: str | None
    text: str
    reason: str | None


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(found["language"], found["title"], found["text"], found["reason"]) for found in _BLOCK.finditer(page)]


def lines(text: str) -> list[list[str]]:
    """The words of each command of a block of shell."""
    joined = text.replace("\\\n", " ").splitlines()
    return [words for line in joined if (words := shlex.split(line, comments=True))]


def commands(page: str) -> list[list[str]]:
    """The words of every command of rbench on a page: in blocks, in indented lines, and in code within a sentence."""
    fenced = [line for block in blocks(page) if block.language in ("", "sh", "bash") for line in _rbench(block.text)]
    others = [*_INDENTED.findall(page), *_SPAN.findall(page)]
    return [shlex.split(line, comments=True) for line in [*fenced, *others]]


def _rbench(text: str) -> list[str]:
    return re.findall(r"^(?:\w*\$ )?(rbench .+)$", text.replace("\\\n", " "), re.MULTILINE)
