"""The log of a training for TensorBoard."""

import time


class TensorBoardLog:
    """The log of a training for TensorBoard.

    It needs the package `tensorboard` alone, and neither TensorFlow nor PyTorch.

    Args:
        folder: Folder of the event files.
        done: Steps done before; TensorBoard forgets what it has of later ones.

    Raises:
        ImportError: If `tensorboard` is not installed.
    """

    def __init__(self, folder, done):
        self._event, self._summary = _open_protocol()
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(folder))
        if done:
            self._add(done + 1, session_log=_session_start())

    def step(self, row):
        """Writes the numbers of a step.

        Args:
            row: Dict from name to number, with `step`.
        """
        self._write("step", row)

    def epoch(self, row):
        """Writes the numbers of an epoch.

        Args:
            row: Dict from name to number, with `step`.
        """
        self._write("epoch", row)

    def sync(self):
        """Brings what was written to the disk."""
        self._writer.flush()

    def close(self):
        """Closes the file."""
        self._writer.close()

    def _write(self, kind, row):
        values = [
            self._summary.Value(tag=f"{kind}/{name}", simple_value=float(value))
            for name, value in row.items()
            if name not in ("step", "epoch")
        ]
        self._add(row["step"], summary=self._summary(value=values))

    def _add(self, step, **content):
        self._writer.add_event(self._event(step=step, wall_time=time.time(), **content))


def check_tensorboard():
    """Refuses to go on without the package.

    Raises:
        ImportError: If `tensorboard` is not installed.
    """
    _open_protocol()


def _open_protocol():
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
    except ImportError as error:
        raise ImportError(
            "A log for TensorBoard needs the package `tensorboard`: `pip install tensorboard`."
        ) from error
    return Event, Summary


def _session_start():
    from tensorboard.compat.proto.event_pb2 import SessionLog

    return SessionLog(status=SessionLog.START)
