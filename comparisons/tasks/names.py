"""The names of the five systems, in the order in which they are run and shown.

The module of each has the same name, with underscores in place of hyphens. This file imports
nothing, so that the command line starts quickly.
"""

NAMES = ("regression", "diabetes", "mnist-mlp", "mnist-cnn", "dexpression")
