"""An ONNX graph while it is written.

An ONNX file is a list of nodes, in the order in which they can run. A node has a type, such as
`Conv`, inputs and outputs, which are names of values, and attributes, which are numbers that are
known when the file is written. Weights and other constants are *initialisers*: values with a name.
What each type computes is defined by a numbered set of operators (an *opset*).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.autograd import Array
from minigrad.onnx.program import Shape, Size

OPSET = 20              # the first that has Gelu
IR_VERSION = 9          # of the file format, the one that came with it
BATCH = "N"


class Value(NamedTuple):
    """A value of the graph. shape: of ints and Sizes. A constant has no name until a node needs it:
    array: its values; or, where its shape depends on the batch, repeated: what is repeated, with
    size 1 along those dims."""

    name: str
    dtype: np.dtype[Any]
    shape: Shape
    array: Array | None = None
    repeated: Array | None = None

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def is_float(self) -> bool:
        return self.dtype.kind == "f"


Operand = Value | str | Array | None        # what a node may be given


class Graph:
    """Nodes and initialisers, to which translators add.

    batch: the name of an input whose first dim is the batch, where its size is left open. state:
    the parameters and buffers by name; those that are used become initialisers of that name.
    """

    def __init__(self, batch: str | None, state: Mapping[str, Array]) -> None:
        self.batch = batch
        self.state = state
        self.nodes: list[Any] = []
        self.initializers: dict[str, Array] = {}
        self.scope = ""                 # the path of the module that is being translated
        self.note = ""                  # its place, for readers
        self._taken: Counter[str] = Counter()
        self._constants: dict[tuple[Any, ...], str] = {}
        self._size_of_batch = ""

    # ---- nodes -----------------------------------------------------------------------------------

    def __call__(self, kind: str, *inputs: Operand, **attributes: Any) -> str:
        """Add a node; the name of its output. None: an input that is left out. Arrays become
        initialisers."""
        return self.several(1, kind, *inputs, **attributes)[0]

    def several(self, outputs: int, kind: str, *inputs: Operand, **attributes: Any) -> list[str]:
        """Add a node with several outputs; their names."""
        from onnx import helper
        name = self._unused(f"{self.scope}/{kind}" if self.scope else kind)
        names = [name, *(f"{name}.{i}" for i in range(1, outputs))]
        operands = ["" if x is None else self.name_of(x) for x in inputs]
        while operands and not operands[-1]:
            operands.pop()
        self.nodes.append(helper.make_node(kind, operands, names, name, self.note, **attributes))
        return names

    def name_of(self, x: Value | str | Array) -> str:
        if not isinstance(x, Value):
            return x if isinstance(x, str) else self.constant(x)
        if x.array is not None:
            return self.constant(x.array)
        if x.repeated is not None:
            return self("Expand", x.repeated, self.sizes(x.shape))
        return x.name

    def _unused(self, name: str) -> str:
        self._taken[name] += 1
        return f"{name}_{self._taken[name]}" if self._taken[name] > 1 else name

    # ---- constants -------------------------------------------------------------------------------

    def constant(self, array: Array, name: str = "") -> str:
        """An initialiser; equal ones share one."""
        array = np.asarray(array, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if not name and key in self._constants:
            return self._constants[key]
        if not name:
            short = np.array2string(array, separator=",") if array.size <= 4 else ""
            name = self._unused("constant " + short if short and len(short) < 24 else "constant")
            self._constants[key] = name
        self.initializers[name] = array
        return name

    def integers(self, values: Iterable[int]) -> Array:
        """A list of positions, sizes or dims, as nodes want it."""
        return np.array(list(values), np.int64)

    # ---- sizes that depend on the batch ----------------------------------------------------------

    def sizes(self, shape: Sequence[Any]) -> Operand:
        """A list of sizes as an operand: a constant, or computed from the batch where it has to."""
        if not any(isinstance(n, Size) for n in shape):
            return self.integers(shape)
        parts = [self._size(n) if isinstance(n, Size) else self.integers([n]) for n in shape]
        return parts[0] if len(parts) == 1 else self("Concat", *parts, axis=0)

    def _size(self, size: Size) -> str:
        if not self._size_of_batch:
            self._size_of_batch = self("Shape", self.batch, start=0, end=1)
        n = self._size_of_batch
        if size.times != 1:
            n = self("Mul", n, self.integers([size.times]))
        return self("Add", n, self.integers([size.plus])) if size.plus else n

    def reshape(self, x: Operand, shape: Sequence[Any]) -> str:
        """x in another shape. Where one size depends on the batch, it is left to be found: -1."""
        open_ = [i for i, n in enumerate(shape) if isinstance(n, Size)]
        if len(open_) == 1 and 0 not in shape:
            shape = [-1 if i == open_[0] else n for i, n in enumerate(shape)]
        # without allowzero, a size of 0 would stand for that of x
        zero: dict[str, Any] = {"allowzero": 1} if 0 in shape else {}
        return self("Reshape", x, self.sizes(shape), **zero)

    # ---- small things that many translators need -------------------------------------------------

    def cast(self, x: Value, dtype: Any) -> Operand:
        """x in a dtype; x itself where it has it."""
        return x if x.dtype == dtype else self("Cast", x, to=element_type(dtype))

    def like(self, x: Value, number: Any) -> Array:
        """A number in the dtype of x."""
        return np.asarray(number, x.dtype)


def element_type(dtype: Any) -> int:
    """ONNX's number for a dtype."""
    from onnx import helper
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
