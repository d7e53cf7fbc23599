"""Models of RobustBench's zoo, with files of weights of yours, or fetched when told to."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from rbench.backbones.robustbench_zoo import names
from rbench.backbones.robustbench_zoo.names import Data, Threat, ZooModel
from rbench.errors import InputError, MissingError
from rbench.first_look import looked_at

if TYPE_CHECKING:
    from torch import nn

DECIDES_NOTHING = ("model_dir", "download")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


def items() -> tuple[str, ...]:
    """The names of the zoo; none where the library is not installed."""
    return () if names.installed() is None else names.everything()


def takes(name: str) -> bool:
    """Whether a name that is not in that list may be one: where nobody can know, so that a suite can be planned there."""
    return names.installed() is None and _NAME.fullmatch(name) is not None


def about(name: str) -> dict[str, str]:
    """Origin, license and training."""
    from rbench.backbones.robustbench_zoo.about import about_model

    return about_model(name)


def files(
    name: str,
    *,
    dataset: Data = "cifar10",
    threat: Threat = "Linf",
    model_dir: Path = Path("models"),
    download: bool = False,
    **_: object,
) -> list[Path]:
    """The files whose bytes decide the outcome, those that are there; fetched first if they are missing and `download` says so.

    Where the library is not installed the name is not checked, so that a suite can be planned there.
    """
    places = _places(name, dataset, threat, model_dir)
    if download and not all(map(_there, places)):
        _fetch(names.model(name, dataset, threat), places)
    return [looked_at(there) for path in places if (there := _there(path))]


def robustbench(
    name: str,
    *,
    dataset: Data = "cifar10",
    threat: Threat = "Linf",
    model_dir: Path = Path("models"),
    download: bool = False,
    entry: str | None = None,
) -> "nn.Module":
    """A model of RobustBench's zoo (Croce et al. 2021, arXiv 2010.09670), normalising inside; ensembles answer with probabilities.

    The network is made by the installed library, its weights are read as tensors, never as code.

    Args:
        name: as RobustBench writes it, e.g. `Carmon2019Unlabeled`.
        dataset: that it was trained on.
        threat: that it was trained for.
        model_dir: where files of weights lie as RobustBench keeps them: `cifar10/Linf/Carmon2019Unlabeled.pt`, or the same name with
            `.safetensors`.
        download: fetch files that are not there from where RobustBench keeps them, Google Drive.
        entry: which state dict of a file, where it holds several; `.` for the one that is in no container.
    """
    model = names.model(name, dataset, threat)
    paths = files(name, dataset=dataset, threat=threat, model_dir=model_dir, download=download)
    if len(paths) < len(model.file_names):
        missing = next(path for path in _places(name, dataset, threat, model_dir) if not _there(path))
        remedy = "put it there, say model_dir: where it is, or download: true"
        raise MissingError("no weights", component=_component(name), place=missing, remedy=remedy)

    from rbench.backbones.robustbench_zoo.filled import filled
    from rbench.backbones.robustbench_zoo.networks import build

    return filled(build(model, dataset, threat), model, paths, entry)


def _component(name: str) -> str:
    return f"backbone 'robustbench:{name}'"


def _places(name: str, dataset: Data, threat: Threat, model_dir: Path) -> list[Path]:
    """Where RobustBench keeps the files of a model."""
    if not _NAME.fullmatch(name):  # it becomes the name of a file
        raise InputError("is no name of a model.", component=_component(name), found=repr(name))
    known = [f"{name}.pt"] if names.installed() is None else names.model(name, dataset, threat).file_names
    return [model_dir / dataset / threat / one for one in known]


def _there(path: Path) -> Path | None:
    """The file, or the one of safetensors in its place; None if there is neither."""
    return next((one for one in (path, path.with_suffix(".safetensors")) if one.exists()), None)


def _fetch(model: ZooModel, places: list[Path]) -> None:
    """Fetches the files of a model that are not there.

    Raises:
        MissingError: RobustBench keeps none, or they cannot be fetched.
    """
    from rbench.backbones.robustbench_zoo.fetching import fetch

    component = _component(model.name)
    if len(model.addresses) < len(places):
        problem, remedy = "RobustBench keeps no file of it on Google Drive", "put the one of its authors there"
        raise MissingError(problem, component=component, place=places[0], remedy=remedy)
    for address, path in zip(model.addresses, places, strict=True):
        if _there(path) is None:
            try:
                fetch(address, path)
            except OSError as error:
                cause, remedy = " ".join(str(error).split())[:120], "without network, copy it there"
                problem = f"could not be downloaded ({cause})"
                raise MissingError(problem, component=component, place=path, remedy=remedy) from error
