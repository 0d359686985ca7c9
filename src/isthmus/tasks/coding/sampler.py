"""Samples, interpolates and traverses with a trained model: a base of `TrainedModel`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import LARGEST_SEED, BadInput, check_float, check_int
from isthmus.tasks.coding import paths
from isthmus.tasks.coding.coder import Coder
from isthmus.tasks.coding.draw import draw
from isthmus.tasks.inputs.examples import is_frame


class Sampler(Coder):
    """See `TrainedModel`."""

    def generate(
        self, count: int = 16, *, sampler: str | None = None, seed: int = 0, as_frame: bool = False
    ) -> Any:
        """New examples: decoded codes that are drawn at random. What comes back is as of `decode`.

        Args:
            count: number of examples.
            sampler: "prior", for models that have one, such as a VAE; "mixture", a Gaussian mixture that was
                fitted to the codes of training rows; or "flow", a normalising flow, which is fitted to them
                on first use and kept (needs the extra ``isthmus[flow]``). None for the prior if there is one.
            seed: of the random numbers; the same seed gives the same examples.
            as_frame: see `decode`.

        Raises:
            BadInput: the model has no such sampler; see `draw.flow_of`.
        """
        return self.decode(self.sample_codes(count, sampler=sampler, seed=seed), as_frame=as_frame)

    def sample_codes(self, count: int, *, sampler: str | None = None, seed: int = 0) -> np.ndarray:
        """Codes drawn at random; see `generate`. Shape: [count, D], float32."""
        check_int("count", count)
        generator = torch.Generator().manual_seed(check_int("seed", seed, least=0, most=LARGEST_SEED))
        chosen = sampler or self.default_sampler
        return draw(self._engine, self.path, count, chosen, generator).numpy()

    def interpolate(self, start: Any, end: Any, *, steps: int = 8) -> Any:
        """Examples on the way from those in `start` to those in `end`.

        The path of the codes is a straight line; where the prior is normal, it is spherical (see
        `paths.spherical`).

        Args:
            start: N examples.
            end: as many.
            steps: number of examples on each path, both ends included.

        Returns:
            Shape: [N, steps, ...]; of a table, N * steps rows, as a table of pandas if `start` is one.
        """
        check_int("steps", steps, least=2)
        ends = [self._codes_of(name, x) for name, x in (("start", start), ("end", end))]
        if len(ends[0]) != len(ends[1]):
            raise BadInput("end", f"{len(ends[1])} examples", f"must be as many as in start: {len(ends[0])}")
        return self.interpolate_codes(*ends, steps=steps, as_frame=self._is_frame(start))

    def interpolate_codes(self, start: Any, end: Any, *, steps: int = 8, as_frame: bool = False) -> Any:
        """As `interpolate`, from codes to codes. Shapes: [N, D], [N, D] -> [N, steps, ...].

        See `decode` for `as_frame`.
        """
        path = paths.spherical if self.has_prior else paths.linear
        return self._grid(path(self._codes(start), self._codes(end), steps), as_frame)

    def plane(self, steps: int = 20, *, span: float = 2.5) -> Any:
        """Examples of two-dimensional codes on a grid: the second coordinate falls from top to bottom.

        Args:
            steps: codes on each side.
            span: half of the side, in standard deviations of the training codes, around their mean.

        Returns:
            Shape: [steps, steps, ...].
        """
        mean, std = self._engine.code_statistics
        if self.latent_dim != 2:
            raise BadInput("latent.dim", self.latent_dim, "only codes of two numbers form a plane")
        right, up = (torch.linspace(-span, span, steps) * std[at] + mean[at] for at in (0, 1))
        return self._grid(torch.cartesian_prod(up.flip(0), right).flip(1).reshape(steps, steps, 2))

    def traverse(
        self,
        x: Any = None,
        *,
        dims: Sequence[int] | None = None,
        steps: int = 7,
        span: float = 2.0,
        as_frame: bool = False,
    ) -> Any:
        """Examples whose codes differ in one coordinate at a time.

        Args:
            x: one example, in a batch, whose code is the centre; None for the mean of the training codes.
            dims: the coordinates; None for the 10 that vary most over the training rows.
            steps: number of examples for each.
            span: how far from the mean they go, in standard deviations of the training codes.
            as_frame: see `decode`; a table of pandas also comes back if `x` is one.

        Returns:
            Shape: [len(dims), steps, ...]; of a table, len(dims) * steps rows.
        """
        mean, std = self._engine.code_statistics
        check_int("steps", steps)
        check_float("span", span, above=0.0)
        if dims is None:
            dims = self.most_varied()
        if isinstance(dims, str) or not isinstance(dims, Sequence | np.ndarray) or not len(dims):
            raise BadInput("dims", dims, "must be a list of coordinates, such as [0, 1]")
        chosen = list(dims)
        for dim in chosen:
            if check_int("dims", dim, least=0) >= self.latent_dim:
                raise BadInput("dims", dim, f"must be below {self.latent_dim}, the size of a code")
        codes = mean[None] if x is None else self._codes_of("x", x).float()
        if len(codes) > 1:
            raise BadInput("x", f"{len(codes)} examples", "must be one, whose code is the centre: x[:1]")
        codes = paths.traversals(codes[0], chosen, mean - span * std, mean + span * std, steps)
        return self._grid(codes, as_frame or self._is_frame(x))

    def most_varied(self, count: int = 10) -> list[int]:
        """The coordinates of codes that vary most over the training rows, ascending."""
        std = self._engine.code_statistics[1]
        return std.argsort(descending=True)[:count].sort().values.tolist()

    @property
    def has_prior(self) -> bool:
        """Whether the model has a prior to sample from: a standard normal distribution."""
        return self._engine.autoencoder.latent.probabilistic

    @property
    def default_sampler(self) -> str:
        """The prior if there is one, or else the mixture."""
        return "prior" if self.has_prior else "mixture"

    def _is_frame(self, x: Any) -> bool:
        """Whether rows decoded from `x` are to be a table of pandas."""
        return self.columns is not None and is_frame(x)

    def _grid(self, codes: Tensor, as_frame: bool = False) -> Any:
        """Decoded codes [R, S, D]. Shape: [R, S, ...]; of a table, R * S rows."""
        made = self.decode(codes.flatten(0, 1).numpy(), as_frame=as_frame)
        return made.reshape(*codes.shape[:2], *made.shape[1:]) if self.columns is None else made
