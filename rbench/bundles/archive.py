"""A bundle as a file: a zip of sorted members with one date, and its unpacking, in which nothing is believed before it is checked."""

import hashlib
import shutil
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from rbench.bundles.manifest import (
    MOST_BYTES,
    NAME_IN_BUNDLE,
    Manifest,
    Member,
    is_member,
    manifest_text,
    read_manifest,
)
from rbench.errors import InputError, MissingError, WrongHash
from rbench.first_look.zips import contents_size
from rbench.harmless import NAME, harmless
from rbench.results.files import writing
from rbench.results.untrusted import parse_json

Content = bytes | Path
"""A member's bytes, or the file that has them."""
MOST_MEMBERS = 200_000
MOST_NAMES = 2**26
"""Bytes of the list of members at the end of the file."""
ALWAYS, RATIO = 2**26, 64
"""Bytes that are unpacked of any bundle; beyond that, for each byte of it. As for data."""
_DATE = (1980, 1, 1, 0, 0, 0)
_BLOCK = 2**20
_BIG = 2**31 - 1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, struct.error, OSError),
    *(ValueError, NotImplementedError, EOFError, KeyError, RuntimeError),
)
_AGAIN = "get it again"


def described(members: Mapping[str, Content]) -> dict[str, Member]:
    """The sha256 and size of each member."""
    return {name: Member(sha256=sha256, bytes=size) for name, (sha256, size) in _hashes(members).items()}


def _hashes(members: Mapping[str, Content]) -> dict[str, tuple[str, int]]:
    found = {}
    for name, content in members.items():
        if isinstance(content, bytes):
            found[name] = hashlib.sha256(content).hexdigest(), len(content)
        else:
            with content.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest(), content.stat().st_size
    return found


