"""TensorBoard's writer, for the folder of a run that may be resumed, renamed or removed.

TensorBoard reads the event files of a folder sorted by name, and a name begins with the time in seconds. A
clock that was set back would put the steps of a resumed run before those of the original. So the time in the
name of a new file is later than that in all others.

TensorBoard's own writer makes folders that are missing, and opens its file by its path at each flush: it
would write into any folder that has taken the name since. Here the file is created in the original folder,
and stays open.
"""

from __future__ import annotations

import os
import re
import socket
import time
from itertools import count
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog, SourceMetadata
from tensorboard.summary.writer.event_file_writer import EventFileWriter, _AsyncWriter
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import FileWriter, SummaryWriter

from isthmus.common.held_folder import HeldFolder

NAME = re.compile(r"events\.out\.tfevents\.(\d{10})\.")
VERSION = "brain.Event:2"
_numbers = count()


class EventWriter(SummaryWriter):
    """A SummaryWriter whose files stay in the original folder, and sort in the order of writing.

    Args:
        log_dir: an existing folder.
        keywords: of SummaryWriter.
    """

    def __init__(self, log_dir: str | Path, **keywords: Any) -> None:
        self._folder = HeldFolder(Path(log_dir))
        super().__init__(str(log_dir), **keywords)

    def _get_file_writer(self) -> Any:  # also called for a new file after `close`
        if self.file_writer is not None:
            return self.file_writer
        writer: Any = _FileWriter(self._folder, self.max_queue, self.flush_secs)
        self.file_writer, self.all_writers = writer, {self.log_dir: writer}  # type: ignore[assignment]
        if self.purge_step is not None:
            writer.add_event(Event(step=self.purge_step, file_version=VERSION))
            writer.add_event(Event(step=self.purge_step, session_log=SessionLog(status=SessionLog.START)))
            self.purge_step = None
        return writer


class _FileWriter(FileWriter):
    def __init__(self, folder: HeldFolder, max_queue: int, flush_secs: int) -> None:
        self.event_writer = _EventFile(folder, max_queue, flush_secs)


class _EventFile(EventFileWriter):
    """Writes events to a new file in a held folder. Raises `FolderLost` if that is lost."""

    def __init__(self, folder: HeldFolder, max_queue: int, flush_secs: int) -> None:
        folder.check()
        self._logdir = str(folder.path)
        names = (NAME.match(name) for name in os.listdir(folder.descriptor))
        second = max([int(time.time()), *(int(name[1]) + 1 for name in names if name)])
        name = f"events.out.tfevents.{second:010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self._file_name = str(folder.path / name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            file = os.fdopen(os.open(name, flags, 0o666, dir_fd=folder.descriptor), "wb")
        except OSError as error:  # which names the file without its folder
            raise OSError(error.errno, error.strerror, self._file_name) from error
        self._async_writer = _AsyncWriter(RecordWriter(file), max_queue, flush_secs)
        source = SourceMetadata(writer="tensorboard.summary.writer.event_file_writer")
        self.add_event(Event(wall_time=time.time(), file_version=VERSION, source_metadata=source))
        self.flush()
