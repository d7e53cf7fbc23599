"""The documents: what cites them finds it, what they cite is there, and the code that they show runs."""

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import rbench
from rbench.cli.main import main
from rbench.results.flags.catalogue import FLAGS, LUCK_CONFIDENCE
from rbench.results.record import Flag
from rbench.suite.cell import JUDGE_VERSION

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("results/*.md"), *ROOT.glob("tests/**/*.md")]
)
FOLDERS = ("rbench", "tests", "tools", "bench", "docs", "recipes", "suites")
CITING = sorted(
    {*PAGES, *(path for folder in FOLDERS for kind in ("*.py", "*.yaml") for path in (ROOT / folder).rglob(kind))}
    - {Path(__file__)}  # which cites rules that do not exist, to see them found
)
JUDGING = (ROOT / "docs/judging.md").read_text(encoding="utf-8")
FLAG_SECTION = JUDGING.partition("## 4 ")[2].partition("\n## ")[0]

PAGE = re.compile(r"\bdocs/([\w.-]+\.md)\b")
RULES = re.compile(
    r"docs/judging\.md,?[\s#]+(?:rules?|sections?)\s+(\d+(?:\.\d+)?(?:(?:,|\s+and|\s+to)\s+\d+(?:\.\d+)?)*)"
)
ELSEWHERE = re.compile(r"\b(?:EVALUATION|DESIGN|PERFORMANCE|FAULTS)(?:\.md\b|,?[\s#]+(?:section|rule|way)\b)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]*)#([^)\s]+)\)")


def text(path):
    return path.read_text(encoding="utf-8")


def headings(page):
    return HEADING.findall(re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL))


def lacking_pages(cited):
    return [name for name in PAGE.findall(cited) if not (ROOT / "docs" / name).is_file()]


def lacking_rules(cited, judging=JUDGING):
    numbers = {heading.split()[0] for heading in headings(judging)}
    wanted = [number for found in RULES.findall(cited) for number in re.findall(r"\d+(?:\.\d+)?", found)]
    return [number for number in wanted if number not in numbers]


def offences(fault):
    return {str(path.relative_to(ROOT)): found for path in CITING if (found := fault(text(path)))}


def test_every_page_that_is_cited_exists():
    assert len(CITING) > 100
    assert offences(lacking_pages) == {}


def test_every_rule_and_section_of_judging_that_is_cited_exists():
    assert sum(bool(RULES.search(text(path))) for path in CITING) > 10
    assert offences(lacking_rules) == {}


def test_no_file_cites_pages_that_are_not_in_the_repository():
    assert offences(ELSEWHERE.findall) == {}


@pytest.mark.parametrize(
    ("cited", "numbers"),
    [
        ("the ball (docs/judging.md, rule 1.7); here", []),
        ("(docs/judging.md, rule 1.77)", ["1.77"]),
        ("# docs/judging.md,\n    # rule 9.1: a comment of two lines", ["9.1"]),
        ("docs/judging.md section 2 and docs/judging.md section 9.", ["9"]),
        ("docs/judging.md, rules 1.1, 1.99 and 1.3", ["1.99"]),
    ],
)
def test_a_rule_that_does_not_exist_is_found_however_it_is_cited(cited, numbers):
    assert lacking_rules(cited) == numbers


@pytest.mark.parametrize("page", ["EVALUATION", "DESIGN", "PERFORMANCE"])
def test_a_page_from_elsewhere_is_found_and_a_constant_of_that_name_is_not(page):
    assert ELSEWHERE.search(f"noise ({page} section 2)")
    assert ELSEWHERE.search(f"({page},\n    way 1)")
    assert ELSEWHERE.search(f"see {page}.md")
    assert not ELSEWHERE.search(f'Mutant("a rule", {page}, "x", "y")\n{page}, ORACLE = ("a", "b")')


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_heading_leads_to_one(page):
    for place, anchor in LINK.findall(text(page)):
        if not re.match(r"[a-z]+:", place):
            target = text(page.parent / place if place else page)
            assert anchor in {slug(heading) for heading in headings(target)}


