"""A simplified recording computes what it did before, whatever it writes into and through which view."""

from __future__ import annotations

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from isthmus.training.step.graph_passes import simplify


def through(view):
    def merged_around_a_write(x):
        held = x.clone()
        before = held + 1
        view(held).add_(1)
        return [before, held + 1]

    return merged_around_a_write


def zeros_written(view):
    def counted(x):
        made = torch.zeros_like(x)
        view(made).add_(x.sum())
        return [made * 1]

    return counted


VIEWS = {
    "itself": lambda x: x,
    "permute": lambda x: x.permute(1, 0),
    "transpose": lambda x: x.transpose(0, 1),
    "squeeze": lambda x: x.squeeze(0),
    "diagonal": lambda x: x.diagonal(),
    "chunk": lambda x: x.chunk(2)[1],
    "flatten": lambda x: x.flatten(),
    "slice": lambda x: x[1:],
}


def summed_as_another_type(x):
    return [x.sum(0, keepdim=True, dtype=torch.float64).view(3)]


def summed_flat(x):
    return [x.sum(0, keepdim=True).view(3)]


def filled_by_position(x):
    held = torch.zeros_like(x)
    torch._foreach_add_([held], 1.0)
    return [held + x]


def written_as_an_output(x):
    held = x.clone()
    before = held * 2
    torch.add(x, 1, out=held)
    return [before, held * 2]


CASES = {
    **{f"merged {name}": through(view) for name, view in VIEWS.items()},
    **{f"zeros {name}": zeros_written(view) for name, view in VIEWS.items()},
    "sum as another type": summed_as_another_type,
    "sum": summed_flat,
    "a list": filled_by_position,
    "out": written_as_an_output,
}


@pytest.mark.parametrize("name", CASES)
def test_same_numbers_time_and_again(name):
    compute = CASES[name]
    recorded = simplify(make_fx(compute)(torch.rand(3, 3)))
    for _ in range(3):
        x = torch.rand(3, 3)
        for own, other in zip(recorded(x), compute(x), strict=True):
            assert own.dtype == other.dtype
            assert torch.equal(own, other)


@pytest.mark.parametrize("view", ["permute", "transpose", "squeeze", "flatten", "slice"])
def test_outputs_have_memory_of_their_own(view):
    def same_twice(x):
        made = x * 2
        return [made, VIEWS[view](made)]

    one, other = simplify(make_fx(same_twice)(torch.rand(3, 3)))(torch.rand(3, 3))
    assert one.untyped_storage().data_ptr() != other.untyped_storage().data_ptr()


def test_views_of_a_buffer_that_is_written_into_are_not_merged():
    class Counting(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(3))

        def forward(self, x):
            before = self.count.unsqueeze(0) * x
            self.count.add_(1)
            return [before, self.count.unsqueeze(0) * x]

    module, twin = Counting(), Counting()
    recorded = simplify(make_fx(lambda x: module(x))(torch.rand(3, 3)))
    module.count.zero_()
    for _ in range(3):
        x = torch.rand(3, 3)
        for own, other in zip(recorded(x), twin(x), strict=True):
            assert torch.equal(own, other)
