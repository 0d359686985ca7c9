"""The blur of residuals against SciPy, and what the combined score is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from isthmus.core.detection.blur import Blur
from isthmus.core.detection.detector import combined


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 9, 17), (1, 1, 5)])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blur_is_the_gaussian_filter_of_scipy(shape, sigma):
    images = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0))
    expected = gaussian_filter(
        images.double().numpy(), (0, 0, sigma, sigma), mode="constant", truncate=20 / sigma
    )
    blurred = Blur(shape, sigma)(images.flatten(1)).reshape(images.shape)
    np.testing.assert_allclose(blurred, expected, atol=1e-6)


def test_a_good_code_does_not_hide_a_bad_residual():
    found = combined(torch.tensor([[4.0, -1.0], [4.0, -50.0], [0.0, 0.0], [-50.0, 4.0], [4.0, 4.0]]))
    assert found.tolist() == [3.5, 3.5, 0.0, 1.0, 6.0]
