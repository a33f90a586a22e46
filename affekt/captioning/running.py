"""Captioning of a whole manifest: an estimate from the first clips, then the rest; resumable after a kill.

Each finished clip is written to the journal at once, and each answer of a model is stored before it is used; a kill
costs at most the answers in transit. The same command resumes. The tables are written at the end from the journal
alone: they are identical however often the run was interrupted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from affekt.captioning.captioner import Captioner, CaptionSettings
from affekt.captioning.captions import (
    AUDIO_WINDOW,
    CLIPS,
    FAILED,
    TABLE,
    WINDOW,
    Caption,
    failed_in,
    write_tables,
)
from affekt.captioning.describing_model import DescribingModel
from affekt.captioning.estimate import FIRST, Estimate, Spent, estimate_from, spent_on
from affekt.captioning.journal import CaptionJournal, caption_of
from affekt.captioning.media import SOURCES, media_sizes, source_of
from affekt.captioning.places import Place
from affekt.corpora import Manifest, Sample
from affekt.errors import AffektError, CorpusError, LLMError, UnknownNameError, ValueRangeError
from affekt.judging import Price
from affekt.llm import PROBES, Endpoint, MediaForm, ReplayCache, in_order, require_answering, require_media
from affekt.progress import Progress
from affekt.runs import LOCK, SETTINGS, Run, read_journal, write_atomically
from affekt.tables import csv_bytes

ENGINES = ('threads', 'ray')
"""Names of the execution engines."""
ANSWERS = 'answers'
MOST_IN_A_ROW = 8
"""Number of clips in a row without any answer after which the servers are sent plain words; a server that does not
answer these counts as down."""
DIGESTED = (
    'sample',
    'text',
    'chinese',
    'english',
    'audio',
    'video',
    'frames',
    'recording',
    'start_s',
    'end_s',
    'missing',
)
"""Columns of the manifest on which the questions depend."""


@dataclass(frozen=True)
class Captioned:
    """The outcome of a run."""

    folder: Path
    clips: int
    """Clips of the shard."""
    done: int
    resumed: int
    """Clips finished by an earlier run."""
    statuses: Mapping[str, int]
    failed: Mapping[str, str]
    """Clips without any answer, to the reason; the same command tries them again."""
    is_whole: bool
    """Whether the joint tables of all shards were written."""
    lacking: Mapping[str, int] = field(default_factory=dict)
    """Step and status of absent clues, such as `audio unreadable`, to the number of clips."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Clips with an unreadable file, to the reason."""
    estimate: Estimate | None = None


