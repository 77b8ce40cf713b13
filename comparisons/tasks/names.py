"""The names of the five systems, in the order in which they are run and shown.

The module of each has its name, with underscores for hyphens. Nothing is loaded here.
"""

NAMES = ("regression", "diabetes", "mnist-mlp", "mnist-cnn", "dexpression")
