"""The command line: find a prompted sound in a recording."""

from typing import cast

from keras_avssan.cli_options import check_output, load_model


def add_localize(commands):
    """Adds `localize`.

    Args:
        commands: What `ArgumentParser.add_subparsers` returned.
    """
    parser = commands.add_parser("localize", help="find a prompted sound in a recording")
    parser.add_argument("audio", help="two-channel recording")
    parser.add_argument(
        "--prompt",
        required=True,
        help="what to look for: a picture, a recording, or words",
    )
    parser.add_argument("--model", required=True, help="folder of the trained model")
    parser.add_argument("--figure", help="file for a figure of posterior, mask and bands")
    parser.set_defaults(run=_localize)


def _localize(options):
    if options.figure:
        check_output("--figure", options.figure)
    model = load_model(options.model)
    if not hasattr(model, "explain"):
        if options.figure:
            raise ValueError(
                "`--figure` shows what led AV-SSAN to its answer, and this is another network. "
                f"Received: {type(model).__name__}"
            )
        azimuth, confidence = model.localize(options.audio, options.prompt, return_confidence=True)
        print(f"{azimuth[0]:.0f} degrees, confidence {confidence[0]:.2f}")
        return
    explanation = model.explain(options.audio, options.prompt)
    if options.figure:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib.figure import Figure

        from keras_avssan.visualization import plot_explanation

        figure = cast(Figure, plot_explanation(explanation))
        figure.savefig(options.figure, dpi=150)
    print(f"{explanation['azimuth']:.0f} degrees, confidence {explanation['confidence']:.2f}")
