"""The names of the five tasks, in the order in which they are run and shown; nothing is loaded."""

NAMES = ("regression", "diabetes", "mnist-mlp", "mnist-cnn", "dexpression")
