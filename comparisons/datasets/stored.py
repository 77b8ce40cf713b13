"""Images that do not fit into memory: they lie in a temporary file, and are read when needed."""

from __future__ import annotations

import math
import os
import tempfile
import threading
from typing import IO, Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from comparisons.errors import DataError

Array = NDArray[Any]

LIMIT = 2**26           # bytes; images that take more are stored in a file
PART = 2**20            # bytes that are written to it at a time


class Opened:
    """A temporary file, which is closed when nothing needs it any more.

    It is read, not mapped: the system may map 2 MB around each byte that is read, which count as
    memory of this process.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._lock = file, threading.Lock()

    def __del__(self) -> None:
        self._file.close()

    def read(self, start: int, count: int) -> bytes:
        if hasattr(os, "pread"):                # a forked process would share the file's position
            return os.pread(self._file.fileno(), count, start)
        with self._lock:
            self._file.seek(start)
            return self._file.read(count)


class Stored(NDArrayOperatorsMixin):
    """Images in a file, as uint8 levels, of which only those are read that are asked for.

    As of an array, x[i:j] is a view, and x[rows] are the images themselves, in memory. `taken` is a
    view of any rows. Whatever else an array can do, such as x.mean() or x / 255, is done with all
    images, which are read into memory for it.

    shape: of one image. rows: the row numbers in the file.
    """

    def __init__(self, file: Opened, shape: tuple[int, ...], rows: Array) -> None:
        self.file, self.rows = file, rows
        self.shape = (len(rows), *shape)
        self.dtype, self.ndim = np.dtype(np.uint8), len(self.shape)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return self.taken(key)
        return np.asarray(self)[key] if isinstance(key, tuple) else self._read(self.rows[key])

    def taken(self, rows: Array | slice) -> Stored:
        """A view of some rows."""
        return Stored(self.file, self.shape[1:], self.rows[rows])

    def _read(self, rows: Array) -> Array:
        size = math.prod(self.shape[1:])
        found = np.empty((rows.size, size), np.uint8)
        for image, row in zip(found, rows.flat, strict=True):
            image[:] = np.frombuffer(self.file.read(int(row) * size, size), np.uint8)
        return found.reshape(*rows.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self._read(self.rows).astype(dtype or self.dtype, copy=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return getattr(ufunc, method)(*(np.asarray(x) if isinstance(x, Stored) else x
                                        for x in inputs), **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(np.asarray(self), name)


Images = Array | Stored


class Collected:
    """Images that arrive one by one: in memory, or in a temporary file if they take too much."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self._waiting = bytearray()             # one block: a list of arrays would be copied
        self._file: IO[bytes] | None = None

    def add(self, image: Array) -> None:
        """Add an image of uint8 levels. Raises: DataError if there is no room for the file."""
        self._waiting += image.tobytes()
        if len(self._waiting) > (LIMIT if self._file is None else PART):
            self._write()

    def images(self) -> Images:
        """All that were added, (N, *shape). Nothing can be added any more."""
        if self._file is None:
            return np.frombuffer(self._waiting, np.uint8).reshape(-1, *self.shape)
        self._write()
        size = self._file.tell() // math.prod(self.shape)
        file, self._file = Opened(self._file), None
        return Stored(file, self.shape, np.arange(size))

    def _write(self) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()   # noqa: SIM115  # `Opened` closes it
            self._file.write(self._waiting)
            self._file.flush()
        except OSError as error:
            raise DataError(f"{tempfile.tempdir or 'TMPDIR'}: the file for the images cannot be "
                            f"written: {error.strerror}; TMPDIR names its folder") from None
        self._waiting.clear()


def taken(x: Images, rows: Array) -> Images:
    """x[rows]; a view, if x is stored in a file."""
    return x.taken(rows) if isinstance(x, Stored) else x[rows]
