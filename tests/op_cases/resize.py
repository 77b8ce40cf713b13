"""Cases of minigrad.ops.resize."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from hypothesis import strategies as st

from minigrad.ops import resize as ops
from minigrad.testing.case import Call, Error, OpCase, example
from minigrad.testing.domains import real
from minigrad.testing.strategies import generators

DIMS = {"nearest": (3, 4, 5), "nearest-exact": (3, 4, 5), "linear": (3,), "bilinear": (4,),
        "trilinear": (5,)}
# whole, broken, inverse, one that leaves the size as it is
FACTORS = st.sampled_from([1, 2, 3.0, 0.5, 1.5, 2.6, 0.7, 1 / 3, 1.05])


@st.composite
def resize_calls(draw) -> Call:
    mode = draw(st.sampled_from(sorted(DIMS)))
    dims = draw(st.sampled_from(DIMS[mode])) - 2
    batch, side = draw(st.integers(0, 2)), st.integers(3, 6)        # a third of it is not 0
    shape = (batch, draw(st.integers(1, 2)), *(draw(side) for _ in range(dims)))
    static = {"mode": mode}
    if mode not in ("nearest", "nearest-exact"):
        static["align_corners"] = draw(st.sampled_from([None, True, False]))
    if mode == "bilinear":
        static["antialias"] = draw(st.booleans())
    # torch's antialiasing repeats its first row where y is one wide
    new = st.integers(2 if static.get("antialias") else 1, 9)
    if static.get("antialias") or draw(st.booleans()):
        static["size"] = draw(st.one_of(new, st.tuples(*[new] * dims)))
    else:
        # in 1 and 3 dims torch's gradient of "nearest" is not that of its own values where the size
        # stays or doubles though the factor is another
        broken = mode == "nearest" and dims != 2
        factor = st.sampled_from([1, 2, 3.0, 0.5]) if broken else FACTORS
        factors = draw(st.one_of(factor, st.tuples(*[factor] * dims)))
        static |= {"scale_factor": factors,
                   "recompute_scale_factor": draw(st.sampled_from([None, False, True]))}
    return Call(real(draw(generators()), shape), **static)


def call(*shape: int, **static) -> Call:
    return Call(np.ones(shape), **static)


def refused(kind: type[Exception], message: str, *shape: int, **static) -> Error:
    return Error(call(*(shape or (1, 2, 4, 5)), **static), kind, f"interpolate: {message}")


CASES = [
    OpCase(ops.interpolate, F.interpolate, resize_calls(),
           (example(1, real, (2, 3, 4, 5), scale_factor=(1.5, 0.7)),
            example(2, real, (2, 3, 4, 5), size=(7, 3), mode="bilinear"),
            example(3, real, (2, 3, 4, 5), size=(7, 3), mode="bilinear", align_corners=True),
            example(4, real, (2, 3, 7, 6), size=3, mode="bilinear", antialias=True),
            example(5, real, (2, 3, 4), scale_factor=2.5, mode="linear"),
            example(6, real, (2, 3, 4), size=7, mode="nearest-exact"),
            # sizes that stay or double, though the factor is another
            example(7, real, (1, 1, 5), scale_factor=1.1, mode="linear"),
            example(8, real, (1, 1, 5, 3), scale_factor=(1.1, 2.2)),
            example(9, real, (1, 1, 3, 4), size=(2, 1), mode="bilinear", align_corners=True),
            example(10, real, (1, 1, 9, 3), size=(2, 3), mode="bilinear", antialias=True)),
           (refused(ValueError, "needs either size or scale_factor; got None and None"),
            refused(ValueError, "needs either size or scale_factor; got 2 and 2", size=2,
                    scale_factor=2),
            refused(ValueError, r"needs one number or one for each of the 2 dims .*got \(2,\)",
                    size=(2,)),
            refused(ValueError, "needs one number or one for each", scale_factor=(1, 2, 3)),
            refused(TypeError, "size must be an int; got 2.5", size=2.5),
            refused(TypeError, "scale_factor must be a number; got 'a'", scale_factor="a"),
            refused(ValueError, "scale_factor must be positive; got 0", scale_factor=0),
            refused(RuntimeError, r"no size may be 0 .* output size \(0, 0\)", scale_factor=0.1),
            refused(RuntimeError, "no size may be 0", 1, 2, 0, 5, size=3),
            refused(RuntimeError, "no size may be 0", 1, 0, 4, 5, size=3),
            refused(ValueError, "scale_factor must be positive; got inf", scale_factor=np.inf),
            refused(RuntimeError, "no size may be 0", size=(2, -1)),
            refused(ValueError, "mode must be one of nearest, .*; got 'cubic'", size=2,
                    mode="cubic"),
            refused(ValueError, r"mode 'bilinear' needs x of 4 dims; got \(1, 2, 4\)", 1, 2, 4,
                    size=2, mode="bilinear"),
            refused(ValueError, "mode 'nearest' needs x of 3, 4 or 5 dims", 2, 4, size=2),
            refused(ValueError, "align_corners is for the linear modes", size=2,
                    align_corners=False),
            refused(TypeError, "align_corners must be True or False; got 'yes'", size=2,
                    mode="bilinear", align_corners="yes"),
            refused(ValueError, "antialias is for mode 'bilinear'", size=2, antialias=True),
            refused(ValueError, "recompute_scale_factor goes with scale_factor", size=2,
                    recompute_scale_factor=True),
            Error(Call(np.ones((1, 2, 4, 5), np.int64), size=2), RuntimeError,
                  "interpolate: needs floating point"),
            Error(Call(np.ones((1, 2, 4, 5), np.uint8), size=2, mode="bilinear"), RuntimeError,
                  "interpolate: needs floating point")),
           corners=st.builds(lambda *size: Call(np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3),
                                                size=size), st.integers(1, 9), st.integers(1, 9))),
]
