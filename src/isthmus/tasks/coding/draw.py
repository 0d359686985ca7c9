"""Codes drawn from the prior of a model, or from what was fitted to the codes of its training rows."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch
from torch import Tensor

from isthmus.common.errors import BadInput, one_of
from isthmus.data.loading.splits import evenly_spaced
from isthmus.runs.folder.lookup import MODEL
from isthmus.runs.packed.flow import PREFIX, Flow, check_flow, fit_flow
from isthmus.tasks.engine import Engine

SAMPLERS = ("prior", "mixture", "flow")
MOST_ROWS = 100_000  # that a flow is fitted to


def draw(engine: Engine, place: Path, count: int, sampler: str, generator: torch.Generator) -> Tensor:
    """Codes drawn at random. Shape: [count, D], float32, on the CPU.

    Args:
        engine: the model.
        place: the run folder or the file that it was opened from.
        count: number of codes.
        sampler: one of `SAMPLERS`.
        generator: of the random numbers, on the CPU.

    Raises:
        BadInput: the model has no such sampler; see `flow_of`.
    """
    if one_of("sampler", sampler, SAMPLERS) == "flow":
        return flow_of(engine, place).sample(count, generator)
    if sampler == "mixture":
        return engine.detector.mixture.sample(count, generator).cpu()
    latent = engine.autoencoder.latent
    if not latent.probabilistic:
        fix = "the latent has no prior; give sampler=mixture, or train with latent=gaussian"
        raise BadInput("sampler", sampler, fix)
    return torch.randn(count, latent.dim, generator=generator)


def flow_of(engine: Engine, place: Path) -> Flow:
    """The flow of a model.

    It is fitted on first use, which takes a minute or two on one core, and then kept in the run's
    model.isthmus, which `isthmus pack` copies.

    Raises:
        BadInput: zuko is not installed; or the flow has to be fitted, and the training rows are gone or have
            changed, or the model is packed or in memory.
    """
    dim, file = engine.autoencoder.latent.dim, engine.opened.file
    check_flow(dim)
    if kept := file.named(PREFIX):
        return Flow.of(kept, dim)
    tensors = fit_flow(_codes(engine, place))
    named = {f"{PREFIX}{name}": each for name, each in tensors.items()}
    with_flow = file._replace(tensors={**file.tensors, **named})
    engine.opened = engine.opened._replace(file=with_flow)
    if engine.is_fitted and (place / MODEL).is_file():
        with contextlib.suppress(OSError):  # a run that may only be read: the flow is fitted again next time
            with_flow.write(place / MODEL)
    return Flow.of(tensors, dim)


def _codes(engine: Engine, place: Path) -> Tensor:
    """Codes of training rows: of distributions, samples, which the decoder was trained on.

    Shape: [N, D], float32.
    """
    from isthmus.runs.run_data import is_same_data
    from isthmus.tasks.inputs.run_data import open_run_data, run_examples

    if not place.is_dir():
        fix = "the model has none; fit one with isthmus generate RUN --sampler flow, then isthmus pack RUN"
        raise BadInput("sampler", "flow", fix)
    opened = open_run_data(place)
    if not is_same_data(opened.trained_on, opened.data):
        raise BadInput("RUN", place, "its data or their split have changed since training; use mixture")
    examples = run_examples(opened, engine.accepted, evenly_spaced(opened.data.split.train, MOST_ROWS))

    def encode(x: Tensor) -> dict[str, Tensor]:
        code = engine.autoencoder.encode(x)
        return {"z": code.z} if code.posterior is None else code.posterior._asdict()

    # tensors of inference mode cannot be trained on
    gathered = engine.gathered(examples, encode, doing="Encoding")
    found = {name: torch.from_numpy(each.numpy().copy()) for name, each in gathered.items()}
    if "z" in found:
        return found["z"]
    noise = torch.randn(found["mean"].shape, generator=torch.Generator().manual_seed(0))
    return found["mean"] + (0.5 * found["log_var"]).exp() * noise
