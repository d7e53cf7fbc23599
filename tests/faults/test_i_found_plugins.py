"""Rows 96, 123, 133, 136 and 139 of the fault table: strangers' text and strangers' code."""

import csv
import io
import json
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from made_runs import Made
from parts import refused, some
from tiny_runs import run
from torch import nn

import rbench
from rbench.errors import CellFailed
from rbench.harmless import STORED, columns, harmless, one_line
from rbench.process_state import said
from rbench.results.record import read_record
from rbench.threat.attack import ExternalAttack
from rbench.threat.terms import EXTERNAL_TOLERANCE, summed

EVERY = [1, 1, 1, 1]
LONG = "x" * 3000
EVIL = (
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "\x9b2J\x85next\x00",
    "two\nlines\r\ttab\x0b\x0c\x1c",
    "\u202egnp.exe\u2066\u200b\u200d\ufeff\u2028\u2029",
    "\u3164\u2800\xa0\u3000blank",
    "z\u0301\u0302\u0303\u0304\u0305\u0306\u0307algo",
    "\U000e0041tag\ue000own\ud800half",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    '=HYPERLINK("http://x")',
    "+1|`rm -rf`|[a](javascript:x)",
    "@SUM(A1)",
    "../../etc/passwd",
    "[bold red]markup[/]",
    "%s {0} $(id) \\input{x}",
    LONG,
    "雪" * 3000,
    f"\x1b{LONG}\x1b",
)
"""Names that a stranger may have written into a record."""


def quiet(text: str) -> bool:
    """Whether no character of a text acts on whoever shows it."""
    allowed = set("\n")
    acting = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    return not [c for c in text if unicodedata.category(c) in acting and c not in allowed]


@pytest.fixture(scope="module")
def evil(tmp_path_factory) -> Path:
    """A run folder with every such name in every place; the first attack has a number, the others a failure that says it."""
    made = Made(tmp_path_factory.mktemp("evil"))
    for name in EVIL:
        name = name.encode("utf-8", "replace").decode()  # half a character is in no UTF-8 file
        cell = {"purifier": name, "backbone": name, "dataset": name[:40]}
        made.done(name, clean=EVERY, robust=[1, 1, 1, 0], cell_changes=cell)
        made.done("pgd", clean=EVERY, robust=[1, 0, 1, 0], cell_changes={**cell, "purifier": f"{name}2"})
        made.other(name, "failed", error=f"{name} {name}", **{**cell, "purifier": f"{name}3"})
    made.plan()
    (made.root / "suite.yaml").write_text("suite: evil\n")
    return made.root


@pytest.mark.parametrize("verb", ["report", "compare", "verify --offline"])
def test_139_no_verb_lets_a_name_act_or_push_the_numbers_aside(evil, capfd, verb):
    name, *options = verb.split()
    run(name, evil, *options)
    out, err = capfd.readouterr()
    assert out
    assert quiet(out)
    assert quiet(err)
    widest = {"report": 80, "compare": 2 * 60 + 20, "verify": 80}[name]
    assert max(map(columns, out.splitlines())) <= widest
    assert max(map(columns, err.splitlines()), default=0) <= 2100
    if name == "report":
        numbers = [line for line in out.splitlines() if "100.0  " in line]
        assert len(numbers) == 2 * len(EVIL)
        assert all(" 75.0" in line or " 50.0" in line for line in numbers)


@pytest.mark.parametrize("verb", ["report", "compare"])
def test_139_json_is_whole_and_acts_on_no_terminal(evil, capfd, verb):
    run(verb, evil, "--json")
    out = capfd.readouterr().out
    assert out.isascii()
    assert quiet(out)
    assert LONG in json.dumps(json.loads(out))


def test_139_an_error_about_a_name_is_one_line_and_keeps_its_remedy(tiny, capfd):
    for name in (EVIL[0], EVIL[2], LONG):
        assert run("show", "purifier", name) == 2
        out, err = capfd.readouterr()
        assert (out, len(err.splitlines())) == ("", 1)
        assert quiet(err)
        assert len(err) <= 2100
        assert "rbench list purifiers" in err


def test_139_what_a_plug_in_says_of_itself_acts_on_no_terminal(tiny, capfd):
    text = f"class P:\n    {EVIL[0] + LONG!r}\n    fact = {EVIL[1]!r}\n    def __init__(self, *, a: str = {EVIL[3]!r}): ..."
    tiny.add("evil-docs", {"evil_docs": text}, {"rbench.purifiers": {"evil": "evil_docs:P"}})
    for arguments in (["list", "purifiers"], ["show", "purifier", "evil"], ["show", "purifier", "evil", "--json"]):
        assert run(*arguments) == 0
        out, err = capfd.readouterr()
        assert quiet(out)
        assert err == ""
        if "--json" not in arguments:
            assert max(map(columns, out.splitlines())) <= 80


