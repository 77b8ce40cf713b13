"""Changes of minigrad/ops/linalg.py that make no difference, and why."""

EQUIVALENT = {
    "the order in which memory is read changes the time that it takes, and no value": {
        "linear": ["not x.data.flags.c_contiguous → x.data.flags.c_contiguous"],
    },
    "the general way, which is longer, gives the same": {
        "linear": [
            "len(xs) == len(shape) == 2 → len(xs) == len(shape) == 3",
            "len(xs) == len(shape) == 2 → len(xs) == len(shape) == 0",
            "added is not None and len(shape) == 2 and (added.shape == shape[:1]) → added is not "
            "None and len(shape) != 2 and (added.shape == shape[:1])",
            "…is not None and len(shape) == 2 and (added.shape == shape[:1]) → …is not None and "
            "len(shape) == 3 and (added.shape == shape[:1])",
            "…is not None and len(shape) == 2 and (added.shape == shape[:1]) → …is not None and "
            "len(shape) == 0 and (added.shape == shape[:1])",
            "added.shape == shape[:1] → added.shape == shape[:2]",
            "added.shape == shape[:1] → added.shape == shape[:0]",
            "one_a_column or b is None → one_a_column and b is None",
            "xs and len(shape) == 2 and (xs[-1] == shape[1]) and … → xs and len(shape) == 3 and "
            "(xs[-1] == shape[1]) and …",
            "xs and len(shape) == 2 and (xs[-1] == shape[1]) and … → xs and len(shape) == 0 and "
            "(xs[-1] == shape[1]) and …",
        ],
    },
    "it is the same dim": {
        "matmul": [
            "-2 if b.ndim > 1 else 0 → -2 if b.ndim > 2 else 0",
            "-2 if b.ndim > 1 else 0 → -2 if b.ndim > 1 else -1",
        ],
    },
    "all have one dtype, or are refused": {
        "of_one_dtype": [
            "quietly(np.asarray, x, given[0]) → quietly(np.asarray, x, given[-1])",
            "not isinstance(x, autograd.Tensor) → isinstance(x, autograd.Tensor)",
            "x.dtype is not operands[0].dtype → x.dtype is operands[0].dtype",
            "tensors[0].dtype → tensors[1].dtype", "tensors[0].dtype → tensors[-1].dtype",
        ],
    },
    "w has two dims there, or b none": {
        "_check_linear": ["(*x.shape[:-1], *w.shape[:-1]) → (*x.shape[:-1], *w.shape[:1])"],
    },
}
