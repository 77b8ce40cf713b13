"""Changes of the source of minigrad.ops that make no difference, or none that is compared, and why:
a file here for each file there.

Reason → function → the changes, "before → after". `python -m minigrad.testing mutate --source`
reports those that are no longer so.
"""

from op_cases.equivalent import (
    activation,
    arguments,
    class_loss,
    conv,
    einsum,
    elementwise,
    index,
    linalg,
    loss,
    norm,
    pool,
    promotion,
    reduce,
    resize,
    shape,
)

EQUIVALENT: dict[str, dict[str, list[str]]] = {}
"""Reason → file.py:function → the changes."""

for file in (activation, arguments, class_loss, conv, einsum, elementwise, index, linalg, loss,
             norm, pool, promotion, reduce, resize, shape):
    name = file.__name__.rpartition(".")[2]
    for reason, places in file.EQUIVALENT.items():
        EQUIVALENT.setdefault(reason, {}).update(
            {f"{name}.py:{function}": changes for function, changes in places.items()})
