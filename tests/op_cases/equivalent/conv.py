"""Changes of minigrad/ops/conv.py that make no difference, and why."""

EQUIVALENT = {
    "the lengths are equal": {
        "_convolution": [
            "zip(dilation, w[2:], strict=True) → zip(dilation, w[2:], strict=False)",
            "zip(padded, spans, stride, strict=True) → zip(padded, spans, stride, strict=False)",
            "zip(padded, spans, strict=True) → zip(padded, spans, strict=False)",
            "zip(size, paddings, strict=True) → zip(size, paddings, strict=False)",
        ],
        "_transpose_convolve": [
            "zip(extra, steps, holes, strict=True) → zip(extra, steps, holes, strict=False)",
        ],
        "_transposed_convolution": [
            "…w[2:], output_padding, strict=True) → …w[2:], output_padding, strict=False)",
        ],
        "_windows": [
            "… holes, kernel, steps, strict=True) → … holes, kernel, steps, strict=False)",
        ],
    },
    "where one is 0 there are no windows, and x is refused for its own last dim": {
        "fold": ["min(geometry.out_size) < 1 → min(geometry.out_size) < 0"],
    },
    "windows that are put in columns are of all channels, whatever the groups": {
        "_windows": [
            "…kernel, steps, before, holes, 1, size, out) → …kernel, steps, before, holes, 2, "
            "size, out)",
            "…kernel, steps, before, holes, 1, size, out) → …kernel, steps, before, holes, 0, "
            "size, out)",
        ],
    },
    "there is one row of windows, and one row in each": {
        "_geometry": [
            "…pair(kernel, 1), pair(stride, 1), pair(padding, 0), pair(dila… → …pair(kernel, 1), "
            "pair(stride, 2), pair(padding, 0), pair(dila…",
            "pair(dilation, 1) → pair(dilation, 2)", "pair(dilation, 1) → pair(dilation, 0)",
        ],
    },
}
