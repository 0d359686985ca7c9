"""Seeds as functions of where one is, so that no random state has to be stored."""

from __future__ import annotations

import hashlib

import torch


def derive_seed(*path: int | str) -> int:
    """A 32-bit seed from a path such as (seed, "step", epoch, batch); other paths, other seeds."""
    text = "/".join(str(part) for part in path)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest())


def default_generator(device: torch.device) -> torch.Generator:
    """The generator that unseeded random functions use on `device`, dropout included."""
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0]
    if device.type == "mps":
        return torch.mps._get_default_mps_generator()
    return torch.default_generator
