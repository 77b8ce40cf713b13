"""Changes of minigrad/ops/reduce.py that make no difference, and why."""

EQUIVALENT = {
    "there are no elements": {
        "mean": ["g * (1 / (n or 1)) → g * (1 / (n or 2))"],
    },
    "only its type is looked at": {
        "_over": ["False → True"],
    },
    "the general way, which is longer, gives the same": {
        "prod": ["x.ndim == 0 → x.ndim == -1"],
        "_position": ["x.ndim == 0 → x.ndim == -1"],
        "vector_norm": [
            "p == 1 → p == 0", "p == 2 → p == 0",
            "root.sqrt() if p == 2 else root ** (1 / p) → root.sqrt() if p == 0 else root ** (1 / "
            "p)",
        ],
    },
    "where y is 0, it is multiplied by x - mean, which is 0": {
        "std": [
            "elementwise.where(y == 0, 0.0, g / (y * 2)) → elementwise.where(y == 0, 1.0, g / (y * "
            "2))",
            "elementwise.where(y == 0, 0.0, g / (y * 2)) → elementwise.where(y == 0, -1, g / (y * "
            "2))",
        ],
    },
    "it is squared": {
        "_variance": [
            "centred = x.data - first → centred = first - x.data",
            "centred - centred.sum(dims, keepdims=True) / x.dtype.type(n) → centred.sum(dims, "
            "keepdims=True) / x.dtype.type(n) - centred",
        ],
    },
    "it is 0 either way": {
        "_variance": ["n and freedom > 0 → n and freedom >= 0"],
    },
    "the sum is 0 or infinite there, and stays so": {
        "logsumexp": [
            "np.where(np.isfinite(m), m, 0) → np.where(np.isfinite(m), m, 1)",
            "np.where(np.isfinite(m), m, 0) → np.where(np.isfinite(m), m, -1)",
        ],
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
            "elementwise.where(zero, 1.0, x.abs()) → elementwise.where(zero, 2.0, x.abs())",
            "elementwise.where(zero, 1.0, x.abs()) → elementwise.where(zero, 0, x.abs())",
            "elementwise.where(zero, 1.0, total) → elementwise.where(zero, 2.0, total)",
            "elementwise.where(zero, 1.0, total) → elementwise.where(zero, 0, total)",
        ],
    },
}
