"""Table H: what results say is recomputed, what nobody vouches for acts on nothing, what is broken costs its own row."""

import json
import shutil
import socket

import pytest
from forger import Forger
from made_runs import Made, document, record
from parts import refused, some
from small_runs import faults, rbench, verify

from rbench.results.record import read_record, record_text
from rbench.results.runs import read_runs
from rbench.results.table import table

SUITE = """\
suite: tiny
dataset: {name: fashion-mnist-mini, samples: 8}
threat: {norm: Linf, eps: 0.05}
backbones: [bundled:fashion-cnn]
purifiers: [identity]
attacks: [noise, {name: fgsm, gradient: exact}]
"""
EVERY = [1, 1, 1, 1]


@pytest.fixture
def made(tmp_path):
    return Made(tmp_path / "made")


def behind(purifier, **changes):
    return {"cell_changes": {"purifier": purifier, **changes}}


def rows(*roots):
    return table(read_runs(roots)).rows()


# --- forged -------------------------------------------------------------------------------------------------------


def accuracy(forger):
    forger.record["summary"]["robust_accuracy"] |= {"value": 1.0, "low": 0.7, "high": 1.0}


def flags(forger):
    forger.samples["robust"][:] = 1.0
    forger.samples["outcome"][:] = "robust"


@pytest.mark.parametrize(
    ("forge", "said"), [(accuracy, "summary.robust_accuracy: 100.00 %"), (flags, "robust: not what")]
)
def test_090_an_edited_figure_or_sample_is_belied_by_what_it_was_made_of(root, capsys, forge, said):
    forger = Forger(root, "identity/fgsm")
    forge(forger)
    forger.write()
    code, found, _ = verify(root, capsys, "--offline")
    assert code == 4
    assert any(said in fault for fault in faults(found))


@pytest.fixture(scope="module")
def doubted(run, tmp_path_factory):
    """A folder with two forgeries that files alone do not belie; what verifying says of each attack."""
    root = shutil.copytree(run, tmp_path_factory.mktemp("forged") / "run")
    claimed, swapped = Forger(root, "identity/fgsm"), Forger(root, "identity/noise")
    claimed.claim(slice(None), robust=True)
    swapped.images[[0, 1]] = swapped.images[[1, 0]]
    for forger in (claimed, swapped):
        forger.agree()
        forger.write()
        forger.report()
    return root


@pytest.fixture
def verdicts(doubted, capsys):
    code, found, _ = verify(doubted, capsys, "--survivors", "0")
    assert code == 4
    return {cell["title"].rpartition("/")[2]: "\n".join(cell["faults"]) for cell in found["cells"]}


def test_090_091_claimed_survivors_and_examples_of_other_samples_are_judged_again(verdicts):
    assert "robust: judged again, the defended model answers otherwise" in verdicts["fgsm"]
    assert "left the ball" in verdicts["noise"]


# --- tables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [{"eps": "4/255"}, {"judge": 1}, {"decide": "any"}, {"sha256": "other data"}])
def test_092_what_was_judged_otherwise_is_never_in_one_ranking(made, what):
    made.done("pgd", clean=EVERY, robust=[1, 0, 0, 0])
    data = {"record_changes": what} if "sha256" in what else behind("median", **what)
    other = {"cell_changes": {"purifier": "median"}, **data}
    made.done("pgd", clean=EVERY, robust=[1, 1, 0, 0], **other)
    found = rows(made.root)
    assert len({row["group"] for row in found}) == 2
    assert [row["rank"] for row in found] == [1, 1]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_093_what_is_no_number_is_never_written_and_refused_by_its_file(tmp_path, number):
    made, path = record(document()), tmp_path / "record.json"
    with pytest.raises(ValueError, match="JSON"):
        record_text(made.model_copy(update={"audit": {"slope": float(number)}}))
    path.write_text(record_text(made).replace('"seconds": 2.0', f'"seconds": {number}'))
    with refused(text=some(str(path))):
        read_record(path)


def huge(path):
    with path.open("wb") as file:
        file.truncate(2**30)


TOO_MUCH = {
    "twice": (lambda path: path.write_text('{"schema": 1, "schema": 2}'), "'schema' appears twice"),
    "deep": (lambda path: path.write_text("[" * 10**6), "nested deeper"),
    "deep map": (lambda path: path.write_text('{"a":' * 10**5 + "1" + "}" * 10**5), "nested deeper"),
    "huge": (huge, "larger than 16 MiB"),
}


