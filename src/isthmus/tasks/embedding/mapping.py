"""Maps of codes: positions in two dimensions.

PCA shows all rows. UMAP (McInnes, Healy and Melville 2018, arXiv:1802.03426) and t-SNE (van der Maaten and
Hinton 2008) keep neighbours together, and are fitted to at most `MOST_FITTED` rows; the others are placed at
the weighted mean of their nearest fitted rows.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import torch

from isthmus.common.errors import BadInput, one_of
from isthmus.common.progress import say
from isthmus.data.loading.splits import evenly_spaced
from isthmus.training.figures.plane import Plane, coordinates, principal, standard

METHODS = ("pca", "umap", "tsne")
TITLES = {"pca": "PCA", "umap": "UMAP", "tsne": "t-SNE"}
DEFAULT = "tsne"  # in scikit-learn, so it does not depend on what else is installed
MOST_FITTED = 5_000  # rows
MANY = 1_000  # rows for which UMAP and t-SNE take seconds
# of t-SNE: 43% less time than with 1,000 and 0.5 (CPU, 1,797 and 3,000 codes); trustworthiness 0.0004 lower
ITERATIONS, ANGLE = 750, 0.7
FEWEST = 10  # rows that UMAP and t-SNE need
PERPLEXITY = 30.0
NEIGHBOURS = 5  # that place a row which the map was not fitted to


class Map(NamedTuple):
    """Positions in two dimensions.

    Attributes:
        xy: Shape: [N, 2], float32.
        fitted: positions of the rows that it was fitted to, ascending. Shape: [M].
        axes: the names of x and y.
        title: of the method; "codes" if the axes are those of the code.
    """

    xy: np.ndarray
    fitted: np.ndarray
    axes: tuple[str, str]
    title: str

    @property
    def text(self) -> str:
        """What it was fitted to."""
        count, fitted = len(self.xy), len(self.fitted)
        if count == fitted:
            return f"{self.title} of all {count:,} rows"
        placed = f"each of the others is placed by its {NEIGHBOURS} nearest of these"
        return f"{self.title} of {fitted:,} of {count:,} rows; {placed}"

    @property
    def plane(self) -> Plane:
        """The positions with the names of their axes."""
        return Plane(self.xy, self.axes)

    @property
    def has_scale(self) -> bool:
        """Whether distances along the axes mean something."""
        return self.title not in (TITLES["tsne"], TITLES["umap"])


def check_method(method: str | None) -> None:
    """Raise `BadInput` for a method that does not exist or is not installed; None is the default."""
    if method is not None and one_of("--map", method, METHODS) == "umap" and find_spec("umap") is None:
        raise BadInput("--map", method, "UMAP is not installed: pip install 'isthmus[umap]'")


def map_codes(codes: np.ndarray, mse: np.ndarray, *, method: str | None = None, seed: int = 0) -> Map:
    """Positions of codes.

    Args:
        codes: Shape: [N, D].
        mse: errors of the rows. Shape: [N].
        method: one of `METHODS`. None: codes of two numbers are their own map, those of one number are drawn
            over their errors, and all others are mapped by t-SNE, or by PCA if they are too few or all alike.
        seed: of the random numbers; the same seed gives the same map.

    Raises:
        BadInput: the method is not there, or there are too few rows for it.
    """
    check_method(method)
    count = len(codes)
    everyone = np.arange(count)
    if method is None and (plane := coordinates(codes, mse)) is not None:
        return Map(plane.xy, everyone, plane.axes, "codes")
    scaled, _ = standard(codes)
    varies = bool(scaled.any())
    if method in ("umap", "tsne") and (count < FEWEST or not varies):
        why = "needs codes that differ" if not varies else f"needs at least {FEWEST} rows"
        raise BadInput("--map", method, f"{why}; give --map pca")
    chosen = method or (DEFAULT if count >= FEWEST and varies else "pca")
    if chosen == "pca":
        plane = principal(codes, seed)
        return Map(plane.xy, everyone, plane.axes, TITLES[chosen])
    axes = (f"{TITLES[chosen]} 1", f"{TITLES[chosen]} 2")
    fitted = evenly_spaced(torch.arange(count), MOST_FITTED).numpy()
    if len(fitted) > MANY:
        say(f"Fitting {TITLES[chosen]} to {len(fitted):,} codes")
    with warnings.catch_warnings(action="ignore"):  # UMAP says that a seed makes it use one thread
        own = (_umap if chosen == "umap" else _tsne)(scaled[fitted], seed)
    return Map(own if len(fitted) == count else _placed(scaled, fitted, own), fitted, axes, TITLES[chosen])


def _tsne(x: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    init = "pca" if x.shape[1] > 1 else "random"
    perplexity = min(PERPLEXITY, (len(x) - 1) / 3)
    tsne = TSNE(init=init, perplexity=perplexity, random_state=seed, max_iter=ITERATIONS, angle=ANGLE)
    with threadpool_limits(1, user_api="openmp"):  # threads may add up in any order
        found: np.ndarray = tsne.fit_transform(x)
    return found


def _umap(x: np.ndarray, seed: int) -> np.ndarray:
    from umap import UMAP

    found: np.ndarray = UMAP(n_neighbors=min(15, len(x) - 1), random_state=seed).fit_transform(x)
    return found


def _placed(x: np.ndarray, fitted: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Positions of all rows from those of the fitted ones. Shapes: [N, D], [M], [M, 2] -> [N, 2]."""
    from sklearn.neighbors import KNeighborsRegressor

    placing = KNeighborsRegressor(NEIGHBOURS, weights="distance").fit(x[fitted], own)
    return placing.predict(x).astype(np.float32)
