"""The files of a packed cache: their names, the table of each clip's part of them, and writing them.

N frames of all clips, S samples of audio of all clips.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.clips.clip import Clip
from affekt.errors import AffektError, RunError, ShapeError, ValueRangeError
from affekt.files import file_atomically, only_regular, storage_error

SoundType = Literal['int16', 'float32']
SOUND_TYPES: tuple[SoundType, ...] = ('int16', 'float32')
FRAMES, TIMES, SOUND, INDEX = 'frames.bin', 'times.bin', 'sound.bin', 'index.parquet'
"""Names of the files of a cache: frames, their times, audio, and the table of clips."""
DATA = (FRAMES, TIMES, SOUND)
"""The files without the table."""
FORMAT = 1
"""Format version of the folder; a newer one is refused."""
FULL_SCALE = 32_768
"""Integer value of 1.0 in 16-bit audio; 16-bit recordings are stored losslessly."""


@dataclass
class IndexRow:
    """One row of the index: a clip's part of the three files and its sources, or the reason why there is no clip."""

    sample: str
    first_frame: int = 0
    frames: int = 0
    first_sample: int = 0
    samples: int = 0
    missing_video: str = ''
    missing_audio: str = ''
    failed: str = ''
    """Why there is no clip; '' if there is one."""
    notes: list[str] = field(default_factory=list)
    stated: str = ''
    """Hash of the names, spans and sizes of its sources."""
    content: str = ''
    """Hash of every byte of its sources."""
    checksum: int = 0
    """CRC-32 of the bytes that were written."""


@dataclass(frozen=True)
class CacheHeader:
    """Values that hold for all clips of a cache.

    Raises:
        ValueRangeError: a number below 0, or an unknown type of audio sample.
    """

    size: int
    """Width and height of the frames, pixels."""
    sound: SoundType
    """Type of a stored audio sample."""
    settings: Mapping[str, Any]
    """Settings with which the clips were made; empty for clips that were given."""
    frames: int = 0
    """N, number of frames of all clips."""
    samples: int = 0
    """S, number of audio samples of all clips."""
    format: int = FORMAT
    """Version of the folder's format."""

    def __post_init__(self) -> None:
        counts = (self.size, self.frames, self.samples)
        if not all(isinstance(count, int) and count >= 0 for count in counts) or self.sound not in SOUND_TYPES:
            raise ValueRangeError(
                expected=f'numbers of 0 or more, and audio of {" or ".join(SOUND_TYPES)}',
                came=f'size, frames and samples {counts}, audio {self.sound!r}', todo='pack the clips again',
            )  # fmt: skip

    def bytes_of(self, frames: int, samples: int) -> dict[str, int]:
        """The size of each file for this many frames and samples."""
        width = np.dtype(self.sound).itemsize
        return {FRAMES: frames * self.size**2 * 3, TIMES: frames * 8, SOUND: samples * width}


