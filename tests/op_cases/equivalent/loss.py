"""Changes of minigrad/ops/loss.py that make no difference, and why."""

EQUIVALENT = {
    "there are no elements": {
        "_loss": ["…dcast(x.data, t.data).size or 1 → …dcast(x.data, t.data).size or 2"],
    },
    "the general way, which is longer, gives the same": {
        "_distance_slope": ["limit <= 0 → limit < 0", "limit <= 0 → limit <= -1"],
    },
    "a distance has no sign": {
        "l1_loss": ["_times((x - t).abs(), w) → _times((t - x).abs(), w)"],
    },
    "the slope is 1 there": {
        "_distance_slope": ["d.sign() * slope → d.sign() / slope"],
    },
    "on the border both formulas agree": {
        "_distance_slope": ["np.abs(d.data) >= limit → np.abs(d.data) > limit"],
    },
    "no distance is below 0, where the curve would be": {
        "l1_loss": [
            "(0.0, 0.0, 1.0, 0.0) → (-1, 0.0, 1.0, 0.0)",
            "(0.0, 0.0, 1.0, 0.0) → (0.0, 1.0, 1.0, 0.0)",
            "(0.0, 0.0, 1.0, 0.0) → (0.0, -1, 1.0, 0.0)",
        ],
    },
    "this loss has two options": {
        "binary_cross_entropy": [
            "(LEAST_LOG, LEAST_VARIANCE, 0.0, 0.0) → (LEAST_LOG, LEAST_VARIANCE, 0.0)",
            "(LEAST_LOG, LEAST_VARIANCE, 0.0, 0.0) → (LEAST_LOG, LEAST_VARIANCE, 1.0, 0.0)",
            "(LEAST_LOG, LEAST_VARIANCE, 0.0, 0.0) → (LEAST_LOG, LEAST_VARIANCE, -1, 0.0)",
            "(LEAST_LOG, LEAST_VARIANCE, 0.0, 0.0) → (LEAST_LOG, LEAST_VARIANCE, 0.0, 1.0)",
            "(LEAST_LOG, LEAST_VARIANCE, 0.0, 0.0) → (LEAST_LOG, LEAST_VARIANCE, 0.0, -1)",
        ],
    },
}
