"""Many clips described in words into one run folder: by a describer, by a model on a server, or from measurements.

    for outcome in describe_many(['clips'], Describing(model='run/describer'), out=Path('described')):
        outcome.described.text

Clips are given as media files, folders of them, or manifests. Each answer is stored before it is yielded; a resumed run
asks again only about changed clips and failed ones. A clip that cannot be described has a failure, and the others
continue. The run ends with `descriptions.csv` and `descriptions.jsonl`, which other commands read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from affekt.analysis import (
    AnalysisSettings,
    Described,
    described_by,
    description_room,
)
from affekt.batch.asking import EndpointClips
from affekt.batch.default_describer import has_shipped_describer, is_by_measurements, note_on_shipped
from affekt.batch.describing_settings import BY_DESCRIBER, BY_MEASUREMENTS, Describing
from affekt.batch.folders import gather
from affekt.batch.measured import PlainClips
from affekt.containers import AUDIO
from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import AffektError, MediaError, StorageError, TableError, ValueRangeError, listed
from affekt.files import LOG
from affekt.llm import LEFT_OUT_BY, ClipLimits, Endpoint
from affekt.runs import SETTINGS, Run, write_atomically
from affekt.tables import csv_bytes, storable
from affekt.text import open_transcript
from affekt.typed_json import plain, typed

TABLE, LINES = 'descriptions.csv', 'descriptions.jsonl'
COLUMNS = ('name', 'description', 'labels', 'form', 'failure')


@dataclass(frozen=True)
class DescribedClip:
    """One clip and its description."""

    name: str
    """Path relative to the named folder, or name of the sample."""
    path: str
    """Path of its media; '' if it has none."""
    described: Described
    resumed: bool = False
    """Whether the answer existed before this run."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return {'name': self.name, 'path': self.path, **plain(self.described)}


class ClipsDescriber(Protocol):
    """The interface of a describer of clips."""

    @property
    def name(self) -> str:
        """Name of the describer."""

    @property
    def batch_size(self) -> int:
        """Number of clips answered together."""

    def record(self) -> Mapping[str, Any]:
        """Everything that answers depend on, as JSON values."""

    def digest(self, manifest: Manifest, sample: Sample) -> str:
        """A digest of everything that is read of a clip."""

    def described(self, manifest: Manifest, samples: Sequence[Sample]) -> Iterable[Described]:
        """Yields an answer for each sample, in order; a clip that cannot be described has a failure, no error."""


Advanced = Callable[[DescribedClip, int, int], None]
"""Called with a described clip, the number of clips done, and the total."""


def describe_many(
    paths: Sequence[str | Path],
    settings: Describing | None = None,
    *,
    out: Path | None = None,
    resume: bool = False,
    root: Path | None = None,
    limit: int | None = None,
    describer: ClipsDescriber | None = None,
    advanced: Advanced | None = None,
) -> Iterator[DescribedClip]:
    """Yields the description of each clip, in order.

    Args:
        paths: media files, folders, and manifests (.parquet).
        settings: the describer and its settings.
        out: folder of the run; None to store nothing.
        resume: whether to continue the run in `out`.
        root: current folder of a manifest's media, if they were moved.
        limit: maximum number of clips, from the first; None for all.
        describer: an opened describer to use instead of the settings'; the caller closes it.
        advanced: called after each clip with the number done and the total.

    Raises:
        MediaError: the paths have nothing to describe.
        ValueRangeError: a setting does not apply to the describer, the limit is below 0, or a root is given without a
            manifest.
        TableError: a manifest cannot be read, or two clips have the same name.
        RunError: the folder cannot be used.
        WeightsError, LLMError, MissingExtraError: the describer cannot be opened.
    """
    # 1. Find the clips.
    settings = settings or Describing()
    manifest, problems = clips_of(paths, root)
    if limit is not None and limit < 0:
        raise ValueRangeError(expected='a limit of 0 clips or more', came=str(limit), todo='use None for all')
    samples = list(islice(manifest.samples, limit))
    if settings.transcript:
        samples = _with_transcript(samples, settings.transcript)
    total, done = len(samples) + len(problems), 0
    # 2. Open the describer.
    opened = describer or open_describing(settings)
    run: Run | None = None
    with contextlib.ExitStack() as stack:
        if describer is None:
            stack.callback(getattr(opened, 'close', lambda: None))
        if out is not None:
            run = stack.enter_context(Run(out, dict(opened.record()), resume=resume))
        # 3. Describe a few at a time, in order.
        clips: list[DescribedClip] = []
        failed = [_failed(opened.name, name, path, error) for name, path, error in problems]
        for clip in (*failed, *_answered_clips(opened, manifest, samples, run)):
            done += 1
            clips.append(clip)
            if advanced:
                advanced(clip, done, total)
            yield clip
        # 4. Write the tables.
        if out is not None:
            write_descriptions(out, clips)


