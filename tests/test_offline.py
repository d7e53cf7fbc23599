import subprocess
import sys

import pytest
from parts import refused
from small_runs import environment

from rbench.errors import MissingError
from rbench.offline import VARIABLES, offline, refuse_offline, tell_libraries


@pytest.fixture(autouse=True)
def online(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize(("value", "said"), [("1", True), ("true", True), ("ON", True), ("0", False), ("", False)])
def test_each_variable_forbids_downloads(monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    assert offline() == (f"{name}={value}" if said else None)
    if not said:
        refuse_offline("a file", remedy="copy it")
        return
    remedy = f"copy it, or unset {name}"
    problem = f"a file is not here and {name}={value} forbids to fetch it"
    with refused(MissingError, component="dataset 'x'", place="there", problem=problem, remedy=remedy):
        refuse_offline("a file", component="dataset 'x'", place="there", remedy="copy it")


def test_libraries_are_told_only_where_it_is_asked_for(monkeypatch):
    told = dict[str, str]()
    tell_libraries(told)
    assert told == {}
    monkeypatch.setenv("RBENCH_OFFLINE", "1")
    told["HF_HUB_OFFLINE"] = "0"
    tell_libraries(told)
    assert set(told.values()) == {"1"}
    assert {"HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"} == set(told)


def test_importing_rbench_tells_them():
    check = "import os, rbench; raise SystemExit(os.environ.get('HF_HUB_OFFLINE') != '1')"
    done = subprocess.run([sys.executable, "-c", check], env={**environment(), "RBENCH_OFFLINE": "1"})
    assert done.returncode == 0
