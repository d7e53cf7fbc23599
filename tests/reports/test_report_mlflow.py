"""The reporter `mlflow`: a run a row, found again when it is reported again, and nothing sent where the user did not say."""

import importlib.util
import json
import logging
import math
import os
import subprocess
import sys

import matplotlib as mpl
import pytest
from fake_plugins import Plugins
from made_runs import Made
from parts import refused
from small_runs import environment, rbench

from rbench import reports
from rbench.errors import MissingError
from rbench.process_state import NOTES
from rbench.reports import mlflow_store
from rbench.reports.mlflow import KEY, report, send
from rbench.reports.tracked import plain_name, tracked
from rbench.results.record import Flag
from rbench.results.runs import read_runs
from rbench.results.table import table

needs_mlflow = pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="pip install 'rbench[mlflow]'")
EVERY = [1, 1, 1, 1]
HALF = [1, 1, 0, 0]
RUN = {"provenance": {"torch": "2.14.1", "date": "2026-11-29T10:00:00+00:00", "distributions": {"rbench": "0.1.0"}}}
NASTY = "../=1+1 <b>\n\u202e`' OR 1=1"


def filled(root, *, verified=False, torch="2.14.1", purifier="jpeg"):
    """A suite of one row and two attacks."""
    made = Made(root / "small-suite")
    quality = {"purifier": purifier, "purifier_params": {"quality": 50}}
    flags = () if verified else (Flag(name="zero-gradients", value=0.25, detail="no gradient"),)
    provenance = {**RUN["provenance"], "torch": torch}
    changes = {"provenance": provenance, "flags": flags}
    made.done("pgd", clean=EVERY, robust=HALF, cell_changes=quality, record_changes=changes, verified=verified)
    made.done("apgd+eot", clean=EVERY, robust=EVERY, cell_changes=quality, record_changes=RUN, verified=verified)
    made.plan()
    return table(read_runs([made.root]))


