"""The command line: no log lines of TensorFlow, absl, XLA or Keras around an answer."""

import contextlib
import logging
import os
import re
import signal
import sys
import time
import warnings

# What native code of TensorFlow, XLA and JAX writes below the level of an error, and what it calls
# an error on machines without a GPU. Everything else passes: it may be what the user must know.
_NOISE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog"
    rb"|[IW]\d{4} [\d:. ]+ \S+:\d+\] "
    rb"|\d{4}-\d\d-\d\d [\d:.]+: [IW] \S+:\d+\] "
    rb"|To enable the following instructions: .* rebuild TensorFlow"
    rb"|(E\d{4}|\d{4}-\d\d-\d\d [\d:.]+: E) .*(cuInit|Unable to register cu|CUDA_ERROR_NO_DEVICE)"
)
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@contextlib.contextmanager
def quiet_libraries(prog: str):
    """Leaves on stderr the lines of this library, and of others only errors.

    To be entered before they are imported. With `TF_CPP_MIN_LOG_LEVEL=0` everything is shown.

    Args:
        prog: Name of the program, before its warnings.
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


def _own_warnings(prog: str):
    """A `warnings.showwarning` for a user, who needs no line of source: this library's alone."""

    def show(message: str, category, filename, lineno, file=None, line=None) -> None:
        if os.path.abspath(filename).startswith(_PACKAGE + os.sep):
            print(f"{prog}: warning: {' '.join(str(message).split())}", file=file or sys.stderr)

    return show


@contextlib.contextmanager
def _filtered_stderr():
    """Sends what native code writes through a process that drops `_NOISE`.

    A process, not a thread: it works while native code holds the interpreter, and passes on the
    last words of one that crashes. Python's own `sys.stderr` goes around it.
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


def _pass_on(source, target) -> None:
    """Copies lines that are not noise, to the end; then ends this process."""
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


def _wait(child, seconds: float = 1.0) -> None:
    """Waits for the last lines; not for ever, where a process of the command stays behind."""
    end = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG) == (0, 0) and time.monotonic() < end:
        time.sleep(0.005)
