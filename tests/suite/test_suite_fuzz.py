"""Any mutation of a valid suite is accepted or answered with one line that names a place; never another exception."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_plugins import SUITE, Plugins
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import mutated, values

from rbench.errors import InputError
from rbench.suite.load import load_suite
from rbench.suite.plan import plan

FULL = yaml.safe_load(SUITE) | {
    "dataset": {"name": "tiny", "samples": 8, "classes": [1, 0]},
    "backbones": [
        "net:small",
        {"name": "net:large", "as": "L", "width": 3},
        {"name": "net:small", "head": "bundled:fashion-cnn", "purifiers": ["smooth"]},
    ],
    "attacks": [
        {"name": "walk", "steps": 10, "step_size": 0.5, "restarts": 2, "path": [1, 2], "gradient": "exact"},
        {"name": "walk", "as": "w", "eot": 2, "purifiers": ["identity"]},
        {"name": "drawn", "eot_iter": 3},
    ],
    "store": {"images": "all"},
}
WORDS = ["name", "as", "eps", "norm", "steps", "identity", "walk", "8/255", "1/0", "no", "1e-3", "x:y", ":", "~", "{}"]
PLACE = re.compile(r"^(s\.yaml:\d+:\d+|--set [^\n]*): ")
quick = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def check(plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Loads and plans bytes; fails on anything but success or one placed line."""
    plugins.add_parts()
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.chdir(folder)

        def checked(data: bytes, *overrides: str) -> None:
            Path("s.yaml").write_bytes(data)
            answer = ""
            try:
                first = plan(load_suite("s.yaml", overrides))
            except InputError as error:
                answer = str(error)
            if answer:
                assert PLACE.match(answer), answer
                assert "\n" not in answer
                return
            Path("s.yaml").write_text(first.resolved, encoding="utf-8")
            again = plan(load_suite("s.yaml"))
            assert [cell.id for cell in again.cells] == [cell.id for cell in first.cells]
            assert again.resolved == first.resolved

        yield checked


@given(document=mutated(FULL, WORDS))
@quick
def test_a_mutated_suite_is_planned_or_answered_with_a_place(check, document):
    text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
    check(text.encode("utf-8", errors="surrogatepass"))


@given(cut=st.integers(0, len(SUITE)), position=st.integers(0, len(SUITE) - 1), byte=st.integers(0, 255))
@quick
def test_a_damaged_file_is_planned_or_answered_with_a_place(check, cut, position, byte):
    data = bytearray(SUITE.encode())
    data[position] = byte
    check(bytes(data))
    check(SUITE.encode()[:cut])


@given(st.binary(max_size=60))
@quick
def test_any_bytes_are_answered_with_a_place(check, data):
    check(data)


@given(
    text=st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from("{}[]:,&*!|>-'\"#%@?\n\t "),
        max_size=40,
    )
)
@quick
def test_any_text_is_answered_with_a_place(check, text):
    check(text.encode())


@given(
    path=st.sampled_from(
        ["attacks[0].steps", "threat.eps", "purifiers", "dataset", "attacks[walk]", "a.b", "[0]", "suite"]
    )
    | st.text("abs[].0=", max_size=12),
    value=st.text(max_size=12)
    | values(WORDS).map(lambda v: yaml.safe_dump(v, default_flow_style=True, width=10**6).strip()),
)
@quick
def test_any_override_is_planned_or_answered_with_a_place(check, path, value):
    check(SUITE.encode(), f"{path}={value}".replace("\n", " "))
