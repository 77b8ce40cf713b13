"""Sequential, ModuleList and ModuleDict against torch's: what they hold, and how that changes."""

from collections import OrderedDict

import pytest
import torch

import minigrad as mg
from minigrad import nn


def kinds(modules):
    return [type(m).__name__ for m in modules]


def test_sequential():
    for package in (nn, torch.nn):
        row = package.Sequential(package.Linear(2, 3), package.ReLU(), package.Linear(3, 1))
        assert len(row) == 3
        assert row[-1] is row[2] is list(row)[2]
        assert isinstance(row[:2], package.Sequential)
        assert row[1:][0] is row[1]
        row[1] = package.Tanh()
        row.append(package.Sigmoid())
        row.extend([package.Identity()])
        assert kinds(row) == ["Linear", "Tanh", "Linear", "Sigmoid", "Identity"]
        for i in (5, -6):
            with pytest.raises(IndexError):
                row[i]
        named = package.Sequential(OrderedDict(first=package.Linear(1, 1)))
        assert list(named.state_dict()) == ["first.weight", "first.bias"]
        assert bool(row)
        assert len(package.Sequential()) == 0


def test_sequential_changes_as_a_list_does():
    for package in (nn, torch.nn):
        a, b, c = package.ReLU(), package.Tanh(), package.Linear(2, 2)
        row = package.Sequential(a, b)
        assert row.insert(1, c) is row
        assert list(row) == [a, c, b]
        assert list(row.insert(-1, a)) == [a, c, a, b]
        assert row.pop(0) is a
        del row[1]
        assert list(row) == [c, b]
        assert list(row.state_dict()) == ["0.weight", "0.bias"]
        assert list(row + package.Sequential(a)) == [c, b, a]
        row += package.Sequential(a)
        assert list(row) == [c, b, a]
        assert list(row[:2] * 2) == list(2 * row[:2]) == [c, b, c, b]
        row *= 2
        assert len(row) == 6
        del row[1:5]
        assert list(row) == [c, a]
        assert list(row[::-1].state_dict()) == ["0.weight", "0.bias"]    # a slice keeps its names
        for wrong in (lambda r=row: r.insert(3, r[0]), lambda r=row: r.pop(2),
                      lambda r=row: r[2:9][0],
                      lambda r=row: r.__delitem__(-3)):
            with pytest.raises(IndexError):
                wrong()
        for wrong in (lambda r=row: r.append(3), lambda r=row: r.extend(3),
                      lambda p=package: p.Sequential(p.ReLU(), "a"), lambda r=row: r["0"],
                      lambda r=row: r.__setitem__(0, 3)):
            with pytest.raises(TypeError):
                wrong()
        with pytest.raises((ValueError, TypeError)):
            row * 0
        with pytest.raises((TypeError, AssertionError)):
            row.insert(0, 3)
        assert list(row(tensor_of(package))[0].shape) == [2]


def tensor_of(package):
    return mg.ones(1, 2) if package is nn else torch.ones(1, 2)


def test_module_list():
    for package in (nn, torch.nn):
        row = package.ModuleList(package.Linear(i, 1) for i in (1, 2, 3))
        assert [m.in_features for m in row] == [1, 2, 3]
        assert [m.in_features for m in row[1:]] == [2, 3]
        row.append(package.Linear(4, 1)).extend([package.Linear(5, 1)])
        row[0] = package.Linear(9, 1)
        assert list(row.state_dict())[-2:] == ["4.weight", "4.bias"]
        assert row[0].in_features == 9
        assert isinstance(row[1:], package.ModuleList)
        row.insert(1, package.Linear(8, 1))
        assert row.pop(-1).in_features == 5
        row += [package.Linear(7, 1)]
        del row[2]
        assert [m.in_features for m in row] == [9, 8, 3, 4, 7]
        assert [m.in_features for m in row + row[:1]] == [9, 8, 3, 4, 7, 9]
        assert list(row.state_dict())[-1] == "4.bias"
        with pytest.raises(TypeError):
            row.extend(3)
        with pytest.raises(NotImplementedError):
            row(1)


def test_a_module_list_shows_equal_neighbours_once():
    shown = [repr(p.ModuleList([p.ReLU(), p.Linear(1, 2), p.Linear(1, 2), p.Sequential(p.Tanh()),
                                p.Sequential(p.Tanh()), p.ReLU(), p.ModuleList()]))
             for p in (nn, torch.nn)]
    assert shown[0] == shown[1]


def test_module_dict():
    for package in (nn, torch.nn):
        table = package.ModuleDict({"a": package.ReLU()})
        table["b"] = package.Linear(1, 2)
        table["a"] = package.Tanh()
        table.update({"c": package.Identity()})
        del table["c"]
        table.update([("d", package.Identity())])
        assert type(table.pop("d")).__name__ == "Identity"
        assert list(package.ModuleDict(table)) == ["a", "b"]
        assert list(table) == list(table.keys()) == ["a", "b"]
        assert [type(m).__name__ for m in table.values()] == ["Tanh", "Linear"]
        assert [name for name, _ in table.items()] == ["a", "b"]
        assert len(table) == 2
        assert "a" in table
        assert "c" not in table
        assert list(table.state_dict()) == ["b.weight", "b.bias"]
        for wrong in (lambda t=table: t["c"], lambda t=table: t.__delitem__("c"),
                      lambda t=table, p=package: t.update({"keys": p.ReLU()})):
            with pytest.raises(KeyError):
                wrong()
        for wrong in (lambda t=table: t.update(3), lambda p=package: p.ModuleDict([3]),
                      lambda p=package: p.ModuleDict({"a": 3}),
                      lambda t=table, p=package: t.update({3: p.ReLU()})):
            with pytest.raises(TypeError):
                wrong()
        table.clear()
        assert len(table) == 0
