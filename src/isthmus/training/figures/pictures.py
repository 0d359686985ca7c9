"""The pictures of the whole run, which it leaves at its end. Imports no torch, as the report reads it."""

from __future__ import annotations

from typing import Literal, NamedTuple


class RunPicture(NamedTuple):
    """A picture in figures/.

    Attributes:
        of: the runs that have it: all, those of tables, or those of images that have a prior.
        about: what it is about.
        caption: what it shows.
    """

    of: Literal["all", "tables", "priors"]
    about: Literal["training", "reconstructions", "codes", "samples"]
    caption: str


PICTURES = {
    "curves": RunPicture("all", "training", "Metrics of the epochs."),
    "error_histogram": RunPicture("all", "reconstructions", "How the reconstruction errors are distributed."),
    "latent_map": RunPicture("all", "codes", "Map of the codes at the end of training."),
    "error_per_column": RunPicture("tables", "reconstructions", "Reconstruction error of each column."),
    "samples": RunPicture("priors", "samples", "Samples of the prior, decoded."),
    "traversals": RunPicture(
        "priors", "samples", "Traversals: in each row, one number of the code changes, and the others stay."
    ),
}
