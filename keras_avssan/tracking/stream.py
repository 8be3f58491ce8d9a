"""`LocalizerStream`, directions of prompted sounds while the recording arrives."""

from collections.abc import Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from keras_avssan._internal.checks import check_integer, gives_presence
from keras_avssan._internal.one_line import count, one_line
from keras_avssan.arrays.microphone_array import MicrophoneArray
from keras_avssan.data.media.recordings import check_channels, to_numpy
from keras_avssan.data.media.sound_blocks import as_float32, check_samples, choose_channels
from keras_avssan.tracking.array_pairs import count_channels, find_pairs, without_spacing
from keras_avssan.tracking.azimuth_axis import FULL_CIRCLE, HALF_CIRCLE
from keras_avssan.tracking.estimate import Estimate
from keras_avssan.tracking.motion_model import MotionModel
from keras_avssan.tracking.smoothing import OnlineFilter, check_smoothing, find_directions
from keras_avssan.tracking.track import (
    check_min_presence,
    check_motion,
    make_grid,
    one_prompt,
)
from keras_avssan.tracking.window_scores import WindowScores, score_windows, share_windows
from keras_avssan.tracking.windows import WindowBuffer


class LocalizerStream:
    """Localises prompted sounds in a recording that arrives in blocks.

    The estimates are those of `Localizer.track` with the same smoothing, whatever the sizes of the
    blocks. A window is estimated as soon as its last sample has arrived.

    Args:
        model: A `keras_avssan.models.Localizer`.
        prompts: The sounds to localise: a dict from name to prompt, a list of prompts, or a single
            one, each as `Localizer.localize` takes it. They are embedded once.
        window: Duration of a window in seconds.
        hop: Time from one window to the next in seconds.
        sampling_rate: Sampling rate of the blocks in hertz, and of arrays as prompts; the model's
            if not given.
        channels: Which two channels of blocks with more of them are microphone 1 and microphone 2,
            counted from 0; with `array`, which are its M microphones.
        microphone_spacing: Distance between the microphones in metres; the model's own if not
            given.
        smoothing: `"online"`, the posterior given all windows so far, or `None`, that of each
            window alone.
        motion: A `MotionModel` for the smoothing; the default one if not given.
        min_presence: Presence below which a window has no direction; `None` for no such threshold.
        max_pending: Most windows that a call of `push` estimates; of more, the oldest are dropped
            and counted in `dropped`, so that a consumer that is late catches up. `None` estimates
            all of them.
        batch_size: Rows per run of the network: windows times prompts, times the pairs of an array.
        array: Array of M microphones that records the stream, in place of two microphones, as in
            `Localizer.track`. Azimuths are then from 0° to 359°.

    Raises:
        ValueError: If a prompt is unusable, or an argument is out of range.
        TypeError: If a prompt or an argument is of another kind.

    Example:
        >>> stream = LocalizerStream(model, ["dog.jpg", "bell.jpg"], window=0.5, hop=0.25)
        >>> noise = 0.1 * np.random.default_rng(0).standard_normal((12000, 2))
        >>> estimates = stream.push(noise[:9000]) + stream.push(noise[9000:])
        >>> tuple(one.time for one in estimates)
        (0.25, 0.25, 0.5, 0.5)
    """

    def __init__(
        self,
        model: Any,
        prompts: Any,
        window: float = 1.0,
        hop: float = 0.25,
        sampling_rate: int | None = None,
        channels: tuple[int, ...] | None = None,
        microphone_spacing: float | None = None,
        smoothing: str | None = "online",
        motion: MotionModel | None = None,
        *,
        min_presence: float | None = 0.5,
        max_pending: int | None = None,
        batch_size: int = 32,
        array: MicrophoneArray | None = None,
    ) -> None:
        if not hasattr(model, "prompt_inputs"):
            raise TypeError(f"`model` must be a `Localizer`. Received: model={model!r}")
        check_smoothing(smoothing, (None, "online"))
        self._pairs = find_pairs(model, array, microphone_spacing)
        self._axis = HALF_CIRCLE if self._pairs is None else FULL_CIRCLE
        if channels is not None:
            check_channels(channels, count_channels(self._pairs))
        check_min_presence(min_presence)
        if max_pending is not None:
            max_pending = check_integer("max_pending", max_pending, least=1)
        self._model = model
        self._motion = check_motion(motion) if smoothing else None
        self._min_presence = min_presence
        self._max_pending = max_pending
        self._batch_size = check_integer("batch_size", batch_size, least=1)
        self._spacing = microphone_spacing
        self._channels = channels
        self._with_presence = gives_presence(model)
        # The prompt is read first: it reports a model without a preprocessor.
        self._given_rate = sampling_rate
        self._prompts: dict[Hashable, Any] = {}
        self._inputs: dict[Hashable, dict[str, np.ndarray]] = {}
        self._filters: dict[Hashable, OnlineFilter] = {}
        self._read_prompts(prompts)
        rate = model.preprocessor.sampling_rate if sampling_rate is None else sampling_rate
        self._grid = make_grid(model, window, hop, rate)
        self.reset()

    def __repr__(self) -> str:
        return one_line(
            self,
            count(len(self._prompts), "prompt"),
            f"windows of {self._grid.window:g} s every {self._grid.hop:g} s",
            f"{self._grid.source_rate} Hz",
            f"{self._buffer.received / self._grid.source_rate:.2f} s received",
            f"{self.dropped} dropped" if self.dropped else "",
        )

    @property
    def prompts(self) -> Mapping[Hashable, Any]:
        """The prompts by their names.

        They can be set while the stream runs, from the next window on. A prompt that is the same
        object under the same name keeps its filter, the others start again.
        """
        return MappingProxyType(self._prompts)

    @prompts.setter
    def prompts(self, prompts: Any) -> None:
        kept = dict(self._filters)
        before = dict(self._prompts)
        self._read_prompts(prompts)
        self._filters = {
            name: kept[name]
            if name in kept and before[name] is self._prompts[name]
            else self._new_filter()
            for name in self._prompts
        }

    @property
    def dropped(self) -> int:
        """Number of windows that were dropped because the consumer was late."""
        return self._dropped

    @property
    def sampling_rate(self) -> int:
        """Sampling rate of the blocks in hertz."""
        return self._grid.source_rate

    def reset(self) -> None:
        """Starts again at time 0, with the same prompts."""
        self._buffer = WindowBuffer(self._grid)
        self._dropped = 0
        self._num_channels: int | None = None
        self._chosen: list[int] = []
        self._filters = {name: self._new_filter() for name in self._prompts}

    def push(self, samples: Any, sampling_rate: int | None = None) -> list[Estimate]:
        """Adds samples of the stream, as many as there are.

        Args:
            samples: Floating-point array (samples, channels). NaN or infinite samples make gaps of
                the windows that hold them.
            sampling_rate: Sampling rate of the block in hertz, if known: it is compared with that
                of the stream.

        Returns:
            List of the estimates that have become due, in the order of time, and for each window in
            that of the prompts.

        Raises:
            ValueError: If the block has another shape, number of channels or sampling rate.
            TypeError: If it does not hold floating-point numbers.
        """
        block = self._check_block(samples, sampling_rate)
        last = self._grid.count(self._buffer.received + len(block))
        first = self._buffer.next
        if self._max_pending is not None and last - first > self._max_pending:
            self._drop(last - self._max_pending - first)
        step = max(1, round(self._batch_size * self._grid.hop * self._grid.source_rate))
        estimates: list[Estimate] = []
        for start in range(0, len(block), step):
            part = as_float32(block[start : start + step][:, self._chosen])
            estimates += self._estimate(*self._buffer.push(part))
        return estimates

    def _check_block(self, samples: Any, sampling_rate: int | None) -> np.ndarray:
        """A block (samples, channels); refuses one that does not follow those before."""
        # An array stays as it is: that of many lost samples is a view of one number.
        array = samples if isinstance(samples, np.ndarray) else to_numpy(samples, "samples")
        block = check_samples(array, "samples")
        if sampling_rate is not None and sampling_rate != self.sampling_rate:
            raise ValueError(
                f"`sampling_rate` must be that of the stream, {self.sampling_rate} Hz; make a new "
                f"stream for another one. Received: sampling_rate={sampling_rate}"
            )
        channels = block.shape[1]
        if self._num_channels is None:
            wanted = count_channels(self._pairs)
            self._chosen = list(choose_channels(channels, self._channels, "`samples`", wanted))
            self._num_channels = channels
        if channels != self._num_channels:
            raise ValueError(
                f"`samples` must have {self._num_channels} channels, as the blocks before. "
                f"Received: samples of shape {block.shape}"
            )
        return block

    def _drop(self, number: int) -> None:
        """Leaves out the next windows."""
        self._buffer.skip_to(self._buffer.next + number)
        self._dropped += number
        for one in self._filters.values():
            one.skip(number)

    def _estimate(self, indices: list[int], stretches: list[np.ndarray]) -> list[Estimate]:
        """Estimates of windows, for each prompt."""
        if not indices:
            return []
        scores = score_windows(
            self._model,
            stretches,
            self._grid,
            list(self._inputs.values()),
            self._with_presence,
            self._batch_size,
            self._pairs,
        )
        columns = [
            self._one_prompt(name, indices, one)
            for name, one in zip(self._prompts, scores, strict=True)
        ]
        return [estimate for row in zip(*columns, strict=True) for estimate in row]

    def _one_prompt(
        self, name: Hashable, indices: list[int], scores: WindowScores
    ) -> list[Estimate]:
        posteriors, presence = self._filters[name].update(scores)
        azimuth, spread, gaps = find_directions(
            posteriors,
            presence,
            self._axis.degrees[np.argmax(posteriors, axis=-1)],
            scores.gaps,
            self._min_presence,
        )
        return [
            Estimate(
                name,
                self._grid.centre(index),
                float(azimuth[row]),
                float(spread[row]),
                None if presence is None else float(presence[row]),
                posteriors[row],
                str(gaps[row]),
            )
            for row, index in enumerate(indices)
        ]

    def _new_filter(self) -> OnlineFilter:
        return OnlineFilter(self._motion, self._grid, self._with_presence, self._axis)

    def _read_prompts(self, prompts: Any) -> None:
        """Embeds the prompts that are new."""
        named = _by_name(prompts)
        inputs = {}
        for name, prompt in named.items():
            if name in self._inputs and self._prompts[name] is prompt:
                inputs[name] = self._inputs[name]
            else:
                found = one_prompt(self._model, prompt, self._given_rate, self._spacing)
                inputs[name] = without_spacing(found, self._pairs)
        shared = share_windows(self._model, list(inputs.values()))
        self._prompts, self._inputs = named, dict(zip(inputs, shared, strict=True))


def _by_name(prompts: Any) -> dict[Hashable, Any]:
    """Prompts by their names, those of a list by their numbers."""
    if isinstance(prompts, Mapping):
        named = dict(prompts)
    elif isinstance(prompts, Sequence) and not isinstance(prompts, (str, bytes, bytearray)):
        named = dict(enumerate(prompts))
    else:
        named = {0: prompts}
    if not named:
        raise ValueError(f"`prompts` must hold at least one prompt. Received: prompts={prompts!r}")
    return named
