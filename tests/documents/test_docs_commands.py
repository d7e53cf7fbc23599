"""Every command of the documentation: its options exist, and what is not marked as long, or in need of something, is run."""

import re
import tomllib
from pathlib import Path

import pytest
import typer
import yaml
from fake_plugins import Plugins
from shown_code import PAGES, ROOT, blocks, commands, lines
from small_runs import rbench

from rbench.cli.main import VERBS, app
from tools.reference.commands import terms

ALWAYS = {"--debug", "--help", "-h", "--version", "--install-completion"}
OPTIONS = {verb: {word for term in terms(verb) if term.is_option for word in term.written.split()} for verb in VERBS}
SMALLER = {
    r"\bsteps: \d+": "steps: 2",
    r"\bsamples: \d+": "samples: 4",
    r"\beot: \d+": "eot: 2",
    r"^  - adaptive$": "  - {name: adaptive, steps: 2, restarts: 1, queries: 20}",
}
"""What is written smaller in a suite before it is run."""
RUN = [page for page in PAGES if page.parent != ROOT or page.name == "README.md"]


def name(page):
    return str(page.relative_to(ROOT))


def wrong(words):
    """Words of a command that rbench does not know."""
    verb, rest = words[1], words[2:]
    if verb.startswith("-"):
        return [] if verb in ALWAYS else [verb]
    if verb not in OPTIONS:
        return [verb]
    return [word for word in rest if word.startswith("-") and word.partition("=")[0] not in OPTIONS[verb] | ALWAYS]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_that_a_page_writes_is_one_of_rbench_and_has_its_options(page):
    assert [(words, bad) for words in commands(page.read_text(encoding="utf-8")) if (bad := wrong(words))] == []


def test_verbs_and_options_that_do_not_exist_are_found():
    page = "Try `rbench runn s.yaml` or\n\n    rbench run s.yaml --limits 3\n\n```sh\nrbench report DIR --too md\n```\n"
    assert [wrong(words) for words in commands(page)] == [["--too"], ["--limits"], ["runn"]]
    assert wrong(["rbench", "run", "s.yaml", "--limit=3", "--fail-under", "a=1"]) == []


@pytest.mark.parametrize("page", RUN, ids=name)
def test_what_a_page_says_is_not_run_has_a_reason_and_would_be_understood(page):
    group = typer.main.get_command(app)
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.reason is not None:
            assert block.language == "sh"
            assert len(block.reason) > 10
            for words in lines(block.text):
                if words[0] == "rbench":
                    group.commands[words[1]].make_context(words[1], words[2:])


class Reader:
    """Somebody who does what a page says, in an empty folder, with few samples and steps."""

    def __init__(self, plugins: Plugins, fixtures) -> None:
        self.plugins, self.fixtures, self.names = plugins, fixtures, {"__name__": "__main__"}

    def reads(self, block):
        if block.title is not None:
            self.writes(Path(block.title), block.text)
        elif block.language == "sh":
            for words in lines(block.text):
                self.does(words)
        elif block.language == "python":
            exec(compile(block.text, "page", "exec"), self.names)
        elif block.language == "yaml":
            yaml.safe_load(block.text)
        elif block.language == "toml":
            tomllib.loads(block.text)
        else:
            assert block.language in ("", "text", "latex", "pycon"), block

    def writes(self, path, text):
        if path.suffix == ".yaml":
            for pattern, smaller in SMALLER.items():
                text = re.sub(pattern, smaller, text, flags=re.MULTILINE)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if path.name.startswith("test_"):
            self.tests(text)

    def tests(self, text):
        names = {}
        exec(compile(text, "test", "exec"), names)
        for test, function in names.items():
            if test.startswith("test_"):
                function(*map(self.fixtures, function.__code__.co_varnames[: function.__code__.co_argcount]))

    def does(self, words):
        if words[0] == "rbench":
            assert rbench(*words[1:], *_smaller(words)) == 0, words
        elif words[:3] == ["pip", "install", "-e"]:
            self.installs(Path(words[3]))
        else:
            raise AssertionError(f"nobody has said how to run {words}")

    def installs(self, root):
        project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
        (module,) = {value.partition(":")[0] for named in project["entry-points"].values() for value in named.values()}
        (self.plugins.folder / module).symlink_to((root / module).resolve())
        self.plugins.add(project["name"], {}, project["entry-points"], version=project["version"])


def _smaller(words):
    if words[1] == "run" and "--limit" not in words:
        return ["--limit", "4"]
    return ["--survivors", "1"] if words[1] == "verify" and "--offline" not in words else []


def is_run(page):
    return any(block.reason is None and block.language in ("sh", "python") for block in blocks(page.read_text()))


@pytest.mark.parametrize("page", [page for page in RUN if is_run(page)], ids=name)
def test_whoever_does_what_a_page_says_gets_no_error(page, plugins, tmp_path, monkeypatch, request):
    text = page.read_text(encoding="utf-8")
    if page.name == "foundation-models.md":
        pytest.importorskip("timm")
    folder = tmp_path / "reader"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for kept in sorted(set(re.findall(r"\bresults/[\w-]+(?=\b)", text))):
        if (ROOT / kept / "records").is_dir():
            (folder / kept).parent.mkdir(exist_ok=True)
            (folder / kept).symlink_to(ROOT / kept)
    reader = Reader(plugins, request.getfixturevalue)
    if page.name == "README.md":
        reader.names |= the_readers_own()
    for block in blocks(text):
        if block.reason is None:
            reader.reads(block)


def the_readers_own():
    """What the example of the README takes for given."""
    import rbench

    data = rbench.load("dataset", "fashion-mnist-mini")
    module = rbench.load("purifier", "gaussian-blur")
    return {"images": data.read(data.ids[:4]), "labels": data.labels[:4], "my_module": module}