@pytest.fixture
def client(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.delenv("RBENCH_OFFLINE", raising=False)
    with mlflow_store.opened() as (client, _):
        yield client


def runs_of(client, kind, name="small-suite"):
    experiment = client.get_experiment_by_name(name)
    return client.search_runs([experiment.experiment_id], f"tags.`rbench.kind` = '{kind}'")


def test_a_row_has_what_was_asked_for_what_came_out_and_its_doubts(tmp_path):
    (row,) = tracked(filled(tmp_path))
    assert (row.experiment, row.name, row.status) == ("small-suite", "cnn/jpeg (Linf 8/255)", "done")
    expected = {
        "purifier": "jpeg",
        "purifier.quality": "50",
        "backbone": "cnn",
        "dataset": "toy",
        "dataset.samples": "4",
    }
    expected |= {
        "threat.norm": "Linf",
        "threat.eps": "8/255",
        "protocol.decide": "mean",
        "attacks": '["pgd", "apgd+eot"]',
    }
    expected |= {"version.torch": "2.14.1", "version.rbench": "0.1.0", "attack.apgd_eot.gradient": "auto"}
    assert row.params.items() >= expected.items()
    measured = {"robust_accuracy": 0.5, "standard_accuracy": 1.0, "attack/pgd/robust_accuracy": 0.5, "n": 4.0}
    assert row.metrics.items() >= measured.items()
    assert row.metrics["robust_low"] < 0.5 < row.metrics["robust_high"]
    assert row.metrics["standard_low"] < row.metrics["standard_high"]
    assert {"attack/pgd/robust_low", "attack/apgd_eot/robust_high", "cost_seconds"} <= row.metrics.keys()
    assert "zero-gradients" in row.tags["flags"].split(", ")
    assert (row.tags["flag.zero-gradients"], row.tags["verified"]) == ("pgd: 0.25: no gradient", "False")
    assert (row.began, row.seconds) == (1795946400000, 4.0)


@pytest.mark.parametrize(
    ("status", "shown"), [("failed", "failed"), ("cancelled", "cancelled"), ("missing", "planned")]
)
def test_a_row_without_a_number_is_a_state(tmp_path, status, shown):
    made = Made(tmp_path / "run")
    made.done("pgd", clean=EVERY, robust=EVERY)
    made.other("square", status)
    made.plan()
    (row,) = tracked(table(read_runs([made.root])))
    assert row.status == shown
    assert "robust_accuracy" not in row.metrics
    assert row.metrics["standard_accuracy"] == 1.0


def test_names_are_plain_and_attacks_that_would_share_one_do_not(tmp_path):
    assert [plain_name(text) for text in ("a/b c", "..", "", "pgd-40.x")] == ["a_b_c", "_", "_", "pgd-40.x"]
    made = Made(tmp_path / "run")
    for attack in ("p g", "p/g", NASTY):
        made.done(attack, clean=EVERY, robust=EVERY)
    (row,) = tracked(table(read_runs([made.root])))
    assert {"attack/p_g/seconds", "attack/p_g_2/seconds"} <= row.metrics.keys()
    assert all(plain_name(part) == part for name in {**row.metrics, **row.params} for part in name.split("/"))
    assert all(text.isprintable() for text in row.params.values())


@needs_mlflow
def test_a_row_is_a_run_and_reporting_again_updates_it(tmp_path, client, monkeypatch):
    (line,) = send(filled(tmp_path / "a"))
    assert line.startswith("mlflow: 1 row in the experiment small-suite of file:///")
    (first,) = runs_of(client, "row")
    (row,) = tracked(filled(tmp_path / "b"))
    assert (first.info.run_name, first.info.status, first.info.start_time) == (row.name, "FINISHED", row.began)
    assert first.data.tags[KEY] == row.key
    assert first.data.params == dict(row.params)
    assert first.data.metrics == dict(row.metrics)
    assert {one.path for one in client.list_artifacts(first.info.run_id, "figures")} == {
        "figures/accuracy-per-attack.png"
    }
    assert len(client.list_artifacts(first.info.run_id, "records")) == 2
    (whole,) = runs_of(client, "leaderboard")
    found = {one.path for one in client.list_artifacts(whole.info.run_id)}
    assert found == {"leaderboard.md", "leaderboard.csv", "leaderboard.html", "figures"}

    monkeypatch.setattr("rbench.reports.mlflow._files_of_table", lambda whole: {})  # drawn once, which is slow
    again = filled(tmp_path / "c", verified=True)
    send(again)
    (second,) = runs_of(client, "row")
    assert second.info.run_id == first.info.run_id
    assert second.data.tags["verified"] == "True"
    assert "flag.zero-gradients" in first.data.tags
    assert "flag.zero-gradients" not in second.data.tags
    assert len(client.get_metric_history(first.info.run_id, "robust_accuracy")) == 1
    assert len(runs_of(client, "leaderboard")) == 1


@needs_mlflow
def test_another_version_is_another_run_and_a_number_that_is_no_more_is_none(tmp_path, client, monkeypatch):
    monkeypatch.setattr("rbench.reports.mlflow._files_of_table", lambda whole: {})
    monkeypatch.setattr("rbench.reports.mlflow._files_of_row", lambda whole, row: {})
    send(filled(tmp_path / "a"))
    send(filled(tmp_path / "b", torch="2.15.0"))
    assert {run.data.params["version.torch"] for run in runs_of(client, "row")} == {"2.14.1", "2.15.0"}

    path = next((tmp_path / "a" / "small-suite" / "records").iterdir())
    path.write_text("{")
    send(table(read_runs([tmp_path / "a" / "small-suite"])))
    (run,) = (run for run in runs_of(client, "row") if run.info.status == "FAILED")
    assert len(runs_of(client, "row")) == 2
    assert math.isnan(run.data.metrics["robust_accuracy"])
    assert "strongest_attack" not in run.data.tags
    assert run.data.metrics["standard_accuracy"] == 1.0


@needs_mlflow
def test_a_name_that_acts_is_only_text(tmp_path, client, monkeypatch):
    monkeypatch.setattr("rbench.reports.mlflow._files_of_table", lambda whole: {})
    monkeypatch.setattr("rbench.reports.mlflow._files_of_row", lambda whole, row: {})
    send(filled(tmp_path, purifier=NASTY))
    (run,) = runs_of(client, "row")
    assert run.info.run_name.isprintable()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small-suite", "store"]


@needs_mlflow
@pytest.mark.parametrize(
    "place",
    ["https://ann:secret@tracking.example/x", "databricks", "postgresql://ann:secret@db.example/x", "s3://bucket"],
)
def test_offline_nothing_is_sent_to_another_machine(tmp_path, monkeypatch, place):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place)
    monkeypatch.setenv("RBENCH_OFFLINE", "1")
    with refused(MissingError, component="reporter 'mlflow'", place=place.replace("ann:secret@", "")):
        send(filled(tmp_path))


