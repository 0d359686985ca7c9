"""The figures that training left in the run folder."""

from __future__ import annotations

import re
from pathlib import Path

from isthmus.common.messages import printable
from isthmus.reports.page import Picture, Section
from isthmus.reports.pictures import picture
from isthmus.runs.folder.untrusted import names_in
from isthmus.training.figures.pictures import PICTURES

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
ABOUT = {"training": TRAINING, "reconstructions": RECONSTRUCTIONS, "codes": CODES, "samples": SAMPLES}


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
        known = PICTURES.get(name.removesuffix(".png"))
        caption = known.caption if known else printable(name, 80)
        into = sections[ABOUT[known.about] if known else OTHER].pictures
        if len(into) < MOST and (shown := picture(folder, place, caption)):
            into.append(shown)
    ordered = [grid for _, grid in sorted(grids, key=lambda both: both[0])]
    sections[RECONSTRUCTIONS].pictures[:0] = ordered[-1:]
    sections[RECONSTRUCTIONS].earlier = ordered[:-1][-MOST:]
    return sections
