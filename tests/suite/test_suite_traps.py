"""What YAML does behind one's back, and files that are no suites."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from costs import allocated
from fake_plugins import SUITE
from parts import at, refused, some

from rbench.suite.document import MAX_BYTES, parse
from rbench.suite.load import load_suite


def value(text: str):
    return parse(f"x: {text}", "f").plain()["x"]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("8/255", "8/255"),
        ("1e-3", 0.001),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-3", -3),
        ("+3", 3),
        ("0", 0),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("00.5", 0.5),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("OFF", "OFF"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("'true'", "true"),
        ('"75"', "75"),
        (".inf", float("inf")),
        ("inf", "inf"),
        ("[1, [2]]", [1, [2]]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("|\n  two\n  lines", "two\nlines"),
        ("'emoji \U0001f600'", "emoji \U0001f600"),
    ],
)
def test_a_scalar_means_what_it_looks_like(text, meaning):
    found = value(text)
    assert found == meaning
    assert type(found) is type(meaning)


def test_keys_are_text_whatever_they_look_like():
    assert parse("{no: 1, 1: 2, null: 3, true: 4}", "f").plain() == {"no": 1, "1": 2, "null": 3, "true": 4}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a: 1\nb: 2\na: 3", at("3:1: a", remedy="Remove one of them.", fact="duplicate key; the first is on line 1")),
        ("a: [{b: 1, b: 2}]", at("1:12: a[0].b", remedy="Remove one of them.", fact="duplicate key; the first is on line 1")),
        ("a: &x 1\nb: *x", at("2:4: b", "the alias *x", "Write the value again.")),
        ("&a [*a]", at("1:5: [0]", "the alias *a", "Write the value again.")),
        ("a: {<<: *b}", at("1:9: a.<<", "the alias *b", "Write the value again.")),
        (
            "a: !!python/object/apply:os.system [id]",
            at("1:4: a", "the tag 'tag:yaml.org,2002:python/object/apply:os.system'", "Remove it."),
        ),
        ("a: !!int 3", at("1:4: a", "the tag 'tag:yaml.org,2002:int'", "Remove it.")),
        ("a: !own 3", at("1:4: a", "the tag '!own'", "Remove it.")),
        ("!!str a: 3", at("1:1", "the tag 'tag:yaml.org,2002:str'", "Remove it.")),
        ("? [a]\n: 3", at("1:3", "a list, map or alias as a key", "Keys are words.")),
        ("a: 1\n---\nb: 2", at("2:1", remedy="Keep one suite in a file.", fact="a second document")),
        ("a: 123456789012345678901", at("1:4: a", "a number of 21 digits", "Write a shorter one.")),
    ],
)  # fmt: skip
def test_what_a_suite_does_not_have_is_refused(text, parts):
    with refused(**{**parts, "place": f"f:{parts['place']}"}):
        parse(text, "f")


@pytest.mark.parametrize(
    ("text", "place", "remedy"),
    [
        ("a:\n\tb: 1", "f:2:1", "Indent with spaces, not tabs."),
        ("a: [1, 2", "f:1:4", None),
        ("a: b: c", "f:1:5", "Quote text that holds a colon and a space."),
        ("a: 'x", "f:1:", None),
        ("a: @x", "f:1:4", None),
        ("a: {b", "f:1:4", None),
        ("- a\nb: 1", "f:2:1", None),
        ("a: %x", "f:1:4", None),
        ("%YAML 9.0\n---\na: 1", "f:1", None),
    ],
)
def test_a_syntax_error_has_a_line_and_column(text, place, remedy):
    with refused(place=re.compile(f"^{place}"), problem=some("not YAML"), remedy=remedy):
        parse(text, "f")


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (b"", at("1:1", "an empty file", fact="a map with suite, dataset, threat,")),
        (b"# only a comment\n", at("1:1", "an empty file", fact="a map with suite, dataset, threat,")),
        (b"- a\n", at("1:1", "the list ['a']", fact="a map with suite, dataset, threat,")),
        (b"text", at("1:1", "the text 'text'", fact="a map with suite, dataset, threat,")),
        (b"suite: a\nb: \xff\n", at("2:4", "byte 0xff", "Save the file as UTF-8 text.", fact="is not UTF-8 at byte offset 12")),
        (b"suite: a\n\x00", at("2:1", "NUL byte", "Save the file as UTF-8 text.", fact="at byte offset 9")),
        (b"\xef\xbb\xbfa: \xff", at("1:4", "byte 0xff", "Save the file as UTF-8 text.", fact="is not UTF-8 at byte offset 6")),
        (b"\xef\xbb\xbfa: \x07", at("1:4", "control character U+0007", "Save the file as UTF-8 text.", fact="at byte offset 6")),
        ("suite: é\x01".encode(), at("1:9", "control character U+0001", "Save the file as UTF-8 text.", fact="at byte offset 9")),
        (SUITE.encode("utf-16"), at("1:1", "byte 0xff", "Save the file as UTF-8 text.", fact="is not UTF-8 at byte offset 0")),
        (b"\x89PNG\r\n\x1a\n", at("1:1", "byte 0x89", "Save the file as UTF-8 text.", fact="is not UTF-8 at byte offset 0")),
    ],
)  # fmt: skip
def test_bytes_that_are_no_suite_are_refused_with_their_offset(write, data, parts):
    with refused(**{**parts, "place": f"s.yaml:{parts['place']}"}):
        load_suite(write(data))


def test_a_byte_order_mark_and_windows_line_ends_are_fine(write):
    plain = load_suite(write())
    assert load_suite(write(b"\xef\xbb\xbf" + SUITE.replace("\n", "\r\n").encode())) == plain


def test_missing_files_folders_and_devices_are_refused(write, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    for path, problem in (
        ("nope.yaml", "no such file"),
        ("folder", "is a directory"),
        ("pipe", "is no regular file"),
        ("/dev/zero", "is no regular file"),
        ("loop", ""),
        ("a\0b", ""),
        ("x" * 5000, ""),
    ):
        with refused(place=path, problem=some(problem)):
            load_suite(path)


BOMBS = {
    "aliases": "a: &a0 [x, x]\n" + "".join(f"a{i}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(30)),
    "deep flow": "a: " + "[" * 10_000,
    "deep map": "a: " + "{a: " * 10_000,
    "deep block": "".join(" " * i + "a:\n" for i in range(1200)),
    "deep lists": "- " * 10_000 + "x",
    "many values": "a: [" + "1," * 400_000 + "]",
    "long key": "a" * 900_000 + ": 1",
    "long scalar": "suite: " + "a" * 900_000,
    "many keys": "".join(f"k{i}: 1\n" for i in range(60_000)),
    "question marks": "? " * 10_000,
    "anchors": "&a " * 100_000,
    "quotes": "a: " + "'" * 900_001,
}


# The peak of a process that was forked counts its parent's memory in getrusage, not in VmHWM.
MEASURED = """
import re, sys
from pathlib import Path
from costs import times_as_long
from rbench.errors import InputError
from rbench.suite.load import load_suite
def refuse():
    try:
        load_suite(sys.argv[1])
    except InputError as error:
        return error
