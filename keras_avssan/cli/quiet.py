"""Suppression of log lines of TensorFlow, absl, XLA and Keras."""

import contextlib
import logging
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import NoReturn, TextIO

# Lines of native code of TensorFlow, XLA and JAX below the level of an error, and the errors that
# it reports on machines without a GPU. Everything else passes, because users may need it.
_NOISE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog"
    rb"|[IW]\d{4} [\d:. ]+ \S+:\d+\] "
    rb"|\d{4}-\d\d-\d\d [\d:.]+: [IW] \S+:\d+\] "
    rb"|To enable the following instructions: .* rebuild TensorFlow"
    rb"|(E\d{4}|\d{4}-\d\d-\d\d [\d:.]+: E) .*(cuInit|Unable to register cu|CUDA_ERROR_NO_DEVICE)"
)
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@contextlib.contextmanager
def quiet_libraries(prog: str) -> Iterator[None]:
    """Keeps the lines of this library on stderr, after `prog`, and only errors of others.

    To be entered before they are imported. With `TF_CPP_MIN_LOG_LEVEL=0` everything is shown.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "0":
        yield
        return
    disabled, show = logging.root.manager.disable, warnings.showwarning
    logging.disable(logging.WARNING)
    if not sys.warnoptions:
        warnings.showwarning = _own_warnings(prog)
    try:
        with _filtered_stderr():
            yield
    finally:
        logging.disable(disabled)
        warnings.showwarning = show


def _own_warnings(prog: str) -> Callable[..., None]:
    """A `warnings.showwarning` that shows only warnings of this library, without source lines."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if os.path.abspath(filename).startswith(_PACKAGE + os.sep):
            print(f"{prog}: warning: {' '.join(str(message).split())}", file=file or sys.stderr)

    return show


@contextlib.contextmanager
def _filtered_stderr() -> Iterator[None]:
    """Sends the output of native code through a process that drops `_NOISE`; not `sys.stderr`.

    A process, not a thread: it works while native code holds the interpreter, or crashes.
    """
    if sys.stderr is not sys.__stderr__ or sys.stderr is None or not hasattr(os, "fork"):
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    own = os.dup(2)
    source, sink = os.pipe()
    child = os.fork()
    if not child:
        os.close(sink)
        _pass_on(source, own)
    os.close(source)
    os.dup2(sink, 2)
    os.close(sink)
    before = sys.stderr
    sys.stderr = open(own, "w", buffering=1, encoding=before.encoding, errors=before.errors)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(own, 2)
        sys.stderr.close()
        sys.stderr = before
        _wait(child)


def _pass_on(source: int, target: int) -> NoReturn:
    """Copies lines that are not noise between file descriptors; then ends this process."""
    try:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # it ends when nobody can write any more
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        rest = b""
        while chunk := os.read(source, 1 << 16):
            *lines, rest = (rest + chunk).split(b"\n")
            os.write(target, b"".join(line + b"\n" for line in lines if not _NOISE.match(line)))
        if not _NOISE.match(rest):
            os.write(target, rest)
    finally:
        os._exit(0)


def _wait(child: int, seconds: float = 1.0) -> None:
    """Waits for the last lines, but not longer if a process of the command keeps running."""
    end = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG) == (0, 0) and time.monotonic() < end:
        time.sleep(0.005)
