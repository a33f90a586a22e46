"""Packing: clips are decoded by several processes, written by this one, and recorded once on disk.

A kill at any moment costs only what was not recorded yet: data after the journal's last entry are cut off, and computed
again.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

from affekt.clips.cache_files import (
    INDEX,
    SOUND_TYPES,
    CacheHeader,
    CacheWriter,
    IndexRow,
    SoundType,
    index_rows,
    write_index,
)
from affekt.clips.cache_size import estimate, in_words
from affekt.clips.clip import CROPS, SIZE, Clip, ClipSettings
from affekt.clips.sources import content, sample_clip, stated
from affekt.corpora import Manifest, Sample
from affekt.errors import AffektError, RunError, StorageError, TableError, UnknownNameError, ValueRangeError
from affekt.files import folder_atomically
from affekt.progress import Progress
from affekt.runs import Run
from affekt.workers import surviving

NOTED_BYTES, NOTED_S = 64 << 20, 5.0
"""Bytes and seconds after which written clips are recorded."""
DecodedRow = tuple[IndexRow, Clip | None]


def pack(
    folder: Path,
    manifest: Manifest,
    settings: ClipSettings,
    *,
    sound: SoundType,
    processes: int,
    resume: bool,
    progress: Progress | None,
) -> None:
    """Write a cache of a manifest's clips; see `PackedClips.write`."""
    _require_choices(sound, processes)
    settings = settings_for(manifest, settings)
    # 1. Everything the cache depends on, and what an earlier run has recorded.
    statements = statements_of(manifest, settings)
    header = CacheHeader(settings.size, sound, asdict(settings))
    depends_on = {'clips': asdict(settings), 'sound': sound, 'sources': _hash(repr(statements))}
    is_new = not folder.exists()
    if is_new:  # a refusal leaves no folder behind
        _require_possible(folder, manifest, settings, sound)
    whose, advice = f'that {folder} was written with', 'use the same manifest and options, or choose another --cache'
    with Run(folder, depends_on, resume=resume, whose=whose, otherwise=advice) as run:
        done, entries = _recorded(run, header)
        remaining = [row for row in manifest.samples if row.sample not in done]
        if not remaining and (folder / INDEX).exists():
            return

        # 2. Disk space and the face model, before anything is decoded.
        if not is_new:
            _require_possible(folder, manifest.keep(lambda row: row.sample not in done), settings, sound)
        finds_faces = _finds_faces(settings, remaining)

        # 3. Clips, as they are decoded.
        last = max(done.values(), key=_end_of, default=IndexRow(''))
        with CacheWriter(folder, header, *_end_of(last)) as writer:
            decoded_rows = _stated(_decoded_rows(manifest, remaining, settings, processes, finds_faces), statements)
            for index_row in _written(run, writer, decoded_rows, entries):
                done[index_row.sample] = index_row
                if progress is not None:
                    progress('clips', len(done), len(statements))
            header = replace(header, frames=writer.frames, samples=writer.samples)

        # 4. The index, in the order of the manifest, which completes the cache.
        write_index(folder, [done[name] for name in statements], header)


def pack_clips(folder: Path, clips: Iterable[Clip], sound: SoundType) -> None:
    """Write a cache of given clips; see `PackedClips.of`."""
    _require_choices(sound, 1)
    remaining, first_clips, size = iter(clips), [], 0
    for clip in remaining:
        first_clips.append(clip)
        if clip.frames is not None:
            size = clip.frames.shape[1]
            break
    header, rows = CacheHeader(size, sound, {}), dict[str, IndexRow]()
    with folder_atomically(folder) as staging:
        with CacheWriter(staging, header) as writer:
            for clip in chain(first_clips, remaining):
                if clip.name in rows:
                    todo = 'give each clip a name of its own'
                    raise TableError(expected='every clip once, by name', came=f'{clip.name!r} twice', todo=todo)
                rows[clip.name] = _index_row(clip)
                writer.add(clip, rows[clip.name])
            writer.flush()
        header = replace(header, frames=writer.frames, samples=writer.samples)
        write_index(staging, list(rows.values()), header)


def settings_for(manifest: Manifest, settings: ClipSettings) -> ClipSettings:
    """The settings that clips of a manifest depend on: without frames their size and crop do not count."""
    names_frames = any(manifest.samples.known(column).any() for column in ('video', 'frames'))
    has_frames = names_frames and 'video' in settings.modalities
    return settings if has_frames else replace(settings, size=SIZE, crop=CROPS[0])


def statements_of(manifest: Manifest, settings: ClipSettings) -> dict[str, str]:
    """Sample to a hash of its clip's sources, by names, spans and sizes."""
    return {row.sample: _hash(stated(manifest, row, settings)) for row in manifest.samples}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:16]


def _require_choices(sound: str, processes: int) -> None:
    if sound not in SOUND_TYPES:
        raise UnknownNameError(expected=f'one of {", ".join(SOUND_TYPES)}', came=repr(sound), todo='name one of them')
    if processes < 1:
        raise ValueRangeError(expected='at least one process', came=str(processes), todo='give more')


def _end_of(row: IndexRow) -> tuple[int, int]:
    """Frames and samples up to the end of a clip; neither falls from one clip to the next."""
    return row.first_frame + row.frames, row.first_sample + row.samples


