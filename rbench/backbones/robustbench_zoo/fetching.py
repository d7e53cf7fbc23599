"""Files of RobustBench, fetched from Google Drive. Nothing else of rbench imports this, and it is imported only when told to fetch."""

from pathlib import Path

from rbench.backbones.robustbench_zoo.names import INSTALL
from rbench.errors import MissingError
from rbench.offline import refuse_offline


def fetch(address: str, path: Path) -> Path:
    """A file of Google Drive, written to a temporary name and renamed.

    Google Drive tells no hash; that of what came is in the record, and a suite can hold it with `sha256`.

    Args:
        address: its id.
        path: where it goes.

    Raises:
        MissingError: gdown, which RobustBench needs, is not installed, or nothing may be fetched.
        OSError: it could not be fetched or written.
    """
    refuse_offline(path.name, component="backbone 'robustbench'", place=path, remedy=f"copy it to {path}")
    try:
        import gdown
    except ImportError as error:
        raise MissingError("a download needs gdown", component="backbone 'robustbench'", remedy=INSTALL) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        got = gdown.download(id=address, output=str(part), quiet=True)
    except OSError:
        raise
    except Exception as error:  # gdown has exceptions of its own, and others in other versions
        raise OSError(f"{type(error).__name__}: {error}") from error
    if got is None or not part.is_file():
        raise OSError("Google Drive gave nothing")
    return part.replace(path)
