"""Ways to a bank other than its simulation: measured responses, and mixtures of banks."""

from collections.abc import Sequence
from typing import Any, Self

from keras_avssan._internal.checks import path_of
from keras_avssan._internal.types import PathLike
from keras_avssan.doa.steering import SPEED_OF_SOUND
from keras_avssan.simulation.bank.mixed_bank import mixed_fields
from keras_avssan.simulation.measured.measured_bank import ImportSettings, bank_fields
from keras_avssan.simulation.measured.recordings import PairChoice
from keras_avssan.simulation.measured.response_table import read_table
from keras_avssan.simulation.measured.sofa_file import read_sofa


class BankImports:
    """Class methods of `RIRBank` that read measured responses or mix banks."""

    @classmethod
    def from_sofa(
        cls,
        file: PathLike | Sequence[PathLike],
        *,
        microphone_spacing: float | None = None,
        tolerance: float = 0.005,
        max_pairs: int = 1,
        sources_per_room: int | None = None,
        sampling_rate: int = 16000,
        max_duration: float | None = None,
        t60: float | None = None,
        baffle: str | None = None,
        speed_of_sound: float = SPEED_OF_SOUND,
    ) -> Self:
        """Reads measured responses from SOFA files, each of them of one room.

        A row of the bank is a pair of receivers in one place, with S of the positions of sources
        measured there. More positions make more rows, each with sources from all sides;
        `groups` says which rows are of one room. The direct path of every response is compared
        with the positions.

        Args:
            file: Path of a file of the convention SingleRoomSRIR, SingleRoomDRIR,
                MultiSpeakerBRIR, SimpleFreeFieldHRIR or GeneralFIR, or several paths.
            microphone_spacing: Distance in metres of the two receivers to take from an array; the
                first of them is microphone 1. `None` where there are only two.
            tolerance: Largest difference from it in metres.
            max_pairs: Largest number of pairs of receivers, all of the distance nearest to it.
            sources_per_room: Number of sources S in a row; by default the least number of positions
                that any place of the microphones has.
            sampling_rate: Sampling rate in hertz that the responses are resampled to.
            max_duration: Duration of all responses in seconds; by default that of the longest.
            t60: Reverberation time in seconds, in place of a measured one, which is NaN where no
                response decays far enough.
            baffle: `"open"` for microphones in free air, `"rigid"` for the ears of a head: the
                bank's microphones are as far apart as free ones with about the delays of a rigid
                sphere. `None` is `"rigid"` for the conventions MultiSpeakerBRIR and
                SimpleFreeFieldHRIR.
            speed_of_sound: Speed of sound in metres per second.

        Returns:
            A `RIRBank`, whose `measured` is `True`. Room sizes that are not known are NaN.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If a file is damaged, has another convention, no positions, no such pair,
                several sampling rates, silent responses, or microphones more than 5 m apart, or
                another argument is out of range.
            TypeError: If `file` is neither a path nor several.

        Example:
            ```python
            bank = RIRBank.from_sofa("hall.sofa", microphone_spacing=0.2, sources_per_room=4)
            bank.save("hall.npz")
            ```

        Reference:
            AES69-2022, AES standard for file exchange: spatial acoustic data file format.
        """
        settings = ImportSettings(
            sampling_rate, sources_per_room, max_duration, t60, baffle, speed_of_sound
        )
        choice = PairChoice(microphone_spacing, tolerance, max_pairs)
        paths: list[Any] = list(file) if isinstance(file, (list, tuple)) else [file]
        if not paths:
            raise ValueError(f"`file` must be one path or more. Received: file={file!r}")
        files = [path_of("file", path) for path in paths]
        return cls(**bank_fields([read_sofa(path, choice) for path in files], settings))

    @classmethod
    def from_folder(
        cls,
        path: PathLike,
        *,
        microphone_spacing: float | None = None,
        **settings: Any,
    ) -> Self:
        """Reads measured responses from sound files with two channels, which a CSV table lists.

        Its columns are `file`, relative to the table, and positions in metres, `source_x`,
        `source_y`, `source_z`, `microphone1_x` to `microphone2_z`, or `azimuth` in degrees (0
        beside microphone 1, 90 broadside, 180 beside microphone 2) with `distance` in metres, by
        default 1. Optional are `room`, a name, `t60` in seconds, `room_length`, `room_width` and
        `room_height` in metres, with a corner of the room as the origin.

        Args:
            path: Path of the table, or of a folder with a `responses.csv`.
            microphone_spacing: Distance of the microphones in metres, for tables with azimuths.
            **settings: `sources_per_room`, `sampling_rate`, `max_duration`, `t60`, `baffle` and
                `speed_of_sound`, see `from_sofa`.

        Returns:
            A `RIRBank`, whose `measured` is `True`.

        Raises:
            FileNotFoundError: If there is no such table.
            ValueError: If it has no positions, a line of it is wrong, a sound file cannot be
                read, is silent or has another sampling rate, the microphones are more than 5 m
                apart, or another argument is out of range.
            TypeError: If `path` is no path, or an argument is not known.

        Example:
            ```python
            bank = RIRBank.from_folder("office/responses.csv", microphone_spacing=0.1)
            ```
        """
        chosen = ImportSettings(**settings)
        table = read_table(path_of("path", path), microphone_spacing)
        return cls(**bank_fields([table], chosen))

    @classmethod
    def mix(cls, banks: Sequence[Self], shares: Sequence[float] | None = None) -> Self:
        """Joins banks, such as measured and simulated ones, with a share of the scenes for each.

        The parts of the mixture (`part`) are made of those of the banks; rooms of a bank that has
        fewer than three are for training. The responses are copied into memory.

        Args:
            banks: Two banks or more, with the same sampling rate, number of sources in a room and
                microphone spacing.
            shares: Share of the scenes of a `ScenePlan` in the rooms of each bank; by default all
                alike. They count among those banks that have rooms in the plan's range.

        Returns:
            A `RIRBank`. Single values, such as `seed`, are those of the first bank.

        Raises:
            ValueError: If the banks differ, or the shares are not positive numbers.
            TypeError: If `banks` is not a list of banks.

        Example:
            ```python
            bank = RIRBank.mix([simulated, RIRBank.load("hall.npz")], shares=(0.8, 0.2))
            ```
        """
        return cls(**mixed_fields(banks, shares))
