"""The direction over time, for recordings that last long enough."""

from typing import Any

import numpy as np

from keras_avssan._internal.types import PathLike
from keras_avssan.data.media.contents import Contents
from keras_avssan.tracking import Track

# Seconds above which a recording is followed.
TRACK_SECONDS = 2.0
# Seconds of a window, and from one to the next.
_WINDOW, _HOP = 1.0, 0.25
# Windows of the longest recordings, which the page is to answer soon: two runs of the network.
_MOST = 64


def follow(
    model: Any, recording: PathLike | Contents, prompt: dict[str, np.ndarray], seconds: float
) -> Track | None:
    """The track of a prompt, given as inputs of the network; `None` of a short recording."""
    limits = model.preprocessor
    window = min(max(_WINDOW, limits.min_duration), limits.max_duration)
    if seconds <= max(TRACK_SECONDS, window):
        return None
    hop = max(_HOP, (seconds - window) / (_MOST - 1))
    track: Track = model.track(recording, prompt, window, hop, smoothing="offline")
    return track
