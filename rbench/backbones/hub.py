"""Hugging Face repositories of safetensors, pinned to a commit: a network that rbench knows, a model of timm or of transformers."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge

from rbench.backbones import hugging_face
from rbench.backbones.architectures import registered
from rbench.backbones.pixels import Pixels, Size
from rbench.errors import InputError
from rbench.first_look import looked_at

if TYPE_CHECKING:
    from torch import nn

DECIDES_NOTHING = ("download",)
_CONFIG = "config.json"


def items() -> tuple[str, ...]:
    """The repositories of models in the local cache."""
    return tuple(hugging_face.repositories())


def takes(repository: str) -> bool:
    """Whether it may be a repository that is not in the cache."""
    return hugging_face.is_repository(repository)


def about(repository: str) -> dict[str, str]:
    """Origin and license, as the card in the cache has them."""
    return hugging_face.about(repository)


def components(*, architecture: str | None = None, **_: object) -> list[tuple[str, str, dict[str, Any]]]:
    """The network that the weights are loaded into."""
    return [] if architecture is None else registered(architecture)


def files(
    repository: str,
    *,
    revision: str,
    filename: str = "model.safetensors",
    architecture: str | None = None,
    download: bool = False,
    **_: object,
) -> list[Path]:
    """The weights of that commit in the cache, with what says which network they are of."""
    place, what = f"hub:{repository}", f"backbone 'hub:{repository}'"
    if not hugging_face.COMMIT.fullmatch(revision):
        problem = "expected a commit, 40 hex digits; branches and tags move"
        remedy = f"copy it from {hugging_face.SITE}{repository}/commits/main"
        raise InputError(problem, place=f"{place}: revision", found=repr(revision), remedy=remedy)
    if not filename.endswith(".safetensors"):
        problem = "only safetensors are read from repositories"
        raise InputError(
            problem, place=f"{place}: filename", found=repr(filename), remedy="use `file:` for a file of yours"
        )

    def fetched(name: str) -> Path:
        return hugging_face.fetched(repository, [name], what=what, revision=revision, download=download)

    if architecture is not None:
        return [looked_at(fetched(filename))]
    config = fetched(_CONFIG)
    if _read(config).get("architecture"):
        return [config, looked_at(fetched(filename))]
    from rbench.backbones.transformers import repository_files

    return repository_files(repository, revision, what, download=download)


def hub(
    repository: str,
    *,
    revision: str,
    filename: str = "model.safetensors",
    architecture: str | None = None,
    download: bool = False,
    classes: Annotated[int, Ge(1)] | None = None,
    entry: str | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    size: Size | None = None,
) -> "nn.Module":
    """A classifier of a Hugging Face repository: its safetensors of one commit, and no code of it.

    Args:
        repository: `owner/name`.
        revision: the commit, 40 hex digits.
        filename: of the weights.
        architecture: a network that rbench knows, as for `file:`; if null, the repository's `config.json` says which of timm or
            transformers it is of.
        download: whether files that are not in the cache may be fetched.
        classes: number of logits; read from the weights if null.
        entry: which state dict of the file, where it holds several; `.` for the one that has no prefix.
        mean: per channel, on the [0, 1] pixel scale; what the repository says if null.
        std: per channel, on the [0, 1] pixel scale; what the repository says if null.
        size: side that images are resized to before the network, square, nothing cropped; `own` is the side that the repository says; as
            they are if null.
    """
    from rbench.backbones import weights
    from rbench.backbones.pixels import taking

    place = f"hub:{repository}"
    found = files(repository, revision=revision, filename=filename, architecture=architecture, download=download)
    if architecture is not None:
        network = weights.load(found[0], architecture, classes, entry)
        return taking(network, Pixels().with_scale(mean, std, place), size, place)
    config = _read(found[0])
    if config.get("architecture"):
        from rbench.backbones.timm_networks import Weights, backbone_of, described

        read = Weights(found[-1], classes=classes, entry=entry)
        return backbone_of(described(config, place), read, mean, std, size, place)
    from rbench.backbones.transformers_networks import classifier

    return classifier(found[0].parent, mean, std, size, place)


def _read(config: Path) -> dict[str, Any]:
    try:
        content: Any = json.loads(config.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise InputError("expected a JSON map", place=config, remedy="download it again")
    return content
