"""Module: a function with parameters, built from other modules.

There is no registry besides the object. A module's parameters are its attributes that are
`Parameter`s, its children those that are `Module`s; only a buffer, a plain Tensor, has to be named.
Source: torch.nn.Module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from minigrad.autograd import Array, no_grad
from minigrad.hooks import RemovableHandle, in_notebooks, register
from minigrad.nn import nested
from minigrad.tensor import Tensor

T = TypeVar("T")


class Parameter(Tensor):
    """A Tensor that a module learns: it requires grad, and `Module.parameters()` finds it."""

    __slots__ = ()

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        super().__init__(np.empty(0, np.float32) if data is None else data, requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


def empty(*shape: int, dtype: DTypeLike | None = None) -> Parameter:
    """A float32 Parameter whose values are still to be set."""
    return Parameter(np.empty(shape, dtype or np.float32))


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` found different."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not any(self):
            return "<All keys matched successfully>"
        return (f"IncompatibleKeys(missing_keys={self.missing_keys}, "
                f"unexpected_keys={self.unexpected_keys})")


def _forward(self: Module, *input: Any) -> Any:
    raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" '
                              "function")


class Module:
    """Base class of all layers and models: set parameters and children in `__init__`, and compute
    in `forward`; `module(x)` calls it, with the hooks around it.

    training: True after `train()`, False after `eval()`; dropout and batch norm look at it.
    """

    training: bool
    forward: Callable[..., Any] = _forward
    _repr_html_ = in_notebooks("module_html")
    _shown: tuple[str, ...] = ()        # the names of the attributes that `repr` shows
    _optional: tuple[str, ...] = ()     # of the buffers that early state dicts lack
    _buffers: dict[str, bool]           # the names of the buffers, and whether each is saved
    _forward_hooks: dict[RemovableHandle, Callable[..., Any]]
    _forward_pre_hooks: dict[RemovableHandle, Callable[..., Any]]

    def __init__(self) -> None:
        self.__dict__.update(training=True, _buffers={}, _forward_hooks={}, _forward_pre_hooks={})

    def __setattr__(self, name: str, value: Any) -> None:
        if "_buffers" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__}: call super().__init__() before assigning "
                                 f"{name!r}")
        if isinstance(value, Parameter):
            self._buffers.pop(name, None)
        elif value is not None:
            for kind in (Parameter, Module, Tensor):
                if self._holds(name, kind) and not isinstance(value, kind):
                    raise TypeError(f"{type(self).__name__}: {name} is a {kind.__name__} and can "
                                    f"only become another or None; got {type(value).__name__}")
        super().__setattr__(name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not (self._forward_pre_hooks or self._forward_hooks):
            return self.forward(*args, **kwargs)
        for pre_hook in tuple(self._forward_pre_hooks.values()):
            args, kwargs = pre_hook(self, args, kwargs)
        output = self.forward(*args, **kwargs)
        for hook in tuple(self._forward_hooks.values()):
            changed = hook(self, args, kwargs, output)
            output = output if changed is None else changed
        return output

    # ---- what it is made of ----------------------------------------------------------------------

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Name a Tensor that is part of the module's state but not learnt, e.g. a running mean."""
        self._check("register_buffer", name, tensor, Tensor)
        self._buffers[name] = persistent
        setattr(self, name, tensor)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """The same as `self.<name> = param`, for a name that is new or a parameter's."""
        self._check("register_parameter", name, param, Parameter)
        setattr(self, name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """The same as `self.<name> = module`, for a name that is new or a module's."""
        self._check("add_module", name, module, Module)
        setattr(self, name, module)

    register_module = add_module

    def _holds(self, name: str, kind: type) -> bool:
        """Whether the name is a parameter's, a module's or, for a plain Tensor, a buffer's."""
        if kind is Tensor:
            return name in self._buffers
        return isinstance(self.__dict__.get(name), kind)

    def _check(self, caller: str, name: str, value: Any, kind: type) -> None:
        """Refuse a name that is taken or impossible, and a value neither of this kind nor None."""
        if not isinstance(name, str):
            raise TypeError(f"{type(self).__name__}: a name must be a string; got {name!r}")
        if not name or "." in name:
            raise KeyError(f"{type(self).__name__}: a name must not be empty or contain a dot; "
                           f"got {name!r}")
        if hasattr(self, name) and not self._holds(name, kind):
            raise KeyError(f"{type(self).__name__}: attribute {name!r} already exists")
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"{caller}: {name!r} must be a {kind.__name__} or None; "
                            f"got {type(value).__name__}")

    def named_children(self) -> Iterator[tuple[str, Module]]:
        names: dict[Module, str] = {}
        for name, module in self._own_modules().items():
            names.setdefault(module, name)
        return ((name, module) for module, name in names.items())

    def children(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def named_modules(self, memo: set[Module] | None = None, prefix: str = "",
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with its dotted path."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._own_modules().items():
            yield from module.named_modules(memo, _join(prefix, name), remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        return (m for _, m in self.named_modules(remove_duplicate=remove_duplicate))

    def named_parameters(self, prefix: str = "", recurse: bool = True,
                         remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted names; a shared one once."""
        return self._named(Module._own_parameters, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True,
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        return self._named(Module._own_buffers, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers(recurse=recurse))

    def _own_modules(self) -> dict[str, Module]:
        return {n: v for n, v in self.__dict__.items() if isinstance(v, Module)}

    def _own_parameters(self) -> dict[str, Any]:
        return {n: v for n, v in self.__dict__.items() if isinstance(v, Parameter)}

    def _own_buffers(self) -> dict[str, Any]:
        return {n: self.__dict__[n] for n in self._buffers if self.__dict__.get(n) is not None}

    def _own_state(self) -> dict[str, Any]:
        saved = {n: b for n, b in self._own_buffers().items() if self._buffers[n]}
        return self._own_parameters() | saved

    def _named(self, own: Callable[[Module], dict[str, Any]], prefix: str, recurse: bool,
               remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = (self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
                   if recurse else [(prefix, self)])
        for path, module in modules:
            for name, tensor in own(module).items():
                if tensor not in seen:
                    yield _join(path, name), tensor
                if remove_duplicate:
                    seen.add(tensor)

    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path; "" is this one. Raises: AttributeError where none is."""
        module = self
        for name in target.split(".") if target else ():
            module = module._get(name, Module)
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path. Raises: AttributeError where none is."""
        path, _, name = target.rpartition(".")
        return self.get_submodule(path)._get(name, Parameter)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path. Raises: AttributeError where none is."""
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if name not in owner._buffers:
            raise AttributeError(f"{type(owner).__name__}: has no buffer {name!r}")
        return owner._get(name, Tensor)

    def _get(self, name: str, kind: type[T]) -> T:
        value = self.__dict__.get(name)
        if not isinstance(value, kind):
            raise AttributeError(f"{type(self).__name__}: has no {kind.__name__} {name!r}")
        return value

    # ---- its state -------------------------------------------------------------------------------

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Parameters and saved buffers by dotted name. They share memory with the module.

        keep_vars: the tensors themselves, in place of detached ones.
        """
        return {prefix + name: t if keep_vars else t.detach()
                for name, t in self._named(Module._own_state, "", True, False)}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True
                        ) -> IncompatibleKeys:
        """Copy values in by name: Tensors, arrays, or tensors of PyTorch on the CPU.

        A batch norm's `num_batches_tracked`, which early files lack, stays as it is without it. A
        tensor without dims is also read from one of shape (1,), as early files have it.
        Raises: RuntimeError, which lists all that is wrong, where a shape differs and, if `strict`,
        where a name is missing or not known. Then nothing has been changed.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError("load_state_dict: state_dict must be a dict; "
                            f"got {type(state_dict).__name__}")
        own = self.state_dict(keep_vars=True)
        optional = _optional(self, getattr(state_dict, "_metadata", {}))
        missing = [name for name in own if name not in state_dict and name not in optional]
        unexpected = [name for name in state_dict if name not in own]
        values = {name: _as_array(state_dict[name]) for name in own if name in state_dict}
        faults = []
        if strict and unexpected:
            faults.append(f"Unexpected key(s) in state_dict: {_quoted(unexpected)}.")
        if strict and missing:
            faults.append(f"Missing key(s) in state_dict: {_quoted(missing)}.")
        for name, value in values.items():
            if value.dtype.kind not in "fiub":
                faults.append(f'"{name}" holds no numbers; got {type(state_dict[name]).__name__}.')
            elif value.shape != own[name].shape and (value.shape, own[name].shape) != ((1,), ()):
                faults.append(f"size mismatch for {name}: the shape in state_dict is {value.shape},"
                              f" in the module {own[name].shape}.")
        if faults:
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t"
                               + "\n\t".join(faults))
        with no_grad():
            for name, value in values.items():
                own[name].copy_(value.reshape(own[name].shape))
        return IncompatibleKeys(missing, unexpected)

    # ---- changing all of it ----------------------------------------------------------------------

    def apply(self, fn: Callable[[Module], object]) -> Self:
        """Call `fn` on every module below and then on this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(self, dtype: DTypeLike) -> Self:
        """Convert parameters, their gradients and floating point buffers, in place."""
        try:
            dtype = np.dtype(dtype)
        except TypeError:
            raise TypeError(f"to: {dtype!r} is not a dtype") from None
        if dtype.kind != "f":
            raise TypeError(f"to: only floating point dtypes are accepted; got {dtype}")
        for tensor in [*self.parameters(), *self.buffers()]:
            if tensor.dtype.kind == "f" and tensor.dtype != dtype:
                tensor.data = tensor.data.astype(dtype)
                if tensor.grad is not None:
                    tensor.grad = tensor.grad.detach().to(dtype)
        return self

    def float(self) -> Self:
        return self.to(np.float32)

    def double(self) -> Self:
        return self.to(np.float64)

    def train(self, mode: bool = True) -> Self:
        """Put this module and all below into training mode (or evaluation mode)."""
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode must be a bool; got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients: None, or zeros with `set_to_none=False`."""
        for p in self.parameters():
            clear_grad(p, set_to_none)

    # ---- hooks -----------------------------------------------------------------------------------

    def register_forward_pre_hook(self, hook: Callable[..., Any], *, prepend: bool = False,
                                  with_kwargs: bool = False) -> RemovableHandle:
        """Call `hook(module, args)` before forward; what it returns, if not None, replaces args.

        prepend: before the hooks that are there, not after them. with_kwargs: it is called as
        `hook(module, args, kwargs)` and may return new (args, kwargs).
        """
        def changed(module: Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
            result = hook(module, args, kwargs) if with_kwargs else hook(module, args)
            if result is None:
                return args, kwargs
            if not with_kwargs:
                return (result if isinstance(result, tuple) else (result,)), kwargs
            if not (isinstance(result, tuple) and len(result) == 2):
                raise RuntimeError("register_forward_pre_hook: a hook with kwargs must return None "
                                   f"or (args, kwargs); got {result!r}")
            return result

        return register(self._forward_pre_hooks, changed, prepend)

    def register_forward_hook(self, hook: Callable[..., Any], *, prepend: bool = False,
                              with_kwargs: bool = False) -> RemovableHandle:
        """Call `hook(module, args, output)` after forward; what it returns, if not None, replaces
        the output.

        prepend: before the hooks that are there, not after them. with_kwargs: it is called as
        `hook(module, args, kwargs, output)`.
        """
        return register(self._forward_hooks, hook if with_kwargs else
                         lambda module, args, kwargs, output: hook(module, args, output), prepend)

    # ---- printing --------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses."""
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self._shown)

    def _children_shown(self, text: Callable[[Module], str]) -> list[str]:
        return [f"({name}): {text(module)}" for name, module in self._own_modules().items()]

    __repr__ = nested.text
    __deepcopy__, __reduce_ex__ = nested.deepcopy, nested.reduce_ex


def clear_grad(p: Tensor, set_to_none: bool) -> None:
    """Set p.grad to None, or its values to zero."""
    if set_to_none:
        p.grad = None
    elif p.grad is not None:
        p.grad = p.grad.detach().zero_()        # a gradient with a graph of its own leaves it


def _optional(whole: Module, torchs: Mapping[str, Any]) -> set[str]:
    """Of its buffers those that the state dict may lack, by what torch wrote of each module."""
    return {_join(path, name) for path, module in whole.named_modules(remove_duplicate=False)
            for name in module._optional if (torchs.get(path, {}).get("version") or 1) < 2}


def _as_array(value: Any) -> Array:
    return value.data if isinstance(value, Tensor) else np.asarray(
        value.detach() if hasattr(value, "detach") else value)      # a parameter of PyTorch


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
