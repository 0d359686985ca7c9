"""The pictures that a run leaves at its end, made with its best weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from isthmus.common.listing import class_name, some
from isthmus.common.tensor_file import read_tensors
from isthmus.core.seeding import default_generator, derive_seed
from isthmus.training.figures.colours import classes_of, colouring
from isthmus.training.figures.curves import draw_curves
from isthmus.training.figures.drawing import pixels
from isthmus.training.figures.errors import column_errors, draw_column_errors, draw_error_histogram
from isthmus.training.figures.latent_map import draw_map
from isthmus.training.figures.metrics_shown import metrics_to_draw
from isthmus.training.figures.pictures import PICTURES
from isthmus.training.figures.plane import coordinates, principal
from isthmus.training.inference import encode_all, evaluating
from isthmus.training.module import AutoencoderModule
from isthmus.training.writers.image_grid import image_grid
from isthmus.training.writers.metrics_reader import history_arrays

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = {"val": "validation", "test": "test", "train": "training"}
MOST_ENCODED = 2_000  # rows of a part that are encoded, where the run has not written its codes
MOST_DRAWN = 5_000  # points of a map, and rows whose columns are compared
SIDE = 8  # images in a row and in a column of samples, and in a row of traversals
WIDEST = 1_200  # pixels of these
MOST_DIMS = 10  # numbers of the code that are traversed
SPAN = 2.5  # standard deviations of the prior that traversals show, to both sides
RESOLUTION = 100  # dots per inch of the map


class Held(NamedTuple):
    """What became of the rows of a part of the data.

    Attributes:
        rows: of the source. Shape: [N].
        codes: Shape: [N, D].
        mse: Shape: [N].
    """

    rows: Tensor
    codes: np.ndarray
    mse: np.ndarray


class Summary:
    """Draws the pictures of a run.

    Args:
        module: with the best weights.
        data: the DataModule of the run.
        folder: of the run.
        results: the content of results.json.
        latents: gives the file with the codes of a part of the data, if there is one.
        label: what the labels are called.
    """

    def __init__(
        self,
        module: AutoencoderModule,
        data: Any,
        folder: Path,
        results: Mapping[str, Any],
        *,
        latents: Callable[[str], Path],
        label: str,
    ) -> None:
        self.module, self.data, self.folder, self.results = module, data, folder, results
        self.latents, self.label = latents, label

    def drawings(self) -> dict[str, Callable[[], Tensor | None]]:
        """By name, what makes each picture, [C, height, width], bytes or in [0, 1]; None: nothing to show."""
        is_table = len(self.data.source.shape) == 1
        has_prior = self.module.autoencoder.latent.probabilistic
        has = {"all": True, "tables": is_table, "priors": has_prior and not is_table}
        return {name: getattr(self, f"_{name}") for name, each in PICTURES.items() if has[each.of]}

    @cached_property
    def _parts(self) -> dict[str, Held]:
        """Validation and test set; of a run without them, the training set."""
        split = self.data.split
        names = [name for name in ("val", "test") if len(getattr(split, name))] or ["train"]
        return {PARTS[name]: self._held(name, getattr(split, name)) for name in names}

    def _held(self, part: str, rows: Tensor) -> Held:
        path = self.latents(part)
        if path.is_file():
            found, _ = read_tensors(path)
        else:
            found = encode_all(self.module, self.data.whole_loader(self.data.some(rows, MOST_ENCODED)))
        return Held(found["ids"], found["codes"].flatten(1).numpy(), found["mse"].numpy())

    @property
    def _weights(self) -> str:
        return f"best weights, of epoch {self.results['epoch']:,}"

    def _curves(self) -> Tensor | None:
        history = history_arrays(self.folder / "metrics.csv")
        if not metrics_to_draw(history):
            return None
        return _tensor(lambda: draw_curves(history, self.results["epoch"]))

    def _error_histogram(self) -> Tensor:
        source, groups = self.data.source, {name: held.mse for name, held in self._parts.items()}
        note, test = self._weights, self._parts.get(PARTS["test"])
        if test is not None and classes_of(source.labels, source.label_names)[0] is not None:
            trained = source.labels[self.data.split.train].unique()
            known = torch.isin(source.labels[test.rows], trained).numpy()
            if not known.all():
                mse = groups.pop(PARTS["test"])
                groups |= {"test, classes trained on": mse[known], "test, other classes": mse[~known]}
                names = [class_name(number, source.label_names) for number in trained.tolist()]
                note += f"; trained on {some(names)}"
        return _tensor(lambda: draw_error_histogram(groups, note))

    def _latent_map(self) -> Tensor:
        source = self.data.source
        name, held = list(self._parts.items())[-1]
        labels = None if source.labels is None else source.labels[held.rows]
        colours = colouring(labels, source.label_names, held.mse, self.label)
        shown = self.data.some(torch.arange(len(held.rows)), MOST_DRAWN).numpy()
        dim = held.codes.shape[1]
        plane = coordinates(held.codes, held.mse) or principal(held.codes)
        rows = f"{len(shown):,} of " if len(shown) < len(held.rows) else ""
        draw = partial(
            draw_map,
            plane,
            colours,
            shown,
            title="Codes" if dim <= 2 else f"Codes: principal components of their {dim:,} numbers",
            note=f"{rows}{len(held.rows):,} rows of the {name} set; {self._weights}",
            resolution=RESOLUTION,
        )
        return _tensor(draw)

    def _error_per_column(self) -> Tensor:
        module, rows = self.module, self.data.some(self.data.held_out, MOST_DRAWN)
        errors, sums, squares = torch.zeros(3, *self.data.source.shape, dtype=torch.float64)
        with evaluating(module):
            for batch in self.data.whole_loader(rows):
                x = module.scaling(batch.x.to(module.device))
                residuals = module.autoencoder.reconstruct(x) - x
                errors += residuals.double().square().sum(0).cpu()
                sums += x.double().sum(0).cpu()
                squares += x.double().square().sum(0).cpu()
        spreads = (squares / len(rows) - (sums / len(rows)).square()).clamp(min=0)
        found = column_errors(
            self.data.source.feature_places(), (errors / len(rows)).numpy(), spreads.numpy()
        )
        part = next(PARTS[name] for name in ("test", "val", "train") if len(getattr(self.data.split, name)))
        note = f"{len(rows):,} rows of the {part} set; {self._weights}"
        return _tensor(lambda: draw_column_errors(found, note))

    def _samples(self) -> Tensor:
        side = self._across()
        default_generator(self.module.device).manual_seed(derive_seed(self.module.seed, "samples"))
        dim, device = self.module.autoencoder.latent.dim, self.module.device
        images = self._decoded(torch.randn(side * side, dim, device=device))
        title = (
            f"{side * side} samples: images decoded from codes that are drawn from the prior; {self._weights}"
        )
        return _grid(images.split(side), self.module.value_range, title)

    def _traversals(self) -> Tensor:
        codes, steps = list(self._parts.values())[-1].codes, self._across()
        dims = np.sort(np.argsort(-codes.std(0), kind="stable")[:MOST_DIMS])
        chosen = torch.eye(codes.shape[1])[torch.from_numpy(dims)]
        made = self._decoded((chosen[:, None] * torch.linspace(-SPAN, SPAN, steps)[:, None]).flatten(0, 1))
        title = f"One number of the code at a time from {-SPAN} to {SPAN}, the others 0"
        if len(dims) < codes.shape[1]:
            title += f"; the {len(dims)} of {codes.shape[1]:,} that vary most"
        names = [f"z_{dim}" for dim in dims]
        return _grid(made.split(steps), self.module.value_range, f"{title}; {self._weights}", names)

    def _across(self) -> int:
        return max(2, min(SIDE, WIDEST // self.data.source.shape[2]))

    def _decoded(self, z: Tensor) -> Tensor:
        module = self.module
        with evaluating(module):
            return module.autoencoder.decode(z.to(module.device, next(module.parameters()).dtype)).float()


def _tensor(draw: Callable[[], Figure]) -> Tensor:
    return torch.from_numpy(pixels(draw)).permute(2, 0, 1)


def _grid(
    rows: tuple[Tensor, ...], value_range: tuple[float, float], title: str, names: list[str] | None = None
) -> Tensor:
    if not math.isfinite(value_range[1] - value_range[0]):
        value_range = min(row.min().item() for row in rows), max(row.max().item() for row in rows)
    return image_grid(rows, value_range=value_range, title=title, names=names or ())
