import json

import pytest
from fake_plugins import SUITE

from rbench.cli.main import main
from rbench.results.flags.catalogue import FLAGS
from rbench.suite.schema import schema_text


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as done:
        main(list(arguments))
    printed = capsys.readouterr()
    assert not done.value.code, printed.err
    return printed.out


def narrow(text: str) -> bool:
    return max(map(len, text.splitlines())) <= 80


def test_a_plan_is_a_table_of_cells(write, capsys):
    out = run(capsys, "plan", write())
    lines = out.splitlines()
    assert lines[0].split() == ["cell", "backbone", "purifier", "attack", "eps", "passes"]
    assert lines[1].split()[1:] == ["net:small", "identity", "walk", "8/255", "80"]
    assert lines[-1] == "small: 4 cells of 8 samples; at most 1,440 gradient passes"
    assert narrow(out)


def test_a_plan_takes_overrides_filters_and_limits(write, capsys):
    out = run(
        capsys,
        "plan",
        write(),
        "--set",
        "attacks[0].steps=3",
        "--set",
        "suite=other",
        "--only",
        "*/smooth/walk",
        "--limit",
        "2",
    )
    assert out.splitlines()[-1] == "other: 1 cells of 2 samples; at most 6 gradient passes"


def test_a_plan_of_many_cells_with_long_names_stays_short_and_narrow(write, capsys):
    many = ", ".join(f"{{name: walk, steps: {i}, as: {'long-' * 12}{i}}}" for i in range(1, 31))
    out = run(capsys, "plan", write(), "--set", f"attacks=[{many}]", "--set", "dataset.samples=null")
    assert len(out.splitlines()) == 44
    assert "... and 20 more (--json lists all)" in out
    assert out.splitlines()[-1] == "small: 60 cells of all samples; gradient passes unknown"
    assert narrow(out)


def test_a_plan_is_json_for_programs(write, capsys):
    document = json.loads(run(capsys, "plan", write(), "--json"))
    assert document["suite"] == "small"
    assert len(document["cells"]) == 4
    assert document["cells"][0]["samples"] == 8
    assert len(document["cells"][0]["id"]) == 12


@pytest.mark.parametrize("kind", ["purifiers", "purifier", "backbones", "datasets", "attacks"])
def test_a_list_has_a_line_for_every_name(capsys, kind):
    out = run(capsys, "list", kind)
    rows = json.loads(run(capsys, "list", kind, "--json"))
    assert rows
    for row in rows:
        assert any(line.startswith(row["name"]) for line in out.splitlines())
    assert narrow(out)


def test_a_list_can_be_narrowed_by_a_glob(capsys):
    assert [row["name"] for row in json.loads(run(capsys, "list", "purifiers", "gaussian-*", "--json"))] == [
        "gaussian-blur",
        "gaussian-noise",
    ]
    assert run(capsys, "list", "purifiers", "zzz*") == "no purifier matches 'zzz*'\n"


def test_a_list_says_who_brings_a_third_party_component(plugins, capsys):
    plugins.add_parts()
    assert "(tiny-parts 0.2.0)" in run(capsys, "list", "purifiers", "smooth")
    assert "net:small  A network. (tiny-parts 0.2.0)" in run(capsys, "list", "backbones", "net:*")


def test_a_very_long_name_has_a_line_of_its_own(plugins, capsys):
    long = "a-name-of-more-than-twenty-eight-letters"
    plugins.add("long", {"long_mod": "class L:\n    'Short.'"}, {"rbench.purifiers": {long: "long_mod:L"}})
    lines = run(capsys, "list", "purifiers").splitlines()
    assert lines[lines.index(long) + 1].strip() == "Short. (long 0.2.0)"


def test_a_component_is_shown_with_its_parameters(plugins, capsys):
    plugins.add_parts()
    out = run(capsys, "show", "purifier", "smooth")
    assert out.startswith("purifier smooth\ntiny-parts 0.2.0, tiny_parts:Smooth\n")
    assert "  quality: int from 1 to 100, default 75\n      the more the better." in out
    assert "  stochastic: false" in out
    assert "item: one of small, large, required, written after the colon" in run(capsys, "show", "backbone", "net")
    assert "default 40" in run(capsys, "show", "attack", "walk")


def test_a_component_is_json_for_programs(capsys):
    document = json.loads(run(capsys, "show", "purifier", "jpeg", "--json"))
    assert (document["kind"], document["name"], document["distribution"]) == ("purifier", "jpeg", "rbench")
    quality = next(p for p in document["parameters"] if p["name"] == "quality")
    assert (quality["default"], quality["required"], quality["in_name"]) == (75, False, False)
    assert set(document["facts"]) >= {"stochastic", "differentiable"}


@pytest.mark.parametrize(
    ("kind", "name"), [("purifier", "random-resize-pad"), ("attack", "autoattack"), ("dataset", "torchvision:CIFAR10")]
)
def test_what_is_shown_fits_the_screen(capsys, kind, name):
    assert narrow(run(capsys, "show", kind, name))


def test_the_schema_is_printed_as_it_is_checked_in(capsys):
    assert run(capsys, "schema") == schema_text()


def test_a_suite_may_have_any_name(write, capsys):
    assert "small: 4 cells" in run(capsys, "plan", write(SUITE, name="no extension"))


def test_a_component_says_how_its_files_are_declared(plugins, capsys):
    plugins.add_parts()
    assert "given by the path `path` makes results stale" in " ".join(run(capsys, "show", "dataset", "stored").split())
    assert "annotate it as `pathlib.Path`" in " ".join(run(capsys, "show", "purifier", "smooth").split()), (
        "note is a text"
    )
    assert "files" not in run(capsys, "show", "attack", "walk")
    document = json.loads(run(capsys, "show", "backbone", "bundled", "--json"))
    assert document["files"] == {"paths": [], "hook": True}


def test_a_flag_is_shown_with_meaning_cause_and_cure(capsys):
    out = run(capsys, "show", "flag", "unbounded-survivors")
    assert out.startswith("unbounded-survivors (US)")
    assert all(f"  {part}: " in out for part in ("meaning", "cause", "cure"))
    assert narrow(out)


def test_a_flag_is_shown_by_the_letters_that_a_terminal_has_for_it(capsys):
    assert run(capsys, "show", "flag", "US") == run(capsys, "show", "flag", "unbounded-survivors")


def test_a_flag_is_shown_with_the_numbers_that_it_speaks_from(capsys):
    assert "  threshold: 0.2 points (robust accuracy)" in run(capsys, "show", "flag", "black-box-wins")
    assert "threshold" not in run(capsys, "show", "flag", "one-step-wins")
    shown = json.loads(run(capsys, "show", "flag", "few-samples", "--json"))["few-samples"]["thresholds"]
    assert {name: one["value"] for name, one in shown.items()} == {"samples": 100, "p": 0.05}


def test_every_flag_is_shown_in_eighty_columns_and_as_json(capsys):
    out = run(capsys, "show", "flags")
    assert all(f"{name} ({facts.short})" in out for name, facts in FLAGS.items())
    assert narrow(out)
    assert set(json.loads(run(capsys, "show", "flag", "--json"))) == set(FLAGS)


def test_an_unknown_flag_is_told_what_it_may_have_meant(capsys):
    with pytest.raises(SystemExit) as done:
        main(["show", "flag", "zero-gradient"])
    assert done.value.code == 2
    assert "Did you mean 'zero-gradients'?" in capsys.readouterr().err
