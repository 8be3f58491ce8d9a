"""The azimuths that posteriors of windows are over: half a circle of a pair, or all around."""

import dataclasses

import numpy as np

from keras_avssan.doa.grid import GRID_DEGREES


@dataclasses.dataclass(frozen=True, eq=False)
class AzimuthAxis:
    """Azimuths in degrees (K,), one degree apart; on a circle the last is next to the first."""

    degrees: np.ndarray
    is_circle: bool

    def __len__(self) -> int:
        return len(self.degrees)

    def differences(self, azimuths: np.ndarray) -> np.ndarray:
        """Differences in degrees from azimuths (W,) to those of the axis, (W, K)."""
        apart = self.degrees - azimuths[:, None]
        return (apart + 180.0) % 360.0 - 180.0 if self.is_circle else apart


HALF_CIRCLE = AzimuthAxis(GRID_DEGREES, is_circle=False)
FULL_CIRCLE = AzimuthAxis(np.arange(360, dtype="float32"), is_circle=True)


def axis_of(posteriors: np.ndarray) -> AzimuthAxis:
    """The axis of posteriors (..., 180) or (..., 360)."""
    return FULL_CIRCLE if posteriors.shape[-1] == len(FULL_CIRCLE) else HALF_CIRCLE
