"""Classical filters of images, of scikit-image (https://scikit-image.org) and, if it is installed, bm3d.

Each knows the standard deviation of the noise; what else it has to know is chosen on training images.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

Function = Callable[[np.ndarray, float, float, dict[str, int]], np.ndarray]


@dataclass(frozen=True)
class Filter:
    """A filter of one image.

    Attributes:
        packages: that it needs, by the names they are imported by: those that they are installed by.
        function: (image [H, W] or [C, H, W], standard deviation, setting, `channel_axis` if there is one) ->
            image.
        settings: those that are tried.
    """

    packages: Mapping[str, str]
    function: Function
    settings: tuple[float, ...] = (0.0,)

    @property
    def missing(self) -> list[str]:
        """The packages to install."""
        return [package for module, package in self.packages.items() if find_spec(module) is None]

    def __call__(self, noisy: Tensor, std: float, setting: float) -> Tensor:
        """Filter images one by one. Shapes: [B, C, H, W] -> the same, float32."""
        with warnings.catch_warnings(action="ignore"):  # of images with few pixels
            made = [self._filtered(image, std, setting) for image in noisy.double().numpy()]
        return torch.from_numpy(np.stack(made)).float()

    def _filtered(self, image: np.ndarray, std: float, setting: float) -> np.ndarray:
        """Shape: [C, H, W] -> the same."""
        if len(image) > 1:
            return self.function(image, std, setting, {"channel_axis": 0})
        return self.function(image[0], std, setting, {})[None]  # scikit-image drops an axis of one channel

    def tuned(self, clean: Tensor, noisy: Tensor, std: float, span: tuple[float, float]) -> float:
        """The setting of least mean squared error. Shapes: [B, C, H, W].

        Args:
            clean: training images.
            noisy: the same with noise.
            std: of the noise.
            span: the range to which results are clipped.
        """
        if len(self.settings) == 1:
            return self.settings[0]
        errors = [
            (self(noisy, std, setting).clamp(*span) - clean).square().mean().item()
            for setting in self.settings
        ]
        return self.settings[int(np.argmin(errors))]


def _wavelet(image: np.ndarray, std: float, setting: float, axis: dict[str, int]) -> np.ndarray:
    """Soft thresholds of BayesShrink. Chang, Yu and Vetterli 2000."""
    from skimage.restoration import denoise_wavelet

    made: Any = denoise_wavelet(image, sigma=std, method="BayesShrink", mode="soft", **axis)
    return np.asarray(made)


def _means(image: np.ndarray, std: float, setting: float, axis: dict[str, int]) -> np.ndarray:
    """Non-local means; `setting` is the cut-off over the standard deviation. Buades, Coll and Morel 2005."""
    from skimage.restoration import denoise_nl_means

    made: Any = denoise_nl_means(
        image, patch_size=5, patch_distance=6, h=setting * std, sigma=std, fast_mode=True, **axis
    )
    return np.asarray(made)


def _variation(image: np.ndarray, std: float, setting: float, axis: dict[str, int]) -> np.ndarray:
    """Total variation; `setting` is its weight over the standard deviation. Chambolle 2004."""
    from skimage.restoration import denoise_tv_chambolle

    made: Any = denoise_tv_chambolle(image, weight=setting * std, **axis)
    return np.asarray(made)


def _bm3d(image: np.ndarray, std: float, setting: float, axis: dict[str, int]) -> np.ndarray:
    """Block matching and 3D filtering. Dabov, Foi, Katkovnik and Egiazarian 2007."""
    import bm3d  # type: ignore[import-not-found, unused-ignore]

    if not axis:
        return np.asarray(bm3d.bm3d(image, std))
    return np.moveaxis(np.asarray(bm3d.bm3d(np.moveaxis(image, 0, 2), std)), 2, 0)


SCIKIT = {"skimage": "scikit-image"}
FILTERS = {
    "wavelet BayesShrink": Filter({**SCIKIT, "pywt": "PyWavelets"}, _wavelet),
    "non-local means": Filter(SCIKIT, _means, (0.3, 0.4, 0.5, 0.6, 0.8, 1.0)),
    "total variation": Filter(SCIKIT, _variation, (0.3, 0.45, 0.6, 0.75, 0.9, 1.1, 1.4)),
    "BM3D": Filter({"bm3d": "bm3d"}, _bm3d),
}
