"""Errors that are reported to the user in one line, without a traceback."""


class Fault(Exception):
    """An error that ends the program: its message is one line and names the file or the flag."""


class DataError(Fault):
    """Data are missing or damaged; the message names the file."""


class NotThereError(DataError):
    """The folder that the user named exists, but does not contain this dataset."""
