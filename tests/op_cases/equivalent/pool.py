"""Changes of minigrad/ops/pool.py that make no difference, and why."""

EQUIVALENT = {
    "the lengths are equal": {
        "_max_windows": [
            "…de, padding, dilation, strict=True) → …de, padding, dilation, strict=False)",
        ],
        "_mean_windows": [
            "…rnel, stride, padding, strict=True) → …rnel, stride, padding, strict=False)",
        ],
        "_even_windows": [
            "…nted, x.shape[-dims:], strict=True) → …nted, x.shape[-dims:], strict=False)",
        ],
        "_even_parts": ["zip(size, out, strict=True) → zip(size, out, strict=False)"],
    },
    "the general way, which is longer, gives the same": {
        "_even_windows": [
            "0 <= output_size <= INT64_MAX → 0 < output_size <= INT64_MAX",
            "0 <= output_size <= INT64_MAX → 0 <= output_size < INT64_MAX",
            "0 <= output_size <= INT64_MAX → 1 <= output_size <= INT64_MAX",
        ],
    },
    "there is one row": {
        "_like": ["y if x.ndim == 4 else y[:, 0] → y if x.ndim == 4 else y[:, -1]"],
    },
    "an average pool takes every place of its windows, and ignores the dilation": {
        "_avg_pool": ["…kernel_size, stride, padding, 1) → …kernel_size, stride, padding, 2)"],
    },
    "of no parts there is nothing to divide, and the first part begins at 0": {
        "_even_parts": [
            "i * n // max(m, 1) → i * n // max(m, 2)", "i * n // max(m, 1) → i * n // max(m, 0)",
            "(i + 1) * -n // max(m, 1) → (i + 1) * -n // max(m, 0)",
        ],
    },
    "0 % d is 0": {
        "_max_windows": [
            "np.where(start < 0, start % d, start) → np.where(start <= 0, start % d, start)",
            "np.where(start < 0, start % d, start) → np.where(start < 1, start % d, start)",
        ],
    },
    "the counts along both axes change their sign, and are multiplied": {
        "_mean_windows": [
            "np.minimum(stop, n + p) - start → start - np.minimum(stop, n + p)",
            "…art if count_include_pad else high - low → …art if count_include_pad else low - high",
        ],
    },
    "there is one row of windows, and one row in each": {
        "_arguments": [
            "((1, *kernel), (1, *steps), (0, *before), (1, *… → ((1, *kernel), (2, *steps), (0, "
            "*before), (1, *…",
            "…, (1, *steps), (0, *before), (1, *holes)) → …, (1, *steps), (0, *before), (2, "
            "*holes))",
        ],
    },
    "a window that is empty is the only one along its axis": {
        "_max_windows": [
            "bounds[0][0] >= bounds[1][0] → bounds[0][0] >= bounds[1][-1]",
            "bounds[2][0] >= bounds[3][0] → bounds[2][0] >= bounds[3][-1]",
        ],
    },
}
