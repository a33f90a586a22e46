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
from dataclasses import dataclass, field
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
from affekt.batch.folders import gather
from affekt.batch.measured import PlainClips
from affekt.containers import AUDIO
from affekt.corpora import Facts, Manifest, Sample
from affekt.errors import AffektError, MediaError, StorageError, TableError, ValueRangeError, listed
from affekt.files import LOG
from affekt.llm import DEFAULT_SERVER, LEFT_OUT_BY, ClipLimits, Endpoint
from affekt.runs import SETTINGS, Run, write_atomically
from affekt.tables import csv_bytes, storable
from affekt.text import open_transcript
from affekt.typed_json import plain, typed

TABLE, LINES = 'descriptions.csv', 'descriptions.jsonl'
COLUMNS = ('name', 'description', 'labels', 'form', 'failure')


BY_DESCRIBER, BY_SERVER, BY_MEASUREMENTS = (
    'a describer in this process', 'a model on a server', 'a description from measurements',
)  # fmt: skip
USED: Mapping[str, tuple[str, ...]] = {
    BY_DESCRIBER: (
        'model', 'trunk', 'recipes', 'question', 'transcript', 'asr', 'tokens', 'batch_size', 'temperature', 'seed',
        'precision', 'device', 'table',
    ),
    BY_SERVER: (
        'endpoint', 'model', 'server', 'transcript', 'asr', 'tokens', 'at_once', 'timeout_s', 'is_probed', 'table',
        'frames', 'is_sound_sent',
    ),
    BY_MEASUREMENTS: ('transcript', 'asr'),
}  # fmt: skip
"""Kind of describer to the settings that change its answers."""
_OPTIONS = {
    'recipes': '--recipe',
    'batch_size': '--batch-size',
    'at_once': '--at-once',
    'timeout_s': '--timeout',
    'is_probed': '--no-probe',
    'is_sound_sent': '--no-sound',
    **{
        name: f'--{name}'
        for name in (
            'model',
            'trunk',
            'question',
            'transcript',
            'asr',
            'tokens',
            'precision',
            'device',
            'endpoint',
            'server',
            'frames',
        )
    },
}
"""Settings to their options on the command line; the others exist only in `Describing`."""


