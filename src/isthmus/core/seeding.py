"""Seeds derived from the position in training, so that no RNG state has to be stored."""

from __future__ import annotations

import hashlib

import torch


def derive_seed(*path: int | str) -> int:
    """A 32-bit seed: the hash of a path such as (seed, "step", epoch, batch)."""
    text = "/".join(str(part) for part in path)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest())


def default_generator(device: torch.device) -> torch.Generator:
    """The default generator of `device`, which dropout uses, too."""
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0]
    if device.type == "mps":
        return torch.mps._get_default_mps_generator()
    return torch.default_generator
