"""From a program to an ONNX model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minigrad.autograd import Array
from minigrad.onnx.errors import ExportError, NotDynamic
from minigrad.onnx.graph import BATCH, IR_VERSION, OPSET, Graph, Operand, Value, element_type
from minigrad.onnx.program import Common, Number, Program, Reshaped, Shape, Size, Spread
from minigrad.onnx.trace import Constant, Reference, Step, Trace
from minigrad.onnx.translate import TRANSLATORS
from minigrad.onnx.translate.registry import BATCH_SIZED, REFUSED, CannotTranslate, Op


def needed(steps: Sequence[Any], outputs: Sequence[Any]) -> list[int]:
    """The numbers of the steps that the outputs depend on."""
    found: set[int] = set()
    waiting = list(outputs)
    while waiting:
        each = waiting.pop()
        if isinstance(each, Reshaped):
            waiting.append(each.source)
        elif isinstance(each, Reference):
            if each.kind == "step" and each.name not in found:
                found.add(int(each.name))
                step = steps[int(each.name)]
                waiting += [*step.inputs, *step.static.values()]
        elif isinstance(each, tuple | list):
            waiting += each
    return sorted(found)


def depends_on_input(trace: Trace, operand: Any) -> bool:
    """Whether a value was computed from the inputs."""
    def is_input(each: Any) -> bool:
        if isinstance(each, tuple | list):
            return any(map(is_input, each))
        return isinstance(each, Reference) and each.kind == "input"

    return is_input(operand) or any(
        is_input([*trace.steps[i].inputs, *trace.steps[i].static.values()])
        for i in needed(trace.steps, [operand]))


def require_translators(trace: Trace, outputs: Sequence[Any]) -> None:
    """ExportError naming the first op that has no translator, and its place."""
    for i in needed(trace.steps, outputs):
        step: Step = trace.steps[i]
        if step.name in REFUSED:
            raise ExportError(f"{step.place}: {REFUSED[step.name]}")
        if step.name not in TRANSLATORS:
            raise ExportError(f"{step.place}: {step.shown} cannot be exported: the op {step.name} "
                              "has no translation to ONNX")


class Builder:
    """Writes a program into a graph, step by step."""

    def __init__(self, program: Program, inputs: Sequence[tuple[str, Array]],
                 state: Mapping[str, Array]) -> None:
        self.program = program
        self.inputs = [Value(name, array.dtype, shape) for (name, array), shape in
                       zip(inputs, program.input_shapes, strict=True)]
        batch = next((x.name for x in self.inputs if x.shape and isinstance(x.shape[0], Size)),
                     None)
        self.graph = Graph(batch, state)
        self.state = state
        self.values: dict[int, Value] = {}
        self._renamed: set[str] = set()         # the outputs that are named already

    def model(self, names: Sequence[str], metadata: Mapping[str, str]) -> Any:
        """The model. names: of the outputs."""
        from onnx import helper, numpy_helper
        for i in needed(self.program.steps, self.program.outputs):
            self.values[i] = self._translated(self.program.steps[i])
        outputs = [self._output(y, name) for y, name in
                   zip(self.program.outputs, names, strict=True)]
        known = {x.name: x for x in self.values.values() if x.name}
        made = {name for node in self.graph.nodes for name in node.output}
        graph = helper.make_graph(
            self.graph.nodes, "minigrad", [_typed(x) for x in self.inputs],
            [_typed(y) for y in outputs],
            [numpy_helper.from_array(array, name)
             for name, array in self.graph.initializers.items()],
            value_info=[_typed(x) for name, x in known.items() if name in made])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)],
                                  ir_version=IR_VERSION, producer_name="minigrad")
        helper.set_model_props(model, dict(metadata))
        return model

    # ---- steps -----------------------------------------------------------------------------------

    def _translated(self, step: Common) -> Value:
        self.graph.scope, self.graph.note = step.place.path, str(step.place)
        static = {key: self._resolved(value) for key, value in step.static.items()}
        for key, value in static.items():
            if key not in BATCH_SIZED[step.name] and _has_size(value):
                raise NotDynamic(f"{step.place}: {step.shown} is given {key}, which depends on the "
                                 "batch size")
        op = Op(step.name, [self._resolved(x) for x in step.inputs], static, step.shape, step.dtype,
                step.place.path)
        try:
            y: Operand = TRANSLATORS[step.name](self.graph, op)
        except CannotTranslate as error:
            raise ExportError(f"{step.place}: {step.shown} {error}; this cannot be exported"
                              ) from None
        except NotDynamic as error:
            raise NotDynamic(f"{step.place}: {step.shown} {error}") from None
        if isinstance(y, Value) and not y.name:
            return y
        assert y is not None
        return Value(self.graph.name_of(y), step.dtype, step.shape)

    def _resolved(self, x: Any) -> Any:
        """An operand as a Value; other arguments as they are."""
        if isinstance(x, Reshaped):
            source = self._resolved(x.source)
            return Value(self.graph.reshape(source, x.shape), source.dtype, x.shape)
        if isinstance(x, Reference):
            if x.kind == "step":
                return self.values[int(x.name)]
            if x.kind == "input":
                return self.inputs[int(x.name)]
            array = self.state[str(x.name)]
            return Value(self.graph.constant(array, str(x.name)), array.dtype, array.shape)
        if isinstance(x, Constant):
            return Value("", x.array.dtype, x.array.shape, array=x.array)
        if isinstance(x, Spread):
            return Value("", x.array.dtype, x.shape, repeated=x.array)
        if isinstance(x, Number):
            number = self.graph.reshape(self.graph.sizes([x.size]), x.shape)
            name = self.graph("Cast", number, to=element_type(x.dtype))
            return Value(name, x.dtype, x.shape)
        if isinstance(x, tuple | list):
            parts = [self._resolved(each) for each in x]
            return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
        return x

    def _output(self, y: Any, name: str) -> Value:
        """The value under the name of an output: its node is renamed, or a node passes it on."""
        self.graph.scope, self.graph.note = "", ""
        value: Value = self._resolved(y)
        before = self.graph.name_of(value)
        made = any(before in node.output for node in self.graph.nodes)
        if not made or before in self._renamed:
            from onnx import helper
            self.graph.nodes.append(helper.make_node("Identity", [before], [name], name))
            return value._replace(name=name, array=None, repeated=None)
        self._renamed.add(name)
        for node in self.graph.nodes:
            for names in (node.input, node.output):
                for i, each in enumerate(names):
                    if each == before:
                        names[i] = name
        for i, known in self.values.items():
            if known.name == before:
                self.values[i] = known._replace(name=name)
        return value._replace(name=name, array=None, repeated=None)


def _has_size(value: Any) -> bool:
    if isinstance(value, tuple | list) and not isinstance(value, Value):
        return any(map(_has_size, value))
    return isinstance(value, Size)


def _typed(x: Value) -> Any:
    """A value with its dtype and shape, as the file lists it"""
    from onnx import helper
    return helper.make_tensor_value_info(x.name, element_type(x.dtype), _dims(x.shape))


def _dims(shape: Shape) -> list[int | str]:
    return [BATCH if n == Size(1, 0) else str(n) if isinstance(n, Size) else n for n in shape]
