"""Every row of the fault table has a test that carries its number, or a reason in docs/reliability.md why there is none."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = set(range(1, 141))
REASONS = PAGE.split("## Rows without a test\n")[1].split("\n## ")[0]


def numbers(text):
    """The rows whose line begins a table's line."""
    return {int(number) for number in re.findall(r"^\| (\d{1,3}) \|", text, re.MULTILINE)}


def carried():
    """The rows that the names of tests carry: `test_081_082_words` is a test of two."""
    names = [
        node.name
        for path in HERE.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]
    starts = [match[0] for name in names if (match := re.match(r"test(_\d{3})+_", name))]
    return {int(number) for one in starts for number in re.findall(r"\d{3}", one)}


def test_every_row_has_a_test_or_a_reason():
    assert sorted(ROWS - carried() - numbers(REASONS)) == []


def test_no_test_carries_the_number_of_no_row():
    assert carried() <= ROWS


def test_the_page_says_of_every_row_what_happens():
    lines = PAGE.split("## Where a row means something else here\n")[0]
    assert sorted(ROWS - numbers(lines)) == []
    empty = [line for line in lines.splitlines() if re.match(r"\| \d", line) and not line.split("|")[3].strip()]
    assert empty == []


def test_a_reason_is_a_sentence():
    reasons = [line for line in REASONS.splitlines() if re.match(r"\| \d", line)]
    assert [line for line in reasons if len(line.split("|")[2].split()) < 5] == []
