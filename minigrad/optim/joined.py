"""Parameters that an optimiser updates as one array, in which they lie end to end.

For small arrays, NumPy spends its time on the calls, not on the arithmetic: updating a bias of ten
values takes as long as updating a weight of a thousand, and both together hardly longer than one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.autograd import Array
from minigrad.inplace import mark_changed
from minigrad.tensor import Tensor

State = dict[str, Any]


class Joined:
    """Some parameters and their joint state.

    A single parameter keeps its own state. With several, each array in the joint state is flat, and
    a parameter's own state holds views of its parts; all must have one dtype and number of steps.
    """

    def __init__(self, params: tuple[Tensor, ...], states: Mapping[Tensor, State]) -> None:
        self.params = params
        self.own = [states[p] for p in params]
        self.alone = len(params) == 1
        if self.alone:
            self.state = self.own[0]
            return
        ends = list(itertools.accumulate(p.numel() for p in params))
        self._places = [(slice(end - p.numel(), end), p.shape)
                        for p, end in zip(params, ends, strict=True)]
        self._values, self._slopes = (np.empty(ends[-1], params[0].dtype) for _ in range(2))
        self._parts = self._parts_of(self._values)
        self.state = {key: np.concatenate([state[key] for state in self.own], None)
                      for key, value in self.own[0].items() if value is not None and key != "step"}
        self._steps = np.array([state.get("step", 0) for state in self.own], np.float32)
        if "step" in self.own[0]:
            self.state["step"] = self._steps[:1].reshape(())
        self._views: list[tuple[State, str, Array]] = []    # what the own states hold
        self.share_out()

    def values(self) -> Array:
        """The values of all parameters: of a single one its array in C order, else a flat copy."""
        return self._flat([p.data for p in self.params], self.alone or self._values)

    def gradients(self) -> Array:
        """The gradients of all parameters, likewise."""
        return self._flat([p.grad.data for p in self.params], self.alone or self._slopes)

    def _flat(self, arrays: Sequence[Array], flat: Any) -> Array:
        return (np.asarray(arrays[0], order="C") if self.alone
                else np.concatenate(arrays, None, out=flat))

    def give(self, values: Array) -> None:
        """Give the parameters new values, if `values` is not their own array."""
        for p, part in zip(self.params, [values] if self.alone else self._parts, strict=True):
            if part is not p.data:
                p.data[...] = part
        mark_changed(*[p.data for p in self.params])

    def share_out(self) -> None:
        """Bring the parameters' own states up to date: views of new arrays, and the count of steps.
        """
        if self.alone:
            return
        if len(self._views) != len(self.state) * len(self.params):
            parts = {key: self._parts_of(value) for key, value in self.state.items()
                     if key != "step"}
            if "step" in self.state:
                parts["step"] = [self._steps[i:i + 1].reshape(()) for i in range(len(self.own))]
            self._views = [(own, key, part) for key, each in parts.items()
                           for own, part in zip(self.own, each, strict=True)]
            for own, key, part in self._views:
                own[key] = part
        self._steps.fill(self._steps[0])

    def _parts_of(self, flat: Array) -> list[Array]:
        """The part of an array that belongs to each parameter, as a view."""
        return [flat[place].reshape(shape) for place, shape in self._places]

    def shared_with(self, states: Mapping[Tensor, State]) -> bool:
        """Whether the parameters' own states are still parts of this one.

        They are not if a user has replaced or loaded them, or changed the count of steps.
        """
        for p, own in zip(self.params, self.own, strict=True):
            if states.get(p) is not own:
                return False
        if self.alone:
            return True
        for own, key, part in self._views:
            if own.get(key) is not part:
                return False
        return bool((self._steps == self._steps[0]).all())
