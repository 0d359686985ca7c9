"""TensorBoard's writer, with event files that sort in the order in which they are written."""

from __future__ import annotations

import re
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tensorboard.summary.writer import event_file_writer
from torch.utils.tensorboard import SummaryWriter

NAME = re.compile(r"events\.out\.tfevents\.(\d{10})\.")


class EventWriter(SummaryWriter):
    """A SummaryWriter of a run that may be resumed.

    TensorBoard reads the event files of a folder sorted by name, and a name begins with the time in seconds.
    A clock that was set back would put the steps of a resumed run before those of the original. So the time
    in the name of a new file is later than that in all others.
    """

    def _get_file_writer(self) -> Any:  # also called for a new file after `close`
        if self.file_writer is not None:
            return self.file_writer
        names = (NAME.match(path.name) for path in Path(self.log_dir).iterdir())
        named = iter([max([time.time(), *(int(name[1]) + 1 for name in names if name)])])
        # EventFileWriter takes the time for the name first, and has no argument for it.
        event_file_writer.time = SimpleNamespace(time=lambda: next(named, None) or time.time())
        try:
            return super()._get_file_writer()
        finally:
            event_file_writer.time = time
