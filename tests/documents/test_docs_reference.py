"""The parts of pages that the code says are what it says today."""

import pytest
from shown_code import PAGES, ROOT

from rbench.cli.main import VERBS
from tools.reference import api, blocks, commands, docstrings, words
from tools.reference.pages import PARTS, current


@pytest.mark.parametrize("path", PARTS)
def test_what_a_page_has_from_the_code_is_current(path):
    assert (ROOT / path).read_text(encoding="utf-8") == current(path), "run: make reference"


def test_every_part_that_is_marked_as_made_is_made():
    marked = {name for page in PAGES if page.parent != ROOT for name in _marked(page.read_text(encoding="utf-8"))}
    assert marked == {name for parts in PARTS.values() for name in parts}


def _marked(page):
    return [line.split(":")[1].split("-->")[0].strip() for line in page.splitlines() if line.startswith("<!-- made:")]


def test_a_part_is_put_in_place_and_what_stands_around_it_stays():
    page = "before\n\n<!-- made: x -->\nold\n<!-- /made -->\n\nafter\n"
    assert (
        blocks.with_part("x", "new \\1", page) == "before\n\n<!-- made: x -->\n\nnew \\1\n\n<!-- /made -->\n\nafter\n"
    )
    with pytest.raises(ValueError, match="'y'"):
        blocks.with_part("y", "new", page)


def test_types_of_a_schema_are_said_in_words():
    assert words.kind({"type": "integer", "minimum": 1, "maximum": 5000}) == "integer from 1 to 5,000"
    assert words.kind({"anyOf": [{"type": "string"}, {"type": "null"}]}) == "text, or null"
    assert words.kind({"type": "array", "items": {"$ref": "#/$defs/Flag"}}) == "list of: [Flag](#flag)"
    assert words.table(["a"], [["x | y\nz"]]).splitlines()[2] == "| x \\| y z |"


def test_every_verb_and_option_is_in_the_reference():
    page = commands.commands()
    for verb in VERBS:
        assert f"\n## rbench {verb}\n" in page
    assert "| `--limit N` |  | At most N samples. |" in page
    assert "| `--redo missing\\|failed\\|all` | `missing` |" in page


def test_the_api_is_found_where_it_is_defined_without_importing_it():
    node = api.found("rbench", "read")
    assert node.module == "rbench.results.frames"
    assert "robust_accuracy" in api.api()
    with pytest.raises(LookupError):
        api.found("rbench", "nothing")


def test_sections_of_a_docstring_become_lists():
    text = "First.\n\nArgs:\n    x: one\n        and two.\n    **more: others.\n\nRaises:\n    InputError: wrong."
    said = "First.\n\n**arguments**\n\n- `x`: one and two.\n- `**more`: others.\n\n**raises**\n\n- `InputError`: wrong."
    assert docstrings.markdown(text) == said
    typed = "First.\n\nExample:\n    >>> 1\n    1\n\n    Then:\n\n    >>> 2\n    2"
    blocks = "```pycon\n>>> 1\n1\n```\n\nThen:\n\n```pycon\n>>> 2\n2\n```"
    assert docstrings.markdown(typed) == f"First.\n\n**example**\n\n{blocks}"
