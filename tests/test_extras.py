"""Every extra installs alone beside the core, and `all` too, from a wheel, by what the package index has today; nothing is installed."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from small_runs import environment

from rbench.registry.installation import APART, requirements

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = sorted(PROJECT["optional-dependencies"])
PYTHONS = ("3.11", "3.12", "3.13")
FOR_US = {"all", "dev", "coverage", "bench", "docs"}
"""Extras that gather others or that the makers of rbench need."""

FROM_SOURCE = {"bench"}
"""Extras with a package that comes as source alone, which pip can look at only for the Python that it runs on (visdom, of adv-lib)."""
BUILT = {name: str(ROOT / "bench" / "constraints.txt") for name in ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT")}
"""What it is built with, as by `make bench`."""


def test_all_has_every_extra_but_those_that_cannot_live_beside_the_rest():
    wanted = [name for name in PROJECT["optional-dependencies"] if name not in FOR_US | set(APART)]
    assert PROJECT["optional-dependencies"]["all"] == [f"rbench[{','.join(wanted)}]"]


def test_doctor_tells_which_extras_are_not_in_all():
    _, extras = requirements()
    assert {extra.name for extra in extras if not extra.in_all} - FOR_US == set(APART)
    assert {extra.name for extra in extras if extra.apart} == set(APART)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT], check=True)
    # Older ones fetch gigabytes to say what they would install.
    subprocess.run([*pip, "install", "--quiet", "--target", folder / "pip", "pip>=25.1"], check=True)
    (built,) = folder.glob("rbench-*.whl")
    return built


@pytest.mark.index
@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("extra", EXTRAS)
def test_it_installs_alone(wheel, extra, python):
    options, settings = ["--python-version", python, "--only-binary=:all:", "--target", wheel.parent / "nowhere"], {}
    if extra in FROM_SOURCE:
        if python != f"{sys.version_info.major}.{sys.version_info.minor}":
            pytest.skip(f"{extra} has a package that comes as source, so it is looked at on the Python that runs this")
        options, settings = [], BUILT
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check"),
            *("install", "--quiet", "--dry-run", "--ignore-installed", *options, f"rbench[{extra}] @ {wheel.as_uri()}"),
        ],
        env={**environment(), "PYTHONPATH": str(wheel.parent / "pip"), **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
