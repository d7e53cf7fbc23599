"""Where MLflow keeps what it is given: the place that the user has named, reached as rbench may, with nothing told to anybody else."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from logging import WARNING, getLogger
from typing import Any
from urllib.parse import urlsplit

from rbench.errors import MissingError
from rbench.harmless import STORED, one_line
from rbench.offline import refuse_sending

REPORTER = "reporter 'mlflow'"
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_ELSEWHERE = ("databricks", "databricks-uc", "uc")
"""URIs of one word that are no folder."""
_FILES = ("", "file", "sqlite", "mlflow-artifacts")
"""Schemes of places on this machine; the last is that of files which the tracking server keeps, wherever that is."""
_HERE = ("localhost", "127.0.0.1", "::1")


@contextmanager
def opened() -> Iterator[tuple[Any, str]]:
    """A block with a client of the store, and the store's URI to be shown.

    The URI is MLflow's own choice: that of MLFLOW_TRACKING_URI or `mlflow.set_tracking_uri`, else a file `mlflow.db` in the current folder.

    Raises:
        MissingError: the store is not there, does not answer or refuses something; or it is another machine and RBENCH_OFFLINE is set.
        ModuleNotFoundError: of mlflow, or of SQLAlchemy, without which it knows no databases.
    """
    require_mlflow()
    with _alone() as mlflow:
        place = mlflow.get_tracking_uri()
        require_reachable(place)
        if urlsplit(place).scheme.lower().startswith(_DATABASES):
            _require("sqlalchemy")
        try:
            yield mlflow.MlflowClient(tracking_uri=place), shown(place)
        except _refusals() as error:
            told = str(error).replace(place, shown(place))
            problem = f"did not take the report: {one_line(told, STORED)}"
            raise MissingError(problem, component=REPORTER, place=shown(place)) from error


def require_mlflow() -> None:
    """Raises ModuleNotFoundError, which names the extra that has it, where MLflow is not there."""
    _require("mlflow")


def _require(module: str) -> None:
    if find_spec(module) is None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def require_reachable(place: str) -> None:
    """Refuses a place on another machine where rbench may not reach out.

    Raises:
        MissingError: nothing may be sent there.
    """
    if not _is_here(place):
        refuse_sending(shown(place), component=REPORTER, remedy="Set MLFLOW_TRACKING_URI=sqlite:///mlflow.db")


def _is_here(place: str) -> bool:
    """Whether a URI is a folder, a file or a server of this machine; one that nobody knows is not."""
    parts = urlsplit(place)
    if place in _ELSEWHERE:
        return False
    return parts.scheme.lower().split("+")[0] in _FILES or len(parts.scheme) == 1 or parts.hostname in _HERE


def shown(place: str) -> str:
    """A URI without the name and password that it may hold."""
    parts = urlsplit(place)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else place


@contextmanager
def _alone() -> Iterator[Any]:
    """A block with MLflow imported, in which it tells its makers nothing, and the user only what went wrong."""
    name, loggers = "MLFLOW_DISABLE_TELEMETRY", [getLogger("mlflow"), getLogger("alembic")]
    before = os.environ.get(name)
    os.environ[name] = "true"
    try:
        mlflow = import_module("mlflow.tracking")
        levels = [logger.level for logger in loggers]  # which the import sets
        for logger in loggers:
            logger.setLevel(WARNING)
        try:
            yield mlflow
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _refusals() -> tuple[type[Exception], ...]:
    """What a store answers with that does not take something; the packages are there by then, if they are at all."""
    known = (("mlflow.exceptions", "MlflowException"), ("sqlalchemy.exc", "SQLAlchemyError"))
    return OSError, *(getattr(sys.modules[module], name) for module, name in known if module in sys.modules)