@dataclass(frozen=True)
class Describing:
    """The describer and its settings.

    Args:
        model: folder or checkpoint of a describer, `small` for the one that comes with affekt, or `plain` for
            sentences from measurements; '' for the small one if it reaches its targets and everything it needs is
            installed, otherwise for measurements.
        trunk: its language model, if its folder does not name it or it was moved.
        recipes: source to recipe of features, if its folder does not say.
        question: question instead of the one it was trained with: a name in `QUESTIONS`, or a text.
        transcript: transcript file of a single clip (SRT, VTT, TextGrid, ELAN or plain text).
        asr: speech recognition if no transcript is known: tiny.en, base, none, or a folder.
        tokens: maximum tokens of an answer; None for the limit of training.
        batch_size: clips answered together; does not change answers.
        temperature: 0 for the most probable token each time.
        seed: seed of sampling with a temperature.
        precision: type of the weights; '' for the device's default.
        device: device of the describer.
        table: name of the word table that defines the labels.
        endpoint: address of a server whose model is used instead; `model` is then its name on the server.
        server: name of the server software, one of `affekt.llm.SERVERS`, which determines the form of media.
        at_once: number of concurrent requests.
        timeout_s: seconds to wait for an answer.
        is_probed: check first whether the media of the clips reach the model.
        frames: maximum number of frames sent of a clip; 0 for none, and no video.
        is_sound_sent: whether audio is sent.
    """

    model: str = ''
    trunk: str = ''
    recipes: Mapping[str, str] = field(default_factory=dict)
    question: str = ''
    transcript: str = ''
    asr: str = 'tiny.en'
    tokens: int | None = None
    batch_size: int = 8
    temperature: float = 0.0
    seed: int = 0
    precision: str = ''
    device: str = 'cpu'
    table: str = 'affekt'
    endpoint: str = ''
    server: str = DEFAULT_SERVER
    at_once: int = 4
    timeout_s: float = 120.0
    is_probed: bool = True
    frames: int = 8
    is_sound_sent: bool = True

    def __post_init__(self) -> None:
        if self.batch_size < 1 or (self.tokens is not None and self.tokens < 1):
            raise ValueRangeError(
                expected='a batch and an answer of 1 or more', came=f'{self.batch_size}, {self.tokens}',
                todo='use for example 8 and 128',
            )  # fmt: skip
        if self.endpoint and not self.model:
            raise ValueRangeError(
                expected='a server and the name of its model', came='no model', todo='name it with --model'
            )
        if self.endpoint:
            self.require_used(BY_SERVER)
        elif is_by_measurements(self.model):
            self.require_used(BY_MEASUREMENTS)
        elif self.model:
            self.require_used(BY_DESCRIBER)
        if self.seed and not self.temperature:
            raise ValueRangeError(
                expected='a temperature beside a seed: without one nothing is drawn',
                came=f'a seed of {self.seed} alone',
                todo='give a temperature, or leave the seed out',
            )  # fmt: skip

    def require_used(self, by: str) -> None:
        """Check that every chosen setting changes the answers.

        Args:
            by: kind of describer, a key of `USED`.

        Raises:
            ValueRangeError: a setting belongs to another kind of describer.
        """
        chosen = [each.name for each in dataclasses.fields(self) if getattr(self, each.name) != _default_of(each)]
        used = (*(['model'] if by == BY_MEASUREMENTS and self.model else []), *USED[by])
        if unused := [name for name in chosen if name not in used]:
            their = 'it' if len(unused) == 1 else 'them'
            another = f', or name a describer that uses {their} with --model, or a server with --endpoint'
            raise ValueRangeError(
                expected=f'options that {by} uses ({", ".join(_OPTIONS[name] for name in used if name in _OPTIONS)})',
                came=', '.join(_OPTIONS.get(name, name) for name in unused),
                todo=f'leave {their} out{another if by == BY_MEASUREMENTS else ""}',
            )  # fmt: skip


