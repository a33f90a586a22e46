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
    SoundType,
    Stretch,
    stretches_of,
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
Made = tuple[Stretch, Clip | None]


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
    otherwise = f'use the same manifest and options, or choose another --cache than {folder}'
    with Run(folder, depends_on, resume=resume, otherwise=otherwise) as run:
        done, noted = _noted(run, header)
        left = [row for row in manifest.samples if row.sample not in done]
        if not left and (folder / INDEX).exists():
            return

        # 2. Disk space and the face model, before anything is decoded.
        _require_room(folder, manifest.keep(lambda row: row.sample not in done), settings, sound)
        if finds_faces := _finds_faces(settings, left):
            _landmarker()

        # 3. Clips, as they are decoded.
        end = max(done.values(), key=_end_of, default=Stretch(''))
        with CacheWriter(folder, header, *_end_of(end)) as writer:
            made = _stated(_made(manifest, left, settings, processes, finds_faces), statements)
            for stretch in _written(run, writer, made, noted):
                done[stretch.sample] = stretch
                if progress is not None:
                    progress('clips', len(done), len(statements))
            header = replace(header, frames=writer.frames, samples=writer.samples)

        # 4. The index, in the order of the manifest, which completes the cache.
        write_index(folder, [done[name] for name in statements], header)


def pack_clips(folder: Path, clips: Iterable[Clip], sound: SoundType) -> None:
    """Write a cache of given clips; see `PackedClips.of`."""
    _require_choices(sound, 1)
    made, waiting, size = iter(clips), [], 0
    for clip in made:
        waiting.append(clip)
        if clip.frames is not None:
            size = clip.frames.shape[1]
            break
    header, stretches = CacheHeader(size, sound, {}), dict[str, Stretch]()
    with folder_atomically(folder) as staging:
        with CacheWriter(staging, header) as writer:
            for clip in chain(waiting, made):
                if clip.name in stretches:
                    todo = 'give each clip a name of its own'
                    raise TableError(expected='every clip once, by name', came=f'{clip.name!r} twice', todo=todo)
                stretches[clip.name] = _stretch(clip)
                writer.add(clip, stretches[clip.name])
            writer.flush()
        header = replace(header, frames=writer.frames, samples=writer.samples)
        write_index(staging, list(stretches.values()), header)


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


def _end_of(stretch: Stretch) -> tuple[int, int]:
    """Frames and samples up to the end of a clip: every clip moves both on, or leaves them where they are."""
    return stretch.first_frame + stretch.frames, stretch.first_sample + stretch.samples


def _noted(run: Run, header: CacheHeader) -> tuple[dict[str, Stretch], int]:
    """Lines of the index that earlier runs have noted, by sample, and the number of journal lines they take.

    Raises:
        RunError: a file is shorter than recorded.
    """
    done: dict[str, Stretch] = {}
    number = 0
    while (entry := run.finished(_key(number))) is not None:
        done |= {stretch.sample: stretch for stretch in stretches_of(entry.facts['clips'])}
        number += 1
    frames, samples = _end_of(max(done.values(), key=_end_of, default=Stretch('')))
    for name, length in header.bytes_of(frames, samples).items():
        path = run.folder / name
        size = path.stat().st_size if path.is_file() else 0
        if size < length:
            raise RunError(
                expected=f'the {length:,} bytes of {path} that were written', came=f'{size:,}',
                todo='it was cut short: remove the folder and pack the clips again',
            )  # fmt: skip
    return done, number


def _key(number: int) -> str:
    return f'clips-{number}'


def _require_room(folder: Path, manifest: Manifest, settings: ClipSettings, sound: SoundType) -> None:
    needed, free = estimate(manifest, settings, sound=sound).bytes, shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            expected=f'{in_words(needed)} of room for {len(manifest):,} clips', came=f'{in_words(free)} at {folder}',
            todo='choose another disk, fewer clips or smaller frames',
        )  # fmt: skip


def _finds_faces(settings: ClipSettings, rows: Sequence[Sample]) -> bool:
    looks = settings.crop == 'faces' and 'video' in settings.modalities
    return looks and any(row.video is not None and row.frames is None for row in rows)


def _made(
    manifest: Manifest, rows: Sequence[Sample], settings: ClipSettings, processes: int, finds_faces: bool
) -> Iterator[Made]:
    """Clips as they are decoded, here or in processes that each open the model once."""
    bare = Manifest(manifest.facts, ())  # processes need the root, not every sample
    if processes == 1:
        landmarker = _landmarker() if finds_faces else None
        yield from (_clip_or_reason(bare, row, settings, landmarker) for row in rows)
        return
    given, advice = (bare, settings, finds_faces), 'give more memory or fewer --processes, and go on with --resume'
    for row, made in surviving(processes, _open_in_worker, given, _make_in_worker, rows, todo=advice):
        yield made or (Stretch(row.sample, failed='the process that decoded it died'), None)


def _landmarker() -> Any:
    from affekt.faces import FaceLandmarker

    return FaceLandmarker()


_worker: tuple[Manifest, ClipSettings, Any] | None = None
"""Manifest, settings and model of a worker process."""


def _open_in_worker(manifest: Manifest, settings: ClipSettings, finds_faces: bool) -> None:
    global _worker
    _worker = manifest, settings, _landmarker() if finds_faces else None


def _make_in_worker(row: Sample) -> Made:
    if _worker is None:
        raise RuntimeError('the worker was not opened')
    manifest, settings, landmarker = _worker
    return _clip_or_reason(manifest, row, settings, landmarker)


def _clip_or_reason(manifest: Manifest, row: Sample, settings: ClipSettings, landmarker: Any) -> Made:
    """A clip with its line of the index, or a line that says why there is none."""
    try:
        clip = sample_clip(manifest, row, settings, landmarker)
    except AffektError as error:
        return Stretch(row.sample, failed=error.came), None
    except Exception as error:  # unforeseen errors of single files must not stop the others
        return Stretch(row.sample, failed=f'{type(error).__name__}: {error}'), None
    return replace(_stretch(clip), content=content(manifest, row, settings)), clip


def _stretch(clip: Clip) -> Stretch:
    video, audio = (clip.missing.get(modality, '') for modality in ('video', 'audio'))
    return Stretch(clip.name, missing_video=video, missing_audio=audio, notes=list(clip.notes))


def _stated(made: Iterable[Made], statements: Mapping[str, str]) -> Iterator[Made]:
    for stretch, clip in made:
        yield replace(stretch, stated=statements[stretch.sample]), clip


def _written(run: Run, writer: CacheWriter, made: Iterable[Made], noted: int) -> Iterator[Stretch]:
    """Lines of the index as their clips are written; they are noted some at a time, once they are on disk."""
    waiting: list[Stretch] = []
    size, since_s = 0, time.monotonic()
    try:
        for stretch, clip in made:
            if clip is not None:
                size += writer.add(clip, stretch)
            else:
                stretch = replace(stretch, first_frame=writer.frames, first_sample=writer.samples)
            waiting.append(stretch)
            if size >= NOTED_BYTES or time.monotonic() - since_s >= NOTED_S:
                _note(run, writer, noted, waiting)
                waiting, size, since_s, noted = [], 0, time.monotonic(), noted + 1
            yield stretch
    finally:
        if waiting:
            _note(run, writer, noted, waiting)


def _note(run: Run, writer: CacheWriter, number: int, stretches: Sequence[Stretch]) -> None:
    writer.flush()
    run.note(_key(number), '', clips=[asdict(stretch) for stretch in stretches])
