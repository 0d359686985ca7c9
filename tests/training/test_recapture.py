"""What recordings hold to changes, or fails: training is that of Python all the same."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from isthmus.runs.config.build import build_autoencoder
from isthmus.runs.config.compose import compose
from isthmus.training.inference import evaluating
from isthmus.training.step import capture
from isthmus.training.step.capture import MOVES, StepCapture, can_be_captured
from isthmus.training.step.training_step import TrainingStep

SHAPE = (1, 8, 8)


def model(*overrides):
    torch.manual_seed(0)
    cfg = compose(["architecture=mlp", "architecture.hidden=[32]", *overrides])
    return build_autoencoder(cfg, SHAPE, (0.0, 1.0)).train()


def batches(count=16):
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(12, *SHAPE, generator=generator) for _ in range(count)]


def adam(parameters):
    return torch.optim.Adam(parameters, lr=1e-2, fused=True)


def assert_as_by_python(made, *, make=adam, at_eighth=lambda made: None, compiled=False, change=lambda x: x):
    """Train two copies, one by the textbook loop; their bits are the same after each step."""
    plain, recorded = copy.deepcopy(made), copy.deepcopy(made)
    ours, theirs = (make(list(each.parameters())) for each in (plain, recorded))
    step = TrainingStep(StepCapture(recorded, compiled=compiled), [theirs])
    for number, x in enumerate(batches()):
        x = change(x) if number > 7 else x
        if number == 8:
            at_eighth(plain)
            at_eighth(recorded)
        torch.manual_seed(number)
        ours.zero_grad()
        plain(x.clone(), epoch=None)[1].objective.backward()
        ours.step()
        torch.manual_seed(number)
        step(x.clone(), epoch=None, complete=True, share=1.0)
        for name, value in plain.state_dict().items():
            assert torch.equal(value, recorded.state_dict()[name]), (number, name)
    return step.gradients


class Rebinding(torch.optim.Optimizer):
    """SGD that gives the weights other memory at each k-th step, as optimizers written by hand do."""

    def __init__(self, parameters, every):
        super().__init__(parameters, {})
        self.every, self.made = every, 0

    @torch.no_grad()
    def step(self, closure=None):
        self.made += 1
        for parameter in self.param_groups[0]["params"]:
            if self.made % self.every:
                parameter.sub_(0.1 * parameter.grad)
            else:
                parameter.data = parameter.data - 0.1 * parameter.grad


@pytest.fixture
def _not_compiled(monkeypatch):
    """What is compiled computes what it would otherwise."""
    monkeypatch.setattr(torch, "compile", lambda graph, **options: graph)
    monkeypatch.setattr(nn.Module, "compile", lambda self: None)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("every", [1, 3, 8])
@pytest.mark.usefixtures("_not_compiled")
def test_weights_that_move(every, compiled):
    recorder = assert_as_by_python(
        model(), make=lambda parameters: Rebinding(parameters, every), compiled=compiled
    )
    assert recorder._possible == (16 // every < MOVES + 1)
    assert bool(recorder.replay_count) == (every == 8 or compiled)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.usefixtures("_not_compiled")
def test_a_first_layer_that_works_in_place(compiled):
    made = model("noise=none")
    made.encoder.insert(1, nn.Dropout(0.2, inplace=True))
    assert_as_by_python(made, compiled=compiled)


def test_hooks_of_weights_are_called():
    made = model()

    def make(parameters):
        calls = []

        def later_zero(gradient):
            calls.append(None)
            return gradient * 0 if len(calls) > 8 else gradient

        parameters[0].register_hook(later_zero)
        return adam(parameters)

    assert not assert_as_by_python(made, make=make).replay_count
    weight = next(made.parameters())
    weight.register_post_accumulate_grad_hook(lambda parameter: None)
    assert not can_be_captured(made)


def frozen():
    made = model()
    made.encoder.append(nn.BatchNorm1d(32).eval())
    return made


def unfreeze(module):
    module.encoder[-1].train()


def look(module):
    with evaluating(module):
        assert not any(part.training for part in module.modules())


def test_looking_leaves_the_mode_of_each_part():
    made = frozen()
    look(made)
    assert made.training
    assert not made.encoder[-1].training


@pytest.mark.parametrize("happens", [look, unfreeze])
def test_modes_of_parts(happens):
    assert assert_as_by_python(frozen(), at_eighth=happens).replay_count


@pytest.mark.parametrize("trained", [True, False])
def test_weights_that_are_trained_from_then_on_or_not(trained):
    made = model()
    made.encoder.requires_grad_(not trained)
    recorder = assert_as_by_python(made, at_eighth=lambda module: module.encoder.requires_grad_(trained))
    assert recorder.replay_count
    assert len(recorder.parameters) == len([p for p in recorder.autoencoder.parameters() if p.requires_grad])


def test_other_strides():
    recorder = assert_as_by_python(model(), change=lambda x: x.transpose(2, 3).contiguous().transpose(2, 3))
    assert len(recorder.recordings) == 2


def test_a_recording_that_cannot_be_replayed(monkeypatch):
    def fails(*arguments):
        raise RuntimeError("no memory")

    monkeypatch.setattr(StepCapture, "_replay", fails)
    assert not assert_as_by_python(model())._possible


def test_a_compiler_that_fails(monkeypatch):
    def compile(graph, **options):
        def fails(*arguments):
            torch.rand(3)
            raise RuntimeError("no compiler")

        return fails

    monkeypatch.setattr(torch, "compile", compile)
    monkeypatch.setattr(nn.Module, "compile", lambda self: None)
    recorder = assert_as_by_python(model("noise=gaussian"), compiled=True)
    assert not recorder.compiled
    assert not recorder._possible


@pytest.mark.parametrize("other", [0.0, float("inf"), 1e-30])
def test_not_a_number_is_no_number(other):
    nan = torch.tensor([float("nan"), 1.0])
    assert capture._same(nan, nan.clone())
    assert not capture._same(nan, torch.tensor([other, 1.0]))
