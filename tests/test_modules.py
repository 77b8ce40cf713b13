"""Module and the containers: what they are made of, their state, and all that changes them."""

import copy
import re

import numpy as np
import pytest
import torch
from signatures import assert_signature

import minigrad as mg
from minigrad import nn


def network(package, tensor):
    """A module with everything in it: nesting, sharing, None, saved and unsaved buffers."""
    class Net(package.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("offset", tensor(np.ones(2, np.float32)))
            self.register_buffer("scratch", tensor(np.zeros(3, np.float32)), persistent=False)
            self.register_buffer("count", tensor(np.array(3)))
            self.register_buffer("nothing", None)
            self.scale = package.Parameter(tensor(np.full(2, 2, np.float32)))
            self.register_parameter("unused", None)
            self.body = package.Sequential(
                package.Linear(3, 4), package.ReLU(), package.Sequential(package.Linear(4, 2)))
            self.shared = self.body[0]
            self.steps = package.ModuleList([package.BatchNorm1d(2), package.Identity()])
            self.named = package.ModuleDict({"a": package.Linear(2, 2, bias=False)})

        def forward(self, x):
            x = self.body(x) * self.scale + self.offset
            for step in self.steps:
                x = step(x)
            return self.named["a"](x)
    return Net()


@pytest.fixture
def nets():
    mg.manual_seed(2)
    torch.manual_seed(2)
    return network(nn, mg.Tensor), network(torch.nn, torch.tensor)


def names(pairs):
    return [name for name, _ in pairs]


def test_names_and_their_order_are_torchs(nets):
    ours, theirs = nets
    for listing in ("named_parameters", "named_buffers", "named_children", "named_modules"):
        assert names(getattr(ours, listing)()) == names(getattr(theirs, listing)()), listing
    for listing in ("named_parameters", "named_buffers"):
        for options in ({"recurse": False}, {"prefix": "x"}, {"remove_duplicate": False}):
            assert names(getattr(ours, listing)(**options)) == names(
                getattr(theirs, listing)(**options))
    assert names(ours.named_modules(remove_duplicate=False, prefix="p")) == names(
        theirs.named_modules(remove_duplicate=False, prefix="p"))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert list(ours.state_dict(prefix="m.")) == list(theirs.state_dict(prefix="m."))
    for listing in ("parameters", "buffers", "children", "modules"):
        assert len(list(getattr(ours, listing)())) == len(list(getattr(theirs, listing)()))


def test_a_network_prints_and_computes_as_torchs(nets):
    ours, theirs = nets
    shown, expected = (re.sub(r"(affine=\w+), bias=\w+", r"\1", repr(net)) for net in nets)
    assert shown == expected            # but for the norms' bias, which older torch lacks
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    np.testing.assert_allclose(ours(mg.tensor(x)).detach().numpy(),
                               theirs(torch.tensor(x)).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_state_dict_shares_memory_and_has_no_graph(nets):
    ours, _ = nets
    state = ours.state_dict()
    assert not any(t.requires_grad for t in state.values())
    assert all(np.shares_memory(p.data, state[name].data) for name, p in ours.named_parameters())
    kept = ours.state_dict(keep_vars=True)
    assert kept["scale"] is ours.scale


def test_loading_strictly_or_not(nets):
    ours, theirs = nets
    source = {k: v + 1 for k, v in theirs.state_dict().items()}
    result = ours.load_state_dict(source)
    assert repr(result) == repr(theirs.load_state_dict(source)) == "<All keys matched successfully>"
    partial = {k: v for k, v in source.items() if "bias" not in k} | {"extra": torch.ones(1)}
    report = ours.load_state_dict(partial, strict=False)
    expected = theirs.load_state_dict(partial, strict=False)
    assert report.missing_keys == expected.missing_keys
    assert report.unexpected_keys == expected.unexpected_keys == ["extra"]
    assert repr(report) == repr(expected).removeprefix("_")
    for key, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[key].numpy(), value.numpy())


def test_a_failed_load_says_all_and_changes_nothing(nets):
    ours, _ = nets
    before = {k: v.numpy().copy() for k, v in ours.state_dict().items()}
    wrong = {k: v.numpy() + 1 for k, v in ours.state_dict().items()}
    del wrong["offset"]
    wrong["more"], wrong["scale"], wrong["count"] = np.ones(1), np.ones(3), "three"
    with pytest.raises(RuntimeError) as caught:
        ours.load_state_dict(wrong)
    for part in ('Missing key(s) in state_dict: "offset"',
                 'Unexpected key(s) in state_dict: "more"',
                 "size mismatch for scale: the shape in state_dict is (3,), in the module (2,)",
                 '"count" holds no numbers', "loading state_dict for Net"):
        assert part in str(caught.value)
    with pytest.raises(TypeError, match="state_dict must be a dict; got list"):
        ours.load_state_dict([])
    with pytest.raises(RuntimeError, match="size mismatch for scale"):
        ours.load_state_dict({"scale": np.ones(3), "offset": np.zeros(2)}, strict=False)
    for key, value in ours.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])


