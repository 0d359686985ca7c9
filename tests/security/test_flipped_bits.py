"""Checkpoints and latents that are damaged, or no files, are noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from isthmus.common.tensor_file import check_tensors
from isthmus.training.checkpoint.io import read_checkpoint

FLIPS = 18


@pytest.mark.parametrize("name", ["best", "last"])
def test_flipped_bits(name, trained):
    """Each is noticed that would change what is read."""
    path = trained / "checkpoints" / f"{name}.ckpt"
    whole = path.read_bytes()
    content = read_checkpoint(path)
    for place in torch.linspace(100, len(whole) - 100, FLIPS).long().tolist():
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        noticed = False
        try:
            again = read_checkpoint(path)
        except ValueError as error:
            noticed = "is damaged" in str(error)
        if not noticed:
            assert_same(again, content)


@pytest.mark.parametrize("flipped", ["nothing", "checkpoints/last.ckpt", "latents"])
def test_show_verifies(flipped, trained, command):
    path = trained / flipped
    if path.is_dir():
        path = next(path.iterdir())
    if path.is_file():
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    said = command("show", trained, "--verify")
    last = said.out.splitlines()[-1]
    if flipped == "nothing":
        assert (said.code, last) == (0, "all checkpoints and latents are as they were written")
    else:
        assert said.code == 1
        assert f"{path.name} is damaged" in last
    assert command("show", trained).code == 0


def sparse(path):
    with path.open("wb") as file:
        file.truncate(64 << 30)


@pytest.mark.parametrize("kind", [Path.mkdir, os.mkfifo, sparse])
@pytest.mark.parametrize("name", ["checkpoints/x.ckpt", "latents/x.safetensors"])
def test_show_verifies_what_is_no_file_of_a_run(name, kind, trained, command):
    kind(trained / name)
    said = command("show", trained, "--verify")
    what = "is damaged" if kind is sparse else "is not a file"
    assert (said.code, f"{Path(name).name} {what}" in said.out.splitlines()[-1]) == (1, True)


def test_each_flipped_bit_of_latents_is_noticed(trained):
    path = next((trained / "latents").iterdir())
    whole = path.read_bytes()
    for place in (*range(600), *range(600, len(whole), 997)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 7]) + whole[place + 1 :])
        with pytest.raises(ValueError, match="is damaged"):
            check_tensors(path)


def assert_same(found, expected):
    """In the gaps between the members of the archive nothing is kept."""
    torch.testing.assert_close(found["state_dict"], expected["state_dict"], rtol=0, atol=0)
    torch.testing.assert_close(
        found["optimizer_states"][0]["state"], expected["optimizer_states"][0]["state"], rtol=0, atol=0
    )
