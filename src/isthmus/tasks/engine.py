"""Passes examples through a trained model in batches, which are read ahead in a thread."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import LONGEST, BadInput, check_int
from isthmus.common.messages import printable
from isthmus.common.progress import track
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.detection.detector import SCORES, Detector
from isthmus.core.detection.mixture import Mixture
from isthmus.core.detection.neighbours import Neighbours
from isthmus.core.detection.residuals import NUMBERS, Residuals
from isthmus.data.loading.prefetch import prefetch
from isthmus.runs.packed.opening import OpenedModel
from isthmus.tasks.inputs.examples import Accepted, Examples
from isthmus.tasks.inputs.opening import examples_of

BATCH_BYTES = 2 << 20  # of the examples that are computed together, as float32: the cache of a core
SMALLEST, LARGEST = 16, 4096  # examples in a batch
AHEAD = 2  # batches that are read while one is computed
MANY = 40  # batches that take longer than a few seconds
MIXTURES = ("mixture", "normal")  # of the detector
DAMAGED = "is not as isthmus writes it; is the file damaged?"

Function = Callable[[Tensor], dict[str, Tensor]]


class Engine:
    """An opened model on a device, and what was fitted to its codes and residuals.

    Args:
        opened: the model.
        device: where it computes.
    """

    def __init__(self, opened: OpenedModel, device: torch.device) -> None:
        self.opened, self.device = opened, device
        self.accepted = Accepted.by(opened)
        self.dtype = opened.dtype
        self._warned: set[str] = set()

    @property
    def autoencoder(self) -> Autoencoder:
        """The model itself."""
        return self.opened.autoencoder

    def examples(self, x: Any, *, noisy: bool = False) -> Examples:
        """See `examples_of`, and `Accepted` for `noisy`. Warns of rows that have no result, and
        once of columns that were not in the training data, and of files that were left out.
        """
        if isinstance(x, Examples):
            return x
        examples = examples_of(x, self.accepted._replace(noisy=noisy))
        if examples.incomplete is not None:
            said = "; ".join(text for kind, text in examples.remarks if kind == "missing")
            warnings.warn(printable(f"missing cells: {said}", LONGEST), stacklevel=3)
        for kind, text in examples.remarks:
            if kind in ("ignored", "skipped") and text not in self._warned:
                self._warned.add(text)
                warnings.warn(printable(f"{kind} {text}", LONGEST), stacklevel=3)
        return examples

    def as_given(self, x: Tensor) -> Any:
        """Values of the model [N, ...] as a user has them: a table of pyarrow, or an array.

        Pixels are in [0, 1].
        """
        stored = x if self.accepted.pixel_unit is not None else self.accepted.scaling.invert(x)
        if self.accepted.record is None:
            return stored.numpy()
        from isthmus.tasks.inputs.tables import decoded

        return decoded(self.accepted.record.preparation, stored)

    @property
    def batch_size(self) -> int:
        """Examples in a batch, unless the user says otherwise."""
        return max(SMALLEST, min(LARGEST, BATCH_BYTES // (4 * int(np.prod(self.accepted.shape)))))

    def streamed(
        self, examples: Examples, function: Function, size: int | None = None, *, doing: str | None = None
    ) -> Iterator[dict[str, Tensor]]:
        """The results of `function` for each batch in order, on the CPU; NaN for incomplete rows.

        Args:
            examples: N of them.
            function: maps values of the model [B, ...] to named results [B, ...].
            size: examples in a batch; None for what suits them.
            doing: such as "Scoring", to say how many rows are done; None to say nothing.
        """
        step = self.batch_size if size is None else check_int("batch_size", size)
        starts = range(0, len(examples), step)

        def read(start: int) -> Tensor:
            return examples.take(start, start + step)

        with torch.inference_mode():
            batches = prefetch(starts, read, size=lambda start: 1, most=AHEAD, room=AHEAD)
            if doing is not None:
                count, text = len(starts), f"{doing} {len(examples):,} rows"
                batches = track(batches, text, of=count, long=count > MANY)
            for start, batch in zip(starts, batches, strict=True):
                found = function(batch.to(self.device, self.dtype, non_blocking=True))
                found = {name: each.float().cpu() for name, each in found.items()}
                if examples.incomplete is not None:
                    absent = examples.incomplete[start : start + step]
                    for each in found.values():
                        each[absent] = math.nan
                yield found

    def gathered(
        self, examples: Examples, function: Function, size: int | None = None, *, doing: str | None = None
    ) -> dict[str, Tensor]:
        """The results of `streamed` in one. Shapes: [N, ...]."""
        whole: dict[str, Tensor] = {}
        done = 0
        for found in self.streamed(examples, function, size, doing=doing):
            for name, each in found.items():
                if name not in whole:  # concatenation at the end would take twice the memory
                    whole[name] = torch.empty(len(examples), *each.shape[1:], dtype=each.dtype)
                whole[name][done : done + len(each)] = each
            done += len(each)
        return whole

    @property
    def is_fitted(self) -> bool:
        """Whether the model has what was fitted to its codes and residuals."""
        return bool(self.opened.file.named("detector."))

    @cached_property
    def detector(self) -> Detector:
        """What scores anomalies.

        Raises:
            BadInput: the model was packed before its run was done.
        """
        tensors = self._fitted("detector.")

        def named(prefix: str, names: Iterable[str]) -> dict[str, Tensor]:
            return {name: tensors[prefix + name] for name in names}

        try:
            residuals = named("residuals.", NUMBERS)
            mixture, normal = (named(f"{name}.", ("weights", "means", "factors")) for name in MIXTURES)
            references = tensors["neighbours.references"]
            own = named("", ("centre", "spread", "origin"))
        except KeyError as error:
            raise BadInput("MODEL", error.args[0], "is missing; is the file damaged?") from error
        found = Detector(
            Residuals(self.accepted.shape, **residuals),
            Mixture(**mixture),
            Mixture(**normal),
            Neighbours(references=references),
            **own,
        )
        if found.mixture.means.shape[1] != self.autoencoder.latent.dim:
            raise BadInput("MODEL", "detector", "does not fit the model; is the file damaged?")
        return found.to(self.device, self.dtype)

    @cached_property
    def held_out(self) -> dict[str, Tensor]:
        """Sorted scores of held-out normal examples, by the name of the score; empty if there were none."""
        self._fitted("detector.")
        found = self.opened.file.named("held_out.")
        for name, each in found.items():
            sound = name in SCORES and each.ndim == 1 and bool(each.isfinite().all())
            if not sound or bool((each.diff() < 0).any()):
                raise BadInput("MODEL", f"held_out.{name}", DAMAGED)
        return found

    @cached_property
    def code_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the training codes. Shapes: [D], [D]."""
        tensors = self._fitted("codes.")
        dim = self.autoencoder.latent.dim
        for name in ("mean", "std"):
            each = tensors.get(name)
            if each is None or each.shape != (dim,) or not bool(each.isfinite().all()):
                raise BadInput("MODEL", f"codes.{name}", DAMAGED)
        return tensors["mean"].float(), tensors["std"].float()

    def _fitted(self, prefix: str) -> dict[str, Tensor]:
        found = self.opened.file.named(prefix)
        if not found:
            fix = "the model was packed before its run was done; isthmus pack RUN packs it again"
            if reason := self.opened.file.run.get("unfitted"):
                fix = f"has to be fitted to the run's data, which cannot be read: {reason}; "
                fix += "put them back, or train again: isthmus train with data.path=..."
            raise BadInput("MODEL", prefix.rstrip("."), fix)
        return found
