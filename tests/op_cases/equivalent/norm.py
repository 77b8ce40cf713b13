"""Changes of minigrad/ops/norm.py that make no difference, and why."""

EQUIVALENT = {
    "NumPy works out the size that is given as any negative number": {
        "_group_norm": [
            "(groups, -1, items) → (groups, -2, items)",
            "(items * groups, -1, 1) → (items * groups, -2, 1)",
        ],
    },
    "equal dtypes are mostly one object, and if not, are compared": {
        "_parameters": [
            "t.dtype is not dtype and t.dtype != dtype → t.dtype is not dtype or t.dtype != dtype",
        ],
    },
    "they are given together, and in training the batch's own take their place": {
        "batch_norm": [
            "not training and mean is not None and (var is not None) → not training or mean is not "
            "None or var is not None",
        ],
    },
    "the engine sums a gradient to the shape of its input": {
        "_layer_norm": ["autograd.unbroadcast(t, over) → t"],
        "_group_norm": [
            "(0, *range(2, x.ndim)) → (*range(2, x.ndim),)",
            "…annels, values.shape[2]).sum((1, 3)) → …annels, values.shape[2]).sum((3,))",
        ],
    },
    "the number of partial sums changes the order of additions, and rounding at most": {
        "_layer_norm": [
            "min(16, max(1, rows.size // 2 ** 12)) → min(17, max(1, rows.size // 2 ** 12))",
            "max(1, rows.size // 2 ** 12) → max(2, rows.size // 2 ** 12)",
            "rows.size // 2 ** 12 → rows.size * 2 ** 12",
            "rows.size // 2 ** 12 → 2 ** 12 // rows.size",
            "rows.size // 2 ** 12 → rows.size // (2 * 12)",
            "rows.size // 2 ** 12 → rows.size // 12 ** 2",
            "rows.size // 2 ** 12 → rows.size // 3 ** 12",
            "rows.size // 2 ** 12 → rows.size // 2 ** 13",
            "rows.size // 2 ** 12 → rows.size // 2 ** 0",
        ],
    },
    "the order in which memory is read changes the time that it takes, and no value": {
        "_group_norm": [
            "not x.data.flags.c_contiguous and items > 1 → not x.data.flags.c_contiguous or items "
            "> 1",
            "not x.data.flags.c_contiguous → x.data.flags.c_contiguous",
            "…flags.c_contiguous and items > 1 → …flags.c_contiguous and items >= 1",
            "….flags.c_contiguous and items > 1 → ….flags.c_contiguous and items < 1",
            "…lags.c_contiguous and items > 1 → …lags.c_contiguous and items > 2",
            "…lags.c_contiguous and items > 1 → …lags.c_contiguous and items > 0",
        ],
    },
    "the kernels loop over no rows as well": {
        "layer_norm": ["x.numel() == 0 → x.numel() == -1"],
    },
    "there are no elements": {
        "layer_norm": [
            "x.clone() if weight is None else x * weight → x.clone() if weight is None else x / "
            "weight",
            "y if bias is None else y + bias → y if bias is None else y - bias",
        ],
        "_nothing": [
            "x * as_tensor('batch_norm', weight)[0] → x / as_tensor('batch_norm', weight)[0]",
            "as_tensor('batch_norm', weight)[0] → as_tensor('batch_norm', weight)[1]",
            "as_tensor('batch_norm', weight)[0] → as_tensor('batch_norm', weight)[-1]",
            "y + as_tensor('batch_norm', bias)[0] → y - as_tensor('batch_norm', bias)[0]",
            "as_tensor('batch_norm', bias)[0] → as_tensor('batch_norm', bias)[1]",
            "as_tensor('batch_norm', bias)[0] → as_tensor('batch_norm', bias)[-1]",
        ],
        "_affine": ["y + _along_channels(bias, y.ndim) → y - _along_channels(bias, y.ndim)"],
    },
}
