"""`affekt bench analyze`: analysis of labelled clips, with scores and files of results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from affekt.analysis import AnalysisSettings
from affekt.errors import TableError
from affekt.experiments import plain_sheet_page, sheet_markdown
from affekt.own_data.labelled import LabelledClips
from affekt.own_data.outcome import AnalysisBenchmark
from affekt.own_data.running import read_clips
from affekt.own_data.scores import scored
from affekt.own_data.sheet import analysis_sheet, conclusions
from affekt.progress import Progress
from affekt.runs import versions, write_atomically
from affekt.tables import csv_bytes
from affekt.typed_json import json_file, plain
from affekt.wording import counted


def bench_analysis(
    labelled: LabelledClips,
    out: Path,
    settings: AnalysisSettings | None = None,
    *,
    vocal_head: Path | None = None,
    processes: int = 1,
    resume: bool = False,
    resamples: int = 2000,
    seed: int = 0,
    progress: Progress | None = None,
) -> AnalysisBenchmark:
    """The scores of affekt on labelled clips, each analyzed once; nothing is chosen or fitted on them.

    Args:
        labelled: clips from `labelled_clips`.
        out: run folder, in which the readings of finished files are stored.
        settings: settings of the analysis; images are never kept.
        vocal_head: folder of a model of the voice to use instead of the packaged one.
        processes: number of concurrent analyses.
        resume: whether to continue the run in `out`.
        resamples: number of resamples for the intervals.
        seed: seed of the intervals.
        progress: called with the number of finished files.

    Raises:
        TableError: no clip's file exists.
        RunError, StorageError: see `read_clips`.
    """
    if all(clip.path is None for clip in labelled.clips):
        raise TableError(
            expected='clips with existing files',
            came=f'none of {counted(len(labelled.clips), "clip")}, such as {labelled.clips[0].name!r}',
            todo='name the folder above their paths with --media',
        )
    own_settings = (settings or AnalysisSettings()).changed({'keep_frames': False})
    clips = read_clips(
        labelled.clips, out, own_settings, vocal_head=vocal_head, processes=processes, resume=resume, progress=progress
    )
    pairs = [
        (clip, reading) for clip, reading in zip(labelled.clips, clips.readings, strict=True) if reading is not None
    ]
    scores = scored(
        [clip for clip, _ in pairs], [reading for _, reading in pairs],
        rng=np.random.default_rng(seed), resamples=resamples,
    )  # fmt: skip
    record = {'analysis': own_settings.recorded(), 'resamples': resamples, 'seed': seed}
    return AnalysisBenchmark(labelled, clips, scores, record)


def benchmark_facts(outcome: AnalysisBenchmark) -> dict[str, Any]:
    """All results of an outcome as JSON values; None where undefined."""
    facts: dict[str, Any] = plain({
        'benchmark': 'analyze',
        'corpus': outcome.labelled.corpus,
        'clips': len(outcome.read),
        'grouped_by': outcome.labelled.grouped_by,
        'groups': outcome.groups,
        'scales': {name: list(ends) for name, ends in outcome.labelled.scales.items()},
        'conclusions': conclusions(outcome),
        'scores': outcome.scores,
        'missing': list(outcome.clips.missing),
        'failed': {name: str(error) for name, error in outcome.clips.failed.items()},
        'unlabelled': outcome.labelled.unlabelled,
        'notes': outcome.notes,
        'settings': dict(outcome.settings),
    })  # fmt: skip
    return facts


def save_analysis_benchmark(outcome: AnalysisBenchmark, folder: Path) -> None:
    """Writes `results.json`, `results.html`, `results.md` and `clips.csv`, a row per clip, into the run folder.

    Raises:
        StorageError: the folder cannot be written.
    """
    sheet = analysis_sheet(outcome)
    counts = {'clips': len(outcome.read), outcome.labelled.grouped_by or 'groups': outcome.groups}
    page = plain_sheet_page('affekt bench analyze', outcome.labelled.corpus, sheet, conclusions(outcome), counts)
    saved = {**benchmark_facts(outcome), 'versions': versions()}
    write_atomically(folder / 'results.json', json_file(saved))
    write_atomically(folder / 'results.html', page.encode())
    sentences = '\n'.join(f'- {sentence}' for sentence in conclusions(outcome))
    title, tables = sheet_markdown(sheet).split('\n', 1)
    write_atomically(folder / 'results.md', f'{title}\n\n{sentences}\n{tables}'.encode())
    heads, rows = _clip_rows(outcome)
    write_atomically(folder / 'clips.csv', csv_bytes(heads, rows))


def _clip_rows(outcome: AnalysisBenchmark) -> tuple[list[str], list[list[object]]]:
    """One row per clip: its label, and the reading of each source."""
    sources = ('fused', 'face', 'voice', 'words')
    measured = ('category', 'certainty', 'valence', 'arousal', 'silent_because')
    heads = ['clip', 'label', 'category', 'valence', 'arousal', 'group']
    heads += [f'{source}_{name}' for source in sources for name in measured]
    rows: list[list[object]] = []
    for clip, reading in outcome.read:
        cells: list[object] = [clip.name, clip.label, clip.category, clip.valence, clip.arousal, clip.group]
        cells += [getattr(reading.sources[source], name) for source in sources for name in measured]
        rows.append([_cell(value) for value in cells])
    return heads, rows


def _cell(value: object) -> object:
    if isinstance(value, float):
        return '' if value != value else round(value, 4)
    return value
