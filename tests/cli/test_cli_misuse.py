"""What is wrong with options and arguments is told in one line, as all else that is wrong; examples and completions are right."""

import json

import pytest
import typer
from cli_said import said

from rbench.cli.examples import EXAMPLES
from rbench.cli.main import VERBS, app

NEED = [verb for verb in VERBS if verb not in ("quickstart", "list", "doctor", "schema")]


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_option_is_one_line(verb, capsys):
    code, out, err = said(capsys, verb, "--wrokers", "2")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: rbench {verb}: No such option: --wrokers")
    assert err.endswith(f"`rbench {verb} --help` says what it takes.\n")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("verb", NEED)
def test_an_argument_that_is_missing_is_one_line(verb, capsys):
    code, out, err = said(capsys, verb)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: rbench {verb}: Missing argument ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "s.yaml", "--limit", "no"],
        ["run", "s.yaml", "--redo", "some"],
        ["plan", "s.yaml", "--limit", "0"],
        ["verify", "results", "--survivors", "-1"],
        ["verify", "results", "--batch-size", "many"],
        ["check", "purifier", "jpeg", "--images", "x"],
        ["theory", "s.yaml", "--steps", "0"],
        ["theory", "s.yaml", "--tau", "warm"],
        ["quickstart", "--survivors", "few"],
        ["run", "s.yaml", "--limit"],
    ],
    ids=" ".join,
)
def test_a_value_of_the_wrong_kind_is_one_line_and_names_the_option(arguments, capsys):
    code, out, err = said(capsys, *arguments)
    assert (code, out) == (2, "")
    assert arguments[2 if arguments[0] != "check" and arguments[0] != "quickstart" else -2] in err
    assert len(err.splitlines()) == 1


def test_misuse_is_one_object_for_programs(capsys):
    code, out, err = said(capsys, "plan", "--json")
    error = json.loads(out)["error"]
    assert code == 2
    assert (error["place"], error["problem"]) == ("rbench plan", "Missing argument 'SUITE'.")
    assert err == f"error: {error['message']}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_examples_in_its_help_that_it_would_understand(verb, capsys):
    code, out, _ = said(capsys, verb, "--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    command = typer.main.get_command(app).commands[verb]
    for line in EXAMPLES[verb]:
        assert f"    {line}\n" in out
        name, asked, *words = line.partition(" > ")[0].replace("'", "").split()
        assert (name, asked) == ("rbench", verb)
        command.make_context(verb, words)


def test_no_examples_are_of_verbs_that_there_are_not():
    assert set(EXAMPLES) == set(VERBS)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("rbench qu", {"quickstart"}),
        ("rbench list pur", {"purifiers"}),
        ("rbench list fl", {"flags"}),
        ("rbench show pur", {"purifier"}),
        ("rbench show purifier gaussian-", {"gaussian-blur", "gaussian-noise"}),
        ("rbench show flag weak-", {"weak-gradient"}),
        ("rbench show nothing x", set()),
        ("rbench run --lim", {"--limit"}),
    ],
)
def test_a_shell_is_offered_verbs_options_kinds_and_names(words, offered, capsys, monkeypatch):
    monkeypatch.setenv("_RBENCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    code, out, _ = said(capsys)
    assert code == 0
    assert set(out.split()) == offered


def test_list_alone_has_the_kinds_and_list_flags_the_flags(capsys):
    from rbench.registry import KINDS
    from rbench.results.flags.catalogue import FLAGS

    rows = json.loads(said(capsys, "list", "--json")[1])
    assert [row["name"] for row in rows] == [*(f"{kind}s" for kind in KINDS), "flags"]
    assert all(row["names"] > 0 for row in rows)
    flags = json.loads(said(capsys, "list", "flags", "--json")[1])
    assert [row["name"] for row in flags] == list(map(str, FLAGS))
    for arguments in ([], ["flags"], ["flag", "weak-*"]):
        out = said(capsys, "list", *arguments)[1]
        assert max(map(len, out.splitlines())) <= 80
    assert said(capsys, "list", "flags", "zzz")[1] == "no flag matches 'zzz'\n"


@pytest.mark.parametrize(
    ("arguments", "there"),
    [(["backbones"], True), (["dataset"], True), (["networks"], False), (["backbones", "f*"], False)],
)
def test_a_list_says_how_code_of_ones_own_is_named(capsys, arguments, there):
    out = said(capsys, "list", *arguments)[1]
    assert ("python:FILE.py:NAME" in out) == there
    assert max(map(len, out.splitlines())) <= 80
    assert "python:" not in said(capsys, "list", *arguments, "--json")[1]
