"""A recorded step gives the bits that Python gives, and what cannot be recorded is not."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn

from isthmus.runs.config.build import build_autoencoder
from isthmus.runs.config.compose import compose
from isthmus.training.step import capture
from isthmus.training.step.capture import (
    COMPARED,
    WATCHED,
    StepCapture,
    can_be_captured,
)
from isthmus.training.step.eager import EagerGradients, differentiate, trained
from isthmus.training.step.fused_adam import is_fused_adam
from isthmus.training.step.training_step import TrainingStep

SHAPE = (1, 8, 8)
STEPS = WATCHED + COMPARED + 5
OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2, fused=True),
    "adam_decay": lambda p: torch.optim.Adam(p, lr=1e-2, weight_decay=0.1, betas=(0.8, 0.9), fused=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1, fused=True),
    "decoupled": lambda p: torch.optim.Adam(
        p, lr=1e-2, weight_decay=0.1, decoupled_weight_decay=True, fused=True
    ),
    "maximize": lambda p: torch.optim.AdamW(p, lr=1e-3, maximize=True, fused=True),
    "groups": lambda p: torch.optim.Adam(
        [{"params": p[:2], "lr": 1e-3}, {"params": p[2:], "eps": 1e-4}], lr=1e-2, fused=True
    ),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=1e-2, amsgrad=True, fused=True),
    "unfused": lambda p: torch.optim.Adam(p, lr=1e-2),
    "sgd": lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9),
}


def model(*overrides, shape=SHAPE):
    torch.manual_seed(0)
    return build_autoencoder(compose(overrides), shape, (0.0, 1.0)).train()


def batches(count=STEPS, size=12, shape=SHAPE):
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(size, *shape, generator=generator) for _ in range(count)]


def both_ways(made, xs, *, make=OPTIMIZERS["adam"], clip=None, accumulate=1, epochs=None):
    """Train two copies, one step by step in Python and one by recordings; returns both and the recorder."""
    plain, replayed = copy.deepcopy(made), copy.deepcopy(made)
    optimizers = [make(list(each.parameters())) for each in (plain, replayed)]

    def clips(each):
        return (lambda: clip(list(each.parameters()))) if clip else None

    eager = TrainingStep(EagerGradients(plain, torch.Tensor.backward), [optimizers[0]], clips(plain))
    step = TrainingStep(StepCapture(replayed), [optimizers[1]], clips(replayed))
    epochs = epochs or itertools.repeat(None)
    for number, (x, epoch) in enumerate(zip(xs, epochs, strict=False)):
        last = {"complete": (number + 1) % accumulate == 0, "share": 1 / accumulate}
        torch.manual_seed(number)
        expected = eager(x, epoch=epoch, **last)
        torch.manual_seed(number)
        terms = step(x, epoch=epoch, **last)
        assert torch.equal(terms, expected)
        assert torch.initial_seed() == number
        assert torch.equal(torch.rand(3), _next_numbers(number, plain, x, epoch))
    for one, other in zip(plain.state_dict().values(), replayed.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    _same_state(*optimizers)
    return plain, replayed, step.gradients


def _next_numbers(seed, plain, x, epoch):
    """What the generator gives after a pass in Python."""
    torch.manual_seed(seed)
    shadow = copy.deepcopy(plain)
    differentiate(shadow, trained(shadow), x, epoch, 1.0)
    return torch.rand(3)


def _same_state(one, other):
    one, other = one.state_dict(), other.state_dict()
    assert one["param_groups"] == other["param_groups"]
    assert one["state"].keys() == other["state"].keys()
    for state, twin in zip(one["state"].values(), other["state"].values(), strict=True):
        assert all(torch.equal(torch.as_tensor(state[name]), torch.as_tensor(twin[name])) for name in state)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_same_bits_with_every_optimizer(name):
    *_, recorder = both_ways(model("architecture=mlp"), batches(), make=OPTIMIZERS[name])
    assert len(recorder.recordings) == 1


@pytest.mark.parametrize(
    ("name", "direct"),
    [
        ("adam", True),
        ("adamw", True),
        ("decoupled", True),
        ("groups", True),
        ("maximize", True),
        ("amsgrad", False),
        ("sgd", False),
    ],
)
def test_which_optimizers_are_stepped_directly(name, direct):
    optimizer = OPTIMIZERS[name](list(model().parameters()))
    assert is_fused_adam(optimizer) is direct
    optimizer.register_step_post_hook(lambda *arguments: None)
    assert not is_fused_adam(optimizer)


def test_a_learning_rate_that_changes_is_followed():
    made, xs = model(), batches()
    plain, replayed = (copy.deepcopy(made) for _ in range(2))
    optimizers = [OPTIMIZERS["adam"](list(each.parameters())) for each in (plain, replayed)]
    step = TrainingStep(StepCapture(replayed), [optimizers[1]])
    eager = TrainingStep(EagerGradients(plain, torch.Tensor.backward), [optimizers[0]])
    for number, x in enumerate(xs):
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = 0.1 / (number + 1)
        eager(x, epoch=None)
        step(x, epoch=None, complete=True, share=1.0)
    for one, other in zip(plain.parameters(), replayed.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("accumulate", [2, 3])
@pytest.mark.parametrize(
    "clip",
    [
        None,
        lambda parameters: torch.nn.utils.clip_grad_norm_(parameters, 0.01),
        lambda parameters: torch.nn.utils.clip_grad_value_(parameters, 0.001),
    ],
)
def test_same_bits_accumulated_and_clipped(accumulate, clip):
    both_ways(model("model=vae"), batches(12), accumulate=accumulate, clip=clip)


def test_warming_weights_are_an_input_of_the_recording():
    epochs = [torch.tensor(number / 4) for number in range(STEPS)]
    *_, recorder = both_ways(model("model=vae", "regularizer.kl.warmup_epochs=2"), batches(), epochs=epochs)
    assert len(recorder.recordings) == 1


def test_each_size_of_batch_has_its_recording():
    xs = [x for pair in zip(batches(), batches(size=7), strict=True) for x in pair]
    *_, recorder = both_ways(model("noise=gaussian"), xs)
    assert len(recorder.recordings) == 2


@pytest.mark.parametrize("overrides", [("architecture=conv",), ("architecture=resnet", "model=vae")])
def test_same_bits_with_weights_in_channels_last(overrides):
    made = model(*overrides).to(memory_format=torch.channels_last)
    xs = [x.to(memory_format=torch.channels_last) for x in batches()]
    *_, recorder = both_ways(made, xs)
    assert len(recorder.recordings) == 1
    assert recorder._possible


@pytest.mark.parametrize("overrides", [("architecture=mlp",), ("architecture=conv", "model=vae")])
def test_same_bits_under_autocast(overrides):
    """Casts of weights are made anew at each step, not recorded with the numbers they had."""
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
        plain = model(*overrides)
        replayed = copy.deepcopy(plain)
        optimizers = [OPTIMIZERS["adam"](list(each.parameters())) for each in (plain, replayed)]
        eager = TrainingStep(EagerGradients(plain, torch.Tensor.backward), [optimizers[0]])
    step = TrainingStep(StepCapture(replayed), [optimizers[1]])
    for number, x in enumerate(batches()):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.manual_seed(number)
            expected = eager(x, epoch=None)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.manual_seed(number)
            assert torch.equal(step(x, epoch=None, complete=True, share=1.0)[0], expected[0])
    assert step.gradients.recordings
    assert step.gradients._possible
    for one, other in zip(plain.parameters(), replayed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_frozen_parameters_stay():
    made = model("architecture=mlp", "architecture.normalization=batch")
    first = next(made.parameters())
    first.requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in made.parameters() if p.requires_grad], lr=1e-2, fused=True)
    step, before = TrainingStep(StepCapture(made), [optimizer]), first.clone()
    for x in batches():
        step(x, epoch=None, complete=True, share=1.0)
    assert torch.equal(first, before)
    assert step.gradients.recordings


class Counting(nn.Module):
    """Decides anew at each batch, which no recording can know."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls


