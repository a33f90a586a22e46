"""Corruption of a manifest's media by stated amounts, in a run folder that can be resumed.

Every sample is written completely and then recorded in the journal; its corruptions are in the column `corruption` of
the new manifest. The same manifest, settings and seed give identical bytes, in any order and after any interruption.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from affekt.corpora import Manifest, Sample
from affekt.corruption.absence import withhold
from affekt.corruption.noises import NAMED, digest_of_folder
from affekt.corruption.samples import Job, with_new_media
from affekt.corruption.settings import Corruption
from affekt.errors import CorpusError, ValueRangeError
from affekt.progress import Progress, with_progress
from affekt.runs import Run
from affekt.workers import as_finished, workers

MANIFEST = 'manifest.parquet'
"""File name of the new manifest."""

SampleResult = dict[str, Any]
"""Result of `Job.write`: column to the path of its new file or None, and 'done' to the corruptions."""


@dataclass(frozen=True)
class Corrupted:
    """Result of a run."""

    path: Path
    """Path of the new manifest."""
    samples: int
    """Number of samples of the manifest."""
    changed: int
    """Number of samples whose media were written."""
    untouched: tuple[str, ...]
    """Samples without any of the media to be changed; they are unchanged in the manifest."""
    failed: Mapping[str, str]
    """Samples that could not be read or mixed, with the reason; they are in the manifest without media."""
    quieter: Mapping[str, float]
    """Samples whose mixture exceeded full scale, to the attenuation of the whole mixture in dB."""
    missing: Mapping[str, int]
    """Modality to the number of samples from which it was withheld."""
    resumed: int
    """Number of samples that an earlier run had finished."""


def corrupt(
    manifest: Manifest,
    corruption: Corruption,
    out: Path,
    *,
    processes: int = 1,
    resume: bool = False,
    progress: Progress | None = None,
) -> Corrupted:
    """Write corrupted copies of a manifest's media, and a new manifest, into a folder.

    1. Modalities are withheld.
    2. Each sample that is not in the journal is read, corrupted and written, see `samples.py`. H.264 frames are copied
       where only the audio changes.
    3. The new manifest refers to the written files, and to the original ones of unchanged samples.

    Args:
        manifest: manifest of the clean clips. A sample's file is processed as a whole.
        corruption: settings of the corruption.
        out: a new folder.
        processes: number of processes that write samples; 1 for this one. The files do not depend on it.
        resume: continue in the folder of an interrupted run.
        progress: called with 'corrupt', samples done and total samples.

    Raises:
        ValueRangeError: a sample would be left without any modality, or there is less than one process.
        UnknownNameError: unknown noise.
        CorpusError: no sample has the media to be changed, or a folder of noise is empty.
        RunError: the folder has other contents, or a run with other settings, or a worker died.
    """
    if processes < 1:
        raise ValueRangeError(expected='at least one process', came=f'{processes}', todo='give another number')
    masked = withhold(manifest, corruption.rules(), corruption.seed) if corruption.missing else manifest
    job = Job.open(manifest, corruption, out)
    _require_media(manifest, corruption)
    settings = {**corruption.settings(), 'manifest': _digest(manifest)}
    if corruption.snr_db and (noise_folder := Path(corruption.noise)).is_dir() and corruption.noise not in NAMED:
        settings['noise_files'] = digest_of_folder(noise_folder)
    with Run(out, settings, resume=resume) as run:
        results = {name: entry.facts for name in masked.names if (entry := run.finished(name)) is not None}
        resumed = len(results)
        is_left = np.array([name not in results for name in masked.names], dtype=np.bool_)
        outcomes = _corrupted_samples(job, masked.samples.take(is_left), processes)
        for row, outcome in with_progress(outcomes, progress, 'corrupt', len(masked), done=resumed):
            media = [outcome[column] for column in ('audio', 'video', 'frames') if outcome.get(column)]
            run.note(row.sample, media[0] if media else '.', files=media, **outcome)
            results[row.sample] = outcome
        relocated = dataclasses.replace(masked.facts, root=str(out.resolve()))
        new_manifest = Manifest(
            relocated, (with_new_media(manifest, row, results[row.sample]) for row in masked.samples)
        )
        new_manifest.save(out / MANIFEST)
    damages = {name: results[name]['done'] for name in masked.names}
    untouched = tuple(name for name, damage in damages.items() if not damage)
    failed = {name: damage['failed'] for name, damage in damages.items() if 'failed' in damage}
    levels = {name: damage.get('level', 1.0) for name, damage in damages.items()}
    quieter = {name: -20.0 * math.log10(level) for name, level in levels.items() if level < 1.0}
    absent = {modality: int((~new_manifest.keep_mask(modality)).sum()) for modality in ('audio', 'video', 'text')}
    changed = sum(any(results[name].get(column) for column in ('audio', 'video', 'frames')) for name in damages)
    return Corrupted(out / MANIFEST, len(new_manifest), changed, untouched, failed, quieter, absent, resumed)


def _corrupted_samples(job: Job, rows: Sequence[Sample], processes: int) -> Iterator[tuple[Sample, SampleResult]]:
    """Yield samples with their results, in the order of completion, by this process or by a pool."""
    if processes == 1 or len(rows) < 2:
        for row in rows:
            yield row, job.write(row)
        return
    job_settings = (job.manifest, job.corruption, job.out)
    todo = 'go on with --resume: finished samples are kept; fewer --processes need less memory'
    with workers(min(processes, len(rows)), _open_in_worker, job_settings, todo=todo) as pool:
        yield from as_finished(pool, _write_in_worker, rows, processes)


_worker: Job | None = None


def _open_in_worker(manifest: Manifest, corruption: Corruption, out: Path) -> None:
    global _worker
    _worker = Job.open(manifest, corruption, out)


def _write_in_worker(row: Sample) -> SampleResult:
    if _worker is None:
        raise RuntimeError('the worker was not opened')
    return _worker.write(row)


def _require_media(manifest: Manifest, corruption: Corruption) -> None:
    """Check that some sample has the media that the corruption changes.

    Raises:
        CorpusError: no sample has them.
    """
    for is_needed, columns in (
        (bool(corruption.snr_db), ('audio', 'video')),
        (corruption.damages_pictures, ('video', 'frames')),
    ):
        if is_needed and not any(manifest.samples.filled(column).any() for column in columns):
            raise CorpusError(
                expected=f'{" or ".join(columns)} in the manifest', came=f'{len(manifest)} samples without',
                todo='see `affekt corpus check`',
            )  # fmt: skip


def _digest(manifest: Manifest) -> str:
    """SHA-256 of the samples and of the paths of their media."""
    digest = hashlib.sha256(b'[')  # hash of the JSON list of all rows, without building the list
    for number, row in enumerate(manifest.samples.cells()):
        digest.update((', ' if number else '').encode() + json.dumps((manifest.facts.root, *row)).encode())
    digest.update(b']')
    return digest.hexdigest()
