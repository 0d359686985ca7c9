"""A checkpoint is compared with what its run would have written, before training resumes from it."""

from __future__ import annotations

import re

import pytest
import torch


def optimizer_of(state):
    return state["optimizer_states"][0]


def moments(tensor):
    """The first weight's moving average is another tensor."""

    def change(state):
        optimizer_of(state)["state"][0]["exp_avg"] = tensor(optimizer_of(state)["state"][0]["exp_avg"])

    return change


def settings(**values):
    return lambda state: optimizer_of(state)["param_groups"][0].update(values)


def shared(state):
    first = optimizer_of(state)["state"][0]
    first["exp_avg_sq"] = first["exp_avg"]


def swapped_weights(state):
    group = optimizer_of(state)["param_groups"][0]
    group["params"] = group["params"][::-1]


def first_weight(change):
    def damage(state):
        name = next(iter(state["state_dict"]))
        state["state_dict"][name] = change(state["state_dict"][name])

    return damage


def set_(*keys, value):
    def change(state):
        for key in keys[:-1]:
            state = state[key]
        state[keys[-1]] = value

    return change


STATES = {
    "a short moment": (moments(lambda old: torch.zeros(3)), r"state\.0\.exp_avg is float32 of shape \(3,\)"),
    "an empty moment": (moments(lambda old: torch.zeros(0)), r"exp_avg is float32 of shape \(0,\)"),
    "a long moment": (moments(lambda old: torch.zeros(4, *old.shape)), "exp_avg is float32 of shape"),
    "a repeated moment": (moments(lambda old: torch.zeros(1, 1).expand(old.shape)), "is a view of another"),
    "a huge moment": (moments(lambda old: torch.zeros(1).expand(10**12)), "is a view of another"),
    "a strided moment": (moments(lambda old: torch.zeros(*old.shape, 2)[..., 0]), "is a view of another"),
    "a complex moment": (moments(lambda old: old.to(torch.complex64)), "exp_avg is complex64"),
    "a conjugate moment": (moments(lambda old: old.to(torch.complex64).conj()), "is a view of another"),
    "a whole moment": (moments(torch.Tensor.long), "exp_avg is int64"),
    "a moment of NaN": (moments(lambda old: old * float("nan")), "exp_avg is NaN"),
    "a moment of text": (moments(lambda old: "x"), "exp_avg is 'x'"),
    "two in one": (shared, "share their memory"),
    "a negative step": (
        set_("optimizer_states", 0, "state", 0, "step", value=torch.tensor(-5.0)),
        "negative",
    ),
    "steps": (set_("optimizer_states", 0, "state", 0, "step", value=torch.zeros(5)), "step is float32"),
    "no step": (lambda state: optimizer_of(state)["state"][0].pop("step"), "lacks 'step'"),
    "a weight too many": (set_("optimizer_states", 0, "state", 99, value={}), "state.99 is a dict"),
    "no state": (set_("optimizer_states", value=[]), "that of one optimizer"),
    "a state of text": (set_("optimizer_states", 0, "state", value="x"), "state is 'x'"),
    "weights in another order": (swapped_weights, "names other weights"),
    "lr": (settings(lr=float("inf")), "lr is inf"),
    "lr as text": (settings(lr="0.1"), "lr is '0.1'"),
    "lr as a tensor": (settings(lr=torch.tensor(0.1)), "lr is float32"),
    "betas": (settings(betas=(0.9,)), "betas is a tuple of 1"),
    "uphill": (settings(maximize=True), "maximize is True"),
    "a new setting": (settings(evil=1), "has 'evil'"),
    "a schedule": (set_("lr_schedulers", value=[{"step": 1}]), "lr_schedulers is a list of 1"),
    "another best": (set_("callbacks", "Checkpoints", "best", value="x"), "best is 'x'"),
    "other limits": (set_("callbacks", "Checkpoints", "finished", value=[1]), "finished is a list"),
    "figures": (set_("callbacks", "Figures", value={}), "lacks 'drawn_at'"),
    "metrics": (set_("metrics", "val/mse", value="\x1b[31m"), "val/mse is"),
    "an epoch of text": (set_("epoch", value="1"), "does not tell how far"),
    "an endless epoch": (set_("epoch", value=10**400), "does not tell how far"),
    "an endless metric": (set_("metrics", "val/mse", value=-(10**400)), "val/mse is a number below"),
    "a huge step": (set_("position", "step", value=10**30), "does not tell how far"),
    "no means": (set_("position", "means", value=[]), "does not tell how far"),
    "other means": (
        lambda state: state["position"].update(batch=1, means=[{"sums": torch.zeros(10**6)}]),
        "means lacks",
    ),
    "weights of NaN": (first_weight(lambda old: old * float("nan")), "is NaN in"),
    "infinite weights": (first_weight(lambda old: old / 0.0), "is not finite"),
    "weights of another shape": (first_weight(lambda old: old[:1].clone()), "of shape"),
    "complex weights": (first_weight(lambda old: old.to(torch.complex64)), "is complex64"),
}


@pytest.mark.parametrize("name", STATES)
def test_what_training_would_resume_from(name, trained, refused):
    """Fused kernels write where an optimizer's state says, as far as the weights go."""
    change, said = STATES[name]
    for path in (trained / "checkpoints").iterdir():
        content = torch.load(path, weights_only=True)
        change(content)
        torch.save(content, path)
    line = refused("resume", trained, "trainer.max_epochs=9", says=(f"RUN={trained}: ",))
    assert re.search(said, line), line


def test_an_old_version_is_not_migrated(trained, command):
    """Lightning would take the file for one of a version that kept other things in other places."""
    for path in (trained / "checkpoints").iterdir():
        content = torch.load(path, weights_only=True)
        torch.save({**content, "pytorch-lightning_version": "0.0.1\n", "hparams": "x"}, path)
    assert command("resume", trained, "trainer.max_epochs=2").code == 0
