"""Docstrings in the style of Google as Markdown."""

import inspect
import re

_SECTIONS = {
    "Args": "arguments",
    "Attributes": "attributes",
    "Raises": "raises",
    "Warns": "warns",
    "Returns": "returns",
}
_EXAMPLE = "Example"
_HEAD = re.compile(rf"^({'|'.join((*_SECTIONS, _EXAMPLE))}):$", re.MULTILINE)
_ENTRY = re.compile(r"^(\*{0,2}[\w.]+): ", re.MULTILINE)


def markdown(docstring: str) -> str:
    """Its paragraphs as they are, its sections as lists, its examples as they are typed."""
    body, *sections = _HEAD.split(inspect.cleandoc(docstring))
    parts = [body.strip()]
    for head, text in zip(sections[::2], sections[1::2], strict=True):
        said = inspect.cleandoc(f"\n{text.strip(chr(10))}")
        parts += ["**example**", _typed(said)] if head == _EXAMPLE else [f"**{_SECTIONS[head]}**", _listed(said)]
    return "\n\n".join(filter(None, parts))


def _typed(text: str) -> str:
    """What is typed and answered as blocks, with the words between them."""
    parts = [f"```pycon\n{part}\n```" if part.startswith(">>>") else part for part in text.split("\n\n")]
    return "\n\n".join(parts)


def _listed(text: str) -> str:
    before, *entries = _ENTRY.split(text)
    if not entries:
        return before.strip()
    lines = [f"- `{name}`: {' '.join(said.split())}" for name, said in zip(entries[::2], entries[1::2], strict=True)]
    return "\n".join(lines)