def _recorded(run: Run, header: CacheHeader) -> tuple[dict[str, IndexRow], int]:
    """Rows of the index that earlier runs have recorded, by sample, and the number of their journal entries.

    Raises:
        RunError: a file is shorter than recorded.
    """
    done: dict[str, IndexRow] = {}
    number = 0
    while (entry := run.finished(_key(number))) is not None:
        done |= {row.sample: row for row in index_rows(entry.facts['clips'])}
        number += 1
    frames, samples = _end_of(max(done.values(), key=_end_of, default=IndexRow('')))
    for name, length in header.bytes_of(frames, samples).items():
        path = run.folder / name
        file_bytes = path.stat().st_size if path.is_file() else 0
        if file_bytes < length:
            raise RunError(
                expected=f'the {length:,} bytes of {path} that were written', came=f'{file_bytes:,}',
                todo='it was cut short: remove the folder and pack the clips again',
            )  # fmt: skip
    return done, number


def _key(number: int) -> str:
    return f'clips-{number}'


def _require_possible(folder: Path, manifest: Manifest, settings: ClipSettings, sound: SoundType) -> None:
    """Check that the disk has room for the clips, and that the face model is there if they need it."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    needed, free = estimate(manifest, settings, sound=sound).bytes, shutil.disk_usage(existing).free
    if needed > free:
        raise StorageError(
            expected=f'{in_words(needed)} of room for {len(manifest):,} clips', came=f'{in_words(free)} at {folder}',
            todo='choose another disk, fewer clips or smaller frames',
        )  # fmt: skip
    if _finds_faces(settings, manifest.samples):
        _landmarker()


def _finds_faces(settings: ClipSettings, rows: Sequence[Sample]) -> bool:
    crops_faces = settings.crop == 'faces' and 'video' in settings.modalities
    return crops_faces and any(row.video is not None and row.frames is None for row in rows)


def _decoded_rows(
    manifest: Manifest, rows: Sequence[Sample], settings: ClipSettings, processes: int, finds_faces: bool
) -> Iterator[DecodedRow]:
    """Clips as they are decoded, here or in processes that each open the model once."""
    empty_manifest = Manifest(manifest.facts, ())  # processes need the root, not every sample
    if processes == 1:
        landmarker = _landmarker() if finds_faces else None
        yield from (_clip_or_reason(empty_manifest, row, settings, landmarker) for row in rows)
        return
    arguments, advice = (
        (empty_manifest, settings, finds_faces),
        'give more memory or fewer --processes, and go on with --resume',
    )
    for row, decoded_row in surviving(processes, _open_in_worker, arguments, _make_in_worker, rows, todo=advice):
        yield decoded_row or (IndexRow(row.sample, failed='the process that decoded it died'), None)


def _landmarker() -> Any:
    from affekt.faces import FaceLandmarker

    return FaceLandmarker()


_worker: tuple[Manifest, ClipSettings, Any] | None = None
"""Manifest, settings and model of a worker process."""


def _open_in_worker(manifest: Manifest, settings: ClipSettings, finds_faces: bool) -> None:
    global _worker
    _worker = manifest, settings, _landmarker() if finds_faces else None


def _make_in_worker(row: Sample) -> DecodedRow:
    if _worker is None:
        raise RuntimeError('the worker was not opened')
    manifest, settings, landmarker = _worker
    return _clip_or_reason(manifest, row, settings, landmarker)


def _clip_or_reason(manifest: Manifest, row: Sample, settings: ClipSettings, landmarker: Any) -> DecodedRow:
    """A clip with its row of the index, or a row with the reason why there is none."""
    try:
        clip = sample_clip(manifest, row, settings, landmarker)
    except AffektError as error:
        return IndexRow(row.sample, failed=error.came), None
    except MemoryError:  # an error of this machine, not of the sample
        raise
    except Exception as error:  # unforeseen errors of single files must not stop the others
        return IndexRow(row.sample, failed=f'{type(error).__name__}: {error}'), None
    return replace(_index_row(clip), content=content(manifest, row, settings)), clip


def _index_row(clip: Clip) -> IndexRow:
    video, audio = (clip.missing.get(modality, '') for modality in ('video', 'audio'))
    return IndexRow(clip.name, missing_video=video, missing_audio=audio, notes=list(clip.notes))


def _stated(decoded_rows: Iterable[DecodedRow], statements: Mapping[str, str]) -> Iterator[DecodedRow]:
    for row, clip in decoded_rows:
        yield replace(row, stated=statements[row.sample]), clip


def _written(run: Run, writer: CacheWriter, decoded_rows: Iterable[DecodedRow], entry: int) -> Iterator[IndexRow]:
    """Rows of the index as their clips are written; they are recorded in groups, once they are on disk."""
    pending: list[IndexRow] = []
    pending_bytes, recorded_s = 0, time.monotonic()
    try:
        for row, clip in decoded_rows:
            if clip is not None:
                pending_bytes += writer.add(clip, row)
            else:
                row = replace(row, first_frame=writer.frames, first_sample=writer.samples)
            pending.append(row)
            if pending_bytes >= NOTED_BYTES or time.monotonic() - recorded_s >= NOTED_S:
                _note(run, writer, entry, pending)
                pending, pending_bytes, recorded_s, entry = [], 0, time.monotonic(), entry + 1
            yield row
    finally:
        if pending:
            _note(run, writer, entry, pending)


def _note(run: Run, writer: CacheWriter, number: int, rows: Sequence[IndexRow]) -> None:
    writer.flush()
    run.note(_key(number), '', clips=[asdict(row) for row in rows])
