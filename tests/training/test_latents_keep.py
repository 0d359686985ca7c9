"""Which codes stay on the disk."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from isthmus.runs.train import train


def steps(folder):
    """The steps whose codes of the validation set are there."""
    return [int(path.name[5:13]) for path in sorted((folder / "latents").glob("step=*_val.safetensors"))]


@pytest.mark.parametrize(("keep", "kept"), [("all", [4, 8, 12, 16]), ("last", [4, 16]), ("best", [4])])
def test_those_of_the_best_and_the_last_checkpoint(keep, kept, bare, tmp_path):
    """The first checkpoint is the best, as the largest loss is taken for the best one."""
    typed = ("data.test_size=1500", "data.val_size=41", "data.batch_size=64", "trainer.max_epochs=4")
    typed = (*typed, "latent.dim=2", "callbacks.checkpoint.mode=max", "callbacks.latents.enabled=true")
    run = train(bare(*typed, f"callbacks.latents.keep={keep}"), tmp_path / "run")
    assert steps(run.path) == kept
    best = load_file(run.path / "latents" / "best_val.safetensors")
    first = load_file(run.path / "latents" / "step=00000004_val.safetensors")
    assert torch.equal(best["codes"], first["codes"])


def test_rows_have_the_names_that_the_data_give_them(bare, tmp_path):
    lines = [f"patient {at},{at % 7},{at % 5},{at % 3}" for at in range(40)]
    (tmp_path / "x.csv").write_text("\n".join(["who,a,b,c", *lines]))
    typed = ("data=table", f"data.path={tmp_path / 'x.csv'}", "data.id=who", "latent.dim=2")
    run = train(bare(*typed, "trainer.max_epochs=1", "callbacks.latents.enabled=true"), tmp_path / "run")
    with safe_open(run.path / "latents" / "best_test.safetensors", "np") as file:
        names = json.loads(file.metadata()["isthmus"])["names"]
        ids = file.get_tensor("ids").tolist()
    assert names == [f"patient {row}" for row in ids]
