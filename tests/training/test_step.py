"""The training step: accumulation, clipping, and what noise may touch."""

from __future__ import annotations

import copy

import pytest
import torch

from isthmus.runs.config.build import build, build_autoencoder
from isthmus.runs.config.compose import compose
from isthmus.training.step.eager import EagerGradients
from isthmus.training.step.optimizers import clip_gradients
from isthmus.training.step.training_step import TrainingStep

SHAPE = (1, 8, 8)


def model(*overrides, double=True):
    torch.manual_seed(0)
    made = build_autoencoder(compose(overrides), SHAPE, (0.0, 1.0))
    return made.double() if double else made


def examples(count=12):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, *SHAPE, generator=generator, dtype=torch.float64)


def step_of(made, *, clip=None, lr=0.01):
    optimizer = torch.optim.SGD(made.parameters(), lr=lr)
    return TrainingStep(EagerGradients(made, torch.Tensor.backward), [optimizer], clip)


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_accumulated_batches_are_one_batch_of_all_their_rows(parts):
    whole, accumulated, x = model(), model(), examples()
    truth = step_of(whole)(x, epoch=None)
    step = step_of(accumulated)
    chunks = x.chunk(parts)
    start = [parameter.clone() for parameter in accumulated.parameters()]
    terms = []
    for number, chunk in enumerate(chunks, start=1):
        for parameter, before in zip(accumulated.parameters(), start, strict=True):
            assert torch.equal(parameter, before)  # nothing moves before the last
        terms.append(step(chunk, epoch=None, complete=number == parts, share=1 / parts))
    for one, other in zip(whole.parameters(), accumulated.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)  # float64, sums in another order
    # what is reported is not divided
    torch.testing.assert_close(torch.stack([t[0] for t in terms]).mean(), truth[0])


def test_gradients_do_not_leak_into_the_next_step():
    made, x = model(), examples()
    step_of(made)(x, epoch=None)
    assert all(parameter.grad is None for parameter in made.parameters())


def test_terms_are_those_before_the_update_and_detached():
    made, x = model("model=vae"), examples()
    twin = copy.deepcopy(made)
    torch.manual_seed(5)
    terms = step_of(made)(x, epoch=None)
    torch.manual_seed(5)
    _, truth = twin(x)
    assert torch.equal(terms, torch.stack(list(truth.named().values())))
    assert not terms.requires_grad


def test_clipping_comes_between_the_gradients_and_the_step():
    made, x = model(), examples()
    before = [parameter.detach().clone() for parameter in made.parameters()]

    def clip():
        torch.nn.utils.clip_grad_norm_(made.parameters(), 1e-3)

    step_of(made, clip=clip, lr=1.0)(x, epoch=None)
    moved = torch.cat([(p - b).flatten() for p, b in zip(made.parameters(), before, strict=True)])
    assert moved.norm().item() == pytest.approx(1e-3, rel=1e-4)  # torch adds 1e-6 to the norm


@pytest.mark.parametrize("bound", [0.01, 1e9])
@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_clipping_bounds_what_it_says(algorithm, bound):
    class Scaled:
        class trainer:  # noqa: N801
            class precision_plugin:  # noqa: N801
                scaler = None

    made, x = model(), examples()
    made(x)[1].objective.backward()
    before = torch.cat([parameter.grad.flatten().clone() for parameter in made.parameters()])
    clip_gradients(Scaled, torch.optim.SGD(made.parameters()), value=bound, algorithm=algorithm)
    after = torch.cat([parameter.grad.flatten() for parameter in made.parameters()])
    if bound > 1e6:
        assert torch.equal(after, before)
    elif algorithm == "norm":
        assert after.norm().item() == pytest.approx(bound, rel=1e-4)
        torch.testing.assert_close(after / after.norm(), before / before.norm())
    else:
        assert torch.equal(after, before.clamp(-bound, bound))


NOISES = ["gaussian", "masking", "salt_and_pepper"]


@pytest.mark.parametrize("noise", NOISES)
def test_noise_never_touches_the_target(noise):
    made, x = model(f"noise={noise}"), examples()
    before = x.clone()
    torch.manual_seed(2)
    terms = step_of(made, lr=0.0)(x, epoch=None)
    assert torch.equal(x, before)
    torch.manual_seed(2)
    result, _ = made(x)
    assert not torch.equal(result.noisy, before)
    against_clean = (result.raw - before).square().flatten(1).sum(1).mean()
    torch.testing.assert_close(terms[0], against_clean)


def losses(logged):
    return [row["train/loss_step"] for row in logged if "train/loss_step" in row]


def test_a_run_accumulates(rows, bare):
    """Two batches of 100 train as one of 200: the same rows in the same order."""
    common = ("trainer.max_epochs=1", "trainer.log_every_n_steps=1", "data.val_size=94")
    small = rows("data.batch_size=100", "trainer.accumulate_grad_batches=2", *common, folder="small")
    large = rows("data.batch_size=200", *common, folder="large")
    finals = [next(row for row in logged if "val/loss" in row) for logged in (small, large)]
    rows_trained = len(build(bare(*common)).data.split.train)
    assert finals[0]["step"] == finals[1]["step"] == -(-rows_trained // 200)
    # the last batches are smaller, and weigh as much as whole ones in their step
    assert finals[0]["val/loss"] == pytest.approx(finals[1]["val/loss"], rel=0.02)
    assert len(losses(small)) == len(losses(large))


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_a_run_clips(algorithm, rows):
    """With gradients bound to nearly nothing, plain descent stands still."""
    common = ("optimizer=sgd", "optimizer.momentum=0", "trainer.max_steps=8", "trainer.log_every_n_steps=1")
    clipped = losses(
        rows(
            *common,
            *("trainer.gradient_clip_val=1e-9", f"trainer.gradient_clip_algorithm={algorithm}"),
            folder="clipped",
        )
    )
    free = losses(rows(*common, folder="free"))
    assert clipped[0] == free[0]
    assert free[-1] < 0.9 * free[0]
    assert clipped[-1] > 0.9 * clipped[0]
