"""Parameters that an optimiser updates as one array, end to end.

What a few numbers cost NumPy is the calls, not the arithmetic: a bias of ten values takes as long
as a weight of a thousand, and both together hardly longer than one.
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
    """Some parameters, and what is remembered about them.

    A single one keeps its state as it is. Of several, each array is flat, and what is remembered
    about one of them is its part, a view; they must be of one dtype and after as many steps.
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
        self.shared = 0                 # how many arrays the parameters have their parts of
        self.share_out(states)

    def flat(self, arrays: Sequence[Array]) -> Array:
        """An array of each parameter as one, in C order: a copy, but for a single parameter's."""
        return np.asarray(arrays[0], order="C") if self.alone else np.concatenate(arrays, None)

    def parts(self, flat: Array) -> list[Array]:
        """Each parameter's part of an array, as a view."""
        return [flat] if self.alone else [flat[place].reshape(shape)
                                          for place, shape in self.places]

    def share_out(self, states: Mapping[Tensor, State]) -> None:
        """Let the parameters' own states tell what has become of this one: arrays that are new, and
        the count of steps."""
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
        """Whether the parameters' own states are still the parts of this one: they may have been
        changed, replaced or loaded."""
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
