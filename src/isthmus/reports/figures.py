"""The figures that training left in the run folder."""

from __future__ import annotations

import re
from pathlib import Path

from isthmus.common.messages import printable
from isthmus.reports.page import Picture, Section
from isthmus.reports.pictures import picture
from isthmus.runs.folder.untrusted import names_in

FOLDER = "figures"
MOST = 40
GRID = re.compile(r"reconstruction_step=(\d{1,18})\.png")
GRIDS = (
    "Held-out examples in the first row, with noise in the row below where noise was added, and their "
    "reconstructions in the last row; after step {:,}."
)
TRAINING, RECONSTRUCTIONS, CODES, SAMPLES, OTHER = SECTIONS = (
    *("Training", "Reconstructions", "Codes", "Samples", "Other figures"),
)
# file -> section, caption, whether it consists of small images
KNOWN = {
    "curves.png": (TRAINING, "Metrics of the epochs.", False),
    "error_histogram.png": (RECONSTRUCTIONS, "How the reconstruction errors are distributed.", False),
    "error_per_column.png": (RECONSTRUCTIONS, "Reconstruction error of each column.", False),
    "latent_map.png": (CODES, "Map of the codes at the end of training.", False),
    "samples.png": (SAMPLES, "Samples of the prior, decoded.", False),
    "traversals.png": (
        SAMPLES,
        "Traversals: in each row, one number of the code changes, and the others stay.",
        False,
    ),
}


def figures(folder: Path) -> dict[str, Section]:
    """The sections with what there is in figures/; by their names."""
    sections = {name: Section(name) for name in SECTIONS}
    grids: list[tuple[int, Picture]] = []
    for name in [name for name in names_in(folder, FOLDER) if name.endswith(".png")]:
        place = f"{FOLDER}/{name}"
        if found := GRID.fullmatch(name):
            step = int(found[1])
            if grid := picture(folder, place, GRIDS.format(step), images=True):
                grids.append((step, grid))
            continue
        section, caption, images = KNOWN.get(name, (OTHER, printable(name, 80), False))
        into = sections[section].pictures
        if len(into) < MOST and (shown := picture(folder, place, caption, images=images)):
            into.append(shown)
    ordered = [grid for _, grid in sorted(grids, key=lambda both: both[0])]
    sections[RECONSTRUCTIONS].pictures[:0] = ordered[-1:]
    sections[RECONSTRUCTIONS].earlier = ordered[:-1][-MOST:]
    return sections