def _with_transcript(samples: list[Sample], path: str) -> list[Sample]:
    """The single sample with the transcript from a file.

    Raises:
        ValueRangeError: there are several samples.
        TranscriptError: the file cannot be read.
    """
    if len(samples) != 1:
        raise ValueRangeError(
            expected='one clip for a transcript', came=f'{len(samples)}',
            todo='name one file, or a manifest with a column of texts',
        )  # fmt: skip
    utterances = open_transcript(path).utterances
    return [dataclasses.replace(samples[0], text=' '.join(utterance.text.strip() for utterance in utterances))]


def _answered_clips(
    describer: ClipsDescriber, manifest: Manifest, samples: Iterable[Sample], run: Run | None
) -> Iterator[DescribedClip]:
    """The described clips in order; stored answers are not requested again."""
    batch: list[tuple[Sample, str, DescribedClip | None]] = []
    for sample in samples:
        digest, stored = '', None
        try:
            digest = describer.digest(manifest, sample)
            stored = _stored_clip(run, sample.sample, digest, _path_of(manifest, sample))
        except StorageError:
            raise
        except (AffektError, OSError) as error:
            stored = _failed(describer.name, sample.sample, _path_of(manifest, sample), error)
        batch.append((sample, digest, stored))
        if sum(clip is None for *_, clip in batch) == describer.batch_size:
            yield from _answered_batch(describer, manifest, batch, run)
            batch = []
    yield from _answered_batch(describer, manifest, batch, run)


def _answered_batch(
    describer: ClipsDescriber, manifest: Manifest, batch: Sequence[tuple[Sample, str, DescribedClip | None]],
    run: Run | None,
) -> Iterator[DescribedClip]:  # fmt: skip
    unanswered = [sample for sample, _, stored in batch if stored is None]
    answers = describer.described(manifest, unanswered) if unanswered else []
    described_by_name: dict[str, Described] = {}
    digests = {sample.sample: digest for sample, digest, _ in batch}
    for sample, answer in zip(unanswered, answers, strict=True):  # each is stored before waiting for the next
        described_by_name[sample.sample] = described = _with_sorted_inputs(answer)
        if run is not None and not described.failure:
            run.note(sample.sample, SETTINGS, digest=digests[sample.sample], described=plain(described))
    for sample, _, stored in batch:
        yield stored or DescribedClip(sample.sample, _path_of(manifest, sample), described_by_name[sample.sample])


def _with_sorted_inputs(described: Described) -> Described:
    """The answer with `lacking` sorted as in a journal, so that a resumed run writes the same bytes."""
    return dataclasses.replace(described, lacking=dict(sorted(described.lacking.items())))


def _stored_clip(run: Run | None, name: str, digest: str, path: str) -> DescribedClip | None:
    entry = run.finished(name) if run is not None else None
    if entry is None or entry.facts.get('digest') != digest:
        return None
    try:
        return DescribedClip(name, path, typed(Described, entry.facts['described']), resumed=True)
    except (LookupError, TypeError, ValueError):  # written by another version; requested again
        return None


def _failed(describer: str, name: str, path: str, error: BaseException) -> DescribedClip:
    return DescribedClip(name, path, Described(describer, '', form='empty', failure=storable(str(error))))


def _path_of(manifest: Manifest, sample: Sample) -> str:
    path = next((found for column in ('video', 'audio', 'frames') if (found := manifest.media(sample, column))), None)
    return '' if path is None else storable(str(path))


def write_descriptions(out: Path, clips: Sequence[DescribedClip]) -> None:
    """Writes the tables of a run: names, descriptions and labels for other commands, and everything as JSON."""
    rows = [
        {
            'name': clip.name, 'description': clip.described.text, 'labels': ', '.join(clip.described.labels),
            'form': clip.described.form, 'failure': clip.described.failure,
        }
        for clip in clips
    ]  # fmt: skip
    write_atomically(out / TABLE, csv_bytes(COLUMNS, rows))
    lines = [json.dumps(clip.to_dict(), ensure_ascii=False, allow_nan=False) for clip in clips]
    write_atomically(out / LINES, ''.join(f'{line}\n' for line in lines).encode())


