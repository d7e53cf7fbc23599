"""Cells that the suite beside the results asks for and its plan does not have: without them a row would have too high a number."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rbench.errors import RbenchError
from rbench.suite.document import parse, read_text
from rbench.suite.load import read_spec
from rbench.suite.titles import Title, titles

ID = "taken-out-"
"""What the id of such a cell begins with; the real one is not known without the components."""


def taken_out(root: Path, planned: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The documents of such cells, as far as a table needs them: in the row of the planned cells with their labels, under their own.

    Where there is no suite, or none that can be read, nothing is known to be missing.

    Args:
        root: the run folder.
        planned: the lines of `cells.jsonl`.
    """
    path = root / "suite.yaml"
    if not path.is_file():
        return []
    try:
        asked = list(titles(read_spec(parse(read_text(path), str(path)))))
    except RbenchError:
        return []
    rows: dict[tuple[str, ...], Mapping[str, Any]] = {}
    there = set()
    for cell in planned:
        title = _title(cell)
        if title is None:
            return []
        there.add(title)
        rows.setdefault(title[:3], cell)
    missing = [title for title in asked if title not in there and title[:3] in rows]
    return [_document(rows[title[:3]], title, f"{ID}{place}") for place, title in enumerate(missing)]


def _title(cell: Mapping[str, Any]) -> Title | None:
    labels, threat = cell.get("labels"), cell["threat"]
    if not isinstance(labels, Mapping):
        return None
    return Title(
        *(
            str(part)
            for part in (labels.get("backbone"), labels.get("purifier"), threat.get("eps"), labels.get("attack"))
        )
    )


def _document(like: Mapping[str, Any], title: Title, cell_id: str) -> dict[str, Any]:
    attack = {"name": title.attack, "params": {}, "taken out": True}
    return {**like, "id": cell_id, "attack": attack, "labels": {**like["labels"], "attack": title.attack}}
