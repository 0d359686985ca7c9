"""Python imports this at its start where its folder is on PYTHONPATH: runs of a second write checkpoints."""

import sys

typed = " ".join(sys.orig_argv)
if any(word in typed for word in ("train", "resume", "multiprocessing")):  # the others do not wait for torch
    from isthmus.training.writers import background

    background.DEBOUNCE_SECONDS = 0.0