@pytest.mark.parametrize("case", TOO_MUCH)
def test_094_json_that_is_double_too_deep_or_too_large_is_refused_by_its_limit(tmp_path, case):
    make, said = TOO_MUCH[case]
    make(tmp_path / "record.json")
    with refused(text=some(said)):
        read_record(tmp_path / "record.json")


@pytest.mark.parametrize(("schema", "said"), [("2", "newer rbench"), ('"x"', "not a record"), ("0", "not a record")])
def test_095_an_unknown_schema_is_told_and_the_other_rows_are_shown(made, capsys, schema, said):
    made.done("pgd", clean=EVERY, robust=[1, 0, 0, 0])
    cell = made.done("pgd", clean=EVERY, robust=EVERY, **behind("median"))
    made.plan()
    path = made.folder.record_path(cell["id"])
    path.write_text(path.read_text().replace('"schema": 1', f'"schema": {schema}'))
    assert rbench("report", made.root, "--json") == 1
    shown = json.loads(capsys.readouterr().out)
    assert {row["purifier"]: row["robust_accuracy"] for row in shown["rows"]} == {"jpeg": 0.25, "median": None}
    (broken,) = shown["broken"]
    assert broken["path"] == str(path)
    assert said in broken["message"]


def test_097_what_a_record_names_is_never_imported_opened_or_fetched(tmp_path, made, monkeypatch, capsys):
    sprung = tmp_path / "sprung"
    (tmp_path / "trap.py").write_text(f"open({str(sprung)!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", lambda *given: sprung.touch())
    for name in (
        "trap",
        "trap:run",
        str(tmp_path / "trap.py"),
        "python:trap.py:X",
        "https://example.invalid/x",
        "!!python/name:trap",
    ):
        made.done("pgd", clean=EVERY, robust=[1, 1, 0, 0], **behind(name))
    made.plan()
    for command in (("report", "--to", "md,csv,html,latex"), ("compare",), ("verify", "--offline")):
        rbench(command[0], made.root, *command[1:])
        assert "Traceback" not in capsys.readouterr().err
    assert not sprung.exists()


@pytest.mark.parametrize("kind", ["records", "samples"])
def test_098_one_broken_result_among_a_hundred_is_listed_and_costs_its_own_row(made, capsys, kind):
    cells = [made.done("pgd", clean=EVERY, robust=[1, 0, 0, 0], **behind(f"p{number}")) for number in range(100)]
    made.plan()
    path = next((made.root / kind).glob(f"{cells[42]['id']}.*"))
    path.write_bytes(path.read_bytes()[:-20])
    assert rbench("report", made.root, "--json") == 1
    shown = json.loads(capsys.readouterr().out)
    assert len([row for row in shown["rows"] if row["robust_accuracy"] is not None]) == 99
    assert [one["path"] for one in shown["broken"]] == [str(path)]


@pytest.mark.parametrize("count", [0, 1])
def test_099_no_row_and_one_row_are_drawn(made, tmp_path, capsys, count):
    for _ in range(count):
        made.done("pgd", clean=EVERY, robust=[1, 0, 0, 0])
    assert rbench("report", made.root, "--to", "md,csv,latex,html,figures", "--out", tmp_path / "page") == 0
    assert "Traceback" not in capsys.readouterr().err
    assert (tmp_path / "page" / "leaderboard.html").stat().st_size > 0
    assert (tmp_path / "page" / "figures" / "README.md").exists()


def test_099_ties_share_a_rank_and_missing_cells_have_none(made):
    for purifier, robust in {"a": [1, 0, 0, 0], "b": [1, 1, 0, 0], "c": [0, 0, 1, 1]}.items():
        made.done("pgd", clean=EVERY, robust=robust, **behind(purifier))
    made.other("pgd", "missing", purifier="d")
    made.plan()
    assert [(row["purifier"], row["rank"]) for row in rows(made.root)] == [("b", 1), ("c", 1), ("a", 3), ("d", None)]


def test_100_a_claim_without_examples_is_unverified_and_ranks_below_the_verified(made):
    made.done("pgd", clean=EVERY, robust=EVERY, verified=False, record_changes={"images": "none"}, **behind("claimed"))
    made.done("pgd", clean=EVERY, robust=[1, 0, 0, 0], **behind("shown"))
    made.plan()
    shown, claimed = rows(made.root)
    assert [row["purifier"] for row in (shown, claimed)] == ["shown", "claimed"]
    assert claimed["robust_accuracy"] > shown["robust_accuracy"]
    assert "unverified" in claimed["flags"]
    made.folder.images_path(made.cells[1]["id"]).unlink()
    assert not any(row["verified"] for row in rows(made.root)), "evidence that is gone is none"
