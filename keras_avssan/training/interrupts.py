"""Ctrl-C that waits for a good moment."""

import contextlib
import signal
import sys
import threading


@contextlib.contextmanager
def deferred_interrupt():
    """Notes Ctrl-C within, instead of stopping at once; a second one stops at once.

    Outside of the main thread, and where the process ignores Ctrl-C, nothing changes.

    Yields:
        Function without arguments: whether Ctrl-C was pressed.
    """
    asked = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield asked.is_set
        return

    def note(*_):
        asked.set()
        signal.signal(signal.SIGINT, before)
        print("\nStopping after this step. Ctrl-C again stops at once.", file=sys.stderr)

    signal.signal(signal.SIGINT, note)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
