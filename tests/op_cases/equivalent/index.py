"""Changes of minigrad/ops/index.py that make no difference, and why."""

EQUIVALENT = {
    "a copy has the same values": {
        "_put": ["…ape[0]).astype(np.int64, copy=False) → …ape[0]).astype(np.int64, copy=True)"],
        "_flat": ["places.astype(np.int64, copy=False) → places.astype(np.int64, copy=True)"],
    },
    "the lengths are equal": {
        "gather": ["zip(sizes, full, strict=True) → zip(sizes, full, strict=False)"],
    },
    "the general way, which is longer, gives the same": {
        "_are_plain": [
            "len(entries) > len(shape) → len(entries) >= len(shape)",
            "bound is not None and type(bound) is not int → bound is not None or type(bound) is "
            "not int",
            "k.step is not None and (type(k.step) is not int or k… → k.step is not None or "
            "(type(k.step) is not int or k…",
            "type(k.step) is not int or k.step < 1 → type(k.step) is not int or k.step <= 1",
            "….step) is not int or k.step < 1 → ….step) is not int or k.step < 2",
            "type(k) is not int or not -n <= k < n → type(k) is not int or not -n < k < n",
            "type(k) is not int or not -n <= k < n → type(k) is not int or not n <= k < n",
            "return True → return False",
        ],
        "_put": [
            "rows, *others = key or (None,) → rows, *others = key and (None,)",
            "k is ... or (type(k) is slice and k == sl… → k is ... and (type(k) is slice and k == "
            "sl…",
            "k == slice(None) → k != slice(None)",
        ],
        "index_select": ["axis == 0 → axis == -1"],
        "gather": [
            "sizes[axis + 1:] → sizes[axis - 1:]", "sizes[axis + 1:] → sizes[axis + 2:]",
            "sizes[axis + 1:] → sizes[axis + 0:]",
            "sizes[axis + 1:] == full[axis + 1:] → sizes[axis + 1:] == full[axis - 1:]",
            "sizes[axis + 1:] == full[axis + 1:] → sizes[axis + 1:] == full[axis + 2:]",
            "sizes[axis + 1:] == full[axis + 1:] → sizes[axis + 1:] == full[axis + 0:]",
        ],
    },
    "of the dim that is gathered along any size is taken": {
        "gather": [
            "places.shape or (1,) → places.shape or (2,)",
            "places.shape or (1,) → places.shape or (0,)",
        ],
    },
}
