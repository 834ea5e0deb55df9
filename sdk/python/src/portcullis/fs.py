"""Files and directories of the host, as far as they were granted: whole files and single names.

A path is absolute, or relative to the project directory, or begins with the name that the operator gave a directory.
"""

import os
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from portcullis import _host
from portcullis.errors import asking

__all__ = [
    "Entry",
    "Kind",
    "Metadata",
    "iterdir",
    "mkdir",
    "read_bytes",
    "read_text",
    "remove",
    "rename",
    "stat",
    "write_bytes",
    "write_text",
]

fs = _host.interface("fs")

Path: TypeAlias = str | os.PathLike[str]


class Kind(Enum):
    """What something is."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


@dataclass(frozen=True)
class Entry:
    """A name in a directory, and what has it; a link is not followed."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Metadata:
    """What is known of a file or directory from outside."""

    kind: Kind
    size: int
    #: Nanoseconds since 1970, UTC.
    mtime_ns: int


def read_bytes(path: Path) -> bytes:
    """The whole content of a regular file."""
    with asking(f"read `{path}`"):
        return bytes(fs.read(os.fspath(path)))


def read_text(path: Path, encoding: str = "utf-8", errors: str = "strict") -> str:
    return read_bytes(path).decode(encoding, errors)


def write_bytes(path: Path, data: bytes) -> None:
    """Puts a file with this content in place: all of it, or nothing is changed."""
    with asking(f"write `{path}`"):
        fs.write(os.fspath(path), data)


def write_text(path: Path, data: str, encoding: str = "utf-8", errors: str = "strict") -> None:
    write_bytes(path, data.encode(encoding, errors))


def iterdir(path: Path = ".") -> list[Entry]:
    """What a directory has, sorted by name."""
    with asking(f"list `{path}`"):
        return [Entry(entry.name, _kind(entry.kind)) for entry in fs.entries(os.fspath(path))]


def stat(path: Path) -> Metadata:
    """What something is; links are followed."""
    with asking(f"look at `{path}`"):
        found = fs.stat(os.fspath(path))
    return Metadata(_kind(found.kind), found.size, found.modified)


def mkdir(path: Path) -> None:
    """Makes a directory in one that is there."""
    with asking(f"make the directory `{path}`"):
        fs.make_directory(os.fspath(path))


def remove(path: Path) -> None:
    """Removes a file, a link itself, or an empty directory."""
    with asking(f"remove `{path}`"):
        fs.remove(os.fspath(path))


def rename(src: Path, dst: Path) -> None:
    """Gives a file or directory another name, in place of what has it."""
    with asking(f"rename `{src}` to `{dst}`"):
        fs.rename(os.fspath(src), os.fspath(dst))


def _kind(kind: Any) -> Kind:
    return Kind[kind.name]
