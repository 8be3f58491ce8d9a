"""Directions at which there may be a source, with the mask of each, strongest first."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_avssan._internal.checks import (
    check_choice,
    check_integer,
    check_positive_number,
    check_shape,
)
from keras_avssan._internal.types import Shape, Tensor
from keras_avssan._internal.write_once import FixedSettings, WriteOnce
from keras_avssan.doa.grid import GRID_DEGREES, NUM_DIRECTIONS
from keras_avssan.doa.steering import (
    direction_delays,
    phase_transform,
    steering_phases,
    steering_waves,
)
from keras_avssan.layers.extraction.source_directions import TRAINED_WIDTH, SourceDirections
from keras_avssan.layers.extraction.spatial_extractor import SpatialExtractor, check_bins
from keras_avssan.layers.stereo_stft import cross_spectrum

CHOICES = {
    "search": ("steered", "learned"),
    "masks": ("separate", "shared"),
    "posteriors": ("steered", "equal"),
}
APART = 10.0  # degrees between candidates, more than this
NEAR = 12.0  # degrees within which a candidate's posterior lies
_FAR = 1e3
_LEAST = 1e-4  # of the masks' power at a bin: where no candidate claims it, nothing is shared
# Initial factor between a candidate's steered response and its logits.
_SHARPNESS = 60.0


@keras.saving.register_keras_serializable(package="keras_avssan")
class SourceCandidates(FixedSettings, keras.layers.Layer):
    """Finds the directions of sources, and what to extract at each.

    With `search="steered"`, one by one: the direction of the strongest steered response (SRP-PHAT)
    is the first candidate. A `SpatialExtractor` gives its mask; the bins count for the next
    candidate only as far as no mask before claims them, so that a weak source is not hidden by a
    strong one. With `search="learned"`, all at once: the greatest logits of a `SourceDirections`.
    Then every candidate gets its final mask with all others as rivals. With `masks="shared"` a mask
    is multiplied by its share of all masks at the bin, so that no two candidates get the same
    sound. The posterior of a candidate comes from the steered response in the bins of its mask; or,
    with `posteriors="equal"`, all have the shape that a `SourceDirections` is trained to give, so
    that none of them has a higher peak than another. Computed in float32 under every precision
    policy.

    Args:
        num_candidates: Number of candidates, K.
        filters: Channels of the extractor, see `SpatialExtractor`.
        search: `"steered"`, which needs no training, or `"learned"`, which finds more sources.
        masks: `"separate"`, as the extractor gives them, or `"shared"`, m_k² / √(Σ_j m_j²).
        posteriors: `"steered"`, from the bins of the masks, or `"equal"`, exp(−½ (Δ / 2.5°)²) for
            the distance Δ from a candidate.
        microphone_spacing: Distance between the microphones in metres.
        sampling_rate: Sampling rate in hertz.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        spectrogram: Spectrogram of a mixture of unit power, shape (batch, T, F, 4), see
            `StereoSTFT`.
        microphone_spacing: Optional distances in metres, shape (batch,).

    Returns:
        Tuple of float32 tensors: azimuths in degrees (batch, K), masks on the amplitude
        (batch, K, T, F), posteriors (batch, K, 180), and strengths (batch, K): the logarithm of
        the probability that there is a source, of the learned search; else zeros.

    Raises:
        ValueError: If `num_candidates` is not from 1 to 8, `search`, `masks` or `posteriors` is
            unknown, another argument is out of range, or an input has another shape.

    Example:
        >>> azimuths, masks, _, strengths = SourceCandidates(2)(keras.ops.ones((1, 32, 513, 4)))
        >>> azimuths.shape, masks.shape, strengths.shape
        ((1, 2), (1, 2, 32, 513), (1, 2))

    Reference:
        Beyond the paper. DiBiase et al., "Robust localization in reverberant rooms", 2001, for the
        steered response.
    """

    microphone_spacing = WriteOnce()
    sampling_rate = WriteOnce()

    def __init__(
        self,
        num_candidates: int = 3,
        filters: int = 24,
        microphone_spacing: float = 0.2,
        sampling_rate: int = 16000,
        search: str = "steered",
        masks: str = "separate",
        posteriors: str = "steered",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_candidates = check_integer("num_candidates", num_candidates, 1)
        if self.num_candidates > 8:
            raise ValueError(
                "`num_candidates` must be an integer from 1 to 8. "
                f"Received: num_candidates={num_candidates}"
            )
        for name, value in (("search", search), ("masks", masks), ("posteriors", posteriors)):
            check_choice(name, value, CHOICES[name])
        check_positive_number("microphone_spacing", microphone_spacing, "distance in metres")
        self.search = search
        self.masks = masks
        self.posteriors = posteriors
        self.filters = check_integer("filters", filters, 1)
        self.microphone_spacing = microphone_spacing
        self.sampling_rate = sampling_rate
        self.extractor = SpatialExtractor(
            filters, microphone_spacing, sampling_rate, name="extractor"
        )
        if search == "learned":
            self.directions = SourceDirections(
                microphone_spacing=microphone_spacing,
                sampling_rate=sampling_rate,
                name="directions",
            )

    def build(
        self, spectrogram_shape: Shape, microphone_spacing_shape: Shape | None = None
    ) -> None:
        bins = check_bins(spectrogram_shape)
        if not self.extractor.built:  # it may have been trained alone
            self.extractor.build(spectrogram_shape)
        if self.search == "learned" and not self.directions.built:
            self.directions.build(spectrogram_shape)
        hertz = np.arange(bins) * self.sampling_rate / (2.0 * (bins - 1))
        self._phase = steering_phases(hertz, direction_delays()).astype("float32")  # (F, 180)
        self.sharpness = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(_SHARPNESS), name="sharpness"
        )
        self.built = True

    def call(
        self, spectrogram: Tensor, microphone_spacing: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        shape = (None, None, len(self._phase), 4)
        check_shape("spectrogram", spectrogram.shape, "batch, T, F, 4", shape)
        if microphone_spacing is not None:
            batch = spectrogram.shape[:1]
            check_shape("microphone_spacing", microphone_spacing.shape, "batch", batch)
        if "steered" in (self.search, self.posteriors):
            phases = phase_transform(*cross_spectrum(spectrogram), 1e-18)
            steering = self._steering(microphone_spacing)
        if self.search == "learned":
            azimuths, strengths = self._find_at_once(spectrogram, microphone_spacing)
        else:
            azimuths = self._find_in_turn(spectrogram, microphone_spacing, phases, steering)
            strengths = ops.zeros_like(ops.stack(azimuths, axis=1))
        found = ops.stack(azimuths, axis=1)
        masks = self.extract(spectrogram, found, microphone_spacing)
        posteriors = []
        for i, azimuth in enumerate(azimuths):
            if self.posteriors == "steered":
                response = self._steer(phases, ops.square(masks[:, i]), steering)
                logits = self.sharpness * response
            else:
                logits = -0.5 * ops.square((grid() - azimuth[:, None]) / TRAINED_WIDTH)
            posteriors.append(self._posterior(logits, azimuth))
        return found, masks, ops.stack(posteriors, axis=1), strengths

    def extract(
        self, spectrogram: Tensor, azimuths: Tensor, microphone_spacing: Tensor | None = None
    ) -> Tensor:
        """Computes the masks of given candidates, each with all others as rivals.

        Args:
            spectrogram: Spectrogram of a mixture of unit power, shape (batch, T, F, 4).
            azimuths: Azimuths in degrees, shape (batch, K), for any K.
            microphone_spacing: Optional distances in metres, shape (batch,).

        Returns:
            float32 masks on the amplitude, shape (batch, K, T, F).

        Raises:
            ValueError: If an input has another shape.
        """
        spectrogram, azimuths = map(ops.convert_to_tensor, (spectrogram, azimuths))
        azimuths = ops.cast(azimuths, "float32")
        check_shape("azimuths", azimuths.shape, "batch, K", (spectrogram.shape[0], None))
        rivals = self._others(ops.unstack(azimuths, axis=1))
        masks = self.extractor(spectrogram, azimuths, microphone_spacing, rivals)
        if self.masks == "separate":
            return masks
        power = ops.square(masks)
        return power * ops.rsqrt(ops.sum(power, axis=1, keepdims=True) + _LEAST)

    def _find_at_once(
        self, spectrogram: Tensor, spacing: Tensor | None
    ) -> tuple[list[Tensor], Tensor]:
        """Azimuths (batch,) of the greatest logits, and their log probabilities (batch, K)."""
        logits = self.directions(spectrogram, spacing)
        azimuths: list[Tensor] = []
        strengths = []
        for _ in range(self.num_candidates):
            free = apart_from(azimuths, logits)
            azimuths.append(1.0 + ops.cast(strongest(free), "float32"))
            strengths.append(ops.log_sigmoid(ops.max(free, axis=-1)))
        return azimuths, ops.stack(strengths, axis=1)

    def _find_in_turn(
        self,
        spectrogram: Tensor,
        spacing: Tensor | None,
        phases: tuple[Tensor, Tensor],
        steering: tuple[Tensor, Tensor],
    ) -> list[Tensor]:
        """Azimuths (batch,) of the strongest responses, each beside what others explain."""
        free = ops.ones_like(phases[0])
        azimuths: list[Tensor] = []
        while True:
            response = apart_from(azimuths, self._steer(phases, free, steering))
            azimuth = 1.0 + ops.cast(strongest(response), "float32")
            rivals = ops.stack(azimuths, axis=-1)[:, None] if azimuths else None
            azimuths.append(azimuth)
            if len(azimuths) == self.num_candidates:
                return azimuths
            mask = self.extractor(spectrogram, azimuth[:, None], spacing, rivals)[:, 0]
            free = free * (1.0 - ops.square(mask))

    @staticmethod
    def _others(azimuths: list[Tensor]) -> Tensor | None:
        """Of every candidate the other ones, (batch, K, K - 1)."""
        if len(azimuths) == 1:
            return None
        rows = [azimuths[:i] + azimuths[i + 1 :] for i in range(len(azimuths))]
        return ops.stack([ops.stack(row, axis=-1) for row in rows], axis=1)

    def _steering(self, spacing: Tensor | None) -> tuple[Tensor, Tensor]:
        """Cosine and sine of the steering phases, (1 or batch, F, 180)."""
        cosine, sine = steering_waves(self._phase, self.microphone_spacing, spacing)
        return (cosine[None], sine[None]) if spacing is None else (cosine, sine)

    def _steer(
        self, phases: tuple[Tensor, Tensor], weight: Tensor, steering: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Steered response of weighted bins, within [-1, 1]: (batch, 180)."""
        parts = [ops.sum(part * weight, axis=1)[:, None] for part in phases]
        response = ops.matmul(parts[0], steering[0]) + ops.matmul(parts[1], steering[1])
        return response[:, 0] / (ops.sum(weight, axis=(1, 2))[:, None] + 1e-6)

    def _posterior(self, logits: Tensor, azimuth: Tensor) -> Tensor:
        """Posterior of a candidate, zero further than 12 degrees from it: (batch, 180)."""
        far = ops.abs(grid() - azimuth[:, None]) > NEAR
        return ops.softmax(logits - _FAR * ops.cast(far, "float32"), axis=-1)

    def compute_output_spec(
        self, spectrogram: Tensor, microphone_spacing: Tensor | None = None
    ) -> tuple[keras.KerasTensor, ...]:
        shapes = self.compute_output_shape(spectrogram.shape)
        return tuple(keras.KerasTensor(shape, "float32") for shape in shapes)

    def compute_output_shape(
        self, spectrogram_shape: Shape, microphone_spacing_shape: Shape | None = None
    ) -> tuple[Shape, Shape, Shape, Shape]:
        batch, frames, bins = spectrogram_shape[:3]
        each = (batch, self.num_candidates)
        return each, (*each, frames, bins), (*each, NUM_DIRECTIONS), each

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_candidates": self.num_candidates,
            "filters": self.filters,
            "microphone_spacing": self.microphone_spacing,
            "sampling_rate": self.sampling_rate,
            "search": self.search,
            "masks": self.masks,
            "posteriors": self.posteriors,
        }


def grid() -> Tensor:
    """The directions of a posterior in degrees, float32 (180,)."""
    return ops.convert_to_tensor(GRID_DEGREES.astype("float32"))


def apart_from(azimuths: list[Tensor], response: Tensor) -> Tensor:
    """A response (batch, 180) without the directions near azimuths that are found already."""
    for azimuth in azimuths:
        close = ops.abs(grid() - azimuth[:, None]) <= APART
        response = response - _FAR * ops.cast(close, "float32")
    return response


def strongest(response: Tensor) -> Tensor:
    """Index of the strongest direction, (batch,)."""
    # Of integers: for floats Keras's `argmax` has operations that LiteRT lacks.
    is_peak = response >= ops.max(response, axis=-1, keepdims=True)
    return ops.argmax(ops.cast(is_peak, "int32"), axis=-1)