@pytest.mark.parametrize(
    "place", ["http://localhost:5000", "http://127.0.0.1:5000", "sqlite:////tmp/a.db", "/data/runs", "file:///runs", ""]
)
def test_offline_a_place_on_this_machine_is_allowed(monkeypatch, place):
    monkeypatch.setenv("RBENCH_OFFLINE", "1")
    mlflow_store.require_reachable(place)


@needs_mlflow
def test_a_store_that_refuses_is_one_line_with_exit_code_3(tmp_path, monkeypatch, capsys):
    filled(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    assert rbench("report", tmp_path / "small-suite", "--to", "mlflow") == 3
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "did not take the report" in said[0]
    assert "MLFLOW_ALLOW_FILE_STORE" in said[0]


@pytest.mark.parametrize(("module", "uri"), [("mlflow", "file:///x"), ("sqlalchemy", "sqlite:///x.db")])
def test_a_package_that_is_missing_is_exit_code_3_with_the_line_that_installs_it(
    tmp_path, monkeypatch, capsys, module, uri
):
    if module != "mlflow" and importlib.util.find_spec("mlflow") is None:
        pytest.skip("pip install 'rbench[mlflow]'")
    filled(tmp_path)
    found = importlib.util.find_spec
    monkeypatch.setattr(mlflow_store, "find_spec", lambda name: None if name == module else found(name))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert rbench("report", tmp_path / "small-suite", "--to", "md,mlflow", "--out", tmp_path / "out") == 3
    assert "pip install 'rbench[mlflow]'" in capsys.readouterr().err
    assert (tmp_path / "out").exists() == (module != "mlflow")


@needs_mlflow
def test_the_command_tells_where_and_mlflow_tells_nobody(tmp_path):
    filled(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    unwatched = {name: value for name, value in environment().items() if name not in ("CI", "PYTEST_CURRENT_TEST")}
    settings = {"MLFLOW_TRACKING_URI": (tmp_path / "store").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
    code = """
import sys
from rbench.cli.main import main
try:
    main(["report", sys.argv[1], "--to", "mlflow"])
except SystemExit as end:
    assert not end.code, end.code
from mlflow.telemetry.client import get_telemetry_client
assert get_telemetry_client() is None
assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", code, str(tmp_path / "small-suite")],
        env={**unwatched, **settings, "HOME": str(home), "MPLCONFIGDIR": mpl.get_cachedir()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = f"note: mlflow: 1 row in the experiment small-suite of {settings['MLFLOW_TRACKING_URI']}"
    assert done.stderr.splitlines()[-1:] == [said]
    assert not list(home.rglob("*mlflow*"))
    logged = json.loads((tmp_path / "small-suite" / "mlflow.json").read_text())
    assert [run["name"] for run in logged] == ["cnn/jpeg (Linf 8/255)"]


@needs_mlflow
def test_mlflow_is_quiet_and_afterwards_as_it_was(monkeypatch):
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    importlib.import_module("mlflow.tracking")
    before = logging.getLogger("mlflow").level
    with mlflow_store._alone():
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
        assert logging.getLogger("mlflow").level == logging.WARNING
    assert logging.getLogger("mlflow").level == before
    assert "MLFLOW_DISABLE_TELEMETRY" not in os.environ


SENDER = """
def report(table):
    "Sends."
    return {"sent.txt": "x"}

def send(table):
    return [f"sent {len(table.records)}"]
"""


def test_a_reporter_of_a_plug_in_sends_after_its_files_are_written(tmp_path, plugins: Plugins):
    plugins.add("sender", {"sender": SENDER}, {"rbench.reporters": {"sender": "sender:report"}})
    NOTES.forget()
    made = filled(tmp_path)
    assert [path.name for path in reports.write(made, tmp_path / "out", ["sender"])] == ["sent.txt"]
    assert NOTES.take() == ["sent 1"]


@needs_mlflow
def test_the_file_says_what_the_runs_hold_and_sends_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    (logged,) = json.loads(report(filled(tmp_path))["mlflow.json"])
    assert logged["metrics"]["robust_accuracy"] == 0.5
    assert not (tmp_path / "store").exists()
