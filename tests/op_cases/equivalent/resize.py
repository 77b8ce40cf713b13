"""Changes of minigrad/ops/resize.py that make no difference, and why."""

EQUIVALENT = {
    "the lengths are equal": {
        "_grids": [
            "zip(before, after, scales, strict=True) → zip(before, after, scales, strict=False)",
        ],
        "_grid": [
            "zip(before, sizes, strict=True) → zip(before, sizes, strict=False)",
            "zip(before, each, strict=True) → zip(before, each, strict=False)",
        ],
    },
    "the one place is number 0, whatever the step": {
        "_grids": [
            "(n - 1) / (m - 1) if m > 1 else 0.0 → (n - 1) / (m - 1) if m > 1 else 1.0",
            "(n - 1) / (m - 1) if m > 1 else 0.0 → (n - 1) / (m - 1) if m > 1 else -1",
        ],
    },
    "None stands for False, and True is a bool as well": {
        "_check": ["align_corners or False → align_corners or True"],
    },
    "an output of size 0 is refused": {
        "_grid": [
            "n / m if m else 0.0 → n / m if m else 1.0", "n / m if m else 0.0 → n / m if m else -1",
        ],
    },
    "only of millions of places in a row is one rounded to a place behind x": {
        "_nearest": [
            "np.minimum(np.floor(place.astype(np.float32)).astype(np.int64), n - 1) → "
            "np.floor(place.astype(np.float32)).astype(np.int64)",
            "…float32)).astype(np.int64), n - 1) → …float32)).astype(np.int64), n + 1)",
            "…oat32)).astype(np.int64), n - 1) → …oat32)).astype(np.int64), n - 0)",
        ],
        "_neighbours": [
            "np.minimum(place.astype(np.int64), n - 1) → place.astype(np.int64)",
            "…mum(place.astype(np.int64), n - 1) → …mum(place.astype(np.int64), n + 1)",
            "…m(place.astype(np.int64), n - 1) → …m(place.astype(np.int64), n - 0)",
        ],
    },
    "places behind a triangle have no weight": {
        "_triangles": [
            "int(2 * reach) + 1 → int(3 * reach) + 1", "int(2 * reach) + 1 → int(2 * reach) + 2",
        ],
    },
    "weights are divided by their sum, so that they may all have the other sign": {
        "_triangles": [
            "np.where(inside, 1 - distance, 0) → np.where(inside, distance - 1, 0)",
        ],
    },
    "in which order the dims are taken makes a difference to the time alone": {
        "_grids": [
            "(grid.m / grid.n, -dim if grid.m > grid… → (grid.m * grid.n, -dim if grid.m > grid…",
            "(grid.m / grid.n, -dim if grid.m > grid.n else dim) → (grid.n / grid.m, -dim if "
            "grid.m > grid.n else dim)",
            "-dim if grid.m > grid.n else dim → -dim if grid.m >= grid.n else dim",
            "-dim if grid.m > grid.n else dim → -dim if grid.m < grid.n else dim",
            "-dim if grid.m > grid.n else dim → dim if grid.m > grid.n else dim",
        ],
    },
}
