"""Changes of minigrad/ops/promotion.py that make no difference, and why."""

EQUIVALENT = {
    "the categories differ there": {
        "_wider": ["_category(a) > _category(b) → _category(a) >= _category(b)"],
    },
}
