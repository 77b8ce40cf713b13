"""The same five systems in PyTorch: the reference for accuracy, and the way to use a GPU."""
