"""Errors that the user is told about in one line, without a traceback."""


class Fault(Exception):
    """An error that ends the program: its message is one line and names the file or the flag."""


class DataError(Fault):
    """Data are missing or damaged; the message names the file."""


class NotThereError(DataError):
    """A folder that was named exists, but holds nothing of this dataset."""
