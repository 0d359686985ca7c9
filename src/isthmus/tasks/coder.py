"""Encodes and decodes with a trained model: the base of `TrainedModel`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus.common.errors import BadInput
from isthmus.runs.packed.opening import OpenedModel
from isthmus.tasks.engine import Engine


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

        A tensor for a tensor, a NumPy array for everything else.

        Args:
            x: examples; see the class.
            batch_size: examples that are computed together; None for what suits their size.

        Raises:
            BadInput: examples of another shape, out of range or missing, or unknown columns.
        """
        codes = self._engine.gathered(self._engine.examples(x), self._code, batch_size)["z"]
        return codes.to(x.device) if isinstance(x, Tensor) else codes.numpy()

    def decode(self, z: Any, *, batch_size: int | None = None) -> Any:
        """Examples from codes [N, D].

        Images are [N, C, H, W], and pixels in [0, 1]. The rows of a table are a table of pyarrow. A tensor
        for a tensor.
        """
        codes = self._codes(z)
        step = batch_size or self._engine.batch_size
        made = torch.cat([self._decoded(part.to(self.device)).cpu() for part in codes.split(step)])
        return self._given_back(made, z)

    def reconstruct(self, x: Any, *, batch_size: int | None = None) -> Any:
        """Decode the codes of examples. What comes back is like `x`."""
        examples = self._engine.examples(x)
        return examples.restored(self._engine.gathered(examples, self._reconstruction, batch_size)["x"])

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

    def _code(self, x: Tensor) -> dict[str, Tensor]:
        return {"z": self._engine.autoencoder.encode(x).z}

    def _reconstruction(self, x: Tensor) -> dict[str, Tensor]:
        return {"x": self._engine.autoencoder.reconstruct(x)}

    @torch.inference_mode()
    def _decoded(self, z: Tensor) -> Tensor:
        return self._engine.autoencoder.decode(z).float()

    def _codes(self, z: Any) -> Tensor:
        """Checked codes on the CPU. Shape: [N, D]."""
        try:
            codes = torch.as_tensor(np.asarray(z) if not isinstance(z, Tensor) else z)
            codes = codes.detach().cpu().to(self._engine.dtype)
        except (TypeError, ValueError, RuntimeError) as error:
            raise BadInput("z", type(z).__name__, f"must be an array of numbers ({error})") from error
        if codes.ndim != 2 or codes.shape[1] != self.latent_dim or not len(codes):
            raise BadInput("z", f"shape {list(codes.shape)}", f"must be [N, {self.latent_dim}]")
        if not bool(codes.isfinite().all()):
            raise BadInput("z", "NaN or infinite", "must be finite")
        return codes

    def _given_back(self, x: Tensor, like: Any) -> Any:
        """New examples [N, ...]: a tensor if `like` is one, or else an array or a table."""
        made = self._engine.as_given(x)
        tensor = isinstance(like, Tensor) and self.columns is None
        return torch.from_numpy(made).to(like.device) if tensor else made
