"""Trains five systems in minigrad and in PyTorch on the same data: `python -m comparisons`."""
