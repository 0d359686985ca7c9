"""Python imports this at its start where its folder is on PYTHONPATH: runs of a second write every checkpoint."""

from isthmus.training import background

background.REST = 0.0
