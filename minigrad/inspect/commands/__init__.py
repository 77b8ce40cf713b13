"""The commands of `python -m minigrad.inspect`: a file each.

A file has a docstring, whose first line is the help, a function `flags` that adds its arguments to
a parser, and a function `main` that does the work and returns the exit status.
"""
