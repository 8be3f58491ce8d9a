"""Options of STARSS23, and scores of a model on its segments."""

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from keras_avssan.cli.options import ALL, check_model_spacing

if TYPE_CHECKING:
    from keras_avssan.benchmark import SegmentTraining
    from keras_avssan.data import SegmentPrompts
    from keras_avssan.evaluation import Evaluation


def add_starss23_options(parser: argparse.ArgumentParser) -> None:
    """Adds to `evaluate` the options that replace simulated scenes by segments of STARSS23."""
    group = parser.add_argument_group(
        "real rooms",
        "Segments of STARSS23 in place of simulated scenes. --split, --classes (which may be "
        "targets), --prompt, --seed, --model, --spacing, --on-overlap and --json apply; the other "
        "options do not. The model is given the spacing of the pair, or --spacing.",
    )
    _add_options(group)


def add_segment_options(parser: argparse.ArgumentParser) -> None:
    """Adds to `benchmark` the options of the segments of Table 3."""
    group = parser.add_argument_group(
        "table 3", "Segments of STARSS23 on which the systems are tested; its split `test`."
    )
    _add_options(group)
    group.add_argument(
        "--segment-steps",
        type=int,
        default=0,
        metavar="N",
        help="then train every network N steps on the split `train`, and test it again; tests "
        "have pictures of another split of --prompts-from, or half of those without splits",
    )


def _add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--starss23", metavar="ROOT", help="folder of the data set")
    group.add_argument(
        "--prompts-from", metavar="FOLDER", help="folder of pictures, one folder a class"
    )
    group.add_argument(
        "--class-map",
        metavar="CSV",
        help="columns `class` (of STARSS23) and `pictures` (a class of --prompts-from); default: "
        "classes of the same name",
    )
    group.add_argument("--pair", default="M1-M4", help="M1-M4 or M2-M3")
    group.add_argument(
        "--segment-duration", type=float, default=10.0, help="seconds a segment lasts"
    )
    group.add_argument(
        "--min-activity", type=float, default=1.0, help="seconds a target must be active"
    )
    group.add_argument(
        "--max-motion",
        type=float,
        default=10.0,
        metavar="DEGREES",
        help="segments whose target moves more are left out",
    )
    group.add_argument(
        "--allow-same-class",
        action="store_true",
        help="keep segments with several sources of the target's class",
    )
    group.add_argument(
        "--baffle",
        default="rigid",
        help="rigid: the sphere of the published recordings, open: free microphones",
    )


def evaluate_starss23(
    options: argparse.Namespace, load_model: Callable[[str], Any]
) -> "tuple[Evaluation, dict[str, Any]]":
    """Scores a model on segments of STARSS23, and prints a report of them.

    Returns the scores, and facts about the data for the JSON file.
    """
    from keras_avssan.evaluation import evaluate_segments

    split = None if options.split == ALL else options.split or "test"
    prompts = open_segments(options, split, options.classes)
    model = load_model(options.model)
    check_model_spacing(options, model)
    print(prompts.report(), end="\n\n")
    evaluation = evaluate_segments(
        model,
        prompts,
        prompt=options.prompt,
        microphone_spacing=options.spacing,
        on_overlap=options.on_overlap,
    )
    named = {name: getattr(options, name) for name in ("prompts_from", "class_map")}
    rate = prompts.dataset.sampling_rate
    return evaluation, {"data": options.starss23, **named, "sampling_rate": rate}


def open_segments(
    options: argparse.Namespace,
    split: str | None,
    classes: Sequence[str] | None,
    **pictures: Any,
) -> "SegmentPrompts":
    """Opens the segments that the options name, with their prompts.

    `split` and `classes` of the targets are those of STARSS23; `None` means all. `pictures` are
    arguments of `SegmentPrompts` that choose pictures.
    """
    from keras_avssan.data import STARSS23, PictureFolders, SegmentPrompts

    dataset = STARSS23(
        options.starss23,
        split=split,
        pair=options.pair,
        classes=classes,
        duration=options.segment_duration,
        min_activity=options.min_activity,
        max_motion=options.max_motion,
        allow_same_class=options.allow_same_class,
        baffle=options.baffle,
    )
    catalog = PictureFolders(options.prompts_from)
    return SegmentPrompts(dataset, catalog, options.class_map, seed=options.seed or 0, **pictures)


def open_table_segments(
    options: argparse.Namespace,
) -> "tuple[SegmentPrompts, SegmentTraining | None]":
    """Opens the segments of Table 3: of the tests, and of the training on segments if there is one.

    Their pictures are of different splits, or different halves of pictures without splits.
    """
    from keras_avssan._internal.checks import check_integer
    from keras_avssan.benchmark import SegmentTraining
    from keras_avssan.data import PictureFolders

    if options.segment_steps:
        check_integer("--segment-steps", options.segment_steps, least=2)
    splits = PictureFolders(options.prompts_from).splits
    tested = options.test_split or next((one for one in ("test", "val") if one in splits), None)
    test: dict[str, Any] = {"shard": (1, 2)} if options.segment_steps else {}
    train: dict[str, Any] = {"shard": (0, 2)}
    if options.split in splits and tested in splits:
        test, train = {"split": tested}, {"split": options.split}
    segments = open_segments(options, "test", None, **test)
    print(f"Tests\n\n{segments.report()}", end="\n\n")
    if not options.segment_steps:
        return segments, None
    prompts = open_segments(options, "train", None, **train)
    print(f"Training on segments\n\n{prompts.report()}", end="\n\n")
    return segments, SegmentTraining(prompts, options.segment_steps)
