"""Changes of the source of minigrad.ops that make no difference, or none that is compared, and why.

Reason → file:function → the changes. `python -m minigrad.testing mutate --source` reports those that
are no longer so.
"""

EQUIVALENT: dict[str, dict[str, list[str]]] = {
    "the engine sums a gradient to the shape of its input": {
        "norm.py:_layer_norm": ["autograd.unbroadcast(t, over) → t"],
        "norm.py:_group_norm": [
            "(0, *range(2, x.ndim)) → (*range(2, x.ndim),)",
            "…annels, values.shape[2]).sum((1, 3)) → …annels, values.shape[2]).sum((3,))",
        ],
    },
    "the number of partial sums changes the order of additions, and rounding at most": {
        "norm.py:_layer_norm": [
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
        "norm.py:_group_norm": [
            "not x.data.flags.c_contiguous and items > 1 → not x.data.flags.c_contiguous or "
            "items > 1",
            "not x.data.flags.c_contiguous → x.data.flags.c_contiguous",
            "…flags.c_contiguous and items > 1 → …flags.c_contiguous and items >= 1",
            "….flags.c_contiguous and items > 1 → ….flags.c_contiguous and items < 1",
            "…lags.c_contiguous and items > 1 → …lags.c_contiguous and items > 2",
            "…lags.c_contiguous and items > 1 → …lags.c_contiguous and items > 0",
        ],
    },
    "the kernels loop over no rows as well": {
        "norm.py:layer_norm": ["x.numel() == 0 → x.numel() == -1"],
    },
    "there are no elements": {
        "norm.py:layer_norm": [
            "x.clone() if weight is None else x * weight → x.clone() if weight is None else x "
            "/ weight",
            "y if bias is None else y + bias → y if bias is None else y - bias",
        ],
        "norm.py:_nothing": [
            "x * as_tensor('batch_norm', weight)[0] → x / as_tensor('batch_norm', weight)[0]",
            "as_tensor('batch_norm', weight)[0] → as_tensor('batch_norm', weight)[1]",
            "as_tensor('batch_norm', weight)[0] → as_tensor('batch_norm', weight)[-1]",
            "y + as_tensor('batch_norm', bias)[0] → y - as_tensor('batch_norm', bias)[0]",
            "as_tensor('batch_norm', bias)[0] → as_tensor('batch_norm', bias)[1]",
            "as_tensor('batch_norm', bias)[0] → as_tensor('batch_norm', bias)[-1]",
        ],
        "norm.py:_affine": [
            "y + _along_channels(bias, y.ndim) → y - _along_channels(bias, y.ndim)",
        ],
    },
    "inplace is taken, as torch takes it, and ignored": {
        "activation.py:relu": ["False → True"],
        "activation.py:leaky_relu": ["False → True"],
        "activation.py:hardtanh": ["False → True"],
        "activation.py:elu": ["False → True"],
        "activation.py:silu": ["False → True"],
    },
    "between 20 and 21, log(1 + e^x) and x differ by 2e-9 at most": {
        "activation.py:softplus": ["20.0 → 21.0"],
    },
    "at the kink itself a second derivative is a matter of choice, and not compared": {
        "activation.py:_softplus_grad": ["x * beta > threshold → x * beta >= threshold"],
        "activation.py:_elu_grad": [
            "where(x < 0, c * g * exp(where(x < 0, x… → where(x <= 0, c * g * exp(where(x < 0, x…",
        ],
    },
    "the value is not used there": {
        "activation.py:_elu_grad": [
            "where(x < 0, x, 0.0) → where(x <= 0, x, 0.0)",
            "where(x < 0, x, 0.0) → where(x < 1, x, 0.0)",
            "where(x < 0, x, 0.0) → where(x < 0, x, 1.0)",
            "where(x < 0, x, 0.0) → where(x < 0, x, -1)",
        ],
    },
}
