"""Muon: its steps are those of PyTorch's two optimizers, and training goes on from a checkpoint of it."""

from __future__ import annotations

import copy

import pytest
import torch

from isthmus.common.errors import BadInput
from isthmus.runs.config.compose import compose
from isthmus.runs.train import train
from isthmus.training.optimizers import Muon, orthogonal

SETTINGS = {"lr": 3e-3, "momentum": 0.9, "betas": (0.8, 0.99), "eps": 1e-8, "weight_decay": 0.1}


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(20, 50), torch.nn.LayerNorm(50), torch.nn.Linear(50, 7))


def steps(network, *optimizers, count=5):
    """Train on values that depend on the step alone."""
    for number in range(count):
        torch.manual_seed(number)
        network(torch.randn(64, 20)).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()


@pytest.mark.parametrize("shape", [(30, 80), (80, 30), (40, 40), (1, 9), (9, 1)])
def test_singular_vectors_stay_and_values_become_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    # the polynomial on the singular values alone: the definition
    expected = values / values.norm()
    for _ in range(5):
        expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
    found = orthogonal(matrix)
    assert found.shape == shape
    assert found.float() == pytest.approx((u * expected) @ v, abs=0.05)


def test_zero_gradients_stay_zero():
    assert not orthogonal(torch.zeros(4, 6)).any()


def test_steps_are_those_of_torch():
    own, reference = network(), network()
    weights = list(reference.parameters())
    decay, lr = SETTINGS["weight_decay"], SETTINGS["lr"]
    matrices = torch.optim.Muon(
        [w for w in weights if w.ndim == 2],
        lr=lr,
        weight_decay=decay,
        momentum=0.9,
        adjust_lr_fn="match_rms_adamw",
    )
    rest = [w for w in weights if w.ndim != 2]
    others = torch.optim.AdamW(rest, lr=lr, betas=SETTINGS["betas"], weight_decay=decay)
    steps(own, Muon(own.parameters(), **SETTINGS, fused=False))
    steps(reference, matrices, others)
    for mine, theirs in zip(own.parameters(), weights, strict=True):
        assert mine.detach() == pytest.approx(theirs.detach(), abs=2e-3)  # bfloat16


def test_its_state_continues():
    straight, halted = network(), network()
    steps(straight, Muon(straight.parameters(), **SETTINGS, fused=True), count=5)
    optimizer = Muon(halted.parameters(), **SETTINGS, fused=True)
    steps(halted, optimizer, count=3)
    resumed = copy.deepcopy(halted)
    again = Muon(resumed.parameters(), **SETTINGS, fused=True)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for number in (3, 4):
        torch.manual_seed(number)
        resumed(torch.randn(64, 20)).square().mean().backward()
        again.step()
        again.zero_grad()
    for one, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("weights", [[torch.zeros(3)], [torch.zeros(3, 2)], []])
def test_takes_weights_of_one_kind(weights):
    if not weights:
        with pytest.raises(ValueError, match="empty"):
            Muon(weights, **SETTINGS, fused=False)
        return
    for weight in weights:
        weight.requires_grad_().grad = torch.ones_like(weight)
    Muon(weights, **SETTINGS, fused=False).step()
    assert all(weight.detach().lt(0).all() for weight in weights)


def test_a_closure_computes_the_gradients():
    weight = torch.ones(3, 2, requires_grad=True)

    def closure():
        loss = weight.sum()
        loss.backward()
        return loss

    assert Muon([weight], **SETTINGS, fused=False).step(closure).item() == 6
    assert weight.detach().lt(1).all()


@pytest.mark.parametrize("bad", [{"momentum": 1.0}, {"momentum": "a"}, {"weight_decay": -1}])
def test_bad_settings(bad):
    with pytest.raises(BadInput, match=next(iter(bad))):
        Muon([torch.zeros(1)], **(SETTINGS | bad), fused=False)


def test_a_run_resumes_to_the_same_weights(tmp_path):
    from isthmus.runs.resume import resume

    quick = [
        *("optimizer=muon", "architecture.hidden=[16]", "latent.dim=3", "trainer=cpu", "trainer.threads=1"),
        *("callbacks.figures.enabled=false", "callbacks.projector.enabled=false", "logger=csv"),
    ]
    train(compose([*quick, "trainer.max_epochs=2"]), tmp_path / "straight")
    train(compose([*quick, "trainer.max_epochs=1"]), tmp_path / "halted")
    resume(tmp_path / "halted", overrides=["trainer.max_epochs=2"])
    weights = [
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("straight", "halted")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