def _default_of(setting: dataclasses.Field[Any]) -> Any:
    return setting.default if setting.default_factory is dataclasses.MISSING else setting.default_factory()


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
    """Interface of what describes clips."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def batch_size(self) -> int:
        """Number of clips answered together."""

    def record(self) -> Mapping[str, Any]:
        """Everything that answers depend on, as JSON values."""

    def digest(self, manifest: Manifest, sample: Sample) -> str:
        """A digest of what is read of a clip."""

    def described(self, manifest: Manifest, samples: Sequence[Sample]) -> Iterable[Described]:
        """Yield an answer to each, in order; a clip that cannot be described has a failure instead of an error."""


Advanced = Callable[[DescribedClip, int, int], None]


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
    """Yield the description of each clip, in order.

    Args:
        paths: media files, folders, and manifests (.parquet).
        settings: the describer and its settings.
        out: folder of the run; None to store nothing.
        resume: continue in it.
        root: current folder of the manifests' media, if they were moved.
        limit: maximum number of clips, from the first; None for all.
        describer: describer instead of the settings' one; the caller closes it.
        advanced: called after each clip with the number done and the total.

    Raises:
        MediaError: the paths have nothing to describe.
        ValueRangeError: a setting does not apply to the describer, or a root is given without a manifest.
        TableError: a manifest cannot be read, or two clips have the same name.
        RunError: the folder cannot be used.
        WeightsError, LLMError, MissingExtraError: the describer cannot be opened.
    """
    # 1. Find the clips.
    settings = settings or Describing()
    manifest, problems = clips_of(paths, root)
    samples = list(islice(manifest.samples, limit))
    if settings.transcript:
        samples = _with_transcript(samples, settings.transcript)
    total, done = len(samples) + len(problems), 0
    # 2. Open the describer.
    answering = describer or open_describing(settings)
    run: Run | None = None
    with contextlib.ExitStack() as stack:
        if describer is None:
            stack.callback(getattr(answering, 'close', lambda: None))
        if out is not None:
            run = stack.enter_context(Run(out, dict(answering.record()), resume=resume))
        # 3. Describe a few at a time, in order.
        clips: list[DescribedClip] = []
        every = [_failed(answering.name, name, path, error) for name, path, error in problems]
        for clip in (*every, *_answered(answering, manifest, samples, run)):
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
    return [dataclasses.replace(samples[0], text=' '.join(each.text.strip() for each in utterances))]


def _answered(
    answering: ClipsDescriber, manifest: Manifest, samples: Iterable[Sample], run: Run | None
) -> Iterator[DescribedClip]:
    """Answers in order; those that lie there already are not asked for."""
    waiting: list[tuple[Sample, str, DescribedClip | None]] = []
    for sample in samples:
        digest, known = '', None
        try:
            digest = answering.digest(manifest, sample)
            known = _remembered(run, sample.sample, digest, _path_of(manifest, sample))
        except StorageError:
            raise
        except (AffektError, OSError) as error:
            known = _failed(answering.name, sample.sample, _path_of(manifest, sample), error)
        waiting.append((sample, digest, known))
        if sum(clip is None for *_, clip in waiting) == answering.batch_size:
            yield from _together(answering, manifest, waiting, run)
            waiting = []
    yield from _together(answering, manifest, waiting, run)


def _together(
    answering: ClipsDescriber, manifest: Manifest, waiting: Sequence[tuple[Sample, str, DescribedClip | None]],
    run: Run | None,
) -> Iterator[DescribedClip]:  # fmt: skip
    asking = [sample for sample, _, known in waiting if known is None]
    answers = answering.described(manifest, asking) if asking else []
    made: dict[str, Described] = {}
    digests = {sample.sample: digest for sample, digest, _ in waiting}
    for sample, answer in zip(asking, answers, strict=True):  # each is stored before waiting for the next
        made[sample.sample] = described = _in_order(answer)
        if run is not None and not described.failure:
            run.note(sample.sample, SETTINGS, digest=digests[sample.sample], described=plain(described))
    for sample, _, known in waiting:
        yield known or DescribedClip(sample.sample, _path_of(manifest, sample), made[sample.sample])


def _in_order(described: Described) -> Described:
    """With what is lacking in the order of a journal, so that a resumed run writes the same bytes."""
    return dataclasses.replace(described, lacking=dict(sorted(described.lacking.items())))


def _remembered(run: Run | None, name: str, digest: str, path: str) -> DescribedClip | None:
    entry = run.finished(name) if run is not None else None
    if entry is None or entry.facts.get('digest') != digest:
        return None
    try:
        return DescribedClip(name, path, typed(Described, entry.facts['described']), resumed=True)
    except (LookupError, TypeError, ValueError):  # written by another version: asked again
        return None


def _failed(describer: str, name: str, path: str, error: BaseException) -> DescribedClip:
    return DescribedClip(name, path, Described(describer, '', form='empty', failure=storable(str(error))))


def _path_of(manifest: Manifest, sample: Sample) -> str:
    path = next((at for column in ('video', 'audio', 'frames') if (at := manifest.media(sample, column))), None)
    return '' if path is None else storable(str(path))


def write_descriptions(out: Path, clips: Sequence[DescribedClip]) -> None:
    """Write the tables of a run: names, descriptions and labels for other commands, and everything as JSON."""
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
    """The clips in the paths as samples, and unreadable entries.

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
            expected='a manifest, for a folder that its media are in now',
            came='files or folders',
            todo='leave --root out',
        )
    gathered = gather(paths)
    for remark in gathered.remarks:
        LOG.warning('%s', remark)
    if gathered.left_out:
        LOG.warning('left out, as no media: %s', ', '.join(f'{n} {ending}' for ending, n in gathered.left_out.items()))
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
    place = str(path.absolute())
    return Sample(name, audio=place) if path.name.lower().endswith(AUDIO) else Sample(name, video=place)


def open_describing(settings: Describing) -> ClipsDescriber:
    """Open the describer of the settings; by default sentences from measurements if no model comes with affekt.

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
        """Open the describer of the settings, or the shipped one.

        Raises:
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
        chosen: dict[str, Any] = {'temperature': settings.temperature, 'seed': settings.seed}
        clips.limits = dataclasses.replace(clips.limits, **chosen)
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
