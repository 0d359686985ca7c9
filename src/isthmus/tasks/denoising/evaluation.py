"""Errors of denoised test rows at several levels of Gaussian noise, beside those of classical methods.

PSNR is 10 log10(L^2 / MSE), with the mean squared error over all features of all rows and L the width of the
range of the values. Images are clipped to their range first, the noisy ones too; the noise is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from isthmus.common.errors import BadInput, check_float, check_int
from isthmus.core.denoising.linear import LinearEstimator
from isthmus.core.metrics.ssim import ssim
from isthmus.data.loading.splits import evenly_spaced
from isthmus.data.module import DataModule
from isthmus.tasks.denoising.filters import FILTERS
from isthmus.tasks.trained_model import TrainedModel

FITTED_ROWS = 60_000  # training rows that the linear estimator is fitted to, at most
MOST_FEATURES = 4096  # of the linear estimator, whose covariance has the square of it
TUNING_ROWS = 24  # training images on which the settings of filters are chosen
SHOWN = 8  # test images in the picture
NOISY, LINEAR, MODEL = "noisy", "linear estimator", "autoencoder"
METHODS = (NOISY, *FILTERS, LINEAR, MODEL)

Method = Callable[[Tensor], Tensor]


class Score(NamedTuple):
    """The errors of a method at a level.

    Attributes:
        level: standard deviation of the noise, in the unit of the scaled data.
        method: one of `METHODS`.
        rows: number of test rows.
        mse: mean squared error, in the unit of the scaled data.
        psnr: in dB; NaN for data without a finite range.
        ssim: structural similarity, the mean over images; NaN for other data.
    """

    level: float
    method: str
    rows: int
    mse: float
    psnr: float
    ssim: float


class Shown(NamedTuple):
    """Test images at a level.

    Attributes:
        level: see `Score`.
        images: of each kind of row: clean, and the methods. Shapes: [B, C, H, W], values of the model.
    """

    level: float
    images: dict[str, Tensor]


class Evaluation:
    """Adds noise to the test rows of a run and denoises them with every method.

    The model, the linear estimator and the noisy rows themselves are scored on all test rows; filters, which
    take an image at a time, on a sample. The noise of a row has the same direction at every level.

    Args:
        model: the trained model.
        data: that it was trained on.
        images: test rows in the sample of filters, at most.
        seed: of the noise and of the sample.

    Attributes:
        skipped: methods that are left out, and why.

    Raises:
        BadInput: there are no test rows.
    """

    def __init__(self, model: TrainedModel, data: DataModule, *, images: int = 500, seed: int = 0) -> None:
        self.model, self.data = model, data
        self.seed = check_int("--seed", seed, least=0)
        self.test, train = data.split.test, data.split.train
        if not len(self.test):
            raise BadInput("RUN", model.name, "has no test rows; train with a data.test_size above 0")
        self.span = model.value_range if len(model.shape) == 3 else (-math.inf, math.inf)
        order = torch.randperm(len(self.test), generator=self._generator(1))
        self.sample = order[: check_int("--images", images)].sort().values
        self.skipped: dict[str, str] = {}
        self.filters = FILTERS if len(model.shape) == 3 else {}
        for name, each in self.filters.items():
            if each.missing:
                self.skipped[name] = f"needs pip install {' '.join(each.missing)}"
        self.filters = {name: each for name, each in self.filters.items() if name not in self.skipped}
        self.linear = self._linear(train)
        self.tuning = self._values(train[_drawn(len(train), TUNING_ROWS, self._generator(2))])

    def at(self, level: float) -> tuple[list[Score], Shown | None]:
        """Score every method at a level, and the images of the picture.

        Args:
            level: see `Score`; above 0.
        """
        check_float("--levels", level, above=0.0)
        methods: dict[str, Method] = {NOISY: lambda noisy: noisy}
        if self.linear is not None:
            estimator = self.linear
            methods[LINEAR] = lambda noisy: estimator(noisy, level)
        methods[MODEL] = self.model.denoise_values
        sums = {name: _Sums(self.span) for name in methods}
        sampled: list[tuple[Tensor, Tensor]] = []
        drawn = torch.zeros(len(self.test), dtype=torch.bool)
        drawn[self.sample] = True
        for clean, noisy, places in self._noisy(level):
            for name, method in methods.items():
                sums[name].add(clean, method(noisy))
            chosen = drawn[places]
            sampled.append((clean[chosen], noisy[chosen]))
        clean, noisy = (torch.cat(each) for each in zip(*sampled, strict=True))
        tuning = self.tuning + level * torch.randn(self.tuning.shape, generator=self._generator(3))
        for name, each in self.filters.items():
            setting = each.tuned(self.tuning, tuning, level, self.span)
            made = each(noisy, level, setting)
            sums[name] = _Sums(self.span)
            sums[name].add(clean, made)
            methods[name] = _constant(made[:SHOWN])
        ordered = [name for name in METHODS if name in sums]
        scores = [sums[name].score(level, name) for name in ordered]
        if len(self.model.shape) != 3:
            return scores, None
        images = {name: methods[name](noisy[:SHOWN]).clamp(*self.span) for name in ordered}
        return scores, Shown(level, {"clean": clean[:SHOWN], **images})

    def _noisy(self, level: float) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Batches of the test rows in order: clean, noisy, and their places among the test rows."""
        generator, start = self._generator(0), 0
        for batch in self.data.whole_loader(self.test):
            clean = self.data.scaling(batch.x).float()
            noise = torch.randn(clean.shape, generator=generator)
            yield clean, clean + level * noise, torch.arange(start, start + len(clean))
            start += len(clean)

    def _linear(self, train: Tensor) -> LinearEstimator | None:
        if math.prod(self.model.shape) > MOST_FEATURES:
            self.skipped[LINEAR] = f"of at most {MOST_FEATURES:,} features"
            return None
        loader = self.data.whole_loader(evenly_spaced(train, FITTED_ROWS))
        return LinearEstimator.fit(self.data.scaling(batch.x) for batch in loader)

    def _values(self, rows: Tensor) -> Tensor:
        return self.data.scaling(self.data.source.take(rows)).float()

    def _generator(self, stream: int) -> torch.Generator:
        """Independent random numbers for each use."""
        return torch.Generator().manual_seed((self.seed * 4 + stream) % (1 << 63))


class _Sums:
    """Errors of a method, summed over batches.

    Args:
        span: the range to which values are clipped; infinite for no clipping.
    """

    def __init__(self, span: Sequence[float]) -> None:
        self.low, self.high = span
        self.rows, self.features = 0, 0
        self.squares, self.similarity = 0.0, 0.0

    def add(self, clean: Tensor, made: Tensor) -> None:
        """Shapes: [B, ...]."""
        made = made.clamp(self.low, self.high)
        self.rows, self.features = self.rows + len(clean), self.features + clean.numel()
        self.squares += (made - clean).double().square().sum().item()
        if math.isfinite(self.high - self.low):
            self.similarity += ssim(made, clean, data_range=self.high - self.low).double().sum().item()

    def score(self, level: float, method: str) -> Score:
        mse, width = self.squares / self.features, self.high - self.low
        bounded = math.isfinite(width)
        psnr = (10 * math.log10(width**2 / mse) if mse else math.inf) if bounded else math.nan
        similarity = self.similarity / self.rows if bounded else math.nan
        return Score(level, method, self.rows, mse, psnr, similarity)


def _constant(made: Tensor) -> Method:
    return lambda noisy: made


def _drawn(total: int, count: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(total, generator=generator)[:count].sort().values