print(str(refuse())[:150])
kilobytes = int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
assert kilobytes < 200 * 1024, kilobytes
longer = times_as_long(refuse, lambda: load_suite(sys.argv[2]), tries=3)
print(longer, file=sys.stderr)
assert longer < 4, longer
"""


def harmless(size: int) -> str:
    """A suite of about as many bytes that is accepted: an attack with a parameter of up to 45,000 numbers."""
    digits = min(18, max(1, size // 40_000 - 2))
    count = max(2, (size - len(SUITE)) // (digits + 2))
    return SUITE.replace("steps: 10", f"path: [{', '.join(['1' * digits] * count)}]")


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_about_as_fast_as_a_harmless_suite_of_its_size_is_read_and_in_little_memory(
    write, plugins, name
):
    bomb, suite = write(BOMBS[name]), write(harmless(len(BOMBS[name])), "harmless.yaml")
    assert len(harmless(len(BOMBS[name]))) < 1.2 * max(len(BOMBS[name]), len(SUITE))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), str(plugins.folder)])}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, bomb, suite], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("s.yaml:")


def test_a_huge_file_is_refused_unread(write, tmp_path: Path):
    with (tmp_path / "big.yaml").open("wb") as file:
        file.truncate(100 << 20)

    def answer():
        with refused(place="big.yaml", found="104,857,600 bytes", problem=some("1,048,576")):
            load_suite("big.yaml")

    assert allocated(answer) < MAX_BYTES
    assert MAX_BYTES == 1 << 20


def test_no_code_runs_from_a_suite(write, tmp_path: Path):
    for tag in ("!!python/object/apply:pathlib.Path.touch", "!!python/name:os.system", "!!python/module:marker"):
        with refused(place="s.yaml:1:8: suite", found=some("the tag")):
            load_suite(write(f"suite: {tag} [marker]\n"))
    assert not (tmp_path / "marker").exists()
