"""Signatures held equal to PyTorch's: names, order and defaults."""

import inspect

OMITTED = {
    "device": "there is only the CPU",
    "size_average": "deprecated by torch for `reduction`", "reduce": "the same",
    "min_value": "deprecated by torch for `min_val`", "max_value": "the same",
    "foreach": "chooses among implementations; there is one", "fused": "the same",
    "capturable": "for CUDA graphs", "differentiable": "steps are not recorded",
    "assign": "parameters keep their identity", "always_call": "a hook runs where forward succeeds",
    "destination": "deprecated by torch", "epoch": "the same",
}
VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def assert_signature(ours, theirs, new=()):
    """All of torch's parameters but the omitted ones, each with torch's default; by name alone only
    where torch does so or where something before it is left out. `new`: what older versions of
    torch lack."""
    mine, wanted = ([p for p in inspect.signature(f).parameters.values() if p.kind not in VARIADIC]
                    for f in (ours, theirs))
    names = {p.name for p in wanted}
    mine = [p for p in mine if p.name in names or p.name not in new]
    kept = [p for p in wanted if p.name not in OMITTED]
    assert [(p.name, p.default) for p in mine] == [(p.name, p.default) for p in kept]
    for p, q in zip(mine, kept, strict=True):
        if p.kind is not q.kind:
            assert p.kind is p.KEYWORD_ONLY
            assert any(x.name in OMITTED for x in wanted[:wanted.index(q)])
