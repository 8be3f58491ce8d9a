"""The command `app`: a web page for a model."""

import argparse
import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from keras_avssan._internal.saved_files import DEFAULT_MODEL
from keras_avssan.cli.array_options import open_array
from keras_avssan.cli.checks import check_model
from keras_avssan.cli.options import MODEL_HELP, Commands, load_model

if TYPE_CHECKING:
    from keras_avssan.arrays import MicrophoneArray

MAX_UPLOAD = "20mb"


def add_app(commands: Commands) -> None:
    """Adds `app`."""
    parser = commands.add_parser(
        "app",
        help="open a page in the browser: drop a recording and a picture, see the direction",
        epilog="keras-avssan app --open\nkeras-avssan app --model my_model --open",
    )
    model = parser.add_mutually_exclusive_group()
    model.add_argument(
        "--model", metavar="MODEL", help=f"{MODEL_HELP}; default: {DEFAULT_MODEL}, without --demo"
    )
    model.add_argument(
        "--demo",
        action="store_true",
        help="small model on built-in data: that of `make demo`, or trained once in a few minutes; "
        "examples are built-in too",
    )
    parser.add_argument(
        "--cache",
        metavar="DIR",
        help="folder that keeps the model of --demo; default: a folder of this user, which the "
        "environment variable KERAS_AVSSAN_CACHE changes",
    )
    parser.add_argument(
        "--array",
        metavar="ARRAY",
        help="array of more than two microphones that is chosen when the page opens: starss23, "
        "respeaker_4, respeaker_usb_4, respeaker_6, or a CSV or JSON file of positions in metres, "
        "a row x, y, z a microphone; default: two microphones",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=7860, help="port to listen at")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.set_defaults(run=_run, checked_by=_check)


def _run(options: argparse.Namespace) -> None:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with _orderly_end(), tempfile.TemporaryDirectory(prefix="keras-avssan-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # for all uploads, removed at the end
        from keras_avssan.app.interface import import_gradio

        import_gradio()
        synthetic = os.path.join(folder, "examples") if options.demo else None
        array = open_array(options) if options.array is not None else None
        page, examples = _build(_open_model(options), synthetic, array)
        serve(page, examples, options.host, options.port, options.open)


def _check(options: argparse.Namespace) -> None:
    """Errors in the options are reported before anything is imported or trained."""
    if options.cache and not options.demo:
        raise ValueError("`--cache` must be used with `--demo`. Received: --cache without --demo")
    if options.array is not None:
        open_array(options)
    if not options.demo and options.model is None:
        options.model = DEFAULT_MODEL
        check_model("--model", options.model)
    if not 0 < options.port < 65536:
        raise ValueError(f"`--port` must be from 1 to 65535. Received: --port={options.port}")
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((options.host, options.port))
        except OSError as error:
            raise OSError(
                "`--host` and `--port` must be an address of this machine that is free. "
                f"Received: --host={options.host}, --port={options.port} ({error.strerror})"
            ) from error


@contextlib.contextmanager
def _orderly_end() -> Iterator[None]:
    """Turns SIGTERM, which stops a service, into an exit that cleans up."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _open_model(options: argparse.Namespace) -> Any:
    from keras_avssan.app.demo_model import demo_model

    model: Any = (
        load_model(options.model) if options.model else demo_model(options.cache, progress=True)
    )
    if not hasattr(model, "explain"):
        raise ValueError(
            "`--model` must be an AVSSAN, which shows what led to its answers. "
            f"Received: --model={options.model!r}, a {type(model).__name__}"
        )
    return model


def _build(
    model: Any, folder: str | None, array: "MicrophoneArray | None" = None
) -> tuple[Any, str]:
    """The page, and the folder of its examples: real ones, or synthetic ones in a new `folder`."""
    import matplotlib

    matplotlib.use("Agg")
    from keras_avssan.app import build_interface
    from keras_avssan.app.examples import real_examples, write_examples
    from keras_avssan.data.media.example_file import EXAMPLES

    if folder is None:
        return build_interface(model, real_examples(), array), str(EXAMPLES)
    os.mkdir(folder)
    return build_interface(model, write_examples(folder), array), folder


def serve(
    page: Any,
    examples: str,
    host: str,
    port: int,
    open_browser: bool = False,
    block: bool = True,
) -> str | None:
    """Serves a page, until the user stops it or, without `block`, in the background.

    Uploads are bounded, and `examples` is the only folder whose files the page may read. Returns
    the address if it does not wait. Raises an `OSError` if the port is in use.
    """
    from keras_avssan.app.interface import import_gradio
    from keras_avssan.app.page_parts import STYLE

    gradio = import_gradio()
    # Fonts of the reader's system: nothing is requested from other servers.
    theme = gradio.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        inbrowser=open_browser,
        share=False,
        max_file_size=MAX_UPLOAD,
        allowed_paths=[examples],
        enable_monitoring=False,
        footer_links=[],
        theme=theme,
        css=STYLE,
        quiet=True,
        prevent_thread_lock=True,
    )
    print(f"{address} (Ctrl-C stops it)", flush=True)
    if not block:
        return address
    try:
        page.block_thread()
    finally:
        page.close()
    return None
