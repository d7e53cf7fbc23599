"""Files of Hugging Face repositories: from the local cache, and from the network only where a suite asks for it."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rbench.errors import InputError, MissingError
from rbench.harmless import STORED, one_line
from rbench.offline import refuse_offline
from rbench.process_state import said

SITE = "https://huggingface.co/"
COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def is_repository(text: str) -> bool:
    """Whether a text is `owner/name`, as repositories are called."""
    return _REPOSITORY.fullmatch(text) is not None


def repositories() -> list[str]:
    """The repositories of models in the local cache, sorted."""
    from huggingface_hub import constants

    folders = Path(constants.HF_HUB_CACHE).glob("models--*--*")
    return sorted(folder.name.removeprefix("models--").replace("--", "/", 1) for folder in folders)


def cached(repository: str, name: str, revision: str | None = None) -> Path | None:
    """A file of a repository in the local cache; None if it is not there. Nothing is asked of the network.

    Args:
        repository: `owner/name`.
        name: of the file.
        revision: a commit, branch or tag; the branch `main` if None.

    Raises:
        InputError: no repository may be called so.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(repository, name, revision=revision)
    except HFValidationError:
        remedy = "write owner/name, as in the address of the page"
        raise InputError("no name of a repository", place="repository", found=repr(repository), remedy=remedy) from None
    return Path(found) if isinstance(found, str) else None


def fetched(
    repository: str, names: Sequence[str], *, what: str, revision: str | None = None, download: bool = False
) -> Path:
    """The first of some files that a repository has: the one in the cache, else from the network if that is allowed.

    Args:
        repository: `owner/name`.
        names: of the files, the best first.
        what: wants it, for messages, e.g. `backbone 'timm:resnet18'`.
        revision: a commit, branch or tag; the branch `main` if None.
        download: whether the network may be asked.

    Raises:
        InputError: no repository may be called so.
        MissingError: it is not in the cache, and may not or cannot be fetched.
    """
    for name in names:
        if (path := cached(repository, name, revision)) is not None:
            return path
    if not download:
        at = "" if revision is None else f" --revision {revision}"
        problem = f"{names[0]} of {repository} is not in the cache of Hugging Face"
        remedy = f"write download: true, or fetch it with: hf download {repository}{at}"
        raise MissingError(problem, component=what, remedy=remedy)
    refuse_offline(
        f"{names[0]} of {repository}",
        component=what,
        remedy=f"copy the cache of Hugging Face that has it: hf download {repository}",
    )
    return _downloaded(repository, names, what, revision)


def optional(repository: str, name: str, *, revision: str | None = None, download: bool = False) -> Path | None:
    """A file that a repository need not have; None if it has none, or it is not in the cache and may not be fetched."""
    try:
        return fetched(repository, [name], what=repository, revision=revision, download=download)
    except MissingError:
        return None


def _downloaded(repository: str, names: Sequence[str], what: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RemoteEntryNotFoundError

    why = ""
    for name in names:
        try:
            return Path(hf_hub_download(repository, name, revision=revision))
        except RemoteEntryNotFoundError:
            why = f"it has no {' or '.join(names)}"
        except LocalEntryNotFoundError as error:
            why = f"{said(error.__cause__ or error)}"
            break
        except Exception as error:  # of the network, the server or the disk: there are dozens
            why = said(error)
            break
    remedy = f"see {SITE}{repository}, or put the files into the cache with: hf download {repository}"
    raise MissingError(f"{repository} could not be downloaded ({one_line(why, 160)})", component=what, remedy=remedy)


def about(repository: str, revision: str | None = None) -> dict[str, str]:
    """Origin and license of a repository, as its card in the cache has them."""
    page = f"{SITE}{repository}"
    return {
        "origin": page,
        "license": _license(repository, revision) or f"as {page} says; its card is not in the cache",
    }


def _license(repository: str, revision: str | None) -> str | None:
    from huggingface_hub import ModelCard

    card = cached(repository, "README.md", revision)
    if card is None:
        return None
    try:
        data: Any = ModelCard.load(card).data
    except Exception:  # a card is text of anybody
        return None
    found = getattr(data, "license_name", None) or getattr(data, "license", None)
    return one_line(str(found), STORED) if found else None


@contextmanager
def without_network(*, allowed: bool = False) -> Iterator[None]:
    """A block in which the libraries of Hugging Face read their cache alone, unless the network is allowed."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not allowed
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
