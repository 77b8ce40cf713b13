"""Modules that hold other modules. Source: torch.nn's classes of the same names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, overload

from minigrad.nn.module import Module


class _Ordered(Module):
    """Children under the names "0", "1", …"""

    def __len__(self) -> int:
        return sum(isinstance(value, Module) for value in self.__dict__.values())

    def __iter__(self) -> Iterator[Module]:
        return iter([value for value in self.__dict__.values() if isinstance(value, Module)])

    def __bool__(self) -> bool:
        return True

    def _name(self, index: int) -> str:
        names = [name for name, value in self.__dict__.items() if isinstance(value, Module)]
        if not -len(names) <= index < len(names):
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for "
                             f"{len(names)} modules")
        return names[index]

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Module | Self:
        if isinstance(index, slice):
            return type(self)._of(list(self)[index])
        module: Module = self.__dict__[self._name(index)]
        return module

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, self._name(index), module)

    def append(self, module: Module) -> Self:
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        for module in list(modules):
            self.append(module)
        return self

    @classmethod
    def _of(cls, modules: list[Module]) -> Self:
        return cls().extend(modules)


class Sequential(_Ordered):
    """y = fₙ(… f₂(f₁(x))): modules in a row, or a dict of them that gives their names."""

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            self.extend(args)

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x


class ModuleList(_Ordered):
    """A list whose modules are children. It has no forward: the owner says what happens."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(modules or ())


class ModuleDict(Module):
    """A dict whose modules are children. It has no forward: the owner says what happens."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module]) -> None:
        for name, module in modules.items():
            self[name] = module

    def __getitem__(self, name: str) -> Module:
        return dict(self.items())[name]

    def __setitem__(self, name: str, module: Module) -> None:
        if name in self:
            setattr(self, name, module)
        else:
            self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        self[name]                      # KeyError for what is no child
        delattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in dict(self.items())

    def __len__(self) -> int:
        return len(list(self.items()))

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.items()))

    def keys(self) -> Iterable[str]:
        return dict(self.items()).keys()

    def values(self) -> Iterable[Module]:
        return dict(self.items()).values()

    def items(self) -> Iterable[tuple[str, Module]]:
        return [(n, v) for n, v in self.__dict__.items() if isinstance(v, Module)]
