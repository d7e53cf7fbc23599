"""Files that are taken for weights and are none, by how they start."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What a file is.

    Attributes:
        name: for the message.
        remedy: what to do about it.
    """

    name: str
    remedy: str


_UNPACK = "unpack it and name the file inside"
_STATE = "save the state_dict() of the model in torch as safetensors"
_AGAIN = "download it again"
_STARTS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs.github.com/", "a git-lfs pointer", "fetch the file itself with git lfs pull"),
    (b"version https://hawser.github.com/", "a git-lfs pointer", "fetch the file itself with git lfs pull"),
    (b"\x1f\x8b", "gzip", _UNPACK),
    (b"BZh", "bzip2", _UNPACK),
    (b"\xfd7zXZ\0", "xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "zstd", _UNPACK),
    (b"\x04\x22\x4d\x18", "lz4", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "7z", _UNPACK),
    (b"Rar!", "rar", _UNPACK),
    (b"PK\x05\x06", "an empty zip", _AGAIN),
    (b"\x89HDF\r\n\x1a\n", "HDF5, as Keras writes", _STATE),
    (b"\x93NUMPY", "NumPy's .npy", _STATE),
    (b"GGUF", "GGUF", _STATE),
    (b"PAR1", "parquet", "name it as a data set"),
    (b"\x7fELF", "a program", _AGAIN),
    (b"MZ\x90", "a program", _AGAIN),
    (b"#!", "a script", _AGAIN),
    (b"%PDF-", "PDF", _AGAIN),
    (b"\x89PNG\r\n", "PNG", _AGAIN),
    (b"\xff\xd8\xff", "JPEG", _AGAIN),
    (b"SQLite format 3\0", "SQLite", _AGAIN),
)


def kind_of_file(start: bytes) -> Kind | None:
    """What a file is that is surely no weights; None if it may be some.

    Args:
        start: its first 512 bytes.
    """
    for sign, name, remedy in _STARTS:
        if start.startswith(sign):
            return Kind(name, remedy)
    if start[257:262] == b"ustar":
        return Kind("a tar archive", _UNPACK)
    # A safetensors file starts with the length of its header, which may look like any character; zeros follow it.
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if b"\0" in start[:8] or not text:
        return None
    if text.startswith(b"<?xml"):
        return Kind("XML", "the address it came from answered with an error")
    if text.startswith(b"<"):
        return Kind("HTML", "the address it came from answered with a web page")
    if text[:1] in b"{[" and _is_text(text):
        return Kind("JSON", "name the file of tensors, not its index or an answer of a server")
    return None


def _is_text(data: bytes) -> bool:
    return all(byte >= 0x20 or byte in b"\t\r\n" for byte in data)