def test_modes_reach_everything(nets):
    ours, _ = nets
    assert ours.eval() is ours
    assert not any(m.training for m in ours.modules())
    ours.train()
    assert all(m.training for m in ours.modules())


def test_apply_visits_children_first(nets):
    seen = [[], []]
    for net, log in zip(nets, seen, strict=True):
        assert net.apply(lambda m, log=log: log.append(type(m).__name__)) is net
    assert seen[0] == seen[1]


def test_dtype_changes_in_place(nets):
    ours, _ = nets
    parameter = ours.scale
    ours(mg.ones(4, 3)).sum().backward()
    assert ours.double() is ours
    assert ours.scale is parameter
    assert all(p.dtype == np.float64 for p in ours.parameters())
    assert parameter.grad.dtype == np.float64
    assert {n: b.dtype for n, b in ours.named_buffers(recurse=False)} == {
        "offset": np.float64, "scratch": np.float64, "count": np.int64}
    assert ours(mg.ones(4, 3, dtype=mg.float64)).dtype == np.float64
    assert ours.float().scale.dtype == np.float32
    for wrong, message in ((np.int64, "floating point"), ("foo", "'foo' is not a dtype")):
        with pytest.raises(TypeError, match=message):
            ours.to(wrong)


def test_zero_grad_and_requires_grad(nets):
    ours, _ = nets
    ours(mg.ones(4, 3)).sum().backward(create_graph=True)
    ours.zero_grad(set_to_none=False)
    assert all((p.grad.numpy() == 0).all() for p in ours.parameters())
    ours.zero_grad()
    assert all(p.grad is None for p in ours.parameters())
    ours.requires_grad_(False)
    assert not ours(mg.ones(4, 3)).requires_grad


def test_hooks_see_and_change_what_flows(nets):
    for net, tensor in zip(nets, (mg.tensor, torch.tensor), strict=True):
        layer, log = net.body[0], []
        x = tensor(np.ones((2, 3), np.float32))
        plain = layer(x).detach().numpy()
        handles = [
            layer.register_forward_pre_hook(lambda m, args: (args[0] * 2,)),
            layer.register_forward_pre_hook(lambda m, args: args[0] - args[0] / 2),
            layer.register_forward_pre_hook(lambda m, args: None),
            layer.register_forward_hook(lambda m, args, y, log=log: log.append((m, len(args)))),
            layer.register_forward_hook(lambda m, args, y: y * 3)]
        np.testing.assert_allclose(layer(x).detach().numpy(), 3 * plain, rtol=1e-6)
        assert log == [(layer, 1)]
        for handle in handles:
            handle.remove()
            handle.remove()             # twice is harmless
        np.testing.assert_array_equal(layer(x).detach().numpy(), plain)
        with layer.register_forward_hook(lambda m, args, y: y * 0):
            assert (layer(x).detach().numpy() == 0).all()
        np.testing.assert_array_equal(layer(x).detach().numpy(), plain)
        assert len(log) == 1


def test_hooks_may_come_first_and_see_keywords():
    class Scaled(nn.Module):
        def forward(self, x, factor=1):
            return x * factor

    class TorchScaled(torch.nn.Module):
        forward = Scaled.forward

    for layer, tensor in ((Scaled(), mg.tensor), (TorchScaled(), torch.tensor)):
        log, x = [], tensor(np.ones(2))
        layer.register_forward_pre_hook(lambda m, args, log=log: log.append("second"))
        layer.register_forward_pre_hook(lambda m, args, log=log: log.append("first"), prepend=True)
        layer.register_forward_pre_hook(
            lambda m, args, kwargs: (args, {"factor": kwargs["factor"] + 1}), with_kwargs=True)
        layer.register_forward_pre_hook(lambda m, args, kwargs: None, with_kwargs=True)
        layer.register_forward_hook(lambda m, args, y: y + 1)
        layer.register_forward_hook(lambda m, args, kwargs, y: y * kwargs["factor"],
                                    with_kwargs=True, prepend=True)
        np.testing.assert_array_equal(layer(x, factor=2).numpy(), [10, 10])     # 1·3·3 + 1
        assert log == ["first", "second"]
        layer.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
        with pytest.raises(RuntimeError, match=r"None or .*(args|kwargs)"):
            layer(x, factor=2)


