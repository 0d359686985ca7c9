"""isthmus without one of the parts that make it fast, which is replaced in this process while it trains.

`contestants.ablated:NAME` is isthmus without the component of that name in `COMPONENTS`.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest import mock

from cases import CASES
from fitting import isthmus_train
from settings import Settings, Turn
from torch.utils.data import DataLoader

from contestants.streams import Streamed
from isthmus.runs.execution import gc_pause as collector
from isthmus.training.loop import TrainingLoop
from isthmus.training.step.capture import StepCapture
from isthmus.training.step.eager import EagerGradients
from isthmus.training.writers import background

STREAMED = "streamed"  # the textbook network on a mapped file


def unchanged(given: Any) -> Any:
    return given


def nothing(*arguments: Any, **keywords: Any) -> None:
    """Neither does nor finds anything."""


def eager(autoencoder: Any, *, compiled: bool) -> EagerGradients:
    """Stands in for `StepCapture`."""
    return EagerGradients(autoencoder, lambda objective: objective.backward())


def read_each(loop: TrainingLoop, *arguments: Any) -> None:
    """Train on a batch, and read its terms at once."""
    train_batch(loop, *arguments)
    loop._read_terms()


train_batch = TrainingLoop._train


class Recording:
    """Stands in for `StepCapture._record`, which a run calls once or twice however long it is.

    Attributes:
        seconds: that it took, which are not counted.
    """

    def __init__(self) -> None:
        self.seconds = self.cpu_seconds = 0.0
        record, timed = StepCapture._record, self

        def recorded(*arguments: Any) -> Any:
            began, cpu_began = time.perf_counter(), time.process_time()
            try:
                return record(*arguments)
            finally:
                timed.seconds += time.perf_counter() - began
                timed.cpu_seconds += time.process_time() - cpu_began

        self.patch = mock.patch.object(StepCapture, "_record", recorded)


class InTrainingThread(background.Background):
    """Runs jobs when they are due in the thread that adds them."""

    def _begin(self) -> None:
        while self._jobs and self._is_due(self._jobs[0], time.monotonic()):
            entry = self._jobs.pop(0)
            entry.job()
            if entry.name is not None:
                self._rested_at = time.monotonic() + background.DEBOUNCE_SECONDS

    def _wait(self, condition: Callable[[], bool]) -> None:
        while self._jobs and not condition():
            self._jobs.pop(0).job()


@dataclass(frozen=True)
class Component:
    """What is left out.

    Attributes:
        instead: what happens without it.
        overrides: that leave it out, where there is a key for it.
        patches: what is put in the place of what, else.
        cases: where it does anything.
        threads: of the CPU with which it does, at least.
    """

    instead: str
    overrides: tuple[str, ...] = ()
    patches: Mapping[str, Any] = field(default_factory=dict)
    cases: tuple[str, ...] = tuple(CASES)
    threads: int = 1


STEP, PASSES = "isthmus.training.step", "isthmus.training.step.graph_passes"
DEBOUNCE = {"isthmus.training.writers.background.DEBOUNCE_SECONDS": 0.0}
IN_TRAINING_THREAD = {"isthmus.runs.execution.fit.Background": InTrainingThread}
EVERYTHING, CONTROL = "everything", "control"
COMPONENTS = {
    EVERYTHING: Component("isthmus as it is", cases=(*CASES, STREAMED)),
    CONTROL: Component("the same in another process: what chance makes of 1", cases=(*CASES, STREAMED)),
    "direct_step": Component(
        "Lightning's strategy runs backward and optimizer: without all down to fused_adam",
        patches={f"{STEP}.training_step.SingleDeviceStrategy": ()},
    ),
    "capture": Component("autograd at each step", patches={f"{STEP}.training_step.StepCapture": eager}),
    "graph_passes": Component(
        "recordings as `make_fx` leaves them: without the next four",
        patches={f"{STEP}.capture.simplify": unchanged, f"{STEP}.capture.use_fast_calls": unchanged},
    ),
    "leave_out": Component("detach and double transposes stay", patches={f"{PASSES}._leave_out": nothing}),
    "fold_constants": Component("no precomputed constants", patches={f"{PASSES}.fold_constants": nothing}),
    "fast_calls": Component(
        "operators and a module's attributes", patches={f"{STEP}.capture.use_fast_calls": unchanged}
    ),
    "fast_functions": Component("of fast_calls the attributes alone", patches={f"{PASSES}.FASTER": {}}),
    "fused_adam": Component(
        "the optimizer's own step()", patches={f"{STEP}.training_step.is_fused_adam": nothing}
    ),
    "direct_gradients": Component(
        "gradients reach FusedAdam through grad",
        patches={f"{STEP}.training_step.TrainingStep._needs_no_grad": nothing},
    ),
    "fused": Component("`optimizer.fused=false`: PyTorch's loop, no FusedAdam", ("optimizer.fused=false",)),
    "channels_last": Component(
        "`trainer.channels_last=false`", ("trainer.channels_last=false",), cases=("conv_vae",)
    ),
    "groups": Component("`trainer.steps_per_execution=1`", ("trainer.steps_per_execution=1",)),
    "reads_together": Component(
        "terms are read at each step, not when they are logged",
        patches={"isthmus.training.loop.TrainingLoop._train": read_each},
    ),
    "own_records": Component(
        "Lightning's log_dict sees the metrics of an epoch, too",
        patches={"isthmus.training.module.TrainerFn": SimpleNamespace(FITTING=None)},
    ),
    "writer_thread": Component("files are written by the training's thread", patches=IN_TRAINING_THREAD),
    "debounce": Component("each checkpoint and each row of metrics is written", patches=DEBOUNCE),
    "thread_and_debounce": Component("without both of them", patches={**IN_TRAINING_THREAD, **DEBOUNCE}),
    "without_openmp": Component(
        "the writer thread may use all threads",
        patches={"isthmus.training.writers.background.without_openmp": nothing},
        threads=2,
    ),
    "prefetch": Component(
        "PyTorch's DataLoader",
        patches={"isthmus.data.loading.loaders.PrefetchLoader": DataLoader},
        cases=(STREAMED,),
    ),
    "gc_pause": Component(
        "what was made before training is looked through for garbage",
        patches={"isthmus.runs.execution.gc_pause.postponed": nullcontext},
    ),
}


class Without:
    """`isthmus train` as its command runs it, without a component."""

    def __init__(self, component: Component, settings: Settings) -> None:
        case = Streamed(settings).overrides if settings.file else CASES[settings.case].overrides
        accelerator = "gpu" if settings.device == "cuda" else "cpu"
        # the projector is made after training, which is all that is timed
        further = (f"trainer.accelerator={accelerator}", "callbacks.projector.enabled=false")
        self.overrides = (*case, *component.overrides, *further)
        self.patches = component.patches

    def turn(self, *, seed: int, epochs: int) -> Turn:
        recording = Recording()
        with ExitStack() as stack:
            stack.enter_context(recording.patch)
            for what, instead in self.patches.items():
                stack.enter_context(mock.patch(what, instead))
            stack.callback(gc.unfreeze)
            stack.enter_context(collector.postponed())
            turn, _ = isthmus_train([*self.overrides, f"trainer.max_epochs={epochs}"], seed=seed)
        return replace(
            turn,
            seconds=turn.seconds - recording.seconds,
            cpu_seconds=turn.cpu_seconds - recording.cpu_seconds,
            recording=recording.seconds,
        )


def __getattr__(name: str) -> Callable[[Settings], Without]:
    if name not in COMPONENTS:
        raise AttributeError(name)
    return partial(Without, COMPONENTS[name])
