"""Settings of a stream: chosen once, checked once, saved with the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from affekt.analysis import AnalysisSettings
from affekt.analysis.settings import changed_settings, require_types
from affekt.errors import UnknownNameError, ValueRangeError, did_you_mean

PACES = ('real time', 'as fast as read')
SMOOTHINGS = ('one-euro', 'none')


@dataclass(frozen=True)
class StreamSettings:
    """Settings of a stream; every field has a default.

    Raises:
        ValueRangeError: a number is out of range.
        UnknownNameError: `license`, `pace`, `smoothing` or `words` is unknown.
        PurposeError: `purpose` names work or education without a medical or safety ground.
    """

    purpose: str = ''
    """Purpose of the readings; recorded, and refused if it names work or education without a medical or safety
    ground."""
    faces: bool = True
    """Whether faces are read."""
    voice: bool = True
    """Whether the audio is read: speech, level, vocal emotion."""
    words: str = 'none'
    """Speech recognition of finished turns: 'none', 'tiny.en', 'base', or the path of a Whisper model directory."""
    max_people: int = 5
    """Maximum number of faces tracked at once, 1 to 100."""
    max_side: int = 1280
    """Longest side, in pixels, of frames as read, 64 to 10000; larger ones are scaled down."""
    fps: float | None = None
    """Maximum frames read per second, above 0; None reads as many as the machine can."""
    license: str = 'research'
    """'research', or 'commercial-ok' to leave out models whose training data forbid commercial use."""
    keep_frames: bool = True
    """Whether images are kept: thumbnails and stills of the saved run. False keeps only numbers and words."""
    smoothing: str = 'one-euro'
    """Smoothing of displayed readings, over past values only; saved readings are not smoothed."""
    pace: str = 'real time'
    """'real time', or for files 'as fast as read': no frame is dropped, and nothing waits for a clock."""
    voice_window_s: float = 3.0
    """Seconds of an unfinished turn from which vocal emotion is read, 1 to 28."""
    voice_every_s: float = 0.5
    """Seconds between such readings while somebody speaks, 0.1 to 60."""
    latency_budget_s: float = 0.06
    """Target of the latency in seconds, 0 to 60: a frame that waited too long to meet it is dropped for the next; 0
    drops none for that reason."""
    camera_size: str = ''
    """Frame size requested from a camera, such as '640x360'; '' takes the camera's default."""
    camera_rate_hz: float | None = None
    """Frame rate requested from a camera; None takes its default."""
    microphone: str = ''
    """Audio device to use with a camera, by the system's name, such as 'default'; '' uses none."""
    reconnects: int = 8
    """Maximum consecutive attempts to reopen a lost camera or network stream, 0 to 1000."""
    patience_s: float = 10.0
    """Maximum seconds for opening a source or for a network stream's next packet, 0.5 to 3600."""

    def __post_init__(self) -> None:
        require_types(self)
        _require_choice('pace', self.pace, PACES)
        _require_choice('smoothing', self.smoothing, SMOOTHINGS)
        _require_within('voice_window_s', self.voice_window_s, 1.0, 28.0)
        _require_within('voice_every_s', self.voice_every_s, 0.1, 60.0)
        _require_within('latency_budget_s', self.latency_budget_s, 0.0, 60.0)
        _require_within('reconnects', self.reconnects, 0, 1000)
        _require_within('patience_s', self.patience_s, 0.5, 3600.0)
        if self.camera_rate_hz is not None:
            _require_within('camera_rate_hz', self.camera_rate_hz, 0.1, 1000.0)
        width, _, height = self.camera_size.partition('x')
        if self.camera_size and not (width.isdecimal() and height.isdecimal()):
            raise ValueRangeError(
                expected="a size such as '640x360'", came=repr(self.camera_size), todo='give width and height in pixels'
            )
        if not (self.faces or self.voice):
            raise ValueRangeError(expected='faces or voice', came='neither', todo='turn one of them on')
        object.__setattr__(self, 'purpose', self.analysis().purpose)  # also checks the settings that both share

    @property
    def is_patient(self) -> bool:
        """Whether no frame may be dropped."""
        return self.pace == 'as fast as read'

    def analysis(self) -> AnalysisSettings:
        """The settings of the saved analysis."""
        return AnalysisSettings(
            fps=self.fps, max_people=self.max_people, asr=self.words, purpose=self.purpose,
            keep_frames=self.keep_frames, license=self.license, max_side=self.max_side,
        )  # fmt: skip

    def changed(self, named: Mapping[str, Any]) -> StreamSettings:
        """A copy with the given fields changed.

        Raises:
            UnknownNameError: unknown field.
        """
        return changed_settings(self, named)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-ready values."""
        return asdict(self)


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UnknownNameError(expected=f'{name} among {choices}', came=repr(value), todo=did_you_mean(value, choices))


def _require_within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueRangeError(
            expected=f'{name} in [{low:g}, {high:g}]', came=f'{value}', todo='choose a number in this range'
        )
