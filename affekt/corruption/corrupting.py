"""A manifest's media made worse by stated amounts, in a run folder that goes on after a kill.

Every sample is written whole and then noted in the journal; what was done to it stands in the new manifest's column
`corruption`. The same manifest, settings and seed give the same bytes, in whatever order and after whatever kills.
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
from affekt.corruption.samples import Job, renamed
from affekt.corruption.settings import Corruption
from affekt.errors import CorpusError, ValueRangeError
from affekt.progress import Progress
from affekt.runs import Run
from affekt.workers import as_finished, workers

MANIFEST = 'manifest.parquet'

Written = dict[str, Any]


@dataclass(frozen=True)
class Corrupted:
    """What a run left."""

    path: Path
    """The new manifest."""
    samples: int
    changed: int
    """Samples whose media were written."""
    untouched: tuple[str, ...]
    """Samples that have nothing of what was to be changed; they stand in the manifest as they were."""
    failed: Mapping[str, str]
    """Samples that could not be read or mixed, and why; they stand in the manifest without media."""
    quieter: Mapping[str, float]
    """Samples whose sum with the noise exceeded full scale, and by how much (dB) the whole was made quieter."""
    missing: Mapping[str, int]
    """Modality to the number of samples that do without."""
    resumed: int
    """Samples that an earlier run had finished."""


def corrupt(
    manifest: Manifest,
    corruption: Corruption,
    out: Path,
    *,
    processes: int = 1,
    resume: bool = False,
    progress: Progress | None = None,
) -> Corrupted:
    """Corrupted copies of a manifest's media in `out`, with a new manifest.

    1. Modalities are withheld.
    2. Each sample that the journal does not hold is read, damaged and written, see `samples.py`. H.264 pictures are
       copied where only sound changes.
    3. The new manifest names what was written; what was left alone it names where it was.

    Args:
        manifest: of the clean clips. A sample's file is taken whole.
        corruption: what to do.
        out: a new folder.
        processes: that write samples; 1 is this one. The files are the same for any number.
        resume: go on in a folder that a killed run left.
        progress: told 'corrupt', samples done, samples in all.

    Raises:
        ValueRangeError: a sample would be left without any modality, or fewer than one process.
        UnknownNameError: no such noise.
        CorpusError: no sample has what is to be changed, or a folder of noise is empty.
        RunError: the folder holds something else, or a run with other settings, or a worker died.
    """
    if processes < 1:
        raise ValueRangeError(expected='at least one process', came=f'{processes}', todo='give another number')
    masked = withhold(manifest, corruption.rules(), corruption.seed) if corruption.missing else manifest
    job = Job.open(manifest, corruption, out)
    _require_media(manifest, corruption)
    settings = {**corruption.settings(), 'manifest': _digest(manifest)}
    if corruption.snr_db and (folder := Path(corruption.noise)).is_dir() and corruption.noise not in NAMED:
        settings['noise_files'] = digest_of_folder(folder)
    with Run(out, settings, resume=resume) as run:
        written = {name: entry.facts for name in masked.names if (entry := run.finished(name)) is not None}
        resumed = len(written)
        left = np.array([name not in written for name in masked.names], dtype=np.bool_)
        for row, outcome in _each(job, masked.samples.take(left), processes):
            media = [outcome[column] for column in ('audio', 'video', 'frames') if outcome.get(column)]
            run.note(row.sample, media[0] if media else '.', files=media, **outcome)
            written[row.sample] = outcome
            if progress is not None:
                progress('corrupt', len(written), len(masked))
        relocated = dataclasses.replace(masked.facts, root=str(out.resolve()))
        made = Manifest(relocated, (renamed(manifest, row, written[row.sample]) for row in masked.samples))
        made.save(out / MANIFEST)
    done = {name: written[name]['done'] for name in masked.names}
    untouched = tuple(name for name, damage in done.items() if not damage)
    failed = {name: damage['failed'] for name, damage in done.items() if 'failed' in damage}
    levels = {name: damage.get('level', 1.0) for name, damage in done.items()}
    quieter = {name: -20.0 * math.log10(level) for name, level in levels.items() if level < 1.0}
    absent = {m: int((~made.keep_mask(m)).sum()) for m in ('audio', 'video', 'text')}
    changed = sum(any(written[name].get(column) for column in ('audio', 'video', 'frames')) for name in done)
    return Corrupted(out / MANIFEST, len(made), changed, untouched, failed, quieter, absent, resumed)


def _each(job: Job, rows: Sequence[Sample], processes: int) -> Iterator[tuple[Sample, Written]]:
    """Samples as they are written, here or by a pool of processes."""
    if processes == 1 or len(rows) < 2:
        for row in rows:
            yield row, job.write(row)
        return
    given = (job.manifest, job.corruption, job.out)
    todo = 'go on with --resume: finished samples are kept; fewer --processes need less memory'
    with workers(min(processes, len(rows)), _open_in_worker, given, todo=todo) as pool:
        yield from as_finished(pool, _write_in_worker, rows, processes)


_worker: Job | None = None


def _open_in_worker(manifest: Manifest, corruption: Corruption, out: Path) -> None:
    global _worker
    _worker = Job.open(manifest, corruption, out)


def _write_in_worker(row: Sample) -> Written:
    if _worker is None:
        raise RuntimeError('the worker was not opened')
    return _worker.write(row)


def _require_media(manifest: Manifest, corruption: Corruption) -> None:
    for is_asked, kinds in (
        (bool(corruption.snr_db), ('audio', 'video')),
        (corruption.damages_pictures, ('video', 'frames')),
    ):
        if is_asked and not any(manifest.samples.filled(column).any() for column in kinds):
            raise CorpusError(
                expected=f'{" or ".join(kinds)} in the manifest', came=f'{len(manifest)} samples without',
                todo='see `affekt corpus check`',
            )  # fmt: skip


def _digest(manifest: Manifest) -> str:
    """Of the samples and where their media are."""
    digest = hashlib.sha256(b'[')  # of the JSON of all rows as one list, which need not be there as a whole
    for number, row in enumerate(manifest.samples.cells()):
        digest.update((', ' if number else '').encode() + json.dumps((manifest.facts.root, *row)).encode())
    digest.update(b']')
    return digest.hexdigest()
