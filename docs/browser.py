"""A headless browser for screenshots and for checks of pages: the system's Chromium."""

import contextlib
import shutil

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_browser():
    """Path of the system's Chromium; `None` where there is none, or no playwright."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return None
    return next(filter(None, map(shutil.which, _NAMES)), None)


@contextlib.contextmanager
def open_browser():
    """Starts the browser; yields playwright's `Browser`.

    Raises:
        RuntimeError: If there is none.
    """
    path = find_browser()
    if path is None:
        raise RuntimeError("No browser: install chromium, and playwright with pip.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