def write(path: Path, manifest: Manifest, members: Mapping[str, Content]) -> None:
    """Writes a bundle: the same bytes for the same members.

    Args:
        path: of the file; whole or not at all.
        manifest: describes the members.
        members: by name.

    Raises:
        MissingError: it cannot be written, or a file has changed meanwhile.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path):
        try:
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, content in sorted({**members, NAME_IN_BUNDLE: manifest_text(manifest).encode()}.items()):
                    known = manifest.members.get(name)
                    _add(archive, name, content, known)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _add(archive: zipfile.ZipFile, name: str, content: Content, known: Member | None) -> None:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    if isinstance(content, bytes):
        archive.writestr(entry, content)
        return
    entry.file_size, digest = content.stat().st_size, hashlib.sha256()
    with content.open("rb") as source, archive.open(entry, "w", force_zip64=entry.file_size > _BIG) as target:
        while block := source.read(_BLOCK):
            digest.update(block)
            target.write(block)
    if known is not None and digest.hexdigest() != known.sha256:
        raise MissingError("has changed while it was packed", place=content, remedy="Run it again.")


def is_bundle(path: Path) -> bool:
    """Whether a file is a zip with a manifest, as far as a look at it tells."""
    try:
        with zipfile.ZipFile(path) as archive:
            return NAME_IN_BUNDLE in archive.namelist()
    except _BROKEN:
        return False


def unpack(path: Path, into: Path) -> Manifest:
    """Unpacks a bundle of a stranger into an empty folder.

    Args:
        path: the bundle.
        into: the folder, which exists and is empty.

    Returns:
        Its manifest, which is true of what was unpacked.

    Raises:
        InputError: it is no bundle, or has what no bundle has: another name than a bundle's files, a link, more bytes than its size allows.
        WrongHash: a member is damaged, is another one than the manifest says, or is listed and not there, or the reverse.
        MissingError: it cannot be written.
    """
    try:
        if contents_size(path, path.stat().st_size) > MOST_NAMES:
            raise InputError(
                f"more than {MOST_NAMES / 2**20:g} MiB of names", place=path, remedy="nothing was unpacked"
            )
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive, path)
            manifest = _manifest(archive, entries, path)
            _require_same(manifest, entries, path)
            for name, entry in entries.items():
                if name != NAME_IN_BUNDLE:
                    _unpack(archive, entry, manifest.members[name], into, path)
    except _BROKEN as error:
        raise InputError("no bundle of rbench", place=path, found="a damaged zip", remedy=_AGAIN) from error
    return manifest


def _entries(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    listed = archive.infolist()
    if len(listed) > MOST_MEMBERS:
        raise InputError(f"more than {MOST_MEMBERS:,} files", place=path, found=f"{len(listed):,}")
    twice = [name for name, count in Counter(entry.filename for entry in listed).items() if count > 1]
    if twice:
        raise InputError(f"two files are called {_shown(twice[0])}", place=path, remedy=_AGAIN)
    if NAME_IN_BUNDLE not in archive.namelist():
        raise InputError(f"no bundle of rbench: it has no {NAME_IN_BUNDLE}", place=path)
    for entry in listed:
        _require_plain(entry, path)
    _require_distinct([entry.filename for entry in listed], path)
    declared, size = sum(entry.file_size for entry in listed), path.stat().st_size
    most = max(ALWAYS, RATIO * size)
    if declared > most:
        found = f"{declared:,} bytes in {size:,}"
        raise InputError("unpacks to more than a bundle of its size can hold", place=path, found=found)
    return {entry.filename: entry for entry in listed}


def _require_plain(entry: zipfile.ZipInfo, path: Path) -> None:
    """Refuses what is no plain file of a name that bundles have."""
    name, mode = entry.filename, entry.external_attr >> 16
    shown = _shown(entry.orig_filename)
    if name != NAME_IN_BUNDLE and (not is_member(name) or entry.orig_filename != name):
        raise InputError(f"no name of a file in a bundle: {shown}", place=path, remedy="nothing was unpacked")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        what = "a link" if stat.S_ISLNK(mode) else "no plain file"
        raise InputError(f"{shown} is {what}", place=path, remedy="nothing was unpacked")
    if entry.compress_type not in _METHODS or entry.flag_bits & 0x1:
        raise InputError(f"{shown} is encrypted or packed in another way", place=path, remedy="nothing was unpacked")


def _require_distinct(names: list[str], path: Path) -> None:
    """Refuses names that a file system may take for one, and a file in the place of a folder."""
    folded = Counter(name.casefold() for name in names)
    folders = {"/".join(parts[:end]) for name in folded for parts in [name.split("/")] for end in range(1, len(parts))}
    wrong = [name for name in names if folded[name.casefold()] > 1 or name.casefold() in folders]
    if wrong:
        raise InputError(f"two files are in one place: {_shown(wrong[0])}", place=path, remedy="nothing was unpacked")


def _manifest(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], path: Path) -> Manifest:
    entry = entries[NAME_IN_BUNDLE]
    if entry.file_size > MOST_BYTES:
        raise InputError(f"larger than {MOST_BYTES / 2**20:g} MiB", place=f"{path}: {NAME_IN_BUNDLE}")
    try:
        text = archive.read(entry).decode("utf-8")
    except _BROKEN as error:
        raise WrongHash("is damaged", place=f"{path}: {NAME_IN_BUNDLE}", remedy=_AGAIN) from error
    return read_manifest(parse_json(text, Path(f"{path}: {NAME_IN_BUNDLE}")), text, path)


def _require_same(manifest: Manifest, entries: Mapping[str, zipfile.ZipInfo], path: Path) -> None:
    there = entries.keys() - {NAME_IN_BUNDLE}
    if unlisted := sorted(there - manifest.members.keys()):
        raise WrongHash("not in the manifest", place=f"{path}: {_shown(unlisted[0])}", remedy=_AGAIN)
    if gone := sorted(manifest.members.keys() - there):
        raise WrongHash("in the manifest and not in the bundle", place=f"{path}: {_shown(gone[0])}", remedy=_AGAIN)


def _unpack(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, known: Member, into: Path, path: Path) -> None:
    place, target = f"{path}: {_shown(entry.filename)}", into / entry.filename
    with writing(target, entry.file_size):
        target.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(into).free
    if entry.file_size > free:
        raise MissingError(f"no room for {entry.file_size:,} bytes", place=into, found=f"{free:,} bytes free")
    digest = hashlib.sha256()
    try:
        with archive.open(entry) as source:
            _copy(source, target, digest, known.bytes)
    except _BROKEN as error:
        raise WrongHash("is damaged", place=place, remedy=_AGAIN) from error
    if digest.hexdigest() != known.sha256:
        raise WrongHash(
            f"expected sha256 {known.sha256}, as the manifest says",
            place=place,
            found=digest.hexdigest(),
            remedy=_AGAIN,
        )


def _copy(source: IO[bytes], target: Path, digest: "hashlib._Hash", most: int) -> None:
    left = most + 1  # one byte more than it may have tells that it has more, and costs nothing
    with writing(target):
        file = target.open("xb")
    with file:
        while left and (block := source.read(min(_BLOCK, left))):
            left -= len(block)
            digest.update(block)
            with writing(target):
                file.write(block)


def _shown(name: str) -> str:
    return harmless(repr(name), 2 * NAME)
