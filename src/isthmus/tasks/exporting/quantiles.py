"""scikit-learn's QuantileTransformer to a normal distribution, in operations that can be exported.

https://scikit-learn.org/stable/modules/generated/sklearn.preprocessing.QuantileTransformer.html
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BOUND = 1e-7  # scikit-learn's distance from both ends, within which a value is at the end
# Wichura, "Algorithm AS 241" (Applied Statistics 37, 1988), PPND16; exact to 1e-16
CENTRE = (
    (
        *(3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4),
        *(4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    ),
    (
        *(1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3),
        *(2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
    ),
)
TAIL = (
    (
        *(1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0),
        *(3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1),
        *(2.27238449892691845833e-2, 7.74545014278341407640e-4),
    ),
    (
        *(1.0, 2.05319162663775882187e0, 1.67638483018380384940e0),
        *(6.89767334985100004550e-1, 1.48103976427480074590e-1, 1.51986665636164571966e-2),
        *(5.47593808499534494600e-4, 1.05075007164441684324e-9),
    ),
)


def normal_quantile(p: Tensor) -> Tensor:
    """The inverse of the normal distribution function, for p from 1e-10 to 1 - 1e-10, float64. Shape: [N]."""
    q = p - 0.5
    inner = (0.180625 - q.square()).clamp(min=0)
    outer = (-torch.minimum(p, 1 - p).clamp(min=1e-12).log()).sqrt() - 1.6
    tail = _ratio(TAIL, outer)
    return torch.where(q.abs() <= 0.425, q * _ratio(CENTRE, inner), torch.where(q < 0, -tail, tail))


def to_normal(x: Tensor, quantiles: Tensor) -> Tensor:
    """Values to those of a normal distribution. Shapes: [N], [Q] sorted, float64 -> [N]."""
    most = len(quantiles) - 1
    # numbers of quantiles up to x, and below x; ONNX has no exact bucketize in float64
    at_most, below = (x[:, None] >= quantiles).sum(1), (x[:, None] > quantiles).sum(1)
    shares = [_between(x, quantiles, each.clamp(1, max(1, most)) - 1) for each in (at_most, below)]
    share = 0.5 * (shares[0] + shares[1])  # equal quantiles give the middle of theirs
    share = torch.where(x + BOUND > quantiles[-1], 1.0, share)
    share = torch.where(x - BOUND < quantiles[0], 0.0, share)
    least = torch.tensor(BOUND - 2.0**-52, dtype=torch.float64)  # ONNX has the limits of clamp in float32
    return normal_quantile(share.maximum(least).minimum(1 - least))


def from_normal(y: Tensor, quantiles: Tensor) -> Tensor:
    """The inverse of `to_normal`. Shapes: [N], float32, [Q] sorted, float64 -> [N], float64."""
    most = len(quantiles) - 1
    share = (0.5 * (1 + torch.erf(y.float() / math.sqrt(2)))).double() * most
    left = share.floor().long().clamp(0, max(0, most - 1))
    right = (left + 1).clamp(max=most)
    return quantiles[left] + (share - left) * (quantiles[right] - quantiles[left])


def _between(x: Tensor, quantiles: Tensor, left: Tensor) -> Tensor:
    """The share of training values below x, by the line from the quantile `left` to the next. Shape: [N]."""
    most = max(1, len(quantiles) - 1)
    right = (left + 1).clamp(max=len(quantiles) - 1)
    gap = quantiles[right] - quantiles[left]
    return (left + (x - quantiles[left]) / torch.where(gap > 0, gap, 1.0)) / most


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], r: Tensor) -> Tensor:
    """The ratio of two polynomials, lowest power first."""
    values = []
    for each in coefficients:
        value = torch.full_like(r, each[-1])
        for coefficient in reversed(each[:-1]):
            value = value * r + coefficient
        values.append(value)
    return values[0] / values[1]
