"""Modules that hold other modules. Source: torch.nn's classes of the same names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Self, overload

from minigrad.nn.module import Module
from minigrad.ops.arguments import to_int, to_size

Named = Mapping[str, Module] | Iterable[tuple[str, Module]]


class _Ordered(Module):
    """Children in a row, under the names "0", "1", … unless named otherwise."""

    def __len__(self) -> int:
        return len(self._own_modules())

    def __iter__(self) -> Iterator[Module]:
        return iter(list(self._own_modules().values()))

    def __bool__(self) -> bool:
        return True

    def _name(self, idx: int) -> str:
        names = list(self._own_modules())
        place = to_int(type(self).__name__, "an index", idx)
        if not -len(names) <= place < len(names):
            raise IndexError(f"{type(self).__name__}: index {place} is out of range for "
                             f"{len(names)} modules")
        return names[place]

    @overload
    def __getitem__(self, idx: int) -> Module: ...
    @overload
    def __getitem__(self, idx: slice) -> Self: ...
    def __getitem__(self, idx: int | slice) -> Module | Self:
        if isinstance(idx, slice):
            return self._slice(idx)
        return self._own_modules()[self._name(idx)]

    def _slice(self, places: slice) -> Self:
        return type(self)().extend(list(self)[places])

    def __setitem__(self, idx: int, module: Module) -> None:
        setattr(self, self._name(idx), module)

    def __delitem__(self, idx: int | slice) -> None:
        modules = self._own_modules()
        for name in list(modules)[idx] if isinstance(idx, slice) else [self._name(idx)]:
            del modules[name]
        self._renew(modules.values())

    def _renew(self, modules: Iterable[Module]) -> None:
        """Take these modules, numbered from 0, in place of all there are."""
        for name in self._own_modules():
            delattr(self, name)
        self.extend(modules)

    def _require_module(self, module: Any) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: can only hold Modules; "
                            f"got {type(module).__name__}")

    def append(self, module: Module) -> Self:
        self._require_module(module)
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        if not isinstance(modules, Iterable):
            raise TypeError(f"{type(self).__name__}: needs Modules in an iterable; "
                            f"got {type(modules).__name__}")
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Put `module` before the one at `index`; the numbers behind it move on."""
        self._require_module(module)
        modules = list(self)
        if not -len(modules) <= index <= len(modules):
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for "
                             f"{len(modules)} modules")
        modules.insert(index, module)
        self._renew(modules)
        return self

    def pop(self, key: int | slice) -> Module | Self:
        """Remove and return the module at an index."""
        module = self[key]
        del self[key]
        return module

    def __iadd__(self, other: Iterable[Module]) -> Self:
        return self.extend(other)

    def __add__(self, other: Iterable[Module]) -> Self:
        return self[:].extend(other)


class Sequential(_Ordered):
    """y = fₙ(… f₂(f₁(x))): modules in a row, or a dict of them that gives their names."""

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            self.extend(args)

    def _slice(self, places: slice) -> Self:
        return type(self)(dict(list(self._own_modules().items())[places]))

    def __mul__(self, other: int) -> Self:
        """The same modules `other` times in a row."""
        return type(self)(*list(self) * to_size(type(self).__name__, "a factor", other, 1))

    __rmul__ = __mul__

    def __imul__(self, other: int) -> Self:
        return self.extend(list(self) * (to_size(type(self).__name__, "a factor", other, 1) - 1))

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input


class ModuleList(_Ordered):
    """A list whose modules are children. It has no forward: the owner says what happens."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())

    def _children_shown(self, text: Callable[[Module], str]) -> list[str]:
        """Neighbours whose repr is the same share a line."""
        shown: list[str] = []
        first = 0
        for line, alike in groupby(map(text, self)):
            n = len(list(alike))
            shown.append(f"({first}): {line}" if n == 1
                         else f"({first}-{first + n - 1}): {n} x {line}")
            first += n
        return shown


class ModuleDict(Module):
    """A dict whose modules are children. It has no forward: the owner says what happens."""

    def __init__(self, modules: Named | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Named) -> None:
        try:
            pairs = dict(modules.items() if isinstance(modules, Mapping | ModuleDict) else modules)
        except (TypeError, ValueError):
            raise TypeError("ModuleDict: needs a dict or (name, Module) pairs; "
                            f"got {modules!r}") from None
        for name, module in pairs.items():
            self[name] = module

    def clear(self) -> None:
        for name in list(self):
            delattr(self, name)

    def pop(self, key: str) -> Module:
        """Remove and return the module of this name."""
        module = self[key]
        del self[key]
        return module

    def __getitem__(self, key: str) -> Module:
        return self._own_modules()[key]

    def __setitem__(self, key: str, module: Module) -> None:
        if key in self:
            setattr(self, key, module)
        else:
            self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self[key]                       # a KeyError unless it is a child
        delattr(self, key)

    def __contains__(self, key: object) -> bool:
        return key in self._own_modules()

    def __len__(self) -> int:
        return len(self._own_modules())

    def __iter__(self) -> Iterator[str]:
        return iter(self._own_modules())

    def keys(self) -> Iterable[str]:
        return self._own_modules().keys()

    def values(self) -> Iterable[Module]:
        return self._own_modules().values()

    def items(self) -> Iterable[tuple[str, Module]]:
        return self._own_modules().items()
