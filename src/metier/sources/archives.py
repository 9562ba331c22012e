"""ZIP, tar and compressed files, read in place: no member is ever written under its own name.

Names that lead out of the archive (``../x``, ``/x``, ``C:x``) and links are refused all the same:
an honest archive of data has none, and the names end up in locators and reports.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import IO, NoReturn, cast

from metier.core.errors import InputError
from metier.sources.members import (
    COMPRESSIONS,
    Blob,
    Member,
    Opener,
    guarded,
    part,
    refuse_bomb,
    spooled,
)

MEMBERS_LIMIT = 1_000_000
TAR_BLOCK = 512
PACKED_TARS = {
    **{".tar.gz": ".gz", ".tgz": ".gz", ".tar.xz": ".xz", ".txz": ".xz"},
    **{".tar.bz2": ".bz2", ".tbz2": ".bz2", ".tbz": ".bz2"},
}
_DRIVE = re.compile(r"[A-Za-z]:")


def _gunzip(stream: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(fileobj=stream, mode="rb"))


def _unxz(stream: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], lzma.LZMAFile(stream))


def _unbzip2(stream: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], bz2.BZ2File(stream))


UNPACK: dict[str, Callable[[IO[bytes]], IO[bytes]]] = dict(
    zip(COMPRESSIONS, (_gunzip, _unxz, _unbzip2), strict=True)
)


def members_of(blob: Blob, alone: bool) -> Iterator[Member]:
    """Yield what is to be read of a blob, sorted by name; ``alone``: the source is this blob.

    Raises InputError for an archive that is damaged, locked, a bomb, or holds links or names that
    lead out of it.
    """
    name = blob.name.lower()
    packed = next((suffix for suffix in PACKED_TARS if name.endswith(suffix)), None)
    if name.endswith(".zip"):
        yield from _zip_members(blob, alone)
    elif packed:
        opener = _unpacked(blob, PACKED_TARS[packed])
        packed_tar = Member(blob.name, blob.place, alone, opener)
        with packed_tar.open() as stream, spooled(stream) as spool:
            yield from _tar_members(blob, spool.opener, alone)
    elif name.endswith(".tar"):
        yield from _tar_members(blob, blob.opener, alone)
    else:
        suffix = next((one for one in COMPRESSIONS if name.endswith(one)), None)
        opener = _unpacked(blob, suffix) if suffix else blob.opener
        yield Member(blob.name, blob.place, alone, opener)


def _unpacked(blob: Blob, suffix: str) -> Opener:
    def opener() -> IO[bytes]:
        packed = blob.opener()
        return guarded(UNPACK[suffix](packed), packed, blob.size, blob.place)

    return opener


def _member(blob: Blob, name: str, alone: bool, opener: Opener) -> Member:
    name = name.removeprefix("./")
    inner = name if alone else f"{blob.name}/{name}"
    return Member(inner, f"{blob.place}/{name}", False, opener)


def _zip_members(blob: Blob, alone: bool) -> Iterator[Member]:
    try:
        with blob.opener() as stream, zipfile.ZipFile(stream) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
    except zipfile.BadZipFile as error:
        raise InputError(
            "a ZIP archive",
            got=f"{blob.place}: {error}",
            remedy="pack it again; it may be cut short",
        ) from error
    _refuse_names([info.filename for info in infos], blob)
    refuse_bomb(blob.place, blob.size, sum(info.file_size for info in infos))
    infos = sorted((i for i in infos if not hidden(i.filename)), key=lambda i: i.filename)
    locked = next((info for info in infos if info.flag_bits & 0x1), None)
    if locked is not None:
        raise InputError(
            "an archive without a password",
            got=f"{blob.place}: {locked.filename} is encrypted",
            remedy="unpack it and point the source at the folder",
        )
    for info in infos:
        yield _member(blob, info.filename, alone, _zip_opener(blob, info))


def _zip_opener(blob: Blob, info: zipfile.ZipInfo) -> Opener:
    def opener() -> IO[bytes]:
        packed = blob.opener()
        try:
            unpacked = zipfile.ZipFile(packed).open(info)  # noqa: SIM115 closed with packed
        except BaseException:
            packed.close()
            raise
        return guarded(unpacked, packed, blob.size, f"{blob.place}/{info.filename}")

    return opener


def _tar_members(blob: Blob, whole: Opener, alone: bool) -> Iterator[Member]:
    try:
        with whole() as stream:
            infos = _tar_infos(stream, blob)
    except (tarfile.TarError, EOFError) as error:
        raise InputError(
            "a whole tar archive",
            got=f"{blob.place}: {error}",
            remedy="copy or pack the file again; it is cut short or damaged",
        ) from error
    _refuse_names([info.name for info in infos], blob)
    odd = next((info for info in infos if not (info.isreg() or info.isdir())), None)
    if odd is not None:
        kind = "a link" if odd.issym() or odd.islnk() else "no plain file"
        _refuse_member(blob, odd.name, kind)
    files = [info for info in infos if info.isreg() and not hidden(info.name)]
    for info in sorted(files, key=lambda info: info.name):
        yield _member(blob, info.name, alone, _tar_opener(whole, info))


def _tar_infos(stream: IO[bytes], blob: Blob) -> Sequence[tarfile.TarInfo]:
    infos = []
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for info in archive:
            infos.append(info)
            if info.issparse():
                _refuse_member(blob, info.name, "a sparse file")
            if len(infos) > MEMBERS_LIMIT:
                raise tarfile.ReadError(f"over {MEMBERS_LIMIT:,} members")
        end = archive.offset
    stream.seek(end)
    # tarfile takes a cut between two members for the end; a whole archive ends in zero blocks.
    if stream.read(TAR_BLOCK) != bytes(TAR_BLOCK):
        raise tarfile.ReadError("the end of the archive is missing")
    return infos


def _tar_opener(whole: Opener, info: tarfile.TarInfo) -> Opener:
    return lambda: part(whole(), info.offset_data, info.size)


def _refuse_names(names: Sequence[str], blob: Blob) -> None:
    for name in names:
        parts = name.replace("\\", "/").split("/")
        if ".." in parts:
            _refuse_member(blob, name, 'a path with ".."')
        if parts[0] == "" or _DRIVE.match(name):
            _refuse_member(blob, name, "an absolute path")


def _refuse_member(blob: Blob, name: str, what: str) -> NoReturn:
    raise InputError(
        "an archive of plain files under names inside it",
        got=f"{blob.place}: {name[:200]!r} is {what}",
        remedy="do not unpack it before you know who made it; pack the files again by name",
    )


def hidden(name: str) -> bool:
    """Whether a file is one that people do not see: a dot file, or what macOS adds to archives."""
    parts = [part for part in PurePosixPath(name).parts if part != ".."]
    return any(part.startswith((".", "__MACOSX")) for part in parts)
