"""`Estimate`, the direction of a prompted sound in one window of a stream."""

import dataclasses
from collections.abc import Hashable

import numpy as np

from keras_avssan._internal.one_line import one_line


@dataclasses.dataclass(frozen=True, eq=False)
class Estimate:
    """Direction of a prompted sound in one window of a stream.

    Args:
        prompt: Key of the prompt in the dict of prompts, or its number in the list, from 0.
        time: Centre of the window in seconds from the start of the stream.
        azimuth: Azimuth in degrees; NaN in gaps.
        spread: Standard deviation in degrees of the posterior around the azimuth; NaN in gaps.
        presence: Probability that the prompted sound is in the window, or `None` for networks that
            do not estimate it.
        posterior: Posterior over the directions 1° to 180°, float32 (180,); of an array over 0° to
            359°, float32 (360,).
        gap: Why the window has no direction, see `Track`; `""` where it has one.

    Example:
        >>> stream = LocalizerStream(model, {"dog": "dog.jpg"}, window=0.5, min_presence=None)
        >>> noise = 0.1 * np.random.default_rng(0).standard_normal((8000, 2))
        >>> (estimate,) = stream.push(noise)
        >>> estimate.prompt, estimate.time
        ('dog', 0.25)
    """

    prompt: Hashable
    time: float
    azimuth: float
    spread: float
    presence: float | None
    posterior: np.ndarray
    gap: str = ""

    def __repr__(self) -> str:
        known = self.presence is not None
        return one_line(
            self,
            f"{self.prompt!r} at {self.time:.2f} s",
            f"no direction ({self.gap})" if self.gap else f"{self.azimuth:.0f}°",
            "" if self.gap else f"spread {self.spread:.0f}°",
            f"presence {self.presence:.2f}" if known else "",
        )