def test_139_merge_tells_of_names_harmlessly(evil, tmp_path, capfd):
    first = Made(tmp_path / "first")
    first.done(EVIL[0], clean=EVERY, robust=EVERY)
    first.plan()
    run("merge", first.root, evil)
    out, err = capfd.readouterr()
    assert quiet(out)
    assert quiet(err)


class Texts(HTMLParser):
    """The tags of a page, and the texts by the tag that they follow."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.within: dict[str, list[str]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        tag, attributes = self.tags[-1] if self.tags else ("", {})
        if attributes.get("class") != "blocked":  # whose words are broken where they must
            self.within.setdefault(tag, []).append(data)


@pytest.fixture(scope="module")
def reports(evil, tmp_path_factory) -> Path:
    """Every format of it."""
    folder = tmp_path_factory.mktemp("reports")
    run("report", evil, "--to", "md,csv,latex,html,robustbench", "--out", folder)
    return folder


def test_096_no_name_acts_on_the_page_and_the_numbers_stay_in_sight(reports):
    page = (reports / "leaderboard.html").read_text("utf-8")
    found = Texts(page)
    assert quiet(page)
    assert not [attributes for _, attributes in found.tags if any(name.startswith("on") for name in attributes)]
    assert [tag for tag, _ in found.tags].count("script") == 1
    assert not [tag for tag, attributes in found.tags if tag == "img" and not attributes["src"].startswith("data:")]
    beside = {tag: texts for tag, texts in found.within.items() if tag in ("th", "td", "h2", "option", "summary")}
    assert max(columns(word) for texts in beside.values() for text in texts for word in text.split()) <= 70
    assert sum("75.0" in text for text in found.within["b"]) >= len(EVIL)
    assert ".blocked { max-width: 16rem; color: var(--bad); overflow-wrap: anywhere; }" in page


def test_096_no_name_is_a_formula_of_a_spreadsheet(reports):
    rows = list(csv.reader(io.StringIO((reports / "leaderboard.csv").read_text("utf-8"))))
    assert len(rows) == 1 + 3 * len(EVIL)
    assert not [field for row in rows for field in row if field.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert quiet("".join(field for row in rows for field in row))


def test_096_no_name_is_markup_and_no_name_leads_out_of_the_folder(reports, evil):
    page = (reports / "leaderboard.md").read_text("utf-8")
    assert quiet(page)
    assert "<script" not in page
    assert "](" not in page.replace("\\](", "")
    assert max(map(columns, page.splitlines())) <= 2000
    assert "\\input{x}" not in (reports / "leaderboard.tex").read_text("utf-8").replace("\\textbackslash{}input", "")
    files = [path for path in reports.rglob("*") if path.is_file()]
    assert len([path for path in files if path.suffix == ".json"]) == 2 * len(EVIL)
    assert all(path.name.isascii() and len(path.name) < 200 for path in files)
    assert not (evil.parent / "etc").exists()


def test_139_stored_errors_are_cut_at_500_characters_and_hold_no_bytes_of_pictures(tmp_path):
    made = Made(tmp_path)
    picture = bytes(range(128, 256)) * 40
    cell = made.other("pgd", "failed", error=f"cannot read {picture!r}: {LONG} give another\x1b[31m")
    stored = read_record(made.folder.record_path(cell["id"])).error
    assert len(stored) <= STORED
    assert stored.startswith("cannot read bytes: ")
    assert stored.endswith("give another\\x1b[31m")
    assert quiet(stored)
    assert len(said(ValueError(LONG))) <= STORED
    assert harmless(picture) == "5,120 bytes"
    assert one_line("a\n\n  b") == "a b"


@pytest.mark.parametrize("text", [*EVIL, "résumé 雪 pgd+eot (x)", ""])
@pytest.mark.parametrize("most", [None, 8, 60, 500])
def test_139_harmless_text_is_short_and_harmless_once_more(text, most):
    found = harmless(text, most)
    assert quiet(found)
    assert "\n" not in found
    assert most is None or columns(found) <= most
    assert harmless(found, most) == found


HARM = {
    "dtype": "torch.set_default_dtype(torch.float64)",
    "grad": "torch.set_grad_enabled(False)",
    "threads": "torch.set_num_threads(3)",
    "tiny": "torch.set_flush_denormal(True)",
    "cwd": "os.chdir('/')",
    "out": "os.write(1, b'junk')",
    "closed": "os.close(1)",
    "warnings": "import warnings; warnings.filterwarnings('error', message='never')",
    "numpy": "import numpy; numpy.seterr(all='raise')",
    "mask": "os.umask(0o777)",
    "environment": "os.environ['RBENCH_BATCH_SIZE'] = '1'; os.environ['OMP_NUM_THREADS'] = '7'",
    "builtin": "import builtins; builtins.sorted = lambda *a, **k: []",
    "alarm": "import signal; signal.alarm(1)",
    "collection": "import gc; gc.disable()",
    "profile": "import sys; sys.setprofile(lambda *given: None)",
    "inference": "KEPT = torch.inference_mode(); KEPT.__enter__()",
    "exit": "os._exit(0)",
    "interrupt": "raise KeyboardInterrupt",
}
REFUSED = {"inference", "exit", "interrupt"}
SILENT = {"out"}


def test_123_what_an_import_does_to_the_process_is_put_back_or_costs_only_itself(tiny, capfd):
    head = "import os\nimport torch\nfrom torch import nn\nclass P(nn.Module):\n    'P.'\n    def forward(self, x):\n        return x * 1\n"
    modules = {f"harm_{name}": f"{head}{body}\n" for name, body in HARM.items()}
    tiny.add("harms", modules, {"rbench.purifiers": {name: f"harm_{name}:P" for name in HARM}})
    assert tiny.run() == 0
    alone = tiny.records()["identity/fgsm"].result_hash
    tiny.root, before = tiny.folder / "second", Path.cwd()
    capfd.readouterr()
    good = [name for name in HARM if name not in REFUSED]
    assert tiny.run("--json", purifiers=f"[{', '.join(good)}, identity]") == 0
    out, err = capfd.readouterr()
    assert {row["purifier"] for row in json.loads(out)["rows"]} == {*good, "identity"}
    assert tiny.records()["identity/fgsm"].result_hash == alone
    assert Path.cwd() == before
    notes = [line for line in err.splitlines() if "it was put back" in line]
    told = {name: sum(f"'{name}'" in line for line in notes) for name in good}
    assert {name for name, count in told.items() if not count} == SILENT
    for name in REFUSED:
        tiny.root = tiny.folder / name
        assert tiny.run(purifiers=f"[identity, {name}]") == 2
        assert f"purifier '{name}' (harms 0.2.0) failed to import: " in capfd.readouterr().err


def test_133_a_folder_that_never_kept_examples_is_not_judged_in_one_line_and_exit_0(tiny, capsys):
    assert tiny.run(store="{images: none}", attacks="[fgsm, {name: pgd, steps: 2}]") == 0
    capsys.readouterr()
    assert run("verify", tiny.root, "--workers", "1") == 0
    printed = capsys.readouterr()
    assert "FAILED" not in printed.out + printed.err
    judged = [line for line in " ".join(printed.out.split()).split(")") if "not judged" in line]
    assert len(judged) == 1
    assert "2 cells, unverified" in judged[0]


class Linear(nn.Module):
    """192 pixels to four logits."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 192, generator=torch.Generator().manual_seed(0)))

    def forward(self, x):
        return x.flatten(1) @ self.weight.T