def slug(heading):
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/**/*.md")), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_and_every_file_that_a_page_names_is_there(page):
    tests = {name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", text(path))}
    assert set(re.findall(r"`(test_\w+)`", text(page))) <= tests
    paths = re.findall(r"`((?:[\w-]+/)+[\w-]+\.(?:py|yaml|json))`", text(page))
    assert [path for path in paths if not any((ROOT / place / path).exists() for place in ("", "rbench"))] == []


def test_the_table_of_flags_has_every_flag_once_and_no_other():
    shown = re.findall(r"^\| `([\w-]+)` \|", FLAG_SECTION, re.MULTILINE)
    assert sorted(shown) == sorted(get_args(Flag.model_fields["name"].annotation))


@pytest.mark.parametrize("name", FLAGS)
def test_the_table_of_flags_says_the_thresholds_that_the_code_speaks_from(name):
    (said,) = re.findall(rf"^\| `{name}` \| (.+) \| [\w, ]+ \|$", FLAG_SECTION, re.MULTILINE)
    for one in FLAGS[name].thresholds.values():
        assert re.search(rf"(?<![\w.]){re.escape(one.text)}(?![\w.])", said), one.text


def test_the_interval_of_luck_is_that_of_the_code():
    assert f"the {100 * LUCK_CONFIDENCE:g} % interval of a paired bootstrap must exclude zero" in " ".join(
        FLAG_SECTION.split()
    )


def test_the_version_of_the_rules_is_that_of_the_code():
    assert f"**`JUDGE_VERSION` is {JUDGE_VERSION}.**" in JUDGING


# --- the code of docs/write -------------------------------------------------------------------------------------

SNIPPET = re.compile(
    r"```python\n(?P<code>.*?)```\n\n```toml\n\[project\.entry-points\.\"(?P<group>[\w.]+)\"\]\n(?P<name>[\w-]+) = \"(?P<value>\S+)\"\n```",
    re.DOTALL,
)
SNIPPETS = {
    found["group"].removeprefix("rbench."): found
    for page in sorted(ROOT.glob("docs/write/*.md"))
    for found in SNIPPET.finditer(text(page))
}


@pytest.fixture
def shown(plugins):
    """Installs the code that docs/write shows for a kind of component; the name that it gives itself."""

    def install(kind):
        found = SNIPPETS[kind]
        module = found["value"].partition(":")[0]
        plugins.add(f"shown-{kind}", {module: found["code"]}, {found["group"]: {found["name"]: found["value"]}})
        assert main_ends_with(0, "show", kind.removesuffix("s"), found["name"])
        return found["name"]

    return install


def main_ends_with(code, *arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return (ended.value.code or 0) == code


@pytest.fixture
def problem():
    """Images whose class is whether the left half is the brighter one, and a linear classifier of it."""
    x = torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
    left = (torch.arange(64) % 8 < 4).float() * 2 - 1
    with torch.no_grad():
        network[1].weight.copy_(torch.stack([-left, left]))
        network[1].bias.zero_()
        return network, x, network(x).argmax(1)


def test_the_purifier_shown_is_judged(shown, problem):
    network, x, y = problem
    purifier = rbench.load("purifier", shown("purifiers"), strength=0.5)
    found = rbench.evaluate(network, x, y, purifier=purifier, attack="pgd", steps=5, eps=0.05)
    assert found.robust_accuracy.n == len(x)
    assert found.gradient == "exact"


def test_the_attack_shown_keeps_to_the_ball_and_fools(shown, problem):
    network, x, y = problem
    found = rbench.evaluate(network, x, y, attack=shown("attacks"), steps=4, eps=0.05)
    assert found.standard_accuracy.value == 1
    assert found.robust_accuracy.value < 0.9
    assert ((found.adversarial.double() - x.double()).abs() <= 0.05).all()
    with pytest.raises(rbench.errors.InputError, match="Linf"):
        rbench.evaluate(network, x, y, attack="bim", norm="L2")


def test_the_backbone_shown_is_loaded_from_its_file(shown, plugins):
    name = shown("backbones")
    layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10))
    save_file(layers.state_dict(), plugins.folder / "small.safetensors")
    x = torch.rand(3, 1, 28, 28)
    assert torch.equal(rbench.load("backbone", f"{name}:small")(x), layers(x))


def test_the_data_set_shown_is_read(shown, tmp_path):
    name = shown("datasets")
    pixels = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8)
    np.save(tmp_path / "test-x.npy", pixels)
    np.save(tmp_path / "test-y.npy", np.array([0, 1, 1, 0]))
    dataset = rbench.load("dataset", f"{name}:{tmp_path}")
    assert np.array_equal(dataset.read([2, 0])[:, 0], pixels[[2, 0]].astype(np.float32) / 255)
    assert dataset.labels.tolist() == [0, 1, 1, 0]


def test_the_reporter_shown_writes_its_file(shown, tmp_path):
    name = shown("reporters")
    assert main_ends_with(0, "report", ROOT / "results/quickstart", "--to", name, "--out", tmp_path)
    assert "'jpeg' 0.000\n" in (tmp_path / "accuracies.txt").read_text()


def test_no_snippet_was_overlooked():
    assert set(SNIPPETS) == {"purifiers", "attacks", "backbones", "datasets", "reporters"}
