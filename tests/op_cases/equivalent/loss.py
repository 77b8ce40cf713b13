"""Changes of minigrad/ops/loss.py that make no difference, and why."""

EQUIVALENT = {
    "there are no elements": {
        "_reduced": ["losses.size or 1 → losses.size or 2"],
        "_loss": ["…dcast(x.data, t.data).size or 1 → …dcast(x.data, t.data).size or 2"],
    },
    "the general way, which is longer, gives the same": {
        "binary_cross_entropy_with_logits": [
            "w is p is None and x.dtype == t.dtype → w is p is not None and x.dtype == t.dtype",
        ],
    },
    "the value is not used there": {
        "smooth_l1_loss": [
            "where(near, d, 0.0) → where(near, d, 1.0)", "where(near, d, 0.0) → where(near, d, -1)",
        ],
        "huber_loss": [
            "where(near, 0.0, d.abs()) → where(near, 1.0, d.abs())",
            "where(near, 0.0, d.abs()) → where(near, -1, d.abs())",
            "where(near, d, 0.0) → where(near, d, 1.0)", "where(near, d, 0.0) → where(near, d, -1)",
        ],
    },
    "it is squared, or its sign taken away": {
        "_squared_error": ["d = x.data - t.data → d = t.data - x.data"],
        "mse_loss": ["(x - t).square() → (t - x).square()"],
        "l1_loss": [
            "_averaged((x - t).abs(), _like(name, input, we… → _averaged((t - x).abs(), "
            "_like(name, input, we…",
        ],
        "smooth_l1_loss": ["d = x - t → d = t - x"],
        "huber_loss": ["d = x - t → d = t - x"],
    },
    "on the border both formulas agree, in value and slope": {
        "smooth_l1_loss": ["np.abs(d.data) < beta → np.abs(d.data) <= beta"],
    },
    "at 0 the gradient is NaN, whatever is added, and log 1 is 0": {
        "_t_log_t": [
            "where(t == 0, 0.0, t.log()) → t.log()",
            "where(t == 0, 0.0, t.log()) → where(t == 1, 0.0, t.log())",
            "where(t == 0, 0.0, t.log()) → where(t == -1, 0.0, t.log())",
            "where(t == 0, 0.0, t.log()) → where(t == 0, 1.0, t.log())",
            "where(t == 0, 0.0, t.log()) → where(t == 0, -1, t.log())",
        ],
    },
    "one number is its own sum": {
        "kl_div": ["…shape[0] if x.ndim else losses.sum() → …shape[0] if x.ndim else losses"],
    },
}
