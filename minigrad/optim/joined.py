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
from minigrad.tensor import Tensor

State = dict[str, Any]


class Joined:
    """Some parameters and their joint state.

    A single parameter keeps its own state. With several, each array in the joint state is flat, and
    a parameter's own state holds views of its parts; all must have one dtype and number of steps.
    """

    def __init__(self, params: tuple[Tensor, ...], states: Mapping[Tensor, State]) -> None:
        self.params = params
        own = [states[p] for p in params]
        self.alone = len(params) == 1
        self.state = own[0] if self.alone else {
            key: np.array(value) if key == "step"
            else np.concatenate([state[key] for state in own], None)
            for key, value in own[0].items() if value is not None}
        ends = itertools.accumulate(p.numel() for p in params)
        self.places = [(slice(end - p.numel(), end), p.shape)
                       for p, end in zip(params, ends, strict=True)]
        self.shared = 0                 # the number of arrays that parameters have views of
        self.share_out(states)

    def flat(self, arrays: Sequence[Array]) -> Array:
        """Arrays, one for each parameter, as a flat copy; of a single one the array, in C order."""
        return np.asarray(arrays[0], order="C") if self.alone else np.concatenate(arrays, None)

    def parts(self, flat: Array) -> list[Array]:
        """The part of an array that belongs to each parameter, as a view."""
        return [flat] if self.alone else [flat[place].reshape(shape)
                                          for place, shape in self.places]

    def share_out(self, states: Mapping[Tensor, State]) -> None:
        """Bring the parameters' own states up to date: views of new arrays, and the count of steps.
        """
        if self.alone:
            return
        if len(self.state) != self.shared:
            for key, value in self.state.items():
                for i, p in enumerate(self.params):
                    states[p][key] = value.copy() if key == "step" else self.parts(value)[i]
            self.shared = len(self.state)
        elif "step" in self.state:
            for p in self.params:
                states[p]["step"].fill(self.state["step"])

    def shared_with(self, states: Mapping[Tensor, State]) -> bool:
        """Whether the parameters' own states are still parts of this one.

        They are not if a user has replaced or loaded them, or changed the count of steps.
        """
        if self.alone:
            return states.get(self.params[0]) is self.state
        for p in self.params:
            own = states.get(p, {})
            for key, value in self.state.items():
                part = own.get(key)
                if part is None or (float(part) != float(value) if key == "step"
                                    else getattr(part, "base", None) is not value):
                    return False
        return True