def caption(
    manifest: Manifest,
    settings: CaptionSettings,
    out: Path,
    *,
    shard: tuple[int, int] = (1, 1),
    at_once: int = 4,
    on: str = 'threads',
    workers: int = 1,
    first: int = FIRST,
    only_estimate: bool = False,
    prices: Mapping[str, Price] | None = None,
    on_estimate: Callable[[Estimate], None] = lambda estimate: None,
    progress: Progress | None = None,
    raw_csv: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Captioned:
    """Caption a manifest's clips into the folder `out`.

    1. Probe the media: a server that drops them ends the run at once.
    2. Caption the first clips, spread evenly over the shard, and estimate the cost of all from them.
    3. Caption the others.
    4. Write the tables, if the clips of all shards are done.

    Args:
        manifest: manifest of the corpus.
        settings: models, and all that captions depend on.
        out: the folder of captions.
        shard: number of the shard and number of shards, (i, n): samples i, i + n, i + 2n … of the manifest.
        at_once: clips in progress at the same time, in each worker.
        on: engine, one of `ENGINES`; `on_ray.py` replaces a worker that dies.
        workers: number of Ray's workers.
        first: number of clips on which the estimate is based.
        only_estimate: stop after the estimate; answers are kept.
        prices: prices of a million tokens by step, for the estimate; None for none.
        on_estimate: called with the estimate before the run continues.
        progress: called with 'caption', clips done, total clips.
        raw_csv: write texts that a spreadsheet would take for formulas as they are, without a leading apostrophe.
        clock: returns seconds, used to time clips.

    Raises:
        ValueRangeError: the shard is outside its number of shards, or `at_once` is below 1.
        CorpusError: the shard is empty.
        LLMError: a model cannot be opened or probed, or none of `MOST_IN_A_ROW` clips in a row got an answer
            nor plain words after them.
        RunError: the folder holds captions with other settings or of other clips, or another process works on it.
    """
    _require_counts(shard, at_once, workers, first, on)
    number, count = shard
    rows = tuple(manifest.samples[number - 1 :: count])
    if not rows:
        raise CorpusError(expected='clips in the shard', came=f'none in {number}/{count}', todo='make fewer shards')
    folder = out / shard_name(shard)
    _require_capable(settings, manifest, rows)
    saved = {**settings.saved(), 'clips': _digest(rows), 'shard': list(shard)}
    with Run(folder, saved, resume=folder.exists(), keeps_facts=False) as run:
        done = _finished_before(run, manifest, rows, prices)
        resumed = len(done)
        try:
            _probe(settings, manifest, rows, folder)
        except AffektError:
            # nothing done yet: other models may be used
            if {entry.name for entry in folder.iterdir()} <= {SETTINGS, PROBES, LOCK}:
                for name in (SETTINGS, PROBES):
                    (folder / name).unlink(missing_ok=True)
            raise
        work = _Work(manifest, settings, run, rows, done, at_once, on, workers, progress, prices, clock)
        work.go(spread_first(len(rows), first))
        estimate = estimate_from(list(done.values()), len(rows), at_once=work.side_by_side) if done else None
        if estimate is not None:
            on_estimate(estimate)
        if not only_estimate:
            work.go(range(len(rows)))
            all_captions = CaptionJournal([folder]).in_order([row.sample for row in rows], work.failed)
            write_tables(folder, all_captions, raw_csv=raw_csv)
            write_atomically(folder / CLIPS, csv_bytes(CLIP_COLUMNS, _clip_rows(manifest, rows)))
    is_whole = not only_estimate and join_shards(out, manifest, count, raw_csv=raw_csv)
    counts = len(rows), len(done), resumed
    return Captioned(out, *counts, **_outcome_counts(done, work.failed), is_whole=is_whole, estimate=estimate)


def _outcome_counts(done: Mapping[str, Spent], failed: Mapping[str, Caption]) -> dict[str, Any]:
    """Counts and reasons of `Captioned`, from the captions of a shard and from clips without any answer."""
    return {
        'statuses': dict(Counter([*(item.status for item in done.values()), *(FAILED for _ in failed)])),
        'failed': {name: item.why[FAILED] for name, item in failed.items()},
        'lacking': dict(Counter(clue for item in done.values() for clue in item.lacking)),
        'unreadable': {name: item.unreadable for name, item in done.items() if item.unreadable},
    }


def _require_counts(shard: tuple[int, int], at_once: int, workers: int, first: int, on: str) -> None:
    """Check the counts and the engine.

    Raises:
        ValueRangeError, UnknownNameError: one is invalid.
    """
    number, count = shard
    if not 1 <= number <= count or at_once < 1 or workers < 1 or first < 2:
        raise ValueRangeError(
            expected='a shard i/n with i from 1 to n, a clip and a worker at least, an estimate from 2 clips or more',
            came=f'{number}/{count}, {at_once} at once, {workers} workers, {first} clips', todo='correct it',
        )  # fmt: skip
    if on not in ENGINES:
        raise UnknownNameError(expected=f'one of {", ".join(ENGINES)}', came=repr(on), todo='name one of these')


def shard_name(shard: tuple[int, int]) -> str:
    """Name of a shard's folder in the folder of captions."""
    return f'shard-{shard[0]}-of-{shard[1]}'


def spread_first(count: int, first: int) -> list[int]:
    """Indices spread evenly over all: one drawn from each of `first` segments, the same ones in every call.

    Equally distant ones would all be alike where a list repeats itself at that distance, as one sorted by speaker and
    sentence does, and no sample of all.

    >>> spread_first(100, 5)
    [4, 34, 54, 65, 92]
    """
    rng, chosen = random.Random(count), min(first, count)
    return [rng.randrange(at * count // chosen, (at + 1) * count // chosen) for at in range(chosen)]


class _Work:
    """The clips of a shard, those done and those that got no answer.

    Only the use of a finished clip stays in memory, about 0.5 KB; the journal has the rest.
    """

    def __init__(
        self, manifest: Manifest, settings: CaptionSettings, run: Run, rows: Sequence[Sample],
        done: dict[str, Spent], at_once: int, on: str, workers: int, progress: Progress | None,
        prices: Mapping[str, Price] | None, clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self.manifest, self.settings, self.run, self.rows, self.done = manifest, settings, run, rows, done
        self.at_once, self.on, self.workers, self.progress = at_once, on, workers, progress
        self.prices, self.clock = prices, clock
        self.side_by_side = at_once * (workers if on == 'ray' else 1)
        """Clips in work at one time."""
        self.failed: dict[str, Caption] = {}
        self._in_a_row = 0
        self._made_here = 0

    def go(self, places: Sequence[int]) -> None:
        """Caption the clips at these places that are not done yet.

        Raises:
            LLMError: a server is down.
        """
        rows = [self.rows[at] for at in places]
        todo = [row for row in rows if row.sample not in self.done and row.sample not in self.failed]
        if not todo:
            return
        with contextlib.closing(self._made(todo)) as made:
            for each in made:
                self._note(each)

    def _made(self, todo: Sequence[Sample]) -> Generator[Caption]:
        if self.on == 'ray':
            from affekt.captioning.on_ray import BATCH, captions_on_ray

            names, batches = {row.sample for row in todo}, dict[int, list[Sample]]()
            for at, row in enumerate(self.rows):
                if row.sample in names:
                    batches.setdefault(at // BATCH, []).append(row)
            yield from captions_on_ray(
                self.manifest, self.settings, batches, self.run.folder, self.workers, self.at_once
            )
            return
        with ReplayCache(self.run.folder / ANSWERS) as cache, contextlib.ExitStack() as servers:
            captioner = Captioner(self.settings, cache, servers, self.clock)
            captioner.prepare(
                [step for step in SOURCES if any(source_of(self.manifest, row, step) is not None for row in todo)]
            )
            yield from in_order(lambda row: captioner.caption(self.manifest, row), todo, self.at_once, 'caption')

    def _note(self, caption: Caption) -> None:
        if caption.status == FAILED:
            self.failed[caption.name] = caption
            self._in_a_row += 1
            if self._in_a_row >= min(MOST_IN_A_ROW, len(self.rows)):
                self._require_answering(caption.why[FAILED])
                self._in_a_row = 0
            return
        self._in_a_row = 0
        self._made_here += 1
        is_steady = self._made_here > self.side_by_side  # the first clips wait for decoders and servers to warm up
        at_once = self.side_by_side if is_steady else 0
        self.run.note(caption.name, '', files=(), caption=caption.to_dict(), at_once=at_once)
        self.done[caption.name] = spent_on(caption, self.prices, at_once)
        if self.progress is not None:
            self.progress('caption', len(self.done), len(self.rows))

    def _require_answering(self, why: str) -> None:
        """Require that every model answers plain words, so that failures are due to single clips.

        Raises:
            LLMError: a model does not answer.
        """
        models = self.settings.models
        places = dict.fromkeys((models.audio, models.visual, models.merge, models.labels or models.merge))
        # servers first: local models would have to be loaded
        for place in sorted(places, key=lambda place: place.is_local):
            if place.is_describer:
                continue
            try:
                with contextlib.ExitStack() as servers:
                    require_answering(place.open(servers))
            except LLMError as error:
                raise LLMError(
                    expected='an answer to one of several clips in a row',
                    came=f'none to {self._in_a_row} clips in a row, nor to plain words; {why}',
                    todo='check that the servers run, then run the same command again: finished clips are kept',
                ) from error  # fmt: skip


def _finished_before(
    run: Run, manifest: Manifest, rows: Sequence[Sample], prices: Mapping[str, Price] | None
) -> dict[str, Spent]:
    """Use and time of clips that the journal has, where their files are unchanged."""
    row_of, done = {row.sample: row for row in rows}, dict[str, Spent]()
    for entry in read_journal(run.folder):
        caption = caption_of(entry)  # None for a foreign line: the clip is done again
        row = row_of.get(entry.key)
        if caption is None or row is None:
            continue
        if dict(caption.media) == media_sizes(manifest, row):
            at_once = entry.facts.get('at_once')
            done[entry.key] = spent_on(caption, prices, at_once if isinstance(at_once, int) else 0)
        else:
            done.pop(entry.key, None)
    return done


def _steps_with_media(
    settings: CaptionSettings, manifest: Manifest, rows: Sequence[Sample]
) -> Iterator[tuple[str, Place]]:
    """The steps that read media of some clip, with the place of their model."""
    for step, place in (('audio', settings.models.audio), ('visual', settings.models.visual)):
        if any(source_of(manifest, row, step) for row in rows):
            yield step, place


def _require_capable(settings: CaptionSettings, manifest: Manifest, rows: Sequence[Sample]) -> None:
    """Check that no language model in this process, which reads text alone, is to receive media.

    Raises:
        LLMError: one is.
    """
    for step, place in _steps_with_media(settings, manifest, rows):
        if place.is_local and not place.is_describer:
            raise LLMError(
                expected=f'a server or a describer for the {step} clue: a language model here would read text alone',
                came=place.where,
                todo=f'give an address or a describer as --{"video" if step == "visual" else step}-model',
            )  # fmt: skip


def _probe(settings: CaptionSettings, manifest: Manifest, rows: Sequence[Sample], folder: Path) -> None:
    """Check that media reach the models; probed once per server and folder.

    Raises:
        LLMError: a medium does not arrive, or a describer does not perceive it.
    """
    for step, place in _steps_with_media(settings, manifest, rows):
        with contextlib.ExitStack() as servers:
            model = place.open(servers)
            if isinstance(model, DescribingModel):
                model.require(step)
                continue
            assert isinstance(model, Endpoint)  # ensured by _require_capable
            require_media(model, media_to_send(manifest, rows, step, place.form), folder)


def media_to_send(manifest: Manifest, rows: Sequence[Sample], step: str, form: MediaForm) -> tuple[str, ...]:
    """Media in the questions of a step, from `affekt.llm.MEDIA`; folders of frames are sent as images to every
    server."""
    if step == 'audio':
        return ('audio',)
    columns = {source[0] for row in rows if (source := source_of(manifest, row, step)) is not None}
    media = {'video' if column == 'video' and form.takes('video') else 'image' for column in columns}
    return tuple(sorted(media))


CLIP_COLUMNS = ('name', 'video', 'audio', 'frames', *WINDOW, *AUDIO_WINDOW)


def _clip_rows(manifest: Manifest, rows: Sequence[Sample]) -> Iterator[list[object]]:
    """Yield the rows of `clips.csv`: name, paths of the media, and segments in seconds."""
    for row in rows:
        paths = [manifest.media(row, column) for column in ('video', 'audio', 'frames')]
        medium = next(
            (name for name, path in zip(('video', 'audio'), paths, strict=False) if path is not None), 'video'
        )
        windows = (manifest.window_s(row, medium), manifest.window_s(row, 'audio') if medium == 'video' else None)
        yield [
            row.sample, *(None if path is None else str(path.absolute()) for path in paths),
            *(end for window in windows for end in window or (None, None)),
        ]  # fmt: skip


def join_shards(out: Path, manifest: Manifest, count: int, *, raw_csv: bool = False) -> bool:
    """Write the tables of all shards together, if all are complete; return whether they are.

    Shards that end at the same time write the same bytes.

    Raises:
        StorageError: the folder cannot be written.
    """
    folders = [out / shard_name((number, count)) for number in range(1, count + 1)]
    if not all((folder / TABLE).is_file() and (folder / CLIPS).is_file() for folder in folders):
        return False
    rows = tuple(manifest.samples)
    journal = CaptionJournal(folders)
    row_of = {row.sample: row for row in rows}
    failed = {
        name: caption
        for folder in folders
        for name, caption in failed_in(folder).items()
        if name not in row_of or not _is_answered(journal, manifest, row_of[name])
    }
    unknown = {row.sample: Caption(row.sample, FAILED) for row in rows if row.sample not in journal}
    captions = journal.in_order([row.sample for row in rows], {**unknown, **failed})
    write_atomically(out / CLIPS, csv_bytes(CLIP_COLUMNS, _clip_rows(manifest, rows)))
    write_tables(out, captions, raw_csv=raw_csv)
    return True


def _is_answered(journal: CaptionJournal, manifest: Manifest, row: Sample) -> bool:
    """Whether a journal has the caption of a clip with its current files; a table with its failure is older then."""
    return row.sample in journal and dict(journal[row.sample].media) == media_sizes(manifest, row)


def _digest(rows: Sequence[Sample]) -> str:
    """Hash of the manifest's cells on which the questions depend."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps([getattr(row, name) for name in DIGESTED]).encode())
    return digest.hexdigest()[:16]


def price_of(prompt: Mapping[str, float], answer: Mapping[str, float], steps: Sequence[str]) -> dict[str, Price]:
    """Prices by step; a price under '' is for every step without its own.

    Raises:
        ValueRangeError: a price is below 0, or its step is unknown.
    """
    for name, price in (*prompt.items(), *answer.items()):
        if (name and name not in steps) or not 0 <= price < math.inf:
            raise ValueRangeError(
                expected=f'prices of 0 or more, of {", ".join(steps)} or of all',
                came=f'{name}={price:g}' if name else f'{price:g}',
                todo='write for example --price-in 0.15 or --price-in audio=0.4',
            )  # fmt: skip
    return {step: Price(prompt.get(step, prompt.get('', 0.0)), answer.get(step, answer.get('', 0.0))) for step in steps}


__all__: list[Any] = ['ENGINES', 'Captioned', 'caption', 'join_shards', 'price_of', 'shard_name', 'spread_first']
