"""Learning-rate schedules: their formulas, and that a run follows them."""

from __future__ import annotations

import math

import pytest
import torch

from isthmus.common.errors import BadInput
from isthmus.training.schedulers import Constant, Cosine, Plateau

LR = 0.1


def optimizer():
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)


def followed(schedule, steps):
    """The learning rate of each step, as a fraction of the first."""
    made = optimizer()
    scheduler = schedule.build(made, steps)["scheduler"]
    rates = []
    for _ in range(steps):
        rates.append(made.param_groups[0]["lr"] / LR)
        made.step()
        scheduler.step()
    return rates


def test_constant_builds_nothing():
    assert Constant().build(optimizer(), 10) is None


@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("steps", [1, 7, 100])
def test_cosine_without_warm_up_is_half_a_cosine(steps, final):
    truth = [final + (1 - final) * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)]
    assert followed(Cosine(warmup=0.0, final=final), steps) == pytest.approx(truth)


def test_cosine_is_that_of_torch():
    made = optimizer()
    truth = torch.optim.lr_scheduler.CosineAnnealingLR(made, T_max=50, eta_min=0.2 * LR)
    rates = []
    for _ in range(50):
        rates.append(made.param_groups[0]["lr"] / LR)
        made.step()
        truth.step()
    assert followed(Cosine(warmup=0.0, final=0.2), 50) == pytest.approx(rates)


def test_warm_up_is_linear_and_reaches_the_whole_rate():
    rates = followed(Cosine(warmup=0.25, final=0.0), 40)
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)


@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.999])
@pytest.mark.parametrize("total", [0, 1, 2, 33])
def test_the_factor_stays_between_0_and_1_whatever_the_length(warmup, total):
    factors = [Cosine(warmup=warmup, final=0.0).factor(step, total) for step in range(total + 3)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert factors[total] == pytest.approx(0, abs=1e-12) or round(warmup * total) == total


def test_plateau_waits_for_its_patience_and_stops_at_the_lowest():
    made = optimizer()
    scheduler = Plateau(factor=0.5, patience=2, min_lr=0.02).build(made, 10)["scheduler"]
    rates = []
    for loss in [3.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]:
        scheduler.step(loss)
        rates.append(made.param_groups[0]["lr"])
    assert rates == pytest.approx([0.1] * 4 + [0.05] * 4 + [0.025] * 3 + [0.02] * 3)


@pytest.mark.parametrize(
    ("make", "key", "value"),
    [
        *((lambda v: Cosine(warmup=v, final=0.0), "warmup", value) for value in (-0.1, 1.0, "x", True)),
        *((lambda v: Cosine(warmup=0.0, final=v), "final", value) for value in (-0.1, 1.1, math.nan)),
        *((lambda v: Plateau(factor=v, patience=1, min_lr=0.0), "factor", value) for value in (0.0, 1.0, 2)),
        *(
            (lambda v: Plateau(factor=0.5, patience=v, min_lr=0.0), "patience", value)
            for value in (-1, 1.5, True)
        ),
        *((lambda v: Plateau(factor=0.5, patience=1, min_lr=v), "min_lr", value) for value in (-1, None)),
    ],
)
def test_refuses(make, key, value):
    with pytest.raises(BadInput) as refusal:
        make(value)
    assert refusal.value.key == key


@pytest.mark.parametrize(
    ("limits", "steps"),
    [
        (["trainer.max_epochs=3"], 12),  # 1,294 rows in batches of 400: 4 a epoch
        (["trainer.max_epochs=3", "trainer.accumulate_grad_batches=3"], 6),
        (["trainer.max_epochs=3", "trainer.max_steps=7"], 7),
        (["trainer.max_epochs=-1", "trainer.max_steps=7"], 7),
    ],
    ids=str,
)
def test_a_run_ends_with_the_end_of_the_cosine(rows, limits, steps):
    logged = rows(
        "scheduler=cosine", "scheduler.final=0.25", "data.batch_size=400", "optimizer.lr=0.1", *limits
    )
    rates = [(row["step"], row["lr"]) for row in logged if "lr" in row]
    assert rates[-1] == (steps, pytest.approx(0.025))
    schedule = Cosine(warmup=0.05, final=0.25)
    for step, rate in rates:
        assert rate == pytest.approx(0.1 * schedule.factor(int(step), steps))


PLATEAU = ("scheduler=plateau", "scheduler.patience=0", "scheduler.factor=0.1", "data.batch_size=700")


def test_a_run_lowers_its_rate_when_the_validation_loss_rises(rows):
    logged = rows(*PLATEAU, "optimizer.lr=0.2", "trainer.max_epochs=10")
    losses = [row["val/loss"] for row in logged if "val/loss" in row]
    rates = [row["lr"] for row in logged if "lr" in row]
    best, expected, rate = math.inf, [], 0.2
    for loss in losses:
        expected.append(rate)  # what the epoch was trained with; its loss decides about the next
        if loss >= best * (1 - 1e-4):
            rate = max(1e-6, rate * 0.1)
        best = min(best, loss)
    assert rates == pytest.approx(expected)
    assert rates[-1] < rates[0]


def test_the_plateau_is_that_of_the_loss_whatever_makes_a_checkpoint_best(rows):
    """val/psnr rises while training goes well: that is no plateau."""
    best = ("callbacks.checkpoint.monitor=val/psnr", "callbacks.checkpoint.mode=max")
    logged = rows(*PLATEAU, *best, "trainer.max_epochs=4")
    losses = [row["val/loss"] for row in logged if "val/loss" in row]
    assert losses == sorted(losses, reverse=True)
    assert [row["lr"] for row in logged if "lr" in row] == pytest.approx([1e-3] * 4)


@pytest.mark.parametrize("overrides", [["data.val_size=0"], ["trainer.check_val_every_n_epoch=2"]], ids=str)
def test_a_plateau_needs_no_validation_in_each_epoch(rows, overrides):
    assert len([row for row in rows(*PLATEAU, *overrides, "trainer.max_epochs=3") if "lr" in row]) == 3
