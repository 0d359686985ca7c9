"""How weights lie in memory: what auto comes to, and that an optimizer's state follows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from isthmus.training.memory_format import follow_weights, set_memory_format


class Theirs(nn.Module):
    """Relies on the layout of activations, as many modules do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        h = self.conv(x)
        return h.view(h.shape[0], -1)


def is_last(module):
    weights = [part.weight for part in module.modules() if isinstance(part, nn.Conv2d)]
    return all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)


def known():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())


@pytest.mark.parametrize(
    ("make", "asked", "accelerator", "precision", "last"),
    [
        (known, "auto", "cpu", "32-true", True),
        (known, "auto", "cuda", "32-true", False),
        (known, "auto", "cuda", "bf16-mixed", True),
        (known, "auto", "mps", "16-mixed", False),
        (known, False, "cpu", "32-true", False),
        (known, True, "cuda", "32-true", True),
        (Theirs, "auto", "cpu", "32-true", False),
        (Theirs, True, "cpu", "32-true", True),
    ],
)
def test_what_is_laid_out(make, asked, accelerator, precision, last):
    module, x = make(), torch.rand(2, 3, 8, 8)
    expected = module(x) if not last else None
    set_memory_format(module, channels_last=asked, accelerator=accelerator, precision=precision)
    assert is_last(module) is last
    if expected is not None:
        assert torch.equal(module(x), expected)


def test_other_convolutions_stay_as_they_are():
    module = nn.Sequential(nn.Conv3d(1, 2, 3), nn.Conv1d(1, 2, 3))
    set_memory_format(module, channels_last=True, accelerator="cpu", precision="32-true")
    assert all(parameter.is_contiguous() for parameter in module.parameters())


def test_the_state_follows_the_weights():
    module = known()
    optimizer = torch.optim.Adam(module.parameters(), fused=True)
    module(torch.rand(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    optimizer.state[module[0].weight]["calls"] = 3  # other optimizers keep plain numbers
    before = {name: value for name, value in optimizer.state[module[0].weight].items() if name != "calls"}
    set_memory_format(module, channels_last=True, accelerator="cpu", precision="32-true")
    follow_weights(optimizer)
    weight = module[0].weight
    after = optimizer.state[weight]
    assert after["exp_avg"].stride() == after["exp_avg_sq"].stride() == weight.stride()
    assert after["calls"] == 3
    for name, value in before.items():
        assert torch.equal(after[name], value)
