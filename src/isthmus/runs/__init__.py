"""Train, record, load and evaluate runs; each run is a folder.

Importing this package imports nothing heavy.
"""

from isthmus.common.errors import BadInput, TrainingDiverged
from isthmus.runs.errors import RunFailed, Stopped

__all__ = ["BadInput", "RunFailed", "Stopped", "TrainingDiverged"]
