"""Changes of minigrad/ops/shape.py that make no difference, and why."""

EQUIVALENT = {
    "NumPy works out the size that is given as any negative number": {
        "reshape": [
            "array.size // -size if n == -1 else n → array.size // -size if n == -2 else n",
            "array.size // -size if n == -1 else n → array.size // -size if n == -0 else n",
            "array.size // -size → array.size // size",
        ],
    },
    "what has one dtype is only checked once more": {
        "cat": [
            "x.dtype != xs[0].dtype → x.dtype == xs[0].dtype",
            "x.dtype != xs[0].dtype → x.dtype != xs[-1].dtype",
        ],
        "stack": [
            "x.dtype != xs[0].dtype → x.dtype == xs[0].dtype",
            "x.dtype != xs[0].dtype → x.dtype != xs[-1].dtype",
        ],
    },
    "any number that is not below -1 will do": {
        "reshape": [
            "min(shape, default=0) → min(shape, default=1)",
            "min(shape, default=0) → min(shape, default=-1)",
        ],
    },
    "the lengths are equal": {
        "_framed": ["zip(x.shape, sides, strict=True) → zip(x.shape, sides, strict=False)"],
        "expand": [
            "zip(x.shape, sizes[lead:], strict=True) → zip(x.shape, sizes[lead:], strict=False)",
        ],
        "split": ["zip(sizes, stops, strict=True) → zip(sizes, stops, strict=False)"],
    },
    "there is one shift": {
        "roll": ["np.roll(x.data, by[0]) → np.roll(x.data, by[-1])"],
    },
    "only the number of its dims is used": {
        "cat": [
            "…x in xs if x.shape != (0,)), (0,)) → …x in xs if x.shape != (0,)), (1,))",
            "…x in xs if x.shape != (0,)), (0,)) → …x in xs if x.shape != (0,)), (-1,))",
        ],
    },
    "all have one shape": {
        "stack": [
            "normalize_dim('stack', dim, xs[0].ndim + 1) → normalize_dim('stack', dim, xs[-1].ndim "
            "+ 1)",
        ],
    },
    "a slice ends where its dim does": {
        "split": [
            "min(size, n - i) → min(size, n + i)",
            "…ange(0, n, size))) if n else (0,) → …ange(0, n, size))) if n else (1,)",
            "…ange(0, n, size))) if n else (0,) → …ange(0, n, size))) if n else (-1,)",
        ],
    },
}
