"""Changes of minigrad/ops/elementwise.py that make no difference, and why."""

EQUIVALENT = {
    "the value is not used there": {
        "pow": [
            "where(flat, 0.0, g) → where(flat, 1.0, g)", "where(flat, 0.0, g) → where(flat, -1, g)",
            "where(flat, 0.0, b - 1) → where(flat, 1.0, b - 1)",
        ],
    },
    "b is 0 there, and so is the product; second derivatives at b = 0 are not compared": {
        "pow": [
            "where(flat, 0.0, g * b * pow(a, where(flat, 0.0, b - 1))) → g * b * pow(a, "
            "where(flat, 0.0, b - 1))",
        ],
    },
    "both ways give the same, and the kernel is quicker": {
        "abs": ["x.dtype.kind == 'f' → x.dtype.kind != 'f'"],
        "sign": ["x.dtype.kind == 'f' → x.dtype.kind != 'f'"],
    },
    "the general way, which is longer, gives the same": {
        "clamp": [
            "min is None or type(min) in NUMBERS → min is None and type(min) in NUMBERS",
            "max is None or type(max) in NUMBERS → max is None and type(max) in NUMBERS",
        ],
    },
    "a^0 is 1 for any a": {
        "_integer_power": [
            "np.where(b < 0, one, a) → np.where(b <= 0, one, a)",
            "np.where(b < 0, one, a) → np.where(b < 1, one, a)",
        ],
    },
}
