"""The same five systems in PyTorch: the judge of accuracy, and the way onto a GPU."""
