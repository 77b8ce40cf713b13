"""Changes of minigrad/ops/class_loss.py that make no difference, and why."""

EQUIVALENT = {
    "the general way, which is longer, gives the same": {
        "_choice": ["ignore_index < 0 → ignore_index < -1"],
        "cross_entropy": ["label_smoothing == 0 → label_smoothing == -1"],
    },
    "d is not 1 there": {
        "_cross_entropy": [
            "[d - (d > 1) for d in order if d != 1] → [d - (d >= 1) for d in order if d != 1]",
            "[d - (d > 1) for d in order if d != 1] → [d - (d > 0) for d in order if d != 1]",
        ],
    },
    "the weight is 0 there": {
        "_cross_entropy": [
            "np.where(target < 0, 0, each / (total or 1)) → each / (total or 1)",
            "np.where(target < 0, 0, each / (total or 1)) → np.where(target < -1, 0, each / (total "
            "or 1))",
            "np.where(target < 0, 0, each / (total or 1)) → np.where(target < 0, 1, each / (total "
            "or 1))",
            "np.where(target < 0, 0, each / (total or 1)) → np.where(target < 0, -1, each / (total "
            "or 1))",
        ],
        "cross_entropy": [
            "np.where(counts, classes.data, 0) → np.where(counts, classes.data, 1)",
            "np.where(counts, classes.data, 0) → np.where(counts, classes.data, -1)",
        ],
    },
    "a copy has the same values": {
        "_choice": ["…get, 0).astype(np.int64, copy=False) → …get, 0).astype(np.int64, copy=True)"],
    },
    "the shape is that already": {
        "_nll": [
            "given.shape if x.ndim > 1 else () → given.shape if x.ndim >= 1 else ()",
            "given.shape if x.ndim > 1 else () → given.shape if x.ndim > 0 else ()",
        ],
        "cross_entropy": [
            "total is not None or x.ndim > 1 → total is not None and x.ndim > 1",
            "total is not None or x.ndim > 1 → total is not None or x.ndim < 1",
            "total is not None or x.ndim > 1 → total is not None or x.ndim > 2",
        ],
    },
    "any negative number marks it": {
        "_choice": [
            "…ounts & (each != 0), chosen, -1) → …ounts & (each != 0), chosen, -2)",
        ],
    },
    "it is the same dim": {
        "cross_entropy": ["1 if x.ndim > 1 else 0 → 1 if x.ndim > 1 else -1"],
        "_soft_cross_entropy": ["1 if log_p.ndim > 1 else 0 → 1 if log_p.ndim > 1 else -1"],
        "_by_item": [
            "t.unsqueeze(0) if t.ndim == 0 else t → t.unsqueeze(-1) if t.ndim == 0 else t",
        ],
        "_class_weights": ["1 if x.ndim > 1 else 0 → 1 if x.ndim > 1 else -1"],
    },
    "of one class the loss is 0, and of none there is nothing to divide": {
        "cross_entropy": [
            "max(batch.shape[1], 1) → max(batch.shape[1], 2)",
            "max(batch.shape[1], 1) → max(batch.shape[1], 0)",
        ],
        "_soft_cross_entropy": [
            "max(log_p.shape[axis], 1) → max(log_p.shape[axis], 2)",
            "max(log_p.shape[axis], 1) → max(log_p.shape[axis], 0)",
        ],
    },
    "a list repeated -1 times is empty, too": {
        "_soft_cross_entropy": ["max(log_p.ndim - 2, 0) → max(log_p.ndim - 2, -1)"],
    },
}
