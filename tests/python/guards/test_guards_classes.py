"""Guards on classes that torch makes at run time, one a module, so that no name leads to them."""

from __future__ import annotations

import pytest
from torch import nn
from torch.nn.utils import parametrizations

from coldframe import _core
from coldframe.errors import NotPortableError
from coldframe.torch.guards import classes
from coldframe.torch.guards.bindings import Bindings


def parametrized(axis: int | None = 0, *names: str) -> nn.Module:
    module = nn.Linear(3, 3)
    for name in ("weight", *names):
        parametrizations.weight_norm(module, name, dim=axis)
    return module


def test_a_class_made_by_torch_is_bound_to_one_of_the_same_making() -> None:
    first, second, other = parametrized(), parametrized(), parametrized(0, "bias")
    description = {"number": 0, **classes.describe_made(type(first))}
    described = _core.portable(description)
    assert Bindings().type_check(described)(second) and not Bindings().type_check(described)(other)
    assert not Bindings().type_check(described)(nn.Linear(3, 3))
    bound = Bindings().type_check(described)
    assert bound(first) and not bound(second) and bound(first)


def test_what_were_two_classes_stay_two() -> None:
    first, second = parametrized(), parametrized()
    bindings = Bindings()
    one, two = (bindings.type_check({"number": n, **classes.describe_made(type(first))}) for n in range(2))
    assert one(first) and not two(first) and two(second) and not one(second)
    assert bindings.type_check(one.description) is one


def test_a_class_made_by_a_program_is_not_described() -> None:
    class Local(nn.Module):
        pass

    with pytest.raises(NotPortableError, match="Local"):
        classes.describe_made(Local)