def autoattack(norm, eps, attacks, engine):
    x, net = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1)), Linear()
    terms = {"version": "custom", "attacks": attacks, "engine": engine}
    return rbench.evaluate(net, x, net(x).argmax(1), attack="autoattack", norm=norm, eps=eps, **terms)


NORMS = [("L1", 4), ("L1", 12), ("L2", 3)]


@pytest.mark.parametrize(("norm", "eps"), NORMS)
def test_136_autoattack_under_large_l1_and_l2_radii_fails_no_cell_by_rounding(norm, eps):
    assert autoattack(norm, eps, ["apgd-ce"], "reference").robust_accuracy.value <= 1


@pytest.mark.soak
@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize(("norm", "eps"), NORMS)
def test_136_all_of_autoattack(norm, eps, engine):
    members = ["apgd-ce", "apgd-t", "fab-t", "square"]
    found = autoattack(norm, eps, members, engine)
    assert found.robust_accuracy.value <= found.standard_accuracy.value


def test_136_what_is_further_out_than_rounding_is_refused():
    assert summed(EXTERNAL_TOLERANCE, "L1", 12.0) < 1e-6 * 12
    x = torch.zeros(1, 3, 8, 8)

    def further(model, batch, ball, classes, seed):
        return torch.full_like(x, 4.001 / 192)

    attack = ExternalAttack(further, batch_size=1, norms=("L1",))
    with refused(CellFailed, problem=some("left the ball (L1 4.001")):
        rbench.evaluate(Linear(), x, torch.zeros(1, dtype=torch.int64), attack=attack, norm="L1", eps=4)
