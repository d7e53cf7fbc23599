"""Image classifiers of Hugging Face's transformers: a folder or a repository in the local cache; safetensors only, no code of theirs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rbench.backbones import hugging_face
from rbench.backbones.pixels import Size
from rbench.errors import InputError, MissingError
from rbench.first_look import looked_at

if TYPE_CHECKING:
    from torch import nn

DECIDES_NOTHING = ("download",)
TAKES_FOLDERS = True
CONFIG, _WEIGHTS, _INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
_ADAPTER = "adapter_config.json"
PROCESSORS = ("preprocessor_config.json", "processor_config.json")


def items() -> tuple[str, ...]:
    """The repositories of models in the local cache."""
    from rbench.backbones.written_names import folder_of

    folder_of("transformers")  # or say what to install
    return tuple(hugging_face.repositories())


def takes(name_or_folder: str) -> bool:
    """Whether it is a folder, or may be a repository."""
    return Path(name_or_folder).is_dir() or hugging_face.is_repository(name_or_folder)


def about(name_or_folder: str) -> dict[str, str]:
    """Origin and license, as the card in the cache has them."""
    if Path(name_or_folder).is_dir():
        return {"origin": "a folder of yours", "license": "as its card says"}
    return hugging_face.about(name_or_folder)


def files(name_or_folder: str, *, revision: str | None = None, download: bool = False, **_: object) -> list[Path]:
    """Configuration and weights: of the folder, or of the repository in the cache."""
    from rbench.backbones.written_names import folder_of

    folder_of("transformers")  # or say what to install
    place = f"transformers:{name_or_folder}"
    if Path(name_or_folder).is_dir():
        if revision is not None:
            raise InputError(
                "a folder has no revision", place=f"{place}: revision", found=revision, remedy="leave it out"
            )
        return files_of(Path(name_or_folder))
    return repository_files(name_or_folder, revision, f"backbone {place!r}", download=download)


def transformers(
    name_or_folder: str,
    *,
    revision: str | None = None,
    download: bool = False,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    size: Size | None = "own",
) -> "nn.Module":
    """An image classifier of transformers; one without classes, such as DINOv2, answers its pooled features to a `head`.

    Mean, std and size are those of its processor, inside the backbone and differentiable; the whole image is resized, nothing is cropped.
    Only safetensors are read, and no code of a repository is executed.

    Args:
        name_or_folder: a folder that `save_pretrained` wrote, or a repository, `owner/name`, in the cache of Hugging Face.
        revision: of the repository: a commit, branch or tag; `main` if null.
        download: whether files that are not in the cache may be fetched.
        mean: per channel, on the [0, 1] pixel scale; the processor's if null.
        std: per channel, on the [0, 1] pixel scale; the processor's if null.
        size: side that images are resized to before the network, square; `own` is the processor's; null leaves them as they are.
    """
    from rbench.backbones.transformers_networks import classifier

    found = files(name_or_folder, revision=revision, download=download)
    return classifier(found[0].parent, mean, std, size, f"transformers:{name_or_folder}")


def files_of(folder: Path) -> list[Path]:
    """The files of a folder that decide what its classifier answers.

    Raises:
        InputError: it has no configuration, or no weights as safetensors.
    """
    config = folder / CONFIG
    if not config.is_file():
        raise InputError(
            f"no {CONFIG}, so no model of transformers", place=folder, remedy="give a folder that save_pretrained wrote"
        )
    if (folder / _ADAPTER).is_file():
        problem = f"{_ADAPTER}: an adapter would change the weights"
        raise InputError(problem, place=folder, remedy="merge it into the weights and save the whole model")
    processors = [folder / name for name in PROCESSORS if (folder / name).is_file()]
    if (folder / _WEIGHTS).is_file():
        return [config, *processors, looked_at(folder / _WEIGHTS)]
    if not (folder / _INDEX).is_file():
        remedy = "save it with safe_serialization, which transformers does by itself"
        raise InputError(f"no {_WEIGHTS}; rbench reads no other weights of transformers", place=folder, remedy=remedy)
    return [config, *processors, folder / _INDEX, *(looked_at(folder / name) for name in _shards(folder / _INDEX))]


def repository_files(repository: str, revision: str | None, what: str, *, download: bool) -> list[Path]:
    """The same files of a repository in the cache, all of one commit.

    Raises:
        MissingError: they are not in the cache, and may not or cannot be fetched.
        InputError: the repository has no safetensors.
    """

    def fetched(*names: str) -> Path:
        return hugging_face.fetched(repository, names, what=what, revision=revision, download=download)

    folder = fetched(CONFIG).parent
    for name in PROCESSORS:
        hugging_face.optional(repository, name, revision=revision, download=download)
    weights = fetched(_WEIGHTS, _INDEX)
    if weights.name == _INDEX:
        for name in _shards(weights):
            fetched(name)
    if weights.parent != folder:
        problem, remedy = "its files in the cache are of several commits", "pin one with revision:"
        raise MissingError(problem, component=what, remedy=remedy)
    return files_of(folder)


def _shards(index: Path) -> Iterator[str]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError("not an index of weights", place=index, remedy="download it again") from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise InputError("not an index of weights: it names no file beside it", place=index, found=repr(name)[:60])
        yield name
