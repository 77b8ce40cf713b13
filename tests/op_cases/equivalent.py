"""Changes of the source of minigrad.ops that make no difference, or none that is compared, and why.

Reason → file:function → the changes. `python -m minigrad.testing mutate --source` reports those
that are no longer so.
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
        "linalg.py:linear": ["not x.data.flags.c_contiguous → x.data.flags.c_contiguous"],
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
        "reduce.py:mean": ["g * (1 / (n or 1)) → g * (1 / (n or 2))"],
        "loss.py:_reduced": ["losses.size or 1 → losses.size or 2"],
    },
    "only its type is looked at": {
        "reduce.py:_over": ["False → True"],
    },
    "the general way, which is longer, gives the same": {
        "reduce.py:prod": ["x.ndim == 0 → x.ndim == -1"],
        "reduce.py:_position": ["x.ndim == 0 → x.ndim == -1"],
        "reduce.py:vector_norm": [
            "p == 1 → p == 0", "p == 2 → p == 0",
            "root.sqrt() if p == 2 else root ** (1 / p) → root.sqrt() if p == 0 else root ** "
            "(1 / p)",
        ],
        "loss.py:binary_cross_entropy_with_logits": [
            "w is p is None and x.dtype == t.dtype → w is p is not None and x.dtype == t.dtype",
        ],
        "class_loss.py:_choice": ["ignore_index < 0 → ignore_index < -1"],
        "class_loss.py:cross_entropy": ["label_smoothing == 0 → label_smoothing == -1"],
        "linalg.py:linear": [
            "len(xs) == len(shape) == 2 → len(xs) == len(shape) == 3",
            "len(xs) == len(shape) == 2 → len(xs) == len(shape) == 0",
            "b is not None and len(shape) == 2 and (b.data.shape == shape[:1]) → b is not None "
            "and len(shape) != 2 and (b.data.shape == shape[:1])",
            "b is not None and len(shape) == 2 and (b.data.shape == shape[:1]) → b is not None "
            "and len(shape) == 3 and (b.data.shape == shape[:1])",
            "b is not None and len(shape) == 2 and (b.data.shape == shape[:1]) → b is not None "
            "and len(shape) == 0 and (b.data.shape == shape[:1])",
            "b.data.shape == shape[:1] → b.data.shape == shape[:2]",
            "b.data.shape == shape[:1] → b.data.shape == shape[:0]",
            "one_a_column or b is None → one_a_column and b is None",
            "x.data if len(xs) == 2 else x.data.reshape(math.prod… → x.data if len(xs) == 3 "
            "else x.data.reshape(math.prod…",
            "x.data if len(xs) == 2 else x.data.reshape(math.prod… → x.data if len(xs) == 0 "
            "else x.data.reshape(math.prod…",
        ],
    },
    "where y is 0, it is multiplied by x - mean, which is 0": {
        "reduce.py:std": [
            "elementwise.where(y == 0, 0.0, g / (y * 2)) → elementwise.where(y == 0, 1.0, g / "
            "(y * 2))",
            "elementwise.where(y == 0, 0.0, g / (y * 2)) → elementwise.where(y == 0, -1, g / "
            "(y * 2))",
        ],
    },
    "it is squared": {
        "reduce.py:_variance": [
            "centred = x.data - first → centred = first - x.data",
            "centred - centred.sum(dims, keepdims=True) / x.dtype.type(n) → centred.sum(dims, "
            "keepdims=True) / x.dtype.type(n) - centred",
        ],
    },
    "it is 0 either way": {
        "reduce.py:_variance": ["n and freedom > 0 → n and freedom >= 0"],
    },
    "the sum is 0 or infinite there, and stays so": {
        "reduce.py:logsumexp": [
            "np.where(np.isfinite(m), m, 0) → np.where(np.isfinite(m), m, 1)",
            "np.where(np.isfinite(m), m, 0) → np.where(np.isfinite(m), m, -1)",
        ],
    },
    "p is ∞ or -∞ in the one place, and not 0 in the other": {
        "reduce.py:vector_norm": [
            "amax(x.abs(), **over) if p > 0 else amin(x.abs(), **over) → amax(x.abs(), **over) "
            "if p >= 0 else amin(x.abs(), **over)",
            "amax(x.abs(), **over) if p > 0 else amin(x.abs(), **over) → amax(x.abs(), **over) "
            "if p > 1 else amin(x.abs(), **over)",
            "amax(x.abs(), **over) if p > 0 else amin(x.abs(), **over) → amax(x.abs(), **over) "
            "if p > -1 else amin(x.abs(), **over)",
            "0.0 if p > 0 else math.inf → 0.0 if p >= 0 else math.inf",
        ],
    },
    "the value is not used there": {
        "reduce.py:vector_norm": [
            "elementwise.where(zero, 1.0, x.abs()) → elementwise.where(zero, 2.0, x.abs())",
            "elementwise.where(zero, 1.0, x.abs()) → elementwise.where(zero, 0, x.abs())",
            "elementwise.where(zero, 1.0, total) → elementwise.where(zero, 2.0, total)",
            "elementwise.where(zero, 1.0, total) → elementwise.where(zero, 0, total)",
        ],
        "activation.py:_elu_grad": [
            "where(x < 0, x, 0.0) → where(x <= 0, x, 0.0)",
            "where(x < 0, x, 0.0) → where(x < 1, x, 0.0)",
            "where(x < 0, x, 0.0) → where(x < 0, x, 1.0)",
            "where(x < 0, x, 0.0) → where(x < 0, x, -1)",
        ],
        "loss.py:smooth_l1_loss": [
            "where(near, d, 0.0) → where(near, d, 1.0)", "where(near, d, 0.0) → where(near, d, -1)",
        ],
        "loss.py:huber_loss": [
            "where(near, 0.0, d.abs()) → where(near, 1.0, d.abs())",
            "where(near, 0.0, d.abs()) → where(near, -1, d.abs())",
            "where(near, d, 0.0) → where(near, d, 1.0)", "where(near, d, 0.0) → where(near, d, -1)",
        ],
        "elementwise.py:pow": [
            "where(flat, 0.0, g) → where(flat, 1.0, g)", "where(flat, 0.0, g) → where(flat, -1, g)",
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
    "it is squared, or its sign taken away": {
        "loss.py:_squared_error": ["d = x.data - t.data → d = t.data - x.data"],
        "loss.py:mse_loss": ["(x - t).square() → (t - x).square()"],
        "loss.py:l1_loss": [
            "_averaged((x - t).abs(), _like(name, input, we… → _averaged((t - x).abs(), "
            "_like(name, input, we…",
        ],
        "loss.py:smooth_l1_loss": ["d = x - t → d = t - x"],
        "loss.py:huber_loss": ["d = x - t → d = t - x"],
    },
    "on the border both formulas agree, in value and slope": {
        "loss.py:smooth_l1_loss": ["np.abs(d.data) < beta → np.abs(d.data) <= beta"],
    },
    "at 0 the gradient is NaN, whatever is added, and log 1 is 0": {
        "loss.py:_t_log_t": [
            "where(t == 0, 0.0, t.log()) → t.log()",
            "where(t == 0, 0.0, t.log()) → where(t == 1, 0.0, t.log())",
            "where(t == 0, 0.0, t.log()) → where(t == -1, 0.0, t.log())",
            "where(t == 0, 0.0, t.log()) → where(t == 0, 1.0, t.log())",
            "where(t == 0, 0.0, t.log()) → where(t == 0, -1, t.log())",
        ],
    },
    "one number is its own sum": {
        "loss.py:kl_div": [
            "…shape[0] if x.ndim else losses.sum() → …shape[0] if x.ndim else losses",
        ],
    },
    "d is not 1 there": {
        "class_loss.py:_cross_entropy": [
            "[d - (d > 1) for d in order if d != 1] → [d - (d >= 1) for d in order if d != 1]",
            "[d - (d > 1) for d in order if d != 1] → [d - (d > 0) for d in order if d != 1]",
        ],
    },
    "the weight is 0 there": {
        "class_loss.py:_cross_entropy": [
            "np.where(target < 0, 0, each / (total or 1)) → each / (total or 1)",
            "np.where(target < 0, 0, each / (total or 1)) → np.where(target < -1, 0, each / "
            "(total or 1))",
            "np.where(target < 0, 0, each / (total or 1)) → np.where(target < 0, 1, each / "
            "(total or 1))",
            "np.where(target < 0, 0, each / (total or 1)) → np.where(target < 0, -1, each / "
            "(total or 1))",
        ],
        "class_loss.py:_class_losses_grad": [
            "np.where(static['counts'], -share * static['each'], 0) → -share * static['each']",
        ],
        "class_loss.py:_nll": [
            "np.maximum(target, 0) → target", "np.maximum(target, 0) → np.maximum(target, -1)",
        ],
        "class_loss.py:cross_entropy": [
            "np.where(counts, classes.data, 0) → np.where(counts, classes.data, 1)",
            "np.where(counts, classes.data, 0) → np.where(counts, classes.data, -1)",
        ],
    },
    "a copy has the same values": {
        "class_loss.py:_class_losses": [
            "np.indices(target.shape, sparse=True) → np.indices(target.shape, sparse=False)",
            "…each, 0).astype(x.dtype, copy=False) → …each, 0).astype(x.dtype, copy=True)",
        ],
        "class_loss.py:_choice": [
            "…get, 0).astype(np.int64, copy=False) → …get, 0).astype(np.int64, copy=True)",
        ],
        "elementwise.py:where": ["mask.astype(bool, copy=False) → mask.astype(bool, copy=True)"],
        "index.py:_put": [
            "…, rows).astype(np.int64, copy=False) → …, rows).astype(np.int64, copy=True)",
        ],
    },
    "the shape is that already": {
        "class_loss.py:_nll": [
            "given.shape if x.ndim > 1 else () → given.shape if x.ndim >= 1 else ()",
            "given.shape if x.ndim > 1 else () → given.shape if x.ndim > 0 else ()",
        ],
        "class_loss.py:cross_entropy": [
            "total is not None or x.ndim > 1 → total is not None and x.ndim > 1",
            "total is not None or x.ndim > 1 → total is not None or x.ndim < 1",
            "total is not None or x.ndim > 1 → total is not None or x.ndim > 2",
        ],
    },
    "any negative number marks it": {
        "class_loss.py:_choice": ["np.where(counts, chosen, -1) → np.where(counts, chosen, -2)"],
    },
    "it is the same dim": {
        "class_loss.py:cross_entropy": ["1 if x.ndim > 1 else 0 → 1 if x.ndim > 1 else -1"],
        "class_loss.py:_soft_cross_entropy": [
            "1 if log_p.ndim > 1 else 0 → 1 if log_p.ndim > 1 else -1",
        ],
        "class_loss.py:_by_item": [
            "t.unsqueeze(0) if t.ndim == 0 else t → t.unsqueeze(-1) if t.ndim == 0 else t",
        ],
        "class_loss.py:_class_weights": ["1 if x.ndim > 1 else 0 → 1 if x.ndim > 1 else -1"],
        "linalg.py:matmul": [
            "-2 if b.ndim > 1 else 0 → -2 if b.ndim > 2 else 0",
            "-2 if b.ndim > 1 else 0 → -2 if b.ndim > 1 else -1",
        ],
    },
    "of one class the loss is 0, and of none there is nothing to divide": {
        "class_loss.py:cross_entropy": [
            "max(batch.shape[1], 1) → max(batch.shape[1], 2)",
            "max(batch.shape[1], 1) → max(batch.shape[1], 0)",
        ],
        "class_loss.py:_soft_cross_entropy": [
            "max(log_p.shape[axis], 1) → max(log_p.shape[axis], 2)",
            "max(log_p.shape[axis], 1) → max(log_p.shape[axis], 0)",
        ],
    },
    "a list repeated -1 times is empty, too": {
        "class_loss.py:_soft_cross_entropy": ["max(log_p.ndim - 2, 0) → max(log_p.ndim - 2, -1)"],
    },
    "a^0 is 1 for any a": {
        "elementwise.py:_integer_power": [
            "np.where(b < 0, one, a) → np.where(b <= 0, one, a)",
            "np.where(b < 0, one, a) → np.where(b < 1, one, a)",
        ],
    },
    "all have one dtype, or are refused": {
        "linalg.py:of_one_dtype": [
            "np.asarray(x, given[0]) → np.asarray(x, given[-1])",
            "tensors[0].dtype → tensors[1].dtype", "tensors[0].dtype → tensors[-1].dtype",
        ],
    },
    "w has two dims there, or b none": {
        "linalg.py:_check_linear": [
            "(*x.shape[:-1], *w.shape[:-1]) → (*x.shape[:-1], *w.shape[:1])",
        ],
    },
    "any number that is not below -1 will do": {
        "shape.py:reshape": [
            "min(shape, default=0) → min(shape, default=1)",
            "min(shape, default=0) → min(shape, default=-1)",
        ],
    },
    "the lengths are equal": {
        "shape.py:expand": [
            "zip(x.shape, sizes[lead:], strict=True) → zip(x.shape, sizes[lead:], strict=False)",
        ],
        "shape.py:split": ["zip(sizes, stops, strict=True) → zip(sizes, stops, strict=False)"],
        "einsum.py:einsum": [
            "zip(operands, terms, strict=True) → zip(operands, terms, strict=False)",
            "zip(terms, operands, strict=True) → zip(terms, operands, strict=False)",
            "zip(operands, labels, strict=True) → zip(operands, labels, strict=False)",
        ],
        "einsum.py:_check_sizes": [
            "zip(labels, operands, strict=True) → zip(labels, operands, strict=False)",
            "zip(names, x.shape, strict=True) → zip(names, x.shape, strict=False)",
        ],
        "einsum.py:_product": [
            "… (*a.shape, *b.shape), strict=True) → … (*a.shape, *b.shape), strict=False)",
        ],
        "index.py:gather": ["zip(sizes, full, strict=True) → zip(sizes, full, strict=False)"],
        "resize.py:interpolate": [
            "zip(before, after, scales, strict=True) → zip(before, after, scales, strict=False)",
        ],
        "resize.py:_grid": [
            "zip(before, sizes, strict=True) → zip(before, sizes, strict=False)",
            "zip(before, each, strict=True) → zip(before, each, strict=False)",
        ],
        "resize.py:_resample": [
            "zip(places, weights, strict=True) → zip(places, weights, strict=False)",
        ],
        "pool.py:_arguments": [
            "zip(before, kernel, strict=True) → zip(before, kernel, strict=False)",
        ],
        "pool.py:_max_windows": [
            "…de, padding, dilation, strict=True) → …de, padding, dilation, strict=False)",
        ],
        "pool.py:_mean_windows": [
            "…rnel, stride, padding, strict=True) → …rnel, stride, padding, strict=False)",
        ],
        "pool.py:_even_windows": [
            "…nted, x.shape[-dims:], strict=True) → …nted, x.shape[-dims:], strict=False)",
        ],
        "pool.py:_even_parts": ["zip(size, out, strict=True) → zip(size, out, strict=False)"],
        "conv.py:_convolve": [
            "zip(holes, w.shape[2:], strict=True) → zip(holes, w.shape[2:], strict=False)",
        ],
        "conv.py:_convolution": [
            "zip(dilation, w[2:], strict=True) → zip(dilation, w[2:], strict=False)",
            "zip(x[2:], paddings, strict=True) → zip(x[2:], paddings, strict=False)",
            "zip(padded, spans, stride, strict=True) → zip(padded, spans, stride, strict=False)",
            "zip(padded, spans, strict=True) → zip(padded, spans, strict=False)",
        ],
        "conv.py:_transpose_convolve": [
            "zip(extra, steps, holes, strict=True) → zip(extra, steps, holes, strict=False)",
        ],
        "conv.py:_transposed_convolution": [
            "…w[2:], output_padding, strict=True) → …w[2:], output_padding, strict=False)",
        ],
        "conv.py:_windows": [
            "… holes, kernel, steps, strict=True) → … holes, kernel, steps, strict=False)",
        ],
    },
    "there is one shift": {
        "shape.py:roll": ["np.roll(x.data, by[0]) → np.roll(x.data, by[-1])"],
    },
    "only the number of its dims is used": {
        "shape.py:cat": [
            "…x in xs if x.shape != (0,)), (0,)) → …x in xs if x.shape != (0,)), (1,))",
            "…x in xs if x.shape != (0,)), (0,)) → …x in xs if x.shape != (0,)), (-1,))",
        ],
    },
    "all have one shape": {
        "shape.py:stack": [
            "normalize_dim('stack', dim, xs[0].ndim + 1) → normalize_dim('stack', dim, "
            "xs[-1].ndim + 1)",
        ],
    },
    "a slice ends where its dim does": {
        "shape.py:split": [
            "min(size, n - i) → min(size, n + i)",
            "…ange(0, n, size))) if n else (0,) → …ange(0, n, size))) if n else (1,)",
            "…ange(0, n, size))) if n else (0,) → …ange(0, n, size))) if n else (-1,)",
        ],
    },
}
