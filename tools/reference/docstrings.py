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
_HEAD = re.compile(rf"^({'|'.join(_SECTIONS)}):$", re.MULTILINE)
_ENTRY = re.compile(r"^(\*{0,2}[\w.]+): ", re.MULTILINE)


def markdown(docstring: str) -> str:
    """Its paragraphs as they are, its sections as lists."""
    body, *sections = _HEAD.split(inspect.cleandoc(docstring))
    parts = [body.strip()]
    for head, text in zip(sections[::2], sections[1::2], strict=True):
        parts += [f"**{_SECTIONS[head]}**", _listed(inspect.cleandoc(f"\n{text.strip(chr(10))}"))]
    return "\n\n".join(filter(None, parts))


def _listed(text: str) -> str:
    before, *entries = _ENTRY.split(text)
    if not entries:
        return before.strip()
    lines = [f"- `{name}`: {' '.join(said.split())}" for name, said in zip(entries[::2], entries[1::2], strict=True)]
    return "\n".join(lines)
