"""Changes of minigrad/ops/conv.py that make no difference, and why."""

EQUIVALENT = {
    "the lengths are equal": {
        "_convolve": [
            "zip(holes, w.shape[2:], strict=True) → zip(holes, w.shape[2:], strict=False)",
        ],
        "_convolution": [
            "zip(dilation, w[2:], strict=True) → zip(dilation, w[2:], strict=False)",
            "zip(x[2:], paddings, strict=True) → zip(x[2:], paddings, strict=False)",
            "zip(padded, spans, stride, strict=True) → zip(padded, spans, stride, strict=False)",
            "zip(padded, spans, strict=True) → zip(padded, spans, strict=False)",
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
}
