"""Clips decoded once and packed on disk: every epoch after the first reads them by memory map.

    print(PackedClips.estimate(manifest))            # before anything is written
    clips = PackedClips.write(folder, manifest)      # resume=True continues after a kill
    clips = PackedClips.open(folder, manifest)       # in any number of processes; refuses a cache of other sources
    clips[0], clips.failed, clips.sentences

A folder holds all frames one after the other (`frames.bin`), their times (`times.bin`), all audio (`sound.bin`) and a
table of each clip's part (`index.parquet`). `packing.py` writes it, `cache_files.py` has its layout.

K usable clips, N frames and S audio samples over all clips.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from affekt.arrays import Ints
from affekt.clips.cache_files import FRAMES, SOUND, TIMES, SoundType, as_sound, read_index
from affekt.clips.cache_size import estimate
from affekt.clips.clip import MODALITIES, Clip, ClipSettings
from affekt.clips.packing import pack, pack_clips, statements_of
from affekt.clips.sources import content
from affekt.corpora import Manifest
from affekt.errors import RunError, UnknownNameError, listed
from affekt.progress import Progress
from affekt.wording import counted

NUMBER = re.compile(r'\d+(?:[.,]\d+)*')
"""A number within a reason, by which otherwise equal reasons may differ."""
MOST_REASONS = 5
"""Maximum number of reasons stated per modality."""


class PackedClips(Sequence[Clip]):
    """The usable clips of a folder, read on access.

    Frames are views of the file: only accessed data are loaded, and changes stay in memory. A process that receives a
    copy of this object reopens the files.

    Args:
        folder: a folder written by `write` or `of`.

    Raises:
        RunError: there is no cache, it is unfinished, or a file is truncated.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        table, self._header = read_index(folder)
        self._table = table
        self._rows = np.flatnonzero([not reason for reason in table.column('failed').to_pylist()])
        """(K,) rows of the table with a clip."""
        self._spans: dict[str, Ints] = {
            name: table.column(name).to_numpy()[self._rows]
            for name in ('first_frame', 'frames', 'first_sample', 'samples')
        }

    estimate = staticmethod(estimate)

    @classmethod
    def write(
        cls,
        folder: Path,
        manifest: Manifest,
        settings: ClipSettings | None = None,
        *,
        sound: SoundType = 'int16',
        processes: int = 1,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> PackedClips:
        """Decode the clips of a manifest once and store them.

        Args:
            folder: new, or started by an earlier run.
            manifest: rows with video, audio or folders of frames.
            settings: settings of making clips; None for the published size with aligned faces.
            sound: type of a stored audio sample.
            processes: number of decoding processes.
            resume: continue a folder that was started with the same manifest and settings; a finished one is opened.
            progress: called with 'clips', clips done, total clips.

        Returns:
            The usable clips; `failed` says why others are not.

        Raises:
            RunError: the folder holds other files, sources or settings, or is in use; or a process died.
            StorageError: the folder cannot be written, as on a full disk.
            WeightsError: faces are requested, and the face model is missing.
        """
        settings = settings or ClipSettings()
        pack(folder, manifest, settings, sound=sound, processes=processes, resume=resume, progress=progress)
        return cls(folder)

    @classmethod
    def of(cls, folder: Path, clips: Iterable[Clip], *, sound: SoundType = 'int16') -> PackedClips:
        """Store given clips, such as rendered ones; the folder is written atomically.

        Args:
            folder: an existing cache is replaced.
            clips: frames of one size, unique names; used one at a time.
            sound: type of a stored audio sample.

        Raises:
            ShapeError: frames differ in size.
            ValueRangeError: the audio is not finite.
            TableError: a name occurs twice.
            StorageError: the folder cannot be written, as on a full disk.
        """
        pack_clips(folder, clips, sound)
        return cls(folder)

    @classmethod
    def open(cls, folder: Path, manifest: Manifest | None = None) -> PackedClips:
        """Open an existing cache.

        Args:
            folder: a folder written by `write` or `of`.
            manifest: the cache must hold its samples, made from its files; None checks nothing.

        Raises:
            RunError: there is no cache, it is unfinished or truncated, or was made from other files.
        """
        clips = cls(folder)
        if manifest is not None:
            clips.require_sources(manifest)
        return clips

    @property
    def size(self) -> int:
        """Width and height of the frames, pixels; 0 if no clip has any."""
        return self._header.size

    @cached_property
    def settings(self) -> ClipSettings | None:
        """Settings with which the clips were made from media; None for given clips."""
        fields = dict(self._header.settings)
        return ClipSettings(**{**fields, 'modalities': tuple(fields['modalities'])}) if fields else None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """(K,) names of the clips, in the order of the manifest."""
        return tuple(self._table.column('sample').take(self._rows).to_pylist())

    @cached_property
    def failed(self) -> dict[str, str]:
        """Sample without a clip to the reason."""
        columns = (self._table.column(name).to_pylist() for name in ('sample', 'failed'))
        return {sample: reason for sample, reason in zip(*columns, strict=True) if reason}

    @property
    def frame_counts(self) -> Ints:
        """(K,) numbers of frames; 0 if a clip has none."""
        return self._spans['frames']

    @property
    def sample_counts(self) -> Ints:
        """(K,) numbers of audio samples; 0 if a clip has none."""
        return self._spans['samples']

    @property
    def bytes(self) -> int:
        """Bytes of frames, times and audio."""
        return sum(self._header.bytes_of(self._header.frames, self._header.samples).values())

    def missing(self, modality: str) -> dict[str, str]:
        """Name of each clip that lacks a modality, to the reason.

        Raises:
            UnknownNameError: the modality is neither video nor audio.
        """
        if modality not in MODALITIES:
            raise UnknownNameError(expected='video or audio', came=repr(modality), todo='name one of them')
        reasons = self._table.column(f'missing_{modality}').take(self._rows).to_pylist()
        return {name: reason for name, reason in zip(self.names, reasons, strict=True) if reason}

    @property
    def sentences(self) -> tuple[str, ...]:
        """Sentences on present and missing clips and modalities, counted by reason."""
        counts = {'video': ('frames', self.frame_counts), 'audio': ('audio', self.sample_counts)}
        modalities = MODALITIES if self.settings is None else self.settings.modalities
        counted_modalities = [counts[modality] for modality in MODALITIES if modality in modalities]
        present = ' and '.join(f'{int((count > 0).sum()):,} with {name}' for name, count in counted_modalities)
        sentences = [f'{len(self):,} of {len(self._table):,} clips, {present}']
        sentences += _by_reason('no clip', self.failed)
        for modality in MODALITIES:
            sentences += _by_reason(f'no {modality}', self.missing(modality))
        has_notes = [len(notes) > 0 for notes in self._table.column('notes').take(self._rows).to_pylist()]
        return (
            (*sentences, f'{counted(sum(has_notes), "clip")} lost a part, stated in `notes` of each')
            if any(has_notes)
            else tuple(sentences)
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Clip]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Clip: ...

    @overload
    def __getitem__(self, index: slice) -> list[Clip]: ...

    def __getitem__(self, index: int | slice) -> Clip | list[Clip]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        first_frame, frame_count, first_sample, sample_count = (int(self._spans[name][index]) for name in self._spans)
        frames = self._frames[first_frame : first_frame + frame_count] if frame_count else None
        times_s = self._times[first_frame : first_frame + frame_count].copy() if frame_count else None
        if times_s is not None and np.isnan(times_s[0]):
            times_s = None
        audio = as_sound(self._sound[first_sample : first_sample + sample_count]) if sample_count else None
        row = int(self._rows[index])
        missing = {name: reason for name in MODALITIES if (reason := self._cell(f'missing_{name}', row))}
        return Clip(self.names[index], frames, times_s, audio, missing, tuple(self._cell('notes', row)))

    def clip(self, name: str) -> Clip:
        """The clip of a sample.

        Raises:
            UnknownNameError: there is none; the error says why, if known.
        """
        if name not in self._index_of:
            reason = self.failed.get(name, 'which was not packed')
            raise UnknownNameError(
                expected=f'a clip of {self.folder.name}', came=f'{name!r}: {reason}', todo='leave it out'
            )
        return self[self._index_of[name]]

    def places(self, manifest: Manifest) -> Ints:
        """(M,) index of the clip of each sample of a manifest; -1 if there is none."""
        return np.array([self._index_of.get(name, -1) for name in manifest.names], np.int64)

    def require_sources(self, manifest: Manifest, *, contents: bool = False) -> None:
        """Check that the cache was made from the files in a manifest.

        Args:
            manifest: all samples of the cache, or some.
            contents: read every byte of the sources; otherwise names, segments and sizes are compared.

        Raises:
            RunError: a sample is not in the cache, or was made from other files; the error names some.
        """
        settings = self.settings
        columns = (self._table.column(name).to_pylist() for name in ('sample', 'stated', 'content'))
        sources = {sample: (stated, digest) for sample, stated, digest in zip(*columns, strict=True)}
        if settings is None:
            stale = [name for name in manifest.names if name not in sources]
        else:
            current = statements_of(manifest, settings)
            stale = [name for name, stated in current.items() if name not in sources or sources[name][0] != stated]
            if contents and not stale:
                rows = (row for row in manifest.samples if sources[row.sample][1])
                stale = [row.sample for row in rows if sources[row.sample][1] != content(manifest, row, settings)]
        if stale:
            raise RunError(
                expected=f'clips packed from the files that the manifest of {manifest.facts.corpus} names',
                came=f'{self.folder}, made of other files, segments or sizes for {len(stale):,} of {len(manifest):,} '
                f'samples ({listed(stale, 3)})',
                todo='pack the clips again into another folder',
            )

    def verify(self) -> None:
        """Read every byte and check its checksum.

        Raises:
            RunError: clips have changed; the error names some.
        """
        checksums = self._table.column('checksum').to_numpy()[self._rows]
        changed = []
        for index, (first, count, start, length) in enumerate(zip(*self._spans.values(), strict=True)):
            checksum = 0
            for part in (
                self._frames[first : first + count],
                self._times[first : first + count],
                self._sound[start : start + length],
            ):
                checksum = zlib.crc32(np.ascontiguousarray(part).data.cast('B'), checksum) if len(part) else checksum
            if checksum != checksums[index]:
                changed.append(self.names[index])
        if changed:
            came = f'{len(changed):,} that changed ({listed(changed, 3)})'
            raise RunError(
                expected=f'the clips of {self.folder} as they were written', came=came, todo='pack the clips again'
            )

    def __repr__(self) -> str:
        return f'PackedClips({self.folder.name!r}, {len(self):,} clips of {self.size} x {self.size})'

    def __reduce__(self) -> tuple[type[PackedClips], tuple[Path]]:
        return type(self), (self.folder,)

    @cached_property
    def _index_of(self) -> Mapping[str, int]:
        return {name: index for index, name in enumerate(self.names)}

    def _cell(self, name: str, row: int) -> Any:
        return self._table.column(name)[row].as_py()

    @cached_property
    def _frames(self) -> npt.NDArray[np.uint8]:
        return self._mapped(FRAMES, np.uint8, (self._header.frames, self.size, self.size, 3))

    @cached_property
    def _times(self) -> npt.NDArray[np.float64]:
        return self._mapped(TIMES, np.dtype('<f8'), (self._header.frames,))

    @cached_property
    def _sound(self) -> npt.NDArray[Any]:
        return self._mapped(SOUND, np.dtype(self._header.sound).newbyteorder('<'), (self._header.samples,))

    def _mapped(self, name: str, dtype: Any, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """One file, whose pages are copied on write."""
        if 0 in shape:
            return np.zeros(shape, dtype)
        return np.asarray(np.memmap(self.folder / name, dtype, 'c', shape=shape))


def _by_reason(subject: str, reasons: dict[str, str]) -> list[str]:
    """A sentence per reason, the most frequent first; reasons that differ only in numbers are merged.

    3 s too long, 5 s too long, no face      no clip for 2: … s too long ('a'); no clip for 1: no face ('c')
    """
    generalised = {name: NUMBER.sub('…', reason) for name, reason in reasons.items()}
    counts, examples = Counter(generalised.values()), {reason: name for name, reason in reversed(generalised.items())}
    originals = {
        reason: {reasons[name] for name in generalised if generalised[name] == reason}
        for reason, _ in counts.most_common(MOST_REASONS)
    }
    sentences = [
        f'{subject} for {counts[reason]:,}: {reason if len(variants) > 1 else min(variants)} ({examples[reason]!r})'
        for reason, variants in originals.items()
    ]
    other_count = sum(counts.values()) - sum(count for _, count in counts.most_common(MOST_REASONS))
    return [*sentences, f'{subject} for {other_count:,}: other reasons'] if other_count else sentences
