"""One interface for the files of a zip and of a folder. A zip is not unpacked to disk."""

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from stages.core.files import InputError
from stages.sources.folders import refuse
from stages.vision.reading.kinds import described, described_archive, described_picture, read_format
from stages.vision.reading.opening import MAX_BYTES

_ENCRYPTED, _UTF8 = 0x1, 0x800  # a member's flags


class File(NamedTuple):
    name: str  # "hotdog/train/hotdog/0.jpg"; a folder's name ends in a slash
    where: str  # for messages
    read: Callable[[], bytes | Path]  # the bytes, or their path; raises InputError


@contextmanager
def files_of(container: Path) -> Iterator[list[File]]:
    """Yield the files of a folder or a zip; read them inside the block.

    Raises InputError if it is neither, if a folder in it is a link or cannot be listed, or if a name is not UTF-8.
    """
    if not container.exists():
        raise InputError(f"{container}: no such folder or zip")
    if container.is_dir():
        yield list(_in_folder(container))
    else:
        with zip_files(container) as files:
            yield files


@contextmanager
def zip_files(archive: Path) -> Iterator[list[File]]:
    """Yield the files of a zip; read them inside the block. Raises InputError if it is no complete zip."""
    try:
        zipped = zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as problem:
        raise InputError(f"{archive}: not a whole zip archive {_found_instead(archive, problem)}") from problem
    with zipped:
        members = zipped.infolist()
        names = _member_names(members)
        where = [f"{archive}: {name}" for name in names]
        yield [
            File(name, place, partial(_unpack, zipped, member, place))
            for name, place, member in zip(names, where, members, strict=True)
        ]


def _found_instead(file: Path, problem: Exception) -> str:
    try:
        with file.open("rb") as opened:
            start = opened.read(512)
    except OSError:
        start = b"?"
    if kind := described_archive(start):
        return f"but {kind}; unpack it and name the folder, or pack that as a zip"
    if described_picture(start) or read_format(start):
        return "but a picture; name the folder that holds the folders of the classes"
    if start.startswith(b"PK"):
        return f"({problem}), though it begins as one; get it again"
    if start and (kind := described(start)):
        return f"({problem}), but {kind}" + ("" if ";" in kind else "; get it again")
    return f"({problem}); expected a folder of pictures, or a zip: get it again"


def _member_names(members: list[zipfile.ZipInfo]) -> list[str]:
    """Return the members' names with slashes.

    Some programs on Windows write backslashes, which Unix allows in a name: they part folders unless a name has both.
    A name without a declared encoding is UTF-8, as macOS writes it, if it can be, else code page 437.
    """
    names = [_decoded(member) for member in members]
    if not any("/" in name and "\\" in name for name in names):
        names = [name.replace("\\", "/") for name in names]
    return names


def _decoded(member: zipfile.ZipInfo) -> str:
    if not member.flag_bits & _UTF8 and not member.filename.isascii():
        with suppress(UnicodeError):
            return member.filename.encode("cp437").decode()
    return member.filename


def _unpack(zipped: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> bytes:
    if member.flag_bits & _ENCRYPTED:
        raise InputError(f"{where}: encrypted; pack the archive without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # other methods have no bound on memory
        raise InputError(f"{where}: packed by method {member.compress_type}; expected stored or deflated")
    if member.file_size > MAX_BYTES:
        raise InputError(f"{where}: declares {member.file_size:,} bytes; expected a picture of at most {MAX_BYTES:,}")
    try:
        with zipped.open(member) as file:
            return file.read(member.file_size)  # no more than declared
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as problem:
        raise InputError(f"{where}: damaged ({problem}); get the archive again") from problem


def _in_folder(folder: Path) -> Iterator[File]:
    for place, folders, names in os.walk(folder, onerror=refuse):
        hidden = [name for name in folders if name.startswith(".")]
        folders[:] = [name for name in folders if not name.startswith(".")]
        for path in (Path(place, name) for name in folders):
            if path.is_symlink():  # it may also be circular
                raise InputError(f"{path}: a link to a folder, whose edits DVC does not see; put the folder there")
            yield File(f"{_name(path, folder)}/", str(path), partial(_regular, path))
        for path in (Path(place, name) for name in names):
            yield File(_name(path, folder), str(path), partial(_regular, path))
        # The files of hidden folders are listed to be counted, but never read: no check is needed
        for top in (Path(place, name) for name in hidden if not Path(place, name).is_symlink()):
            for below, _, inside in os.walk(top):
                for path in (Path(below, name) for name in inside):
                    yield File(path.relative_to(folder).as_posix(), str(path), partial(_regular, path))


def _name(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError as problem:
        raise InputError(f"{str(path)!a}: a name that is not UTF-8; rename it") from problem
    return name


def _regular(path: Path) -> Path:
    if not path.is_file():  # reading a pipe would never end
        raise InputError(f"{path}: not a regular file, nor a link to one; expected a picture")
    return path
