"""Writing files completely or not at all."""

from __future__ import annotations

import errno
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from comparisons.errors import DataError, Fault
from minigrad import atomic

ROOM = 4096             # bytes that must fit where something is to be written


def write_json(path: Path, content: Any, indent: int | None = None) -> None:
    """Write JSON, as `write_bytes` does.

    Raises: ValueError if a number is not finite.
    """
    write_text(path, json.dumps(content, indent=indent, allow_nan=False, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, as `atomic.write_text` does. Raises: Fault naming the file."""
    with _faults(path):
        atomic.write_text(path, text, folders=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file completely or not at all.

    Raises: Fault naming the file if it cannot be written.
    """
    with _faults(path):
        atomic.write(path, content)


def insist_on_file(path: Path, name: str = "") -> None:
    """Check that no pipe is read, which would be waited for, and no device, which may have no end.

    name: what messages call it, by default its path.
    Raises: DataError if it is one. What is missing, or a folder, is left to the reader.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DataError(f"{name or path}: not a file")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder for the block to fill, as by `atomic.whole_folder`. Raises: Fault naming it."""
    with _faults(path), atomic.whole_folder(path) as folder:
        yield folder


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError:             # mkdir's word for a file in the place of a folder
        raise Fault(f"{path}: {os.strerror(errno.ENOTDIR)}") from None
    except OSError as error:
        raise Fault(f"{path}: {error.strerror}") from None


def let_temporary_files_be_near(folder: Path) -> None:
    """Let temporary files, such as Matplotlib's, lie where a command writes if they can lie nowhere
    else: not in $TMPDIR, nor in the system's folder for them."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        there = (path for path in (folder, *folder.absolute().parents) if path.is_dir())
        tempfile.tempdir = str(next(there))


def make_folder(folder: Path) -> None:
    """Make a folder, and check that files can be written into it.

    Raises: Fault naming the folder if it cannot be made or written to; then it is not made.
    """
    with _faults(folder), atomic.no_empty_folders(folder):
        Path(os.path.realpath(folder)).mkdir(parents=True, exist_ok=True)   # it may be a link
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(ROOM))             # a full disk has room for an empty file
            file.flush()


def check_writable(path: Path) -> None:
    """Check that a file can be written at a path, before computing what it will hold.

    Raises: Fault naming the path if it cannot.
    """
    if path.is_dir():
        raise Fault(f"{path}: is a folder")
    if path.exists() and not path.is_file():
        return                                  # a pipe or a device
    try:
        make_folder(path.parent)
    except Fault as fault:
        raise Fault(f"{path}: {fault}") from None


def new_folder(parent: Path = Path("runs")) -> Path:
    """Make a folder that nobody else has made, named after the date and the time.

    Raises: Fault naming the parent if it cannot be made or written to.
    """
    make_folder(parent)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder, again = parent / stamp, 1
    while True:
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
        again += 1
        folder = parent / f"{stamp}-{again}"


def remove_if_empty(folder: Path) -> None:
    """Remove what `new_folder` has made if nothing was written into it."""
    with suppress(OSError):
        folder.rmdir()
        folder.parent.rmdir()
