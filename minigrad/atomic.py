"""Files that are written completely or not at all, and locks that end with their process.

Both use the system's `flock`. It belongs to an open file, which the system closes when the process
ends, however it ends. So a lock is never stale, and a temporary file that is not locked is one that
nobody is writing any more. Where a file system or a system has no such locks, files are still
written completely or not at all, but nobody removes what a killed process has left.
"""

from __future__ import annotations

import errno
import os
import platform
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX, SUFFIX = ".minigrad-", ".tmp"       # of the names of temporary files
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP,
            errno.EBADF)                    # NFS locks only what is open for writing: no folders


class Busy(Exception):
    """A lock is held; the message is its holder, as in "process 4711 on host"."""


def write(path: str | Path, content: bytes, *, folders: bool = True) -> None:
    """Write a file under a temporary name beside it, flush it to the disk, and rename it.

    Whether the process is killed or the machine stops, at every moment the path holds the old
    content or the new one. Of several writers at the same time, the last one to finish counts.
    Temporary files that killed writers have left are removed. A link stays a link: what it points
    to is written. What is no file, such as a pipe, is written to.

    folders: whether to make those that are missing.

    Raises: OSError naming the path; then the file is as it was.
    """
    named, path = Path(path), Path(os.path.realpath(path))
    with _naming(named), no_empty_folders(path.parent):
        if named.exists() and not (named.is_file() or named.is_dir()):
            named.write_bytes(content)
            return
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        if folders:
            path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent)
        temporary, descriptor = _temporary(path.parent)
        try:
            with open(descriptor, "wb", closefd=sys.platform == "win32") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.replace(temporary, path)         # still locked; Windows renames no open file
        finally:
            if sys.platform != "win32":
                os.close(descriptor)
            temporary.unlink(missing_ok=True)
        _sync(path.parent)


def write_text(path: str | Path, text: str, *, folders: bool = False) -> None:
    """Write text in UTF-8, as `write` does.

    A path that is not UTF-8 has code points that UTF-8 does not; they are written as in `\\udce9`,
    which JSON reads again as the same path.
    """
    write(path, text.encode(errors="backslashreplace"), folders=folders)


def keep(path: Path, other: Path) -> None:
    """Give what a file holds now another name in the same folder, which it keeps when the file is
    written again.

    Raises: OSError naming the other path.
    """
    with _naming(other):
        temporary = _unused(path.parent)
        try:
            try:
                os.link(path, temporary)
            except OSError:                     # not every file system has second names
                shutil.copyfile(path, temporary)
            os.replace(temporary, other)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def no_empty_folders(path: Path) -> Iterator[None]:
    """Of a folder and those above it, remove those that the block makes and leaves empty, if it
    raises."""
    path = Path(os.path.realpath(path))         # it may be a link
    missing = [place for place in (path, *path.parents) if not place.exists()]
    try:
        yield
    except BaseException:
        with suppress(OSError):                 # not made, or not empty
            for place in missing:
                place.rmdir()
        raise


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A folder to be filled by the block, under a temporary name; then it is flushed to the disk
    and renamed, so that at the path there is either nothing or all of it.

    The path may hold an empty folder, which is replaced. If the block raises, nothing is left.
    Raises: OSError naming the path, also for one that the block raises.
    """
    named, path = Path(path), Path(os.path.realpath(path))
    with _naming(named), no_empty_folders(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent)
        temporary, descriptor = _temporary_folder(path.parent)
        try:
            yield temporary
            for place, _, names in os.walk(temporary):
                for name in names:
                    with open(Path(place) / name, "rb+") as file:
                        os.fsync(file.fileno())
                _sync(Path(place))
            if path.is_dir():
                path.rmdir()                    # an empty one
            os.rename(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            if descriptor is not None:
                os.close(descriptor)
        _sync(path.parent)


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files and folders in a folder that no living process is writing."""
    for path in folder.glob(f"{PREFIX}*{SUFFIX}"):
        with suppress(OSError):                 # just renamed, or somebody else's
            whole = path.is_dir()
            descriptor = os.open(path, os.O_RDONLY if whole else os.O_RDWR)
            try:
                if _acquired(descriptor, wait=False):
                    shutil.rmtree(path) if whole else path.unlink()
            finally:
                os.close(descriptor)


@contextmanager
def lock(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock of a path while the block runs; only meanwhile is there a file at the path.

    wait: until the lock is free. The value is whether there are locks at all on the file system.
    Raises: Busy if another process, or another call in this one, holds it; OSError naming the path
    if no file can be made there.
    """
    with _naming(path):
        descriptor, held = _opened(path, wait)
    try:
        if held:
            with _naming(path):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {platform.node()}".encode())
        yield held
    finally:
        if held:
            path.unlink(missing_ok=True)        # before others can acquire it
        os.close(descriptor)


def _opened(path: Path, wait: bool) -> tuple[int, bool]:
    """A descriptor of the lock file at a path, and whether it holds the lock."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            held = _acquired(descriptor, wait)
            if held is False:
                raise Busy(os.read(descriptor, 200).decode(errors="replace") or "another process")
            if held is None or _is_at(path, descriptor):
                return descriptor, bool(held)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)                    # whoever held it has removed the file since


def _temporary(folder: Path) -> tuple[Path, int]:
    """A new file in a folder, which is locked where that is possible, and its descriptor."""
    while True:
        path = _unused(folder)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(
            os, "O_BINARY", 0), 0o666)
        if _acquired(descriptor, wait=True) is None or _is_at(path, descriptor):
            return path, descriptor
        os.close(descriptor)                    # taken for abandoned before it was locked


def _temporary_folder(parent: Path) -> tuple[Path, int | None]:
    """A new folder, which is locked where that is possible, and its descriptor if it has one."""
    while True:
        path = _unused(parent)
        path.mkdir()
        if sys.platform == "win32":             # opens no folders
            return path, None
        with suppress(FileNotFoundError):       # taken for abandoned before it was open
            descriptor = os.open(path, os.O_RDONLY)
            if _acquired(descriptor, wait=True) is None or _is_at(path, descriptor):
                return path, descriptor
            os.close(descriptor)                # or before it was locked


def _unused(folder: Path) -> Path:
    return folder / f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}"


def _acquired(descriptor: int, wait: bool) -> bool | None:
    """Whether an open file is locked for this process now; None if there are no locks."""
    if sys.platform == "win32":
        return None
    import fcntl
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in NO_LOCKS:
            return None
        raise
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let an OSError name the path that was to be written, instead of a temporary one."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileExistsError):  # mkdir's word for a file in the place of a folder
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None


def _sync(folder: Path) -> None:
    """Flush the rename itself, where the system can."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