def test_modules_of_others_are_not_recorded():
    made = model("architecture=mlp")
    assert can_be_captured(made)
    made.encoder.append(Counting())
    assert not can_be_captured(made)
    *_, recorder = both_ways(made, batches())
    assert not recorder.recordings


class Turned(nn.Module):
    """The gradient of its weight lies in memory the other way round; that of two others is one tensor."""

    def __init__(self, features):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features, features) / features)
        self.one = nn.Parameter(torch.randn(12, features))
        self.two = nn.Parameter(torch.randn(12, features))
        self.spread = nn.Parameter(torch.randn(features) / features)

    def forward(self, x):
        h = torch.einsum("bi,oi->bo", x + (self.one + self.two), self.weight)
        return h + self.spread.sum()


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("clip", [None, lambda parameters: torch.nn.utils.clip_grad_norm_(parameters, 0.01)])
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_gradients_of_others_are_those_that_backward_leaves(accumulate, clip, name):
    made = model("architecture=mlp", "architecture.hidden=[32]")
    made.encoder.append(Turned(32))
    both_ways(made, batches(), accumulate=accumulate, clip=clip, make=OPTIMIZERS[name])


@pytest.mark.parametrize("compiled", [False, True])
def test_what_cannot_be_written_down_is_trained_by_python(compiled):
    made = model("architecture=mlp", "architecture.hidden=[32]", "noise=gaussian")
    made.encoder.append(nn.BatchNorm1d(32, momentum=None))  # asks for the value of its counter
    assert can_be_captured(made)
    if not compiled:
        *_, recorder = both_ways(made, batches())
    else:
        recorder = StepCapture(made, compiled=True)
        calls = []
        made.compile = lambda: calls.append("forward")
        for x in batches(2):
            before = made.encoder[-1].num_batches_tracked.item()
            recorder(x, None, 1.0)
            assert made.encoder[-1].num_batches_tracked == before + 1
        assert calls == ["forward"]
    assert not recorder.recordings
    assert not recorder._possible


