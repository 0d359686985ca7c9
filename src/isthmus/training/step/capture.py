"""Captures a training step as a flat list of tensor operations, and replays it for later batches.

Python modules, autograd's bookkeeping and their dispatch take longer than the arithmetic of a small network.
`torch.fx.experimental.proxy_tensor.make_fx` records the operations of noise, forward, loss and backward. A
replay calls the same kernels in the same order, so the results are bit-identical.

A recording cannot contain Python control flow that differs between batches. So only models of isthmus' and
PyTorch's modules without hooks are captured, and the first replays are compared with eager execution. Where
they differ, or recording fails, training stays eager. A change of a module's mode, of a weight's address or
of its `requires_grad` invalidates all recordings.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.modules.module import _has_any_global_hook

from isthmus.common.messages import first_line
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.seeding import default_generator
from isthmus.training.step.capturable import is_capturable
from isthmus.training.step.eager import Gradients, differentiate, objective_and_terms, trained
from isthmus.training.step.graph_passes import simplify, use_fast_calls

logger = logging.getLogger(__name__)

WATCHED = 3  # batches of one shape that run eagerly first: short trainings need no recording
COMPARED = 2  # replays compared with eager execution; the second has other weights than the capture
MOVES = 4  # address changes of weights that end capture: the optimizer keeps replacing the tensors
FALLBACK = "the training step cannot be recorded (%s); it is trained all the same, more slowly"


class Setting(NamedTuple):
    """What recordings assume.

    Attributes:
        modes: whether each module is in training mode.
        trained: `requires_grad` of each parameter and buffer.
        places: their memory addresses.
    """

    modes: list[bool]
    trained: list[bool]
    places: list[int]


Compute = Callable[..., list[Tensor | None]]


def can_be_captured(module: nn.Module) -> bool:
    """Whether `module` contains only isthmus' and PyTorch's modules, without hooks."""
    if not is_capturable(module) or _has_any_global_hook():
        return False
    hooked = any(
        part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks
        for part in module.modules()
    )
    return not hooked and not any(
        parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None)
        for parameter in module.parameters()
    )


class StepCapture:
    """Computes gradients; captures each batch shape after a few eager batches.

    Args:
        autoencoder: in training mode, on its device.
        compiled: whether recordings are compiled, with CUDA graphs on CUDA. Each is compared with eager
            execution before compilation, since compiled kernels draw other random numbers. The tensors that a
            compiled recording returns are overwritten by the next batch.

    Attributes:
        replay_count: batches computed by replays.
    """

    def __init__(self, autoencoder: Autoencoder, *, compiled: bool = False) -> None:
        self.autoencoder = autoencoder
        self.compiled = compiled
        self.parameters = trained(autoencoder)
        self.recordings: dict[object, Compute] = {}
        self.replay_count = 0
        self._seen: dict[object, int] = {}
        self._compared: dict[object, int] = {}
        self._possible = can_be_captured(autoencoder)
        self._parts = list(autoencoder.modules())
        self._tensors = [*autoencoder.parameters(), *autoencoder.buffers()]
        self._setting = self._found()
        self._moves = 0

    def __call__(self, x: Tensor, epoch: Tensor | None, share: float) -> Gradients:
        if self._setting != (found := self._found()):
            self._begin_again(found)
        if not self._possible:
            return self._by_python(x, epoch, share)
        key = (x.shape, x.stride(), x.dtype, share)
        compute = self.recordings.get(key)
        if compute is None:
            seen = self._seen[key] = self._seen.get(key, 0) + 1
            if seen <= WATCHED and not self.compiled:
                return self._by_python(x, epoch, share)
            compute = self._compiled(x, epoch, share) if self.compiled else self._record(x, epoch, share)
            if compute is None:
                return self._by_python(x, epoch, share)
            self.recordings[key] = compute
        if self._compared.get(key, 0) < COMPARED and not self.compiled:
            self._compared[key] = self._compared.get(key, 0) + 1
            return self._compare(compute, x, epoch, share)
        return self._replay(compute, x, epoch)

    def _found(self) -> Setting:
        return Setting(
            [part.training for part in self._parts],
            [tensor.requires_grad for tensor in self._tensors],
            [tensor.data_ptr() for tensor in self._tensors],
        )

    def _begin_again(self, found: Setting) -> None:
        for held in (self.recordings, self._seen, self._compared):
            held.clear()
        if found.trained != self._setting.trained:
            self.parameters = trained(self.autoencoder)
        if found.places != self._setting.places:
            self._moves += 1
            if self._moves == MOVES and self._possible:
                self._give_up("the optimizer moves its weights")
        self._setting = found

    def _by_python(self, x: Tensor, epoch: Tensor | None, share: float) -> Gradients:
        return differentiate(self.autoencoder, self.parameters, x, epoch, share)

    @torch.no_grad()
    def _replay(self, compute: Compute, x: Tensor, epoch: Tensor | None) -> Gradients:
        self.replay_count += 1
        # the recording contains autocast's casts
        if torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):
                terms, *gradients = compute(x, epoch)
        else:
            terms, *gradients = compute(x, epoch)
        assert terms is not None
        return Gradients(terms, gradients)

    def _record(self, x: Tensor, epoch: Tensor | None, share: float) -> Compute | None:
        """A recording that has not been compared yet; None where capture fails."""
        graph = self._trace(x, epoch, share)
        return None if graph is None else use_fast_calls(graph).forward

    def _compiled(self, x: Tensor, epoch: Tensor | None, share: float) -> Compute | None:
        """A compared and compiled recording; None after a failure, and then only forward is compiled."""
        graph = self._trace(x, epoch, share)
        if graph is None:
            return None
        before = _State(self.autoencoder, x)
        self._compare(graph.forward, x, epoch, share)
        before.restore()
        if not self._possible:
            return None
        mode = "reduce-overhead" if x.device.type == "cuda" else "default"
        compiled: Compute = torch.compile(graph, dynamic=False, mode=mode)
        try:
            self._replay(compiled, x, epoch)  # compilation happens here
        except Exception as error:  # compilers raise any type
            self._give_up(first_line(error))
            return None
        finally:
            before.restore()
        return compiled

    def _trace(self, x: Tensor, epoch: Tensor | None, share: float) -> GraphModule | None:
        def step(x: Tensor, epoch: Tensor | None) -> list[Tensor | None]:
            with torch.enable_grad():
                objective, terms = objective_and_terms(self.autoencoder, x, epoch, share)
                gradients = torch.autograd.grad(objective, self.parameters, allow_unused=True)
            return [terms, *map(_own, gradients, self.parameters)]

        kind = x.device.type
        before = _State(self.autoencoder, x)
        try:
            # weights in autocast's cache would be recorded as constants
            with torch.autocast(
                kind,
                dtype=torch.get_autocast_dtype(kind),
                enabled=torch.is_autocast_enabled(kind),
                cache_enabled=False,
            ):
                return simplify(make_fx(step)(x, epoch))
        except Exception as error:  # data-dependent Python raises various types
            self._give_up(first_line(error))
            return None
        finally:
            before.restore()

    def _compare(self, compute: Compute, x: Tensor, epoch: Tensor | None, share: float) -> Gradients:
        """The eager gradients; gives up capture where a replay differs from them."""
        before = _State(self.autoencoder, x)
        try:
            replayed = self._replay(compute, x, epoch)
        except Exception as error:  # such as out of memory: both results are held
            before.restore()
            self._give_up(first_line(error))
            return self._by_python(x, epoch, share)
        replayed_buffers = [buffer.clone() for buffer in self.autoencoder.buffers()]
        before.restore()
        computed = self._by_python(x, epoch, share)
        pairs = [
            (replayed.terms, computed.terms),
            *zip(replayed.of or (), computed.of or (), strict=True),
            *zip(replayed_buffers, self.autoencoder.buffers(), strict=True),
        ]
        if not all(_same(own, other) for own, other in pairs):
            self._give_up("it gave other numbers when it was tried")
        return computed

    def _give_up(self, why: str) -> None:
        self._possible = False
        logger.info(FALLBACK, why)
        if self.compiled:  # the forward pass alone
            self.compiled = False
            self.autoencoder.compile()


class _State:
    """Snapshot of RNG state, buffers and input, restored after a trial replay. The first layer may change
    the input in place."""

    def __init__(self, module: nn.Module, x: Tensor) -> None:
        self._generator = default_generator(x.device)
        self._random = self._generator.get_state()
        self._values = [(tensor, tensor.clone()) for tensor in (x, *module.buffers())]

    @torch.no_grad()
    def restore(self) -> None:
        self._generator.set_state(self._random)
        for tensor, value in self._values:
            tensor.copy_(value)


def _own(gradient: Tensor | None, parameter: Tensor) -> Tensor | None:
    """The gradient with its parameter's strides: fused optimizers read both as flat arrays."""
    if gradient is None or gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def _same(own: Tensor | None, other: Tensor | None) -> bool:
    if own is None or other is None:
        return own is other
    if (own.shape, own.dtype) != (other.shape, other.dtype):
        return False
    if own.device.type == "cpu":
        # NaN equals NaN here; `DivergenceGuard` ends training on it
        return torch.allclose(own, other, rtol=0.0, atol=0.0, equal_nan=True)
    # some GPU kernels sum in any order, which costs small numbers the most precision
    finite = other.isfinite()
    if not torch.equal(finite, own.isfinite()):
        return False
    own, other = own.where(finite, 0), other.where(finite, 0)
    if own.dtype != torch.float64:
        own, other = own.float(), other.float()
    allowed = 1e-3 * torch.linalg.vector_norm(other) + 1e-6
    return bool(torch.linalg.vector_norm(own - other) <= allowed)
