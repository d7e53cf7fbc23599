"""`rbench doctor`: what is installed, what is missing, and the line that installs it."""

import os
import platform
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from rbench import __version__
from rbench.cli import terminal
from rbench.cli.terms import Json
from rbench.errors import MissingError
from rbench.harmless import NAME, STORED, harmless, one_line

if TYPE_CHECKING:
    from rbench.registry.installation import Extra, Package

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RBENCH_WORKERS", "RBENCH_BATCH_SIZE")


def command(as_json: Json = False) -> None:
    """Show versions, extras, devices and broken plug-ins, and what installs what is missing. Exit code 3 if rbench lacks something."""
    found = examined()
    if as_json:
        terminal.document(found)
    else:
        terminal.say(text(found))
    if found["lacking"]:
        raise typer.Exit(MissingError.exit_code)


def examined() -> dict[str, Any]:
    """What was found, as JSON values."""
    from rbench.registry.installation import plug_ins, requirements

    known = requirements()
    core, extras = known or ((), ())
    found, why = _devices()
    lacking = [f"pip install '{one.name}{one.wanted}'" for one in core if not one.there]
    if known is None:
        lacking.append("pip install -e . in the folder of rbench, whose metadata is not installed")
    if why and not any(one.name == "torch" and not one.there for one in core):
        lacking.append(f"a torch that can be imported: {why}")
    return {
        "schema": 1,
        "rbench": __version__,
        "python": {"version": platform.python_version(), "executable": sys.executable, "platform": platform.platform()},
        "needed": [_package(one) for one in core],
        "extras": [_extra(one) for one in extras],
        "devices": found,
        "cores": os.cpu_count(),
        "environment": {name: os.environ[name] for name in _THREADS if name in os.environ},
        "plug_ins": [asdict(one) for one in plug_ins()],
        "lacking": lacking,
    }


def _devices() -> tuple[list[dict[str, str | int]], str | None]:
    """What torch computes on; and why it cannot be imported, if so."""
    try:
        from rbench.engine.devices import devices
    except Exception as error:  # a torch that does not fit the system raises OSError, one that is not there ImportError
        return [], one_line(error, STORED)
    return devices(), None


def _package(package: "Package") -> dict[str, Any]:
    return {**asdict(package), "there": package.there}


def _extra(extra: "Extra") -> dict[str, Any]:
    packages = [_package(one) for one in extra.packages]
    facts = {"name": extra.name, "there": extra.there, "in_all": extra.in_all, "apart": extra.apart, "line": extra.line}
    return {**facts, "packages": packages}


def text(found: dict[str, Any]) -> str:
    """The same for a terminal."""
    python = found["python"]
    lines = [f"rbench {found['rbench']}, Python {python['version']} ({python['executable']})", python["platform"]]
    lines += ["", "needed", *map(_needed, found["needed"])]
    lines += ["", "extras", *map(_optional, found["extras"])]
    set_ = "".join(f", {name}={value}" for name, value in found["environment"].items())
    lines += ["", "devices", *map(_device, found["devices"]), f"  {found['cores']} cores{set_}"]
    lines += ["", "plug-ins", *(list(map(_plug_in, found["plug_ins"])) or ["  none"])]
    lines += ["", *([f"missing: {line}" for line in found["lacking"]] or ["Nothing that rbench needs is missing."])]
    return "\n".join(harmless(line, STORED) for line in lines)


def _needed(package: dict[str, Any]) -> str:
    version = package["version"] or "missing"
    return f"  {package['name']:<18}{version:<14}{'' if package['there'] else 'needs ' + (package['wanted'] or 'any')}".rstrip()


def _optional(extra: dict[str, Any]) -> str:
    versions = ", ".join(f"{one['name']} {one['version']}" for one in extra["packages"] if one["there"])
    why = f": {extra['apart']}, so it wants an environment of its own" if extra["apart"] else ""
    apart = "" if extra["in_all"] else f"  (not in `all`{why})"
    return f"  {extra['name']:<18}{versions if extra['there'] else 'missing: ' + extra['line']}{apart}"


def _device(device: dict[str, Any]) -> str:
    memory = f", {device['memory'] / 2**30:.0f} GiB" if "memory" in device else ""
    return f"  {device['name']:<18}{device['what']}{memory}"


def _plug_in(one: dict[str, Any]) -> str:
    named = f"{one['kind']} {harmless(one['name'], NAME)} ({harmless(one['origin'], NAME)})"
    return f"  {named}: {'broken: ' + one['broken'] if one['broken'] else 'works'}"