def test_parts_are_found_by_their_path(nets):
    for net in nets:
        assert net.get_submodule("") is net
        assert net.get_submodule("body.2.0") is net.body[2][0]
        assert net.get_parameter("body.2.0.weight") is net.body[2][0].weight
        assert net.get_parameter("scale") is net.scale
        assert net.get_buffer("steps.0.running_mean") is net.steps[0].running_mean
        for kind, paths in (("submodule", ("body.7", "scale")), ("buffer", ("scale", "none.a")),
                            ("parameter", ("body.0", "", "body.0.nothing"))):
            for path in paths:
                with pytest.raises(AttributeError, match=r"has no|is not an? "):
                    getattr(net, "get_" + kind)(path)


def test_signatures_are_torchs():
    for name in ("Module", "ModuleList", "ModuleDict"):
        ours, theirs = getattr(nn, name), getattr(torch.nn, name)
        public = [m for m in dir(ours) if not m.startswith("_") and m != "to"]
        for method in ["__init__", *set(public) & set(dir(theirs))]:
            if callable(getattr(theirs, method)):
                assert_signature(getattr(ours, method), getattr(theirs, method))
    assert_signature(nn.Parameter, torch.nn.Parameter)


def test_a_module_can_be_copied(nets):
    ours, _ = nets
    twin = copy.deepcopy(ours)
    twin.scale.detach()[...] = 7
    assert twin.shared is twin.body[0]
    assert ours.scale.detach().numpy().tolist() == [2, 2]
    assert list(twin.state_dict()) == list(ours.state_dict())


def test_a_property_of_a_subclass_works():
    class Doubled(nn.Module):
        @property
        def rate(self):
            return self._rate

        @rate.setter
        def rate(self, value):
            self._rate = 2 * value

    module = Doubled()
    module.rate = 3
    assert module.rate == 6


def test_what_cannot_be_assigned(nets):
    class Forgetful(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"call super\(\)\.__init__\(\) before"):
        Forgetful()
    ours, theirs = nets
    for net, tensor in ((ours, mg.ones(2)), (theirs, torch.ones(2))):
        for wrong in (lambda net=net, t=tensor: setattr(net, "scale", t),
                      lambda net=net, t=tensor: setattr(net, "body", t),
                      lambda net=net: setattr(net, "offset", 3),
                      lambda net=net: setattr(net, "nothing", 3),
                      lambda net=net: net.register_buffer("b", 3),
                      lambda net=net, t=tensor: net.register_parameter("p", t),
                      lambda net=net: net.add_module("m", 3)):
            with pytest.raises(TypeError):
                wrong()
        for name in ("scale", "body", "a.b", ""):
            with pytest.raises(KeyError):
                net.register_buffer(name, tensor)
        net.register_buffer("nothing", tensor)      # names of their own kind may be used again
        net.register_parameter("scale", type(net.scale)(tensor))
        net.register_module("body", net.steps[0])
        assert net.nothing is tensor
        assert net.body is net.steps[0]
        net.scale = None
        net.offset = None
        assert "scale" not in net.state_dict()
        assert "offset" not in net.state_dict()
        net.register_buffer("later", tensor)
        kind = type(next(net.parameters()))
        net.later, net.shared = kind(tensor), kind(tensor)      # over a buffer and over a module
        assert {"later", "shared"} <= set(names(net.named_parameters()))
        assert "later" not in names(net.named_buffers())
        del net.body
        assert "body.0.weight" not in net.state_dict()
    with pytest.raises(TypeError, match="name must be a string"):
        ours.add_module(3, nn.ReLU())
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()(1)


def test_a_parameter_says_what_it_is():
    p = nn.Parameter([1.0, 2.0])
    assert p.requires_grad
    assert repr(p).startswith("Parameter containing:\ntensor([1., 2.]")
    assert not nn.Parameter([1.0], requires_grad=False).requires_grad
    assert nn.Parameter().shape == tuple(torch.nn.Parameter().shape)
    with pytest.raises(RuntimeError, match="only floating point"):
        nn.Parameter([1, 2])
    assert isinstance(copy.deepcopy(p), nn.Parameter)


def test_parameters_of_torch_are_loaded_as_they_are():
    ours, theirs = nn.Linear(2, 3), torch.nn.Linear(2, 3)
    ours.load_state_dict(dict(theirs.named_parameters()))
    np.testing.assert_array_equal(ours.weight.data, theirs.weight.detach().numpy())
