"""Encodes and decodes with a trained model: a base of `TrainedModel`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput, check_float, check_int
from isthmus.core.denoising.tiles import in_tiles
from isthmus.core.detection.observed import observe
from isthmus.runs.packed.opening import OpenedModel
from isthmus.tasks.engine import BATCH_BYTES, Engine, Function
from isthmus.tasks.inputs.arrays import as_array
from isthmus.tasks.inputs.examples import Accepted, Examples
from isthmus.tasks.inputs.sources import SourceExamples


class Coded(NamedTuple):
    """A batch of examples.

    Attributes:
        codes: Shape: [B, D], float32.
        mse: mean squared error of the reconstructions, per feature. Shape: [B].
        x: the examples as values of the model, on the CPU. Shape: [B, ...].
    """

    codes: Tensor
    mse: Tensor
    x: Tensor


class Coder:
    """See `TrainedModel`.

    Args:
        opened: the model.
        device: where it computes.
        path: of the run or the file that it was opened from.
    """

    def __init__(self, opened: OpenedModel, device: torch.device, path: Path) -> None:
        file, self.path, self.name = opened.file, path, path.absolute().stem
        self.device = device
        self.shape, self.value_range = file.shape, file.value_range
        self.config, self.info, self.label_names = dict(file.config), dict(file.run), file.label_names
        self.trained_classes = file.trained_classes
        self._data = file.data
        self.latent_dim: int = opened.autoencoder.latent.dim
        preparation = opened.record.preparation if opened.record else None
        self.columns = [column.name for column in preparation.columns] if preparation else None
        self._engine = Engine(opened, device)
        self._accepted = self._engine.accepted

    def __repr__(self) -> str:
        architecture, loss = (
            self.config[group]["_target_"].split(".")[-1] for group in ("architecture", "loss")
        )
        where = f"{self.name}, epoch {self.info.get('epoch')}"
        shape = "x".join(map(str, self.shape))
        return (
            f"<isthmus model: {shape} -> {self.latent_dim}, {architecture}, {loss}; {where}; {self.device}>"
        )

    def encode(self, x: Any, *, batch_size: int | None = None) -> Any:
        """Codes of examples; of a distribution, its mean. Shape: [N, D], float32.

        NaN for incomplete rows; see the class. A tensor for a tensor, a NumPy array for everything else.

        Args:
            x: examples; see the class.
            batch_size: examples that are computed together; None for what suits their size.

        Raises:
            BadInput: examples of another shape, out of range or missing, or unknown columns.
        """
        codes = self._engine.gathered(self._engine.examples(x), self._code, batch_size)["z"]
        return codes.to(x.device) if isinstance(x, Tensor) else codes.numpy()

    def coded(self, examples: Examples) -> Iterator[Coded]:
        """Codes and errors of all examples, batch by batch in order."""

        def compute(x: Tensor) -> dict[str, Tensor]:
            observed = observe(self._engine.autoencoder, x)
            return {"codes": observed.codes, "mse": observed.mse, "x": x}

        for found in self._engine.streamed(examples, compute, doing="Encoding"):
            yield Coded(**found)

    def decode(self, z: Any, *, batch_size: int | None = None, as_frame: bool = False) -> Any:
        """Examples from codes [N, D].

        Images are [N, C, H, W]. Pixels are in the unit where 0 is black and 1 is white, and not clipped: they
        are in [0, 1] with loss=bce, and may leave it with losses whose output has no bounds, such as mse. A
        tensor for a tensor.

        The rows of a table are a table of pyarrow. Its cells are as in training, as far as they can be: text,
        dates, and true/false or 0 and 1 where these were all that there was, decided at 0.5. Other whole
        numbers come back as decimal ones, as they are estimates of a mean; ``round()`` them if you like.

        Args:
            z: codes.
            batch_size: see `encode`.
            as_frame: whether the rows of a table are to be a `pandas.DataFrame`.

        Raises:
            BadInput: these are no codes; or `as_frame`, and the model is not of a table, or there is no
                pandas.
        """
        if as_frame:
            self._check_frames()
        made = self.given_back(torch.cat(list(self.decoded(z, batch_size=batch_size))), like=z)
        return made.to_pandas() if as_frame else made

    def decoded(self, z: Any, *, batch_size: int | None = None) -> Iterator[Tensor]:
        """As `decode`, batch by batch in order: values of the model, on the CPU, float32."""
        step = self._engine.batch_size if batch_size is None else check_int("batch_size", batch_size)
        for part in self._codes(z).split(step):
            yield self._decoded(part.to(self.device)).cpu()

    def reconstruct(self, x: Any, *, batch_size: int | None = None) -> Any:
        """Decode the codes of examples. What comes back is like `x`.

        Decimal numbers are not clipped; see `decode`. Whole numbers are rounded, and clipped to the range of
        their type.
        """
        examples = self._engine.examples(x)
        return examples.restored(self._engine.gathered(examples, self._reconstruction, batch_size)["x"])

    def reconstructed(self, examples: Examples) -> Iterator[Tensor]:
        """As `reconstruct`, batch by batch in order: values of the model, on the CPU, float32."""
        for found in self._engine.streamed(examples, self._reconstruction):
            yield found["x"]

    def denoise(self, x: Any, *, overlap: float = 0.5, batch_size: int | None = None) -> Any:
        """Remove noise: the reconstruction, of images clipped to their range. What comes back is like `x`.

        The model should be trained with noise; see the group `noise` of configs.

        Args:
            x: noisy examples; see the class. Noise may lead out of the range: it is not clipped in training.
                Arrays of images may have any size: where it is not that of training, overlapping tiles of
                that size are denoised and blended (see `core.denoising.tiles`). Images in files are resized
                as in training.
            overlap: part of a tile's height and width that its neighbours share, in [0, 1).
            batch_size: see `encode`.

        Raises:
            BadInput: see `encode`; or the mean of pixels is so far out of their range that they must have
                another unit.
        """
        examples = self._engine.examples(x, noisy=True)
        function, size = self._denoising(examples, overlap, batch_size)
        return examples.restored(self._engine.gathered(examples, function, size)["x"])

    def denoised(
        self, examples: Examples, *, overlap: float = 0.5, batch_size: int | None = None
    ) -> Iterator[Any]:
        """As `denoise`, batch by batch in order."""
        function, size = self._denoising(examples, overlap, batch_size)
        for found in self._engine.streamed(examples, function, size, doing="Denoising"):
            yield examples.restored(found["x"])

    @torch.inference_mode()
    def denoise_values(self, x: Tensor, *, overlap: float = 0.5) -> Tensor:
        """As `denoise`, of values of the model on any device. Shapes: [B, ...] -> the same, float32."""
        values = x.to(self.device, self._engine.dtype)
        if x.shape[1:] == self.shape:
            made = self._engine.autoencoder.reconstruct(values)
        else:
            reconstruct, size = self._engine.autoencoder.reconstruct, (self.shape[1], self.shape[2])
            made = in_tiles(reconstruct, values, size, overlap=overlap, batch=self._engine.batch_size)
        made = made.float().to(x.device)
        return made.clamp(*self.value_range) if self._accepted.is_image else made

    @property
    def largest_pixel(self) -> float | None:
        """The stored value that becomes 1, of data whose 0 is 0 in the model, such as 255; else None."""
        scaling = self._accepted.scaling
        return None if scaling.shift is not None or scaling.scale.ndim else 1 / scaling.scale.item()

    @property
    def accepted(self) -> Accepted:
        """What the model accepts."""
        return self._accepted

    def was_trained_on(self, examples: Examples) -> bool:
        """Whether these are the data of training, which is known of files and folders of them."""
        known = self._data.get("fingerprint")
        return isinstance(examples, SourceExamples) and known == examples.source.fingerprint

    @property
    def displayed_range(self) -> tuple[float, float]:
        """The values of decoded images that are shown as black and white."""
        low, high = self.value_range
        if self._accepted.pixel_unit is not None:
            return low, high
        ends = self._accepted.scaling.invert(torch.tensor([low, high]))
        return float(ends.min()), float(ends.max())

    def feature_names(self) -> list[str]:
        """What the user calls each feature: its column, or its row, column and channel in an image."""
        if self.columns is not None:
            return self.columns
        if len(self.shape) == 1:
            return [f"feature {feature}" for feature in range(self.shape[0])]
        return [
            f"row {row} column {column}" + (f" channel {channel}" if self.shape[0] > 1 else "")
            for channel, row, column in np.ndindex(*self.shape)
        ]

    def _denoising(
        self, examples: Examples, overlap: float, batch_size: int | None
    ) -> tuple[Function, int | None]:
        """The function that denoises a batch, and the size of a batch."""
        check_float("overlap", overlap, least=0.0, below=1.0)

        def compute(x: Tensor) -> dict[str, Tensor]:
            return {"x": self.denoise_values(x, overlap=overlap)}

        # of large images few are in memory together
        most = max(1, BATCH_BYTES // (4 * math.prod(examples.shape)))
        return compute, min(most, self._engine.batch_size) if batch_size is None else batch_size

    def _check_frames(self) -> None:
        if self.columns is None:
            raise BadInput("as_frame", True, "the model was not trained on a table, and gives arrays")
        if find_spec("pandas") is None:
            raise BadInput("as_frame", True, "needs pandas: pip install pandas")

    def _code(self, x: Tensor) -> dict[str, Tensor]:
        return {"z": self._engine.autoencoder.encode(x).z}

    def _reconstruction(self, x: Tensor) -> dict[str, Tensor]:
        return {"x": self._engine.autoencoder.reconstruct(x)}

    @torch.inference_mode()
    def _decoded(self, z: Tensor) -> Tensor:
        return self._engine.autoencoder.decode(z).float()

    def _codes_of(self, key: str, x: Any) -> Tensor:
        """Codes of examples, each of which must have one. Shape: [N, D]."""
        examples = self._engine.examples(x)
        if examples.incomplete is not None:
            row = int(examples.incomplete.nonzero()[0])
            raise BadInput(
                key, f"row {row}", "has a missing cell, and so no code; fill it in, or leave it out"
            )
        return self._codes(self.encode(examples))

    def _codes(self, z: Any) -> Tensor:
        """Checked codes on the CPU. Shape: [N, D]."""
        array = as_array("z", z)
        if array.dtype.kind not in "biuf":
            raise BadInput("z", f"values of type {array.dtype}", "must be real numbers")
        codes = torch.from_numpy(np.array(array, np.float64)).to(self._engine.dtype)
        if codes.ndim != 2 or codes.shape[1] != self.latent_dim or not len(codes):
            raise BadInput("z", f"shape {list(codes.shape)}", f"must be [N, {self.latent_dim}]")
        if not bool(codes.isfinite().all()):
            raise BadInput("z", "NaN or infinite", "must be finite")
        return codes

    def given_back(self, x: Tensor, *, like: Any = None) -> Any:
        """Values of the model [N, ...] in the unit of the data; see `decode`.

        A tensor if `like` is one, or else an array or a table.
        """
        made = self._engine.as_given(x)
        tensor = isinstance(like, Tensor) and self.columns is None
        return torch.from_numpy(made).to(like.device) if tensor else made
