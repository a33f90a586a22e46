"""Settings of an analysis: chosen once, checked once, saved with the results."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

import numpy as np

from affekt.errors import UnknownNameError, ValueRangeError, did_you_mean
from affekt.purpose import check_purpose
from affekt.runs import file_sha256
from affekt.text import is_kept_silence
from affekt.text_encoding import require_encoding
from affekt.weights import SMALL_DESCRIBER

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar('Settings', bound='DataclassInstance')

ASR_NAMES = ('tiny.en', 'base', 'none')
LICENSES = ('research', 'commercial-ok')
DEFAULT_FPS = 12.5
_TYPE_NAMES = {float: 'a number', int: 'a whole number', bool: 'True or False', str: 'a text', type(None): 'None'}


@dataclass(frozen=True)
class AnalysisSettings:
    """Settings of an analysis; every field has a default.

    Raises:
        ValueRangeError: a number is out of range.
        UnknownNameError: `license` or `encoding` is unknown.
        PurposeError: `purpose` names work or education without a medical or safety ground.
    """

    fps: float | None = DEFAULT_FPS
    """Frames read per second of video, above 0; None takes every frame."""
    max_people: int = 5
    """Maximum number of faces tracked at once, 1 to 100."""
    transcript: str | None = None
    """Path of a transcript (SRT, VTT, TextGrid, ELAN, plain text) to use instead of speech recognition."""
    subtitles: bool = False
    """Whether a subtitle stream or file beside the recording is used as the transcript."""
    encoding: str | None = None
    """Encoding of the transcript or subtitle file, such as 'gb18030' or 'cp1251'; None recognises it."""
    asr: str = 'tiny.en'
    """Speech recognition: one of ASR_NAMES, or the path of a Whisper model directory in CTranslate2's format."""
    purpose: str = ''
    """Purpose of the analysis; recorded, and refused if it names work or education without a medical or safety
    ground."""
    keep_frames: bool = True
    """Whether images are kept: thumbnails, stills, the video in the report. False keeps only numbers and words."""
    license: str = 'research'
    """'research', or 'commercial-ok' to leave out models whose training data forbid commercial use."""
    keep_landmarks: bool = False
    """Whether landmarks, blendshapes and poses of every frame are kept in the results (about 60 MB per hour and
    face)."""
    max_side: int = 1280
    """Longest side, in pixels, of analyzed frames, 64 to 10000; larger ones are scaled down."""
    sound_stream: int | None = None
    """Audio stream that is read, counted from 0; None takes the default one, or an audible one if the default is
    silent."""
    step_s: float = 1.0
    """Length of the steps in which sources are fused, seconds, 0.1 to 60."""
    describe: bool = False
    """Whether a trained describer also describes how people come across."""
    describe_model: str = ''
    """Folder or checkpoint of that describer; '' means `small`, the one in affekt."""

    def __post_init__(self) -> None:
        if isinstance(self.describe_model, os.PathLike):  # as text, a folder called `small` would be that name
            object.__setattr__(self, 'describe_model', os.path.abspath(self.describe_model))
        require_types(self)
        if self.fps is not None and not 0.1 <= self.fps <= 1000:
            raise ValueRangeError(
                expected='fps in [0.1, 1000]', came=f'{self.fps}', todo='choose a number in this range'
            )
        if not 1 <= self.max_people <= 100:
            raise ValueRangeError(
                expected='max_people in [1, 100]', came=f'{self.max_people}', todo='choose a number in this range'
            )
        if not 64 <= self.max_side <= 10000:
            raise ValueRangeError(expected='max_side in [64, 10000]', came=f'{self.max_side}', todo='use 1280')
        if self.sound_stream is not None and self.sound_stream < 0:
            raise ValueRangeError(
                expected='the number of an audio stream, counted from 0',
                came=f'{self.sound_stream}',
                todo='give 0 or more, or None for the default stream',
            )
        if self.encoding is not None:
            require_encoding(self.encoding)
        if not 0.1 <= self.step_s <= 60:
            raise ValueRangeError(expected='step_s in [0.1, 60]', came=f'{self.step_s}', todo='use 1.0 for seconds')
        if self.license not in LICENSES:
            raise UnknownNameError(
                expected=f'a license among {LICENSES}',
                came=f'{self.license!r}',
                todo=did_you_mean(self.license, LICENSES),
            )
        if self.asr not in ASR_NAMES and not Path(self.asr).is_dir():
            raise UnknownNameError(
                expected=f'speech recognition among {ASR_NAMES}, or a model directory',
                came=f'{self.asr!r}',
                todo=did_you_mean(
                    self.asr, ASR_NAMES, 'name one, or give the path of a directory that holds model.bin'
                ),
            )
        if self.describe_model and not self.describe:
            object.__setattr__(self, 'describe', True)
        elif self.describe and not self.describe_model:
            object.__setattr__(self, 'describe_model', SMALL_DESCRIBER)
        object.__setattr__(self, 'purpose', check_purpose(self.purpose))

    def changed(self, named: Mapping[str, Any]) -> AnalysisSettings:
        """A copy with the given fields changed.

        Raises:
            UnknownNameError: no field of this name.
        """
        return changed_settings(self, named)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> AnalysisSettings:
        """Settings that `to_dict` wrote; their model directory need not exist."""
        stored = {key: fields[key] for key in cls.__dataclass_fields__ if key in fields}
        asr = str(stored.get('asr', 'tiny.en'))
        if asr in ASR_NAMES or Path(asr).is_dir():
            return cls(**stored)
        settings = cls(**{**stored, 'asr': 'none'})
        object.__setattr__(settings, 'asr', asr)
        return settings

    def recorded(self) -> dict[str, Any]:
        """Everything that results depend on, for the settings file of a run, including hashes of a model directory's
        files.

        Without a describer the fields are those of runs before there were describers, so that older runs can be
        resumed.
        """
        recorded = self.to_dict()
        if not self.describe:
            del recorded['describe'], recorded['describe_model']
        else:
            recorded['describe_files'] = _files_of(_describer_path(self.describe_model))
        if self.asr not in ASR_NAMES and Path(self.asr).is_dir():
            files = _files_of(Path(self.asr))
            recorded['asr_files'] = {name: digest for name, digest in files.items() if not is_kept_silence(name)}
        return recorded


