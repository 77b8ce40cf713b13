"""Changes of minigrad/ops/arguments.py that make no difference, and why."""

EQUIVALENT = {
    "the general way, which is longer, gives the same": {
        "to_ints": [
            "INT64_MIN <= n <= INT64_MAX → INT64_MIN < n <= INT64_MAX",
            "INT64_MIN <= n <= INT64_MAX → INT64_MIN <= n < INT64_MAX",
        ],
        "sizes_of": [
            "least <= value <= INT64_MAX → least < value <= INT64_MAX",
            "least <= value <= INT64_MAX → least <= value < INT64_MAX",
            "least <= n <= INT64_MAX → least < n <= INT64_MAX",
            "least <= n <= INT64_MAX → least <= n < INT64_MAX",
        ],
    },
}