class CacheWriter:
    """Appends clips; they are on disk once `flush` has returned.

    Args:
        folder: a folder that exists.
        header: header of the cache.
        frames: number of frames already stored; anything beyond is cut off.
        samples: number of audio samples already stored.

    Raises:
        StorageError: the files cannot be written.
    """

    def __init__(self, folder: Path, header: CacheHeader, frames: int = 0, samples: int = 0) -> None:
        self.folder, self.header, self.frames, self.samples = folder, header, frames, samples
        self._files: dict[str, IO[bytes]] = {}
        try:
            for name, length in header.bytes_of(frames, samples).items():
                file = open(folder / name, 'r+b' if length else 'wb')  # noqa: SIM115
                self._files[name] = file
                file.truncate(length)
                file.seek(length)
        except OSError as error:
            raise storage_error(error, folder) from error

    def add(self, clip: Clip, row: IndexRow) -> int:
        """Write a clip, and note its position in its row of the index; return the number of bytes.

        Raises:
            ShapeError: its frames have another size than those of the cache.
            ValueRangeError: its audio is not finite.
            StorageError: the folder cannot be written, as on a full disk.
        """
        side = self.header.size
        row.first_frame, row.first_sample = self.frames, self.samples
        contents: dict[str, bytes | memoryview] = {}
        if clip.frames is not None:
            if clip.frames.shape[1:] != (side, side, 3):
                came = f'{clip.frames.shape[1:]} of {clip.name}'
                raise ShapeError(expected=f'frames ({side}, {side}, 3)', came=came, todo='pack clips of one size')
            times_s = np.full(len(clip.frames), np.nan) if clip.times_s is None else clip.times_s
            contents[FRAMES] = np.ascontiguousarray(clip.frames).data.cast('B')
            contents[TIMES] = times_s.astype('<f8').tobytes()
            row.frames = len(clip.frames)
        if clip.sound is not None:
            if not np.isfinite(clip.sound).all():
                todo = 'decode the audio again'
                raise ValueRangeError(expected='finite samples of audio', came=f'others in {clip.name}', todo=todo)
            contents[SOUND] = as_stored(clip.sound, self.header.sound).tobytes()
            row.samples = len(clip.sound)
        for name, data in contents.items():
            row.checksum = zlib.crc32(data, row.checksum)
            try:
                self._files[name].write(data)
            except OSError as error:
                raise storage_error(error, self.folder / name) from error
        self.frames, self.samples = self.frames + row.frames, self.samples + row.samples
        return sum(map(len, contents.values()))

    def flush(self) -> None:
        """Write everything to the disk.

        Raises:
            StorageError: the folder cannot be written, as on a full disk.
        """
        for name, file in self._files.items():
            try:
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                raise storage_error(error, self.folder / name) from error

    def __enter__(self) -> CacheWriter:
        return self

    def __exit__(
        self, error_class: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for file in self._files.values():
            try:
                file.close()
            except OSError as close_error:
                if error is None:
                    raise storage_error(close_error, self.folder) from close_error


def as_stored(audio: Floats32, sound_type: SoundType) -> npt.NDArray[Any]:
    """(S,) as stored; 16-bit audio is clipped to [-1, 1]."""
    if sound_type == 'float32':
        return audio.astype('<f4')
    levels: Floats32 = np.rint(audio * np.float32(FULL_SCALE))
    return np.clip(levels, -FULL_SCALE, FULL_SCALE - 1).astype('<i2')


def as_sound(stored: npt.NDArray[Any]) -> Floats32:
    """(S,) samples in [-1, 1] from those in the file."""
    audio: Floats32 = stored.astype(np.float32)
    if stored.dtype.kind == 'i':
        audio /= FULL_SCALE
    return audio


def write_index(folder: Path, rows: Sequence[IndexRow], header: CacheHeader) -> None:
    """Write the index, which completes a cache; atomically, after all other files.

    Raises:
        StorageError: it cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    columns = {column.name: [getattr(row, column.name) for row in rows] for column in fields(IndexRow)}
    table = pa.table(columns, _schema()).replace_schema_metadata({'affekt': json.dumps(asdict(header))})
    with file_atomically(folder / INDEX) as file:
        parquet.write_table(table, file, compression='zstd')


def _schema() -> Any:
    """Columns of the index and their Arrow types."""
    import pyarrow as pa

    types = {'notes': pa.list_(pa.string()), 'checksum': pa.uint32()}
    types |= {name: pa.int64() for name in ('first_frame', 'frames', 'first_sample', 'samples')}
    return pa.schema([(column.name, types.get(column.name, pa.string())) for column in fields(IndexRow)])


def read_index(folder: Path) -> tuple[Any, CacheHeader]:
    """The index of a cache (Arrow) and its header, after checking the lengths of the three files.

    Raises:
        RunError: there is no cache, it is damaged or of a newer version, or a file is truncated.
    """
    import pyarrow as pa
    from pyarrow import parquet

    from affekt.tables import own_header, require_bounded

    path = folder / INDEX
    if not path.exists():
        is_unfinished = any((folder / name).exists() for name in DATA)
        came = f'{folder}, which is begun and not finished' if is_unfinished else f'{folder} without {INDEX}'
        todo = 'go on with --resume' if is_unfinished else 'give the folder that clips were packed into'
        raise RunError(expected='a folder of packed clips', came=came, todo=todo)
    try:
        require_bounded(path)
        with open(path, 'rb', opener=only_regular) as file:
            table = parquet.read_table(file)
        header_fields = own_header(table.schema.metadata)
        if header_fields['format'] > FORMAT:
            raise RunError(expected=f'a cache of format {FORMAT}', came=f'{folder}, newer', todo='update affekt')
        header = CacheHeader(**header_fields)
        if not table.schema.equals(_schema()) or not _is_within(table, header):
            raise ValueError('columns that are not those of a cache')
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, RunError):
            raise
        came, todo = error.came if isinstance(error, AffektError) else f'{error}', 'pack the clips again'
        raise RunError(expected=f'the index of packed clips in {folder}', came=came, todo=todo) from error
    _require_whole(folder, header)
    return table, header


def _is_within(table: Any, header: CacheHeader) -> bool:
    """Whether every clip's part lies within the files."""
    for first, count, length in (('first_frame', 'frames', header.frames), ('first_sample', 'samples', header.samples)):
        starts, counts = (table.column(name).to_numpy() for name in (first, count))
        if not ((starts >= 0) & (counts >= 0) & (counts <= length) & (starts <= length - counts)).all():
            return False
    return True


def _require_whole(folder: Path, header: CacheHeader) -> None:
    for name, length in header.bytes_of(header.frames, header.samples).items():
        path = folder / name
        size = path.stat().st_size if path.is_file() else -1
        if size != length:
            came = f'{size:,} bytes' if size >= 0 else 'no such file'
            raise RunError(
                expected=f'{length:,} bytes of {name} in {folder}', came=came,
                todo='it was cut short or changed since: copy the folder again, or pack the clips again',
            )  # fmt: skip


def index_rows(entries: Iterable[Mapping[str, Any]]) -> list[IndexRow]:
    """Rows of the index from journal entries."""
    return [IndexRow(**entry) for entry in entries]
