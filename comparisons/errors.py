"""What can go wrong in a way that the user is told of in one line."""


class Fault(Exception):
    """Something that ends the program in one line: the message names the file or the flag."""


class DataError(Fault):
    """Data that are missing or damaged; the message names the file."""


class NotThereError(DataError):
    """The named folder is whole, but holds nothing of this dataset."""
