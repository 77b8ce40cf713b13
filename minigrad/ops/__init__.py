"""The primitives: one function for each op, its value and its gradients side by side."""
