"""From a stream's journal to the run folder that an analysis writes."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from affekt.analysis import Analysis, Source
from affekt.analysis.assemble import assemble
from affekt.analysis.model_cache import LoadedModels
from affekt.analysis.model_choice import licence_notes, models_used, trust_of
from affekt.analysis.observations import FACES, LASTS, TURNS, VOICE, Observed, conform
from affekt.analysis.results import DONE, entry_of, results_name
from affekt.analysis.settings import AnalysisSettings
from affekt.analysis.utterances import read_words as read_emotion_of_words
from affekt.faces import FaceStream, SeenPerson
from affekt.live import journal
from affekt.live.journal import Streamed
from affekt.live.readings import LatencyReport
from affekt.live.settings import StreamSettings
from affekt.report import REPORT_FILE, render_report
from affekt.runs import SETTINGS, Run, file_sha256, write_atomically
from affekt.tables import storable
from affekt.typed_json import json_file

LATENCY_FILE = 'latency.json'
FRAMES_FILE = 'frames.parquet'
LONGEST_FRAME_S = 1.0
"""Maximum seconds that one frame stands for if the next one comes later."""
UNEVEN = 1.5
"""Frames are unevenly spaced if a gap is longer than this many median gaps."""
SAME_TIME_S = 1e-4
"""Tolerance in seconds when rows are matched with frames."""


@dataclass(frozen=True)
class Kept:
    """The part of a stream's results that is not in its journal.

    Attributes:
        people: the people seen.
        names: number of a track, as text, to a person's name; absent tracks keep the displayed name.
        notes: sentences on the source.
        latency: None if the process that read the stream has ended; it is then computed from the rows.
        still_at: the JPEG of the frame at a time.
    """

    people: tuple[SeenPerson, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    latency: LatencyReport | None = None
    still_at: Callable[[float], bytes | None] = lambda time_s: None


def save_stream(
    folder: Path, target: Path, kept: Kept, models: LoadedModels | None = None, run: Run | None = None
) -> Path:
    """Writes the content of a journal as a result of a run; returns its folder.

    Args:
        folder: folder of the journal.
        target: the run folder; an existing one with the same settings gets another result.
        kept: results that are not in the journal.
        models: models that read the words; loaded if None.
        run: the run, if it is already open.

    Raises:
        RunError: the folder holds no journal, or the run folder holds something else.
        StorageError: the run folder cannot be written, as on a full disk.
    """
    streamed = journal.read_source(folder)
    settings = _settings_of(streamed)
    frames = journal.read_rows(folder, 'frames', journal.FRAMES)
    latency = kept.latency or _latency_of(frames)
    observed = _observed(folder, streamed, settings, frames, dataclasses.replace(kept, latency=latency), models)
    path = Path(streamed.path) if streamed.path else None
    media = path if path is not None and path.is_file() and settings.keep_frames else None
    analysis = dataclasses.replace(assemble(observed, settings), recording=media)
    key = f'live:{journal.digest_of(folder)}:{streamed.started}'  # a file may be streamed twice within a second
    if run is not None:
        return _save_result(run, key, analysis, streamed, frames, latency, media)
    with Run(target, settings.recorded(), resume=(target / SETTINGS).exists()) as opened:
        return _save_result(opened, key, analysis, streamed, frames, latency, media)


def _save_result(
    run: Run,
    key: str,
    analysis: Analysis,
    streamed: Streamed,
    frames: pa.Table,
    latency: LatencyReport,
    media: Path | None,
) -> Path:
    """Writes the result into the run and its journal; returns its folder."""
    digest = analysis.source.sha256
    file = analysis.source.file
    stem = Path(analysis.source.name).stem if streamed.path else analysis.source.name
    name = results_name(stem, key)
    with run.building(name) as staging:
        analysis.save(staging)
        pa.parquet.write_table(frames, staging / FRAMES_FILE, compression='zstd')
        content = dataclasses.asdict(latency) | {'started': streamed.started, 'stream_settings': streamed.settings}
        write_atomically(staging / LATENCY_FILE, json_file(content))
        render_report(analysis, staging / REPORT_FILE, media)
    entry = entry_of(media, file, digest) if media is not None else {'input': '', 'file': file, 'sha256': digest}
    run.note(key, name, **entry, notes=list(analysis.source.notes), state=DONE)
    return run.folder / name


def _observed(
    folder: Path,
    streamed: Streamed,
    settings: AnalysisSettings,
    frames: pa.Table,
    kept: Kept,
    models: LoadedModels | None,
) -> Observed:
    """All measurements of the stream, the description of the source and the models used."""
    faces = journal.read_rows(folder, 'faces', FACES)
    numbers = sorted(set(faces['person'].to_pylist()), key=int) if faces.num_rows else []
    names = {number: kept.names.get(number, f'person {int(number) + 1}') for number in numbers}
    faces = FaceStream.named(faces, names) if faces.num_rows else faces
    turns = conform(journal.read_rows(folder, 'turns', TURNS), 'turns')
    voice = conform(journal.read_rows(folder, 'voice', VOICE), 'voice')
    words = read_emotion_of_words(journal.read_words(folder), (models or LoadedModels(settings)).get)
    times = frames['time_s'].to_numpy()
    faces = _with_seconds(faces, frames) if faces.num_rows else faces
    step_s = float(times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0
    ends = [float(times[-1]) + step_s] if len(times) else []
    ends += [float(table[name][-1].as_py()) for table, name in ((turns, 'end_s'), (voice, 'time_s')) if table.num_rows]
    notes = [*_stream_notes(streamed, kept, faces, turns, has_frames=len(times) > 0), *kept.notes, *words.notes]
    notes += licence_notes(settings, saw=faces.num_rows > 0, heard=turns.num_rows > 0, read=bool(words.spoken))
    source = Source(
        storable(streamed.name if streamed.path else _label(streamed)),
        streamed.kind,
        round(max(ends, default=0.0), 6),
        _digest(folder, streamed),
        streamed.width,
        streamed.height,
        streamed.rate_hz,
        round(1 / step_s, 4) if step_s > 0 else 0.0,
        tuple(dict.fromkeys(storable(note[:1].upper() + note[1:] + '.') for note in notes)),
        file=storable(_label(streamed)),
    )
    return Observed(
        source=source,
        faces=conform(faces, 'faces'),
        turns=turns,
        voice=voice,
        utterances=words.table,
        spoken=words.spoken,
        thumbnails={person.name: person.thumbnail_jpeg for person in kept.people if person.thumbnail_jpeg},
        trust=trust_of(settings),
        models=models_used(
            settings, saw=len(times) > 0 and bool(streamed.settings.get('faces')), heard=streamed.had_sound,
            read=words.was_read, recognized=settings.asr != 'none', foreign=words.was_foreign,
        ),
        still_at=kept.still_at,
    )  # fmt: skip


def _with_seconds(faces: pa.Table, frames: pa.Table) -> pa.Table:
    """The rows with the seconds that each frame stands for, if frames are unevenly spaced; otherwise unchanged.

    Frames with faces take longer, so that more frames are dropped while somebody is visible: the number of frames alone
    says little about duration.
    """
    times = frames['time_s'].to_numpy()
    gaps = np.diff(times)
    if not len(gaps) or gaps.max() <= UNEVEN * np.median(gaps):
        return faces
    seconds = np.minimum(np.append(gaps, gaps[-1]), LONGEST_FRAME_S)
    frame_index = np.clip(np.searchsorted(times, faces['time_s'].to_numpy() - SAME_TIME_S), 0, len(times) - 1)
    return faces.append_column(LASTS, pa.array(seconds[frame_index].astype(np.float32)))


def _stream_notes(streamed: Streamed, kept: Kept, faces: pa.Table, turns: pa.Table, *, has_frames: bool) -> list[str]:
    """Notes on the source, the latency, and streams, faces or speech that are missing."""
    notes = [f'read live from {streamed.name} at {streamed.started.replace("T", " ")}']
    if kept.latency is not None and kept.latency.frames:
        notes.append(kept.latency.sentence)
    if not streamed.settings.get('faces', True):
        notes.append('faces were not read, as requested')
    elif streamed.kind == 'audio':
        notes.append('there is no video, so nothing is said about faces')
    elif has_frames and not faces.num_rows:
        notes.append('no face was found')
    elif len(set(faces['person'].to_pylist())) > 1:
        notes.append(
            'faces were not compared with each other while they were read: a person who leaves the frame and comes '
            'back may count twice'
        )
    if not streamed.settings.get('voice', True):
        notes.append('voices were not read, as requested')
    elif not streamed.had_sound:
        notes.append('there is no audio, so nothing is said about voices')
    elif not turns.num_rows:
        notes.append('no speech was heard')
    return notes


def _label(streamed: Streamed) -> str:
    """The source and the time it was read, which tell it from other streams of the same source."""
    name = streamed.name.rpartition('://')[2].replace('/', ' ')
    return f'{name} {streamed.started[:19].replace("T", " ").replace(":", ".")}'


def _latency_of(frames: pa.Table) -> LatencyReport:
    """The latency report computed from the rows; nan if there are none."""
    delays = frames['latency_s'].to_numpy()
    if not len(delays):
        unknown = float('nan')
        return LatencyReport(unknown, unknown, unknown, 0, 0)
    p50, p95, p99 = (float(value) for value in np.quantile(delays, [0.5, 0.95, 0.99]))
    return LatencyReport(p50, p95, p99, len(delays), int(frames['dropped'][-1].as_py()))


def _settings_of(streamed: Streamed) -> AnalysisSettings:
    """The settings of the analysis; a recogniser's folder need not exist."""
    fields: dict[str, Any] = {
        name: value for name, value in streamed.settings.items() if name in StreamSettings.__dataclass_fields__
    }
    words = fields.pop('words', 'none')
    return AnalysisSettings.from_dict(StreamSettings(**fields).analysis().to_dict() | {'asr': words})


def _digest(folder: Path, streamed: Streamed) -> str:
    """The sha256 of the file; of the rows if the source is no file."""
    path = Path(streamed.path)
    return file_sha256(path) if streamed.path and path.is_file() else journal.digest_of(folder)


def now_text() -> str:
    """Date and time, ISO 8601 to the second, with the offset from UTC."""
    return datetime.datetime.now().astimezone().isoformat(timespec='seconds')
