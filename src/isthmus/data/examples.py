"""Small data sets under the path `example:NAME`, created from data that scikit-learn bundles.

Sources: the Breast Cancer Wisconsin (Diagnostic) data (Wolberg, Mangasarian, Street and Street 1995, UCI
Machine Learning Repository), and the two sample photographs of scikit-learn, china.jpg (danielbuechele,
CC BY 2.0) and flower.jpg (vultilion, CC BY 2.0). Patches of natural images are the classical data of sparse
coding (Olshausen and Field 1996, "Emergence of simple-cell receptive field properties", Nature 381).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from isthmus.common.errors import BadInput

PREFIX = "example:"
PHOTOS = ("china", "flower")
TILE = 32  # side of the colour images, in pixels
PATCH = 16  # side of the grey patches
STRIDE = 8  # between neighbouring grey patches


def locate(path: str, key: str = "path") -> Path:
    """The file or folder that `path` names; an ordinary path need not exist.

    `example:NAME` is created on first use, in `$XDG_CACHE_HOME/isthmus/examples` (by default under ~/.cache):

    - `example:breast_cancer.csv`: 569 rows, 30 measurements and the column `diagnosis`.
    - `example:photos`: 520 colour PNG files of 32 x 32 pixels, in the subfolders china and flower.
    - `example:patches.npy`: float32 [8216, 16, 16] in [0, 1], grey patches that overlap by half.

    Args:
        path: an ordinary path, where ~ is the home folder, or an example.
        key: its config key, for messages.

    Raises:
        BadInput: the path is invalid, there is no such example, or the cache is not writable.
    """
    if not path.startswith(PREFIX):
        return _ordinary_path(path, key)
    name = path.removeprefix(PREFIX)
    if name not in EXAMPLES:
        known = ", ".join(PREFIX + example for example in EXAMPLES)
        raise BadInput(key, path, f"there is no such example; there are {known}")
    cache = cache_folder("examples")
    place = cache / name
    try:
        if not place.exists():
            _create(EXAMPLES[name], place)
    except OSError as error:
        fix = f"cannot be made in {cache} ({error.strerror}); set XDG_CACHE_HOME to a folder you can write to"
        raise BadInput(key, path, fix) from error
    return place


def cache_folder(name: str) -> Path:
    """`isthmus/name` in $XDG_CACHE_HOME, by default ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "isthmus" / name


def _ordinary_path(path: str, key: str) -> Path:
    try:
        place = Path(path).expanduser()
        place.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # the caller reports a missing file
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInput(key, path, f"cannot be looked up ({reason}); give another path") from error
    return place


def _create(write: Callable[[Path], None], place: Path) -> None:
    """Write into a temporary folder, then rename to `place`."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place.parent, prefix=".") as beside:
        made = Path(beside) / place.name
        write(made)
        try:
            made.rename(place)
        except OSError:
            # a folder cannot replace another one: a concurrent process has created the same files
            if not place.exists():
                raise


def _breast_cancer(path: Path) -> None:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([*bunch.feature_names, "diagnosis"])
        for row, target in zip(bunch.data.tolist(), bunch.target, strict=True):
            table.writerow([*row, bunch.target_names[target]])


def _photos(folder: Path) -> None:
    from PIL import Image

    for photo in PHOTOS:
        pixels = _photo(photo)
        (folder / photo).mkdir(parents=True)
        for top in range(0, pixels.shape[0] - TILE + 1, TILE):
            for left in range(0, pixels.shape[1] - TILE + 1, TILE):
                tile = Image.fromarray(pixels[top : top + TILE, left : left + TILE])
                tile.save(folder / photo / f"{top:03}_{left:03}.png")


def _patches(path: Path) -> None:
    from PIL import Image

    patches = []
    for photo in PHOTOS:
        grey = np.asarray(Image.fromarray(_photo(photo)).convert("L"), dtype=np.float32) / 255
        windows = np.lib.stride_tricks.sliding_window_view(grey, (PATCH, PATCH))[::STRIDE, ::STRIDE]
        patches.append(windows.reshape(-1, PATCH, PATCH))
    np.save(path, np.concatenate(patches))


def _photo(name: str) -> np.ndarray:
    """Shape: [427, 640, 3], uint8."""
    from sklearn.datasets import load_sample_image

    return np.ascontiguousarray(load_sample_image(f"{name}.jpg"))


EXAMPLES: dict[str, Callable[[Path], None]] = {
    "breast_cancer.csv": _breast_cancer,
    "photos": _photos,
    "patches.npy": _patches,
}
