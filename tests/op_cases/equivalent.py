"""Changes of the source of minigrad.ops that make no difference, and why.

`python -m minigrad.testing mutate --source` reports those that are no longer so.
"""

EQUIVALENT: dict[str, dict[str, list[str]]] = {
}
