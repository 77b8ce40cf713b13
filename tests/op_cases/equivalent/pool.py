"""Changes of minigrad/ops/pool.py that make no difference, and why."""

EQUIVALENT = {
    "the lengths are equal": {
        "_arguments": ["zip(before, kernel, strict=True) → zip(before, kernel, strict=False)"],
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
}
