"""Training on segments of STARSS23 that follows the training on scenes, for Table 3."""

from dataclasses import dataclass

from keras_avssan._internal.checks import check_integer
from keras_avssan._internal.one_line import count, one_line
from keras_avssan.data import SegmentPrompts


@dataclass(frozen=True)
class SegmentTraining:
    """Training on segments of STARSS23 that follows the training on scenes.

    Args:
        prompts: `keras_avssan.data.SegmentPrompts` to train on, of other recordings and pictures
            than those of the tests.
        steps: Number of steps, at least 2.

    Example:
        ```python
        train = SegmentPrompts(STARSS23("STARSS23", split="train"), catalog, split="train")
        further = SegmentTraining(train, steps=500)
        ```
    """

    prompts: SegmentPrompts
    steps: int

    def __repr__(self) -> str:
        segments = count(len(self.prompts.segments), "segment")
        return one_line(self, f"{count(self.steps, 'step')} on {segments}")


def check_training(segments: SegmentPrompts | None, further: SegmentTraining) -> None:
    """Refuses training on segments that are tested, or without a test."""
    if segments is None:
        raise ValueError(f"`further` needs `segments`, its tests. Received: further={further!r}")
    check_integer("further.steps", further.steps, least=2)
    if further.prompts.dataset.microphone_spacing != segments.dataset.microphone_spacing:
        raise ValueError(
            "`further` must have segments of the tested pair. Received: "
            f"pair={further.prompts.dataset.pair!r}"
        )
    kinds = {"recordings": _recordings, "pictures": _pictures}
    for name, read in kinds.items():
        shared = read(further.prompts) & read(segments)
        if shared:
            raise ValueError(
                f"`further` must have other {name} than `segments`. Received: {len(shared)} in "
                f"both, such as '{min(shared)}'"
            )


def _recordings(prompts: SegmentPrompts) -> set[str]:
    return {segment.recording for segment in prompts.segments}


def _pictures(prompts: SegmentPrompts) -> set[str]:
    return {picture.id for picture in prompts.pictures}
