"""The primitives: one function an op, its value and its gradients side by side."""