def _describer_path(model: str) -> Path:
    """The folder or checkpoint of a describer; for a training run, the describer that it kept."""
    from affekt.analysis.description import description_room

    path: Path = description_room().described_place(model)
    return path


def _files_of(path: Path) -> dict[str, str]:
    """Name to sha256 of a file, or of the files in a folder."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.name: file_sha256(file) for file in files if file.is_file()}


def require_types(settings: Any) -> None:
    """Checks that each value of a frozen record of settings is of its field's type.

    A path counts as its text, a whole number as a number.

    Raises:
        ValueRangeError: a value has another type.
    """
    for name, hint in get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        if isinstance(value, (os.PathLike, np.generic)):
            value = os.fspath(value) if isinstance(value, os.PathLike) else value.item()
            object.__setattr__(settings, name, value)
        types = get_args(hint) or (hint,)
        is_bool = isinstance(value, bool)
        fits = any(
            (expected_type is float and isinstance(value, Real) and not is_bool)
            or (expected_type is int and isinstance(value, Integral) and not is_bool)
            or (expected_type is bool and is_bool)
            or (expected_type not in (float, int, bool) and isinstance(value, expected_type))
            for expected_type in types
        )
        if not fits:
            expected = ' or '.join(_TYPE_NAMES[expected_type] for expected_type in types)
            raise ValueRangeError(expected=f'{expected} for {name}', came=repr(value)[:80], todo='correct its type')


def changed_settings(settings: Settings, named: Mapping[str, Any]) -> Settings:
    """A frozen record of settings with the given fields changed; a path counts as its text.

    Raises:
        UnknownNameError: no field of this name.
    """
    field_names = settings.__dataclass_fields__
    for name in named:
        if name not in field_names:
            raise UnknownNameError(
                expected=f'a setting among {", ".join(field_names)}',
                came=repr(name),
                todo=did_you_mean(name, field_names),
            )
    plain: dict[str, Any] = {name: str(value) if isinstance(value, Path) else value for name, value in named.items()}
    return replace(settings, **plain)
