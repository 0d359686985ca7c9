"""The final codes for TensorBoard's embedding projector."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from isthmus.common.atomic_files import UNFINISHED, make_subfolder, remove_tree
from isthmus.common.held_folder import check_held
from isthmus.training.writers.image_grid import to_unit

CONFIG = "projector_config.pbtxt"
SUBFOLDER = "projector"  # takes the place of the step number that the writer would use
FLAT = 8  # times as wide as high, or as high as wide: the flattest thumbnail
# Line breaks and tabs delimit the metadata; the rest cannot be displayed, or not encoded as UTF-8.
UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def write_projector(
    folder: Path,
    codes: dict[str, Tensor],
    *,
    label_names: list[str] | None,
    images: Tensor | None,
    names: Sequence[str] | None = None,
) -> None:
    """Write codes, ids, labels and thumbnails where TensorBoard looks for them.

    Args:
        folder: of the run. Existing files are replaced, each as a whole.
        codes: from `encode_all`, with ``labels`` if there are any.
        label_names: see `Source`; what cannot be displayed becomes an escape such as ``\\n``.
        images: thumbnails in [0, 1] of those examples, or None. Shape: [N, 3, H, W].
        names: what the user calls the examples, or None.
    """
    # TensorBoard's PCA stays blank with fewer than three columns
    matrix = F.pad(codes["codes"], (0, max(0, 3 - codes["codes"].shape[1])))
    header, columns = ["id"], [[str(row) for row in codes["ids"].tolist()]]
    if "labels" in codes:
        labels = codes["labels"].tolist()
        header.insert(0, "label")
        classes = [_cell(name) for name in label_names] if label_names else None
        columns.insert(0, [classes[label] if classes else str(label) for label in labels])
    if names is not None:
        header.append("name")
        columns.append([_cell(name) for name in names])
    single = len(header) == 1
    from torch.utils.tensorboard import SummaryWriter

    beside = folder / f".{SUBFOLDER}.{os.getpid()}{UNFINISHED}"
    make_subfolder(beside)
    try:
        with SummaryWriter(beside) as writer:
            writer.add_embedding(
                matrix,
                metadata=columns[0] if single else [list(row) for row in zip(*columns, strict=True)],
                metadata_header=None if single else header,
                label_img=images,
                global_step=SUBFOLDER,
                tag="codes",
            )
        check_held(folder)
        with contextlib.suppress(FileNotFoundError):
            (folder / SUBFOLDER).rename(beside / "outdated")
        (beside / SUBFOLDER).rename(folder / SUBFOLDER)
        (beside / CONFIG).replace(folder / CONFIG)
        remove_tree(beside)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _cell(text: str) -> str:
    return UNSHOWN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def thumbnails(x: Tensor, value_range: tuple[float, float]) -> Tensor | None:
    """Images in `value_range` as square RGB in [0, 1], [B, C, H, W] -> [B, 3, S, S]; None for others."""
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        return None
    for axis in (2, 3):  # a very flat image is stretched, to be seen at all
        other = x.shape[5 - axis]
        x = x.repeat_interleave(max(1, other // (FLAT * x.shape[axis])), axis)
    height, width = x.shape[2:]
    high, wide = max(0, width - height), max(0, height - width)  # TensorBoard's sprite consists of squares
    squares = F.pad(to_unit(x, value_range), (wide // 2, wide - wide // 2, high // 2, high - high // 2))
    return squares.expand(-1, 3, -1, -1)
