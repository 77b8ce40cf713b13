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
    "a range from 1 to 0 is empty as well": {
        "einsum": ["…e) if '...' in term), default=0) → …e) if '...' in term), default=-1)"],
    },
    "there is one": {
        "_parsed": [
            "isinstance(operands[0], tuple | list) → isinstance(operands[-1], tuple | list)",
            "list(operands[0]) → list(operands[-1])",
        ],
    },
}