def clips_of(
    paths: Sequence[str | Path], root: Path | None = None
) -> tuple[Manifest, list[tuple[str, str, AffektError]]]:
    """The clips in the paths as samples; and name, path and error of each unreadable entry.

    Raises:
        MediaError: there are no clips.
        TableError: a manifest cannot be read, two clips have the same name, or manifests are mixed with other paths.
        ValueRangeError: a root is given without a manifest.
    """
    tables = [Path(path) for path in paths if str(path).lower().endswith('.parquet')]
    if tables:
        if len(tables) < len(paths) or len(tables) > 1:
            raise TableError(
                expected='one manifest, or media files and folders', came=listed(map(str, paths), 3),
                todo='describe them one after the other',
            )  # fmt: skip
        return Manifest.load(tables[0], root), []
    if root is not None:
        raise ValueRangeError(
            expected='a manifest, whose media --root locates',
            came='files or folders',
            todo='leave --root out',
        )
    gathered = gather(paths)
    for remark in gathered.remarks:
        LOG.warning('%s', remark)
    if gathered.left_out:
        LOG.warning(
            'left out, since affekt reads no such files: %s',
            ', '.join(f'{count} {suffix}' for suffix, count in gathered.left_out.items()),
        )
    problems, rows = list(gathered.problems), []
    for clip in gathered.clips:
        if storable(str(clip.path)) == str(clip.path):
            rows.append(_sample_of(clip.file, clip.path))
        else:
            problems.append((clip, MediaError(
                expected='a path in UTF-8, as samples have', came=storable(str(clip.path)), todo='rename the file'
            )))  # fmt: skip
    failed = [(storable(clip.file), storable(str(clip.path)), error) for clip, error in problems]
    return Manifest(Facts('files'), rows), failed


def _sample_of(name: str, path: Path) -> Sample:
    absolute = str(path.absolute())
    return Sample(name, audio=absolute) if path.name.lower().endswith(AUDIO) else Sample(name, video=absolute)


def open_describing(settings: Describing) -> ClipsDescriber:
    """Opens the describer of the settings; without a model, the shipped one or else sentences from measurements.

    Raises:
        ValueRangeError: a setting does not apply to it.
        WeightsError, LLMError, MissingExtraError: it cannot be opened.
    """
    if settings.endpoint:
        key = os.environ.get('AFFEKT_LLM_KEY') or None
        endpoint = Endpoint(
            settings.endpoint, settings.model, server=settings.server, api_key=key, timeout_s=settings.timeout_s,
            left_out_by=LEFT_OUT_BY,
        )  # fmt: skip
        return EndpointClips(
            endpoint, asr=settings.asr, tokens=settings.tokens or 400, at_once=settings.at_once,
            is_probed=settings.is_probed, table=settings.table,
            limits=ClipLimits(frames=settings.frames, sound=settings.is_sound_sent),
        )  # fmt: skip
    by_name = is_by_measurements(settings.model)
    if by_name or (not settings.model and not has_shipped_describer()):
        settings.require_used(BY_MEASUREMENTS)
        return PlainClips(
            AnalysisSettings(asr=settings.asr, transcript=settings.transcript or None, keep_frames=False),
            note='' if by_name else note_on_shipped(),
        )
    settings.require_used(BY_DESCRIBER)
    return ModelClips.open(settings)


class ModelClips:
    """A trained describer in this process.

    Args:
        clips: an `affekt.description.ClipDescriber`.
    """

    def __init__(self, clips: Any) -> None:
        self._clips = clips
        self.name, self.batch_size = clips.name, clips.batch_size
        self._record: dict[str, Any] = {}

    @classmethod
    def open(cls, settings: Describing) -> ModelClips:
        """Opens the describer of the settings, or the shipped one.

        Raises:
            ValueRangeError: words are given, and it reads none.
            WeightsError, LLMError, MissingExtraError: it cannot be opened.
        """
        room = description_room()
        clips = room.open_clip_describer(
            settings.model or None, trunk=settings.trunk or None, recipes=settings.recipes, question=settings.question,
            asr=settings.asr, batch_size=settings.batch_size, precision=settings.precision, device=settings.device,
            table=settings.table,
        )  # fmt: skip
        if not clips.reader.form.reads_words and (settings.transcript or settings.asr not in (Describing.asr, 'none')):
            raise ValueRangeError(
                expected='no words for a describer that reads none',
                came='a transcript' if settings.transcript else f'recognition by {settings.asr}',
                todo='leave --transcript and --asr out',
            )  # fmt: skip
        sampling: dict[str, Any] = {'temperature': settings.temperature, 'seed': settings.seed}
        clips.limits = dataclasses.replace(clips.limits, **sampling)
        if settings.tokens is not None:
            clips.limits = dataclasses.replace(clips.limits, tokens=settings.tokens)
        return cls(clips)

    def record(self) -> Mapping[str, Any]:
        """Everything a run's answers depend on, except versions, which a run records itself."""
        if not self._record:
            self._record = self._clips.record()
        return {name: value for name, value in self._record.items() if name != 'versions'}

    def digest(self, manifest: Manifest, sample: Sample) -> str:
        """See `ClipReader.digest`."""
        return str(self._clips.digest(manifest, sample))

    def described(self, manifest: Manifest, samples: Sequence[Sample]) -> list[Described]:
        """Descriptions of the samples, read and answered together."""
        sha256 = str(self.record()['weights_sha256'])
        answers = self._clips.describe(manifest, samples)
        return [described_by(self.name, clip, description, sha256) for clip, description in answers]
