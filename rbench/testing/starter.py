"""`rbench new`: a small package of a plug-in that installs, passes its own test and runs its suite as it is. Imports no torch."""

import keyword
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any

from rbench.errors import InputError
from rbench.harmless import NAME, harmless
from rbench.registry import registry
from rbench.results import disk
from rbench.results.files import write_bytes, writing

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_LONGEST = 40
_EACH = 4
"""Images of each class that a data set starts with."""
_SHARPNESS = 0.1
"""Factor of the squared distances to class means, so that no probability rounds to one."""


@dataclass(frozen=True)
class Starter:
    """What a package of one kind starts with.

    Attributes:
        dependencies: what its code imports beside rbench.
        item: what follows the name in a suite.
        row: a row that its suite has, if it is not that of its own name.
        is_class: the component is a class.
        brings: the files of data that lie beside its code.
        more: lines that its README ends with.
    """

    dependencies: tuple[str, ...] = ()
    item: str = ""
    row: str = "identity"
    is_class: bool = False
    brings: Callable[[], Mapping[str, bytes]] = dict
    more: str = ""


def _class_means() -> dict[str, bytes]:
    """A linear classifier by the distances to the class means of the bundled images."""
    import numpy as np
    from safetensors.numpy import save

    x, y = _bundled()
    means = np.stack([x[y == label].mean(0).ravel() for label in range(int(y.max()) + 1)]).astype(np.float32)
    weight, bias = 2 * _SHARPNESS * means, -_SHARPNESS * (means**2).sum(1)
    return {"small.safetensors": save({"1.weight": weight, "1.bias": bias})}


def _few_images() -> dict[str, bytes]:
    """The first of the bundled images of each class, as bytes, and their labels."""
    import io

    import numpy as np

    x, y = _bundled()
    chosen = np.sort(np.concatenate([np.flatnonzero(y == label)[:_EACH] for label in range(int(y.max()) + 1)]))
    made = {"images.npy": (x[chosen, 0] * 255).round().astype(np.uint8), "labels.npy": y[chosen]}
    content = {}
    for name, array in made.items():
        sink = io.BytesIO()
        np.save(sink, array)
        content[name] = sink.getvalue()
    return content


def _bundled() -> Any:
    """Images [N, 1, 28, 28] in [0, 1] and labels [N] of the data set that comes with rbench."""
    data = registry("dataset").get("fashion-mnist-mini").load()()
    return data.read(data.ids), data.labels


STARTERS = {
    "purifier": Starter(dependencies=("torch>=2.10",), row="", is_class=True),
    "backbone": Starter(
        dependencies=("torch>=2.10", "safetensors>=0.4.5"),
        item=":small",
        brings=_class_means,
        more="\nIts weights are class means of rbench's bundled images, so nothing that it scores on them says anything.\n",
    ),
    "attack": Starter(dependencies=("torch>=2.10", "annotated-types>=0.6")),
    "dataset": Starter(
        dependencies=("numpy>=1.26",),
        brings=_few_images,
        more="\nIts images are 40 of Fashion-MNIST, by Zalando SE, MIT licence.\n",
    ),
    "reporter": Starter(more="    rbench report runs/$name --to $name --out report\n"),
}


def begin(kind: str, name: str, into: Path) -> list[Path]:
    """Writes a package into a new folder of its name.

    Args:
        kind: `purifier`, `backbone`, `attack`, `dataset` or `reporter`.
        name: by which suites will know the component, e.g. `my-purifier`.
        into: the folder around it.

    Returns:
        The files, by their paths.

    Raises:
        InputError: the kind is another one, the name cannot be used or is taken, or the folder is there.
        MissingError: the folder cannot be written.
    """
    singular = registry(kind).kind
    if singular not in STARTERS:
        remedy = f"It begins {', '.join(f'a {known}' for known in STARTERS)}."
        raise InputError(f"there is no starter of a {singular}.", place="new", found=kind, remedy=remedy)
    _require_free(singular, name)
    root = into / name
    with writing(root):
        if root.exists():
            raise InputError("it is there already.", place=root, remedy="Give another name, or --into another folder.")
    paths = []
    for place, content in _content(singular, name).items():
        path = root / place
        with writing(path.parent):
            disk.make_folder(path.parent)
        write_bytes(path, content)
        paths.append(path)
    return paths


def what_to_check(kind: str, name: str) -> str:
    """What `rbench check` takes of a new package: `backbone my-backbone:small`."""
    singular = registry(kind).kind
    return f"{singular} {name}{STARTERS[singular].item}"


def _require_free(kind: str, name: str) -> None:
    module, place = _module(name), f"new {kind} {harmless(name, NAME)}"
    if not _NAME.fullmatch(name) or len(name) > _LONGEST or keyword.iskeyword(module):
        remedy = f"Write at most {_LONGEST} small letters, digits and hyphens, the first a letter: my-{kind}."
        raise InputError("no name of a component.", place=place, found=harmless(repr(name), NAME), remedy=remedy)
    taken = f"Give another name, such as my-{name}."
    if name in registry(kind).names():
        raise InputError(
            f"there is a {kind} of this name; `rbench show {kind} {name}` says whose.", place=place, remedy=taken
        )
    if find_spec(module) is not None:
        raise InputError(f"Python has a module {module!r} already.", place=place, remedy=taken)
    if _installed(name):
        raise InputError(f"a package {name!r} is installed, which pip would replace.", place=place, remedy=taken)


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _module(name: str) -> str:
    return name.replace("-", "_")


def _content(kind: str, name: str) -> dict[str, bytes]:
    """Every file of the package, by its path in it."""
    starter, module = STARTERS[kind], _module(name)
    words = {
        "kind": kind,
        "name": name,
        "module": module,
        "attribute": "".join(map(str.title, module.split("_"))) if starter.is_class else module,
        "dependencies": ", ".join(f'"{one}"' for one in starter.dependencies),
        "checked": name + starter.item,
        "article": "An" if kind == "attack" else "A",
        "row": starter.row or name,
    }
    words["more"] = Template(starter.more).substitute(words)
    texts = {
        "pyproject.toml": ("common", "pyproject.toml"),
        "README.md": ("common", "README.md"),
        "suite.yaml": (kind, "suite.yaml"),
        f"{module}/__init__.py": (kind, "component.py"),
        f"tests/test_{module}.py": ("common", "test.py"),
    }
    made = {place: _filled(parts, words) for place, parts in texts.items()}
    return made | {f"{module}/{place}": content for place, content in starter.brings().items()}


def _filled(parts: Iterable[str], words: Mapping[str, str]) -> bytes:
    *folders, last = parts
    template = files("rbench.testing").joinpath("starters", *folders, f"{last}.txt").read_text("utf-8")
    return (Template(template).substitute(words).rstrip() + "\n").encode()
