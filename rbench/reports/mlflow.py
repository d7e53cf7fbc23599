"""The leaderboard in MLflow: an experiment for each suite, a run for each row, where the user's tracking URI says and nowhere else."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from importlib import import_module
from itertools import groupby
from math import isnan, nan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rbench.errors import MissingError
from rbench.reports import Files, mlflow_store, put
from rbench.reports.tracked import Tracked, tracked
from rbench.results.columns import COLUMNS
from rbench.results.published import COLUMNS as PUBLISHED
from rbench.results.record import record_text
from rbench.results.table import Table

KEY = "rbench.row"
"""The tag by which a run is found again when its row is reported once more."""
LEADERBOARD = "leaderboard"
_OF_A_ROW = ("accuracy-per-attack", "convergence", "loss-paths", "images")
"""Figures that say something of one row."""
_MOST = 100
"""Metrics, parameters or tags that MLflow takes at once."""
_COLUMNS = COLUMNS.keys() | PUBLISHED.keys()
_ENDS = {"done": "FINISHED", "failed": "FAILED", "cancelled": "KILLED", "planned": "SCHEDULED"}


def report(table: Table) -> dict[str, str]:
    """A run of MLflow for each row, where MLFLOW_TRACKING_URI says.

    MLflow's own default is a file `mlflow.db` in the current folder. Reporting a row again updates its run. What the runs hold is in a
    file too.
    """
    mlflow_store.require_mlflow()
    content = [asdict(run) for run in tracked(table)]
    return {"mlflow.json": json.dumps(content, indent=1, allow_nan=False) + "\n"}


def send(table: Table) -> list[str]:
    """Logs every row, and the leaderboard with its figures as a run of its own.

    Args:
        table: the leaderboard.

    Returns:
        A line for each experiment: how many runs it has got, and where.

    Raises:
        MissingError: the store is not there, does not answer or refuses something; or it is another machine and RBENCH_OFFLINE is set.
    """
    with mlflow_store.opened() as (client, place):
        runs = sorted(tracked(table), key=lambda run: run.experiment)
        return [
            _send_experiment(client, table, name, list(rows), place)
            for name, rows in groupby(runs, key=lambda run: run.experiment)
        ]


def _send_experiment(client: Any, table: Table, name: str, rows: Sequence[Tracked], place: str) -> str:
    experiment = _experiment(client, name)
    for row in rows:
        _send_row(client, experiment, row, _files_of_row(table, row))
    whole = table.at([row.place for row in rows])
    key = sha256(",".join(sorted(row.key for row in rows)).encode()).hexdigest()[:16]
    run = _run(client, experiment, key, LEADERBOARD, {}, None)
    _log(client, run, {}, {}, {"rbench.kind": LEADERBOARD, "rows": str(len(rows))})
    _attach(client, run, _files_of_table(whole))
    client.set_terminated(run.info.run_id, status="FINISHED")
    count = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
    return f"mlflow: {count} in the experiment {name} of {place}"


def _send_row(client: Any, experiment: str, row: Tracked, files: Files) -> None:
    run = _run(client, experiment, row.key, row.name, row.params, row.began)
    _log(client, run, row.params, row.metrics, {**row.tags, "rbench.kind": "row"})
    _attach(client, run, files)
    end = None if row.began is None else row.began + int(1000 * row.seconds)
    client.set_terminated(run.info.run_id, status=_ENDS[row.status], end_time=end)


def _experiment(client: Any, name: str) -> str:
    """The id of the experiment, which is made if there is none."""
    found = client.get_experiment_by_name(name)
    if found is None:
        return str(client.create_experiment(name))
    if found.lifecycle_stage == "deleted":
        raise MissingError(
            f"the experiment {name} was deleted",
            component=mlflow_store.REPORTER,
            remedy=f"mlflow experiments restore --experiment-id {found.experiment_id}",
        )
    mlflow_store.require_reachable(found.artifact_location)
    return str(found.experiment_id)


def _run(client: Any, experiment: str, key: str, name: str, params: Mapping[str, str], began: int | None) -> Any:
    """The run of a row: that of an earlier report, or a new one where there is none or a parameter is another; MLflow changes none."""
    for run in client.search_runs([experiment], f"tags.`{KEY}` = '{key}'", max_results=_MOST):
        if all(run.data.params.get(known, value) == value for known, value in params.items()):
            return run
    return client.create_run(experiment, start_time=began, run_name=name, tags={KEY: key})


def _log(
    client: Any, run: Any, params: Mapping[str, str], metrics: Mapping[str, float], tags: Mapping[str, str]
) -> None:
    """Logs what a run does not have yet; of what the row has no more, metrics become no number, and tags go."""
    entities: Any = import_module("mlflow.entities")
    had, now, ident = run.data, int(time.time() * 1000), run.info.run_id
    gone = {name: nan for name, value in had.metrics.items() if name not in metrics and not isnan(value)}
    news = {name: value for name, value in metrics.items() if had.metrics.get(name) != value} | gone
    _log_all(client, ident, metrics=[entities.Metric(name, value, now, 0) for name, value in news.items()])
    _log_all(client, ident, params=[entities.Param(*one) for one in params.items() if one[0] not in had.params])
    _log_all(client, ident, tags=[entities.RunTag(*one) for one in tags.items() if had.tags.get(one[0]) != one[1]])
    for name in had.tags:
        if (name.startswith("flag.") or name in _COLUMNS) and name not in tags:
            client.delete_tag(ident, name)


def _log_all(client: Any, ident: str, **kind: Sequence[Any]) -> None:
    ((name, things),) = kind.items()
    for start in range(0, len(things), _MOST):
        client.log_batch(ident, **{name: things[start : start + _MOST]})


def _attach(client: Any, run: Any, files: Files) -> None:
    with TemporaryDirectory() as folder:
        put(files, Path(folder))
        client.log_artifacts(run.info.run_id, folder)


def _files_of_row(table: Table, row: Tracked) -> Files:
    """The records of its cells, and its figures."""
    from rbench.reports import figures

    records = [cell.record for cell in table.cells[row.place] if cell.record]
    drawn = figures.pictures(table.at([row.place]), _OF_A_ROW)
    return {f"records/{record.id}.json": record_text(record) for record in records} | dict(drawn)


def _files_of_table(table: Table) -> Files:
    """The leaderboard as text, as a page and as data, and all its figures."""
    from rbench.reports import csv, figures, html, markdown

    return {**markdown.report(table), **csv.report(table), **html.report(table), **figures.report(table)}
