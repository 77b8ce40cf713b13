"""Changes of minigrad/ops/einsum.py that make no difference, and why."""

EQUIVALENT = {
    "the lengths are equal": {
        "einsum": [
            "zip(operands, terms, strict=True) → zip(operands, terms, strict=False)",
            "zip(terms, operands, strict=True) → zip(terms, operands, strict=False)",
            "zip(operands, labels, strict=True) → zip(operands, labels, strict=False)",
        ],
        "_check_sizes": [
            "zip(labels, operands, strict=True) → zip(labels, operands, strict=False)",
            "zip(names, x.shape, strict=True) → zip(names, x.shape, strict=False)",
        ],
        "_product": [
            "… (*a.shape, *b.shape), strict=True) → … (*a.shape, *b.shape), strict=False)",
        ],
    },
}
