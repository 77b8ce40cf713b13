"""Changes of minigrad/ops/resize.py that make no difference, and why."""

EQUIVALENT = {
    "the lengths are equal": {
        "interpolate": [
            "zip(before, after, scales, strict=True) → zip(before, after, scales, strict=False)",
        ],
        "_grid": [
            "zip(before, sizes, strict=True) → zip(before, sizes, strict=False)",
            "zip(before, each, strict=True) → zip(before, each, strict=False)",
        ],
        "_resample": ["zip(places, weights, strict=True) → zip(places, weights, strict=False)"],
    },
}
