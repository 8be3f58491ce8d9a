"""The pairs of an array whose answers for a window are fused into one."""

import dataclasses
from typing import Any

import numpy as np

from keras_avssan.arrays.microphone_array import MicrophoneArray
from keras_avssan.arrays.pair_fusion import fuse_posteriors


@dataclasses.dataclass(frozen=True, eq=False)
class ArrayPairs:
    """Pairs (P, 2) of an array's microphones, and their weights (P,).

    `spacings` (P,) are in metres; `None` for a network that takes no spacing.
    """

    array: MicrophoneArray
    pairs: np.ndarray
    spacings: np.ndarray | None
    weights: np.ndarray

    def split(self, audio: np.ndarray) -> np.ndarray:
        """Windows (W, samples, M) as those of the pairs, (W · P, samples, 2)."""
        of_pairs = np.moveaxis(audio[:, :, self.pairs], 1, 2)
        return np.ascontiguousarray(of_pairs.reshape(-1, *of_pairs.shape[2:]))

    def row_spacings(self, windows: int) -> np.ndarray | None:
        """The spacing of each row of `split`, float32 (W · P,)."""
        return None if self.spacings is None else np.tile(self.spacings, windows).astype("float32")

    def fuse(self, posteriors: np.ndarray, presence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posteriors (Q, W, 360) and mean presences (Q, W), of those of the rows of `split`."""
        shape = (len(posteriors), -1, len(self.pairs))
        of_pairs = posteriors.reshape(*shape, posteriors.shape[-1])
        fused = fuse_posteriors(of_pairs, self.array, self.pairs, weights=self.weights)
        return fused, presence.reshape(shape).mean(axis=-1)


def count_channels(pairs: ArrayPairs | None) -> int:
    """Number of channels of a recording: two, or those of an array."""
    return 2 if pairs is None else len(pairs.array)


def find_pairs(
    model: Any, array: MicrophoneArray | None, microphone_spacing: Any
) -> ArrayPairs | None:
    """The pairs of an array that a model is used with; `None` for two microphones."""
    if array is None:
        return None
    refuse_spacing(microphone_spacing)
    choose = getattr(model, "_array_pairs", None)
    if choose is None:
        raise TypeError(
            "`array` must be `None` for a model that is not a `Localizer`. "
            f"Received: array={array!r} with model={model!r}"
        )
    pairs: ArrayPairs = choose(array)
    return pairs


def refuse_spacing(microphone_spacing: Any) -> None:
    """Refuses the spacing of a pair, given beside an array."""
    if microphone_spacing is not None:
        raise ValueError(
            "`microphone_spacing` must be `None` with `array`, whose positions have the "
            f"spacings. Received: microphone_spacing={microphone_spacing!r}"
        )


def without_spacing(
    inputs: dict[str, np.ndarray], pairs: ArrayPairs | None
) -> dict[str, np.ndarray]:
    """A prompt's inputs without a spacing that they may hold, where those of an array count."""
    if pairs is None:
        return inputs
    return {name: value for name, value in inputs.items() if name != "microphone_spacing"}
