"""Changes of minigrad/ops/index.py that make no difference, and why."""

EQUIVALENT = {
    "a copy has the same values": {
        "_put": ["…, rows).astype(np.int64, copy=False) → …, rows).astype(np.int64, copy=True)"],
    },
    "the lengths are equal": {
        "gather": ["zip(sizes, full, strict=True) → zip(sizes, full, strict=False)"],
    },
}
