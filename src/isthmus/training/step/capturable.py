"""Which models `capture` can record: their operations depend on settings, not on the values of a batch."""

from __future__ import annotations

from torch import nn

KNOWN = ("isthmus.core.", "torch.nn.modules.")


def is_capturable(module: nn.Module) -> bool:
    """Whether `module` and all its parts are isthmus' own or PyTorch's."""
    return all(type(part).__module__.startswith(KNOWN) for part in module.modules())
