"""Changes of minigrad/ops/reduce.py that make no difference, and why."""

EQUIVALENT = {
    "there are no elements": {
        "mean": ["g * (1 / (n or 1)) → g * (1 / (n or 2))"],
    },
    "only its type is looked at": {
        "_over": ["False → True"],
    },
    "the general way, which is longer, gives the same": {
        "vector_norm": [
            "p == 1 → p == 0", "p == 2 → p == 0",
        ],
    },
    "it is 0 either way": {
        "_variance": ["n and freedom > 0 → n and freedom >= 0"],
    },
    "p is ∞ or -∞ in the one place, and not 0 in the other": {
        "vector_norm": [
            "amax(x.abs(), **over) if p > 0 else amin(x.abs(), **over) → amax(x.abs(), **over) if "
            "p >= 0 else amin(x.abs(), **over)",
            "amax(x.abs(), **over) if p > 0 else amin(x.abs(), **over) → amax(x.abs(), **over) if "
            "p > 1 else amin(x.abs(), **over)",
            "amax(x.abs(), **over) if p > 0 else amin(x.abs(), **over) → amax(x.abs(), **over) if "
            "p > -1 else amin(x.abs(), **over)",
            "0.0 if p > 0 else math.inf → 0.0 if p >= 0 else math.inf",
        ],
    },
    "the value is not used there": {
        "vector_norm": [
            "…wise.compare(np.equal, total, 0) → …wise.compare(np.equal, total, -1)",
            "elementwise.where(zero, 1.0, total) → total",
            "elementwise.where(zero, 1.0, x.abs()) → elementwise.where(zero, 2.0, x.abs())",
            "elementwise.where(zero, 1.0, x.abs()) → elementwise.where(zero, 0, x.abs())",
            "elementwise.where(zero, 1.0, total) → elementwise.where(zero, 2.0, total)",
            "elementwise.where(zero, 1.0, total) → elementwise.where(zero, 0, total)",
        ],
    },
}