def test_a_wrong_recording_is_not_compiled(monkeypatch):
    monkeypatch.setattr(capture, "simplify", lambda graph: _wrong(graph))
    monkeypatch.setattr(torch, "compile", lambda *arguments, **keywords: pytest.fail("compiled"))
    made = model("architecture=mlp")
    made.compile = lambda: None
    recorder = StepCapture(made, compiled=True)
    x = batches(1)[0]
    expected = differentiate(made, recorder.parameters, x, None, 1.0)
    for own, other in zip(recorder(x, None, 1.0).of, expected.of, strict=True):
        assert torch.equal(own, other)


def _wrong(graph):
    output = graph.graph.output_node()
    with graph.graph.inserting_before(output):
        terms, *gradients = output.args[0]
        doubled = graph.graph.call_function(torch.ops.aten.mul.Tensor, (gradients[0], 2))
    output.args = ([terms, doubled, *gradients[1:]],)
    graph.recompile()
    return graph


def test_modules_with_hooks_are_not_recorded():
    made = model("architecture=mlp")
    made.encoder.register_forward_hook(lambda *arguments: None)
    assert not can_be_captured(made)


@pytest.mark.parametrize("kind", ["bits", "buffer", "shape of chance"])
def test_a_recording_that_computes_something_else_is_not_used(kind, monkeypatch):
    made = model("architecture=mlp", "architecture.normalization=batch", "noise=gaussian")
    forward, calls = type(made).forward, itertools.count()

    def changing(self, x, **keywords):
        number = next(calls)
        if kind == "buffer":
            self.get_buffer("encoder.2.running_mean").add_(number)
        if kind == "shape of chance" and number % 2:
            torch.rand(1)
        result, terms = forward(self, x, **keywords)
        return result, terms._replace(objective=terms.objective * (1 + number)) if kind == "bits" else terms

    monkeypatch.setattr(type(made), "forward", changing)
    recorder = StepCapture(made)
    for x in batches():
        recorder(x, None, 1.0)
    assert not recorder._possible


@pytest.mark.parametrize("overrides", [("architecture=mlp",), ("model=vae",), ("architecture=linear",)])
def test_gradients_have_memory_of_their_own(overrides):
    """They are clipped in place, and read as one row of numbers by fused optimizers."""
    made = model(*overrides)
    recorder = StepCapture(made)
    for x in batches():
        gradients = recorder(x, None, 1.0)
    assert recorder.recordings
    places = [gradient.untyped_storage().data_ptr() for gradient in gradients.of]
    assert len(set(places)) == len(places)
    for gradient, parameter in zip(gradients.of, recorder.parameters, strict=True):
        assert gradient.stride() == parameter.stride()
