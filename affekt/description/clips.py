"""From a media file to a prompt: features by the recipes a describer was trained on, and the transcript.

    reader = ClipReader(describer, clip_form(describer, notes))
    clip = reader.read(manifest, manifest.samples[0])
    asked = reader.asked(clip)

Features come from `affekt.features`, the same code that extracts those for training. What a clip lacks is left out of
its prompt, with the reason: a video without a face, audio without a voice, speech in which no word was recognised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from affekt.arrays import Floats32
from affekt.corpora import Facts, Manifest, Sample
from affekt.description.clues import GIVEN_BY
from affekt.description.model import Asked, Describer
from affekt.description.questions import KINDS, QUESTIONS, WORDS, Block, Kind, kind_of, question_of
from affekt.errors import AffektError, MediaError, ValueRangeError, WeightsError, listed
from affekt.features import Features, Recipe, SampleEncoder, encoder_names, outcomes, recipe_named
from affekt.runs import file_sha256
from affekt.text import characters_read

if TYPE_CHECKING:
    from affekt.media import Recording

Span = tuple[float, float]
Hear = Callable[[Any, Span | None], str]
"""From a media file, by path or opened, and an optional span of it in seconds, to its transcript; '' if nothing was
recognised."""
PERCEIVED: Mapping[str, tuple[str, ...]] = {'audio': ('voice',), 'video': ('face',), 'text': ('words',)}
"""Modality of a recipe to what can be perceived through it, for sources not in `GIVEN_BY`."""
SENTENCES = 'minilm-l6-int8.onnx'
"""The sentence encoder, which reads only the beginning of a long text."""
LONGEST_WORDS = 200_000
"""Maximum characters of a transcript that are used; a prompt holds far fewer."""


@dataclass(frozen=True)
class ClipForm:
    """A describer's input for a clip, and its question.

    Args:
        recipes: source to the recipe of its features; sources that join others have none.
        kind: sources of its prompts, and whether they contain the transcript.
        question: text of the question.
    """

    recipes: Mapping[str, Recipe]
    kind: Kind
    question: str

    @property
    def reads_words(self) -> bool:
        """Whether a transcript is needed, for the prompt or for features."""
        return self.kind.words or any(recipe.modality == 'text' for recipe in self.recipes.values())

    def gives(self) -> dict[str, tuple[str, ...]]:
        """Source to what is perceived through it, as for `describe`."""
        return {name: GIVEN_BY.get(name, PERCEIVED[recipe.modality]) for name, recipe in self.recipes.items()}

    def digest(self) -> str:
        """A digest of the recipes, the order of a prompt, and the question."""
        parts = {name: recipe.hash for name, recipe in sorted(self.recipes.items())}
        return hashlib.sha256(repr((parts, self.kind, self.question)).encode()).hexdigest()


def clip_form(
    describer: Describer,
    notes: Mapping[str, Any],
    *,
    recipes: Mapping[str, str | Recipe] | None = None,
    question: str = '',
    device: str = 'cpu',
) -> ClipForm:
    """The input form that a describer was trained with, from the notes in its folder.

    Args:
        describer: the opened describer.
        notes: notes of its folder: `recipes` (source to name), `kind` (a published name, a list of sources, or a whole
            record) and `question` (a name of `QUESTIONS` or its text), each optional.
        recipes: source to name or recipe; these override the noted ones. `NAME@PATH` is a recipe of an
            encoder with the path of its weights.
        question: a question instead of the noted one.
        device: device of encoder recipes.

    Raises:
        WeightsError: the recipe of a source is not noted, or gives features of another width.
        UnknownNameError: unknown recipe or kind.
    """
    kind = _noted_kind(notes.get('kind'), describer)
    needed = {source for name in kind.sources for source in describer.table[name].joins or (name,)}
    noted_recipes = {name: source.recipe for name, source in describer.table.items() if source.recipe}
    all_recipes: dict[str, str | Recipe] = {**noted_recipes, **dict(notes.get('recipes') or {}), **dict(recipes or {})}
    if unknown := sorted(needed - {*all_recipes}):
        raise WeightsError(
            expected='the recipe of the features of every source', came=f'none for {listed(unknown)}',
            todo='name it with --recipe SOURCE=RECIPE; `affekt features list` has them',
        )  # fmt: skip
    opened_recipes: dict[str, Recipe] = {}
    for name in (source for source in describer.table if source in needed):
        recipe = all_recipes[name]
        if isinstance(recipe, str):
            recipe_name, _, weights = recipe.partition('@')
            recipe = recipe_named(
                recipe_name, model=weights or None, device=device if _is_encoder(recipe_name) else 'cpu'
            )
        if recipe.dimension != describer.table[name].width:
            raise WeightsError(
                expected=f'a recipe of {describer.table[name].width} columns for the source {name}',
                came=f'{recipe.name} of {recipe.dimension}', todo='name the recipe that it was trained with',
            )  # fmt: skip
        opened_recipes[name] = recipe
    question_name = question or str(notes.get('question') or '') or 'description'
    return ClipForm(opened_recipes, kind, question_of(question_name) if _is_plain(question_name) else question_name)


def _is_encoder(name: str) -> bool:
    """Whether a recipe runs an encoder on a chosen device; the others always run on the CPU."""
    names = encoder_names()
    return name in names or f'{name}-utt' in names


def _is_plain(name: str) -> bool:
    """Whether a name is that of a question without values to fill in."""
    return name in QUESTIONS and '{' not in QUESTIONS[name].text


def _noted_kind(noted: Any, describer: Describer) -> Kind:
    """The kind of input noted as a published name, a list of sources, or a record; all sources for None.

    Raises:
        WeightsError: the kind names a source that the describer lacks, or has another form.
    """
    try:
        if noted is None or noted == '':
            kind = kind_of(tuple(describer.table))
        elif isinstance(noted, str):
            kind = KINDS[noted]
        elif isinstance(noted, Mapping):
            blocks = tuple(Block(**block) for block in noted['blocks'])
            kind = Kind(blocks, **{name: bool(noted[name]) for name in ('words', 'opened', 'bare') if name in noted})
        else:
            kind = kind_of(tuple(noted))
        lacking = sorted({*kind.sources} - {*describer.table})
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            expected='a kind of input in the notes of the describer: a published name, a list of sources or a record',
            came=f'{noted!r}',
            todo='note the list of its sources',
        ) from error
    if lacking:
        raise WeightsError(
            expected=f'a kind of input among the sources {listed(describer.table)}', came=listed(lacking),
            todo='get the folder again as it was written',
        )  # fmt: skip
    return kind


@dataclass(frozen=True, eq=False)
class PerceivedClip:
    """The features and transcript of a clip.

    Args:
        name: name of the clip.
        features: source to its (T, D) features, for the sources that the clip has.
        words: the transcript; '' if there is none.
        lacking: source, or `words`, to the reason why it is absent or which part of it is used; `certainty` and
            `question` to remarks on the answer.
    """

    name: str
    features: Mapping[str, Floats32]
    words: str = ''
    lacking: Mapping[str, str] = field(default_factory=dict)


class ClipReader:
    """Reads clips for one describer; encoders are opened on first use and kept.

    Args:
        describer: the describer to be asked.
        form: the input of its prompts, and the question.
        hear: returns the words of a recording if the manifest has none; None for no words.
    """

    def __init__(self, describer: Describer, form: ClipForm, *, hear: Hear | None = None) -> None:
        self.describer, self.form, self._hear = describer, form, hear
        self._encoders: dict[str, SampleEncoder] = {}

    def read(self, manifest: Manifest, sample: Sample, *, words: str | None = None) -> PerceivedClip:
        """The features and transcript of a sample.

        Args:
            manifest: the manifest whose folder has the media.
            sample: a row of the manifest.
            words: the transcript, if known; None for that of the sample, or else speech recognition.

        Raises:
            MediaError: the file cannot be read.
            WeightsError: a recipe's model is not available.
        """
        withheld = set((sample.missing or '').split(','))
        features: dict[str, Floats32] = {}
        lacking: dict[str, str] = {}
        outcome_by_recipe: dict[str, Features | str] = {}
        _require_readable(manifest, sample)
        spoken, reason = '', ''
        if self.form.reads_words:
            spoken, reason = self._words(manifest, sample, words, is_withheld='text' in withheld)
            lacking |= {WORDS: reason} if reason and self.form.kind.words else {}
            sample = replace(sample, text=spoken or None)
        for name, recipe in self.form.recipes.items():
            if recipe.modality in withheld:
                lacking[name] = 'withheld by the manifest'
                continue
            if recipe.modality == 'text' and reason:
                lacking[name] = reason
                continue
            if recipe.hash not in outcome_by_recipe:
                outcome_by_recipe[recipe.hash] = self._features(manifest, sample, recipe)
            outcome = outcome_by_recipe[recipe.hash]
            if isinstance(outcome, str):
                lacking[name] = outcome
            else:
                features[name] = outcome.values
                lacking |= {name: part} if (part := _part_read(recipe, spoken)) else {}
        return PerceivedClip(sample.sample, features, spoken, lacking)

    def asked(self, clip: PerceivedClip) -> Asked:
        """The prompt for a clip.

        Raises:
            ValueRangeError: the clip has nothing that the describer perceives; the message gives the reasons.
        """
        words = clip.words if self.form.kind.words else ''
        if not clip.features and not words.strip():
            reasons = [f'{name} ({reason})' for name, reason in clip.lacking.items()]
            raise ValueRangeError(
                expected='a clip in which somebody is seen, heard or understood',
                came=f'none of {"; ".join(reasons) or "its sources"}', todo='leave it out',
            )  # fmt: skip
        features = {name: torch.tensor(values, dtype=torch.float32) for name, values in clip.features.items()}
        return self.describer.prompt(features, self.form.kind, self.form.question, words=words)

    def digest(self, manifest: Manifest, sample: Sample, words: str | None = None) -> str:
        """A digest of the media, the text, the recipes and the question, computed without the prompt.

        Raises:
            MediaError: a file cannot be read.
        """
        media_digests = [
            (column, _content(path)) for column in MEDIA if (path := manifest.media(sample, column)) is not None
        ]
        text = (words, sample.text, sample.missing, sample.start_s, sample.end_s, getattr(self._hear, 'name', None))
        return hashlib.sha256(repr((self.form.digest(), media_digests, text)).encode()).hexdigest()

    def _features(self, manifest: Manifest, sample: Sample, recipe: Recipe) -> Features | str:
        """The features of a sample, or why there are none."""
        if recipe.hash not in self._encoders:
            self._encoders[recipe.hash] = recipe.open(recipe)
        (outcome,) = outcomes(self._encoders[recipe.hash], manifest, [sample])
        return outcome if isinstance(outcome, Features) else outcome.reason

    def _words(self, manifest: Manifest, sample: Sample, words: str | None, *, is_withheld: bool) -> tuple[str, str]:
        """The transcript, and the reason where it is empty."""
        if is_withheld:
            return '', 'withheld by the manifest'
        transcript = sample.text if words is None else words
        if transcript is not None:
            return transcript.strip()[:LONGEST_WORDS], '' if transcript.strip() else 'an empty transcript'
        column = 'audio' if sample.audio else 'video'
        path = manifest.media(sample, column)
        if self._hear is None or path is None:
            return '', 'no transcript'
        transcript = self._hear(path, manifest.window_s(sample, column)).strip()[:LONGEST_WORDS]
        return transcript, '' if transcript else 'no word was understood'


def _part_read(recipe: Recipe, spoken: str) -> str:
    """A remark if a sentence encoder reads only the beginning of the transcript; '' if it reads all."""
    if recipe.facts.get('model') != SENTENCES or not spoken:
        return ''
    count = characters_read(spoken)
    return f'only the first {count:,} of {len(spoken):,} characters are read' if count < len(spoken) else ''


MEDIA = ('video', 'audio', 'frames')
RATE_HZ = 16_000


def _require_readable(manifest: Manifest, sample: Sample) -> None:
    """Check that the video and audio of a sample exist and can be opened.

    Raises:
        MediaError: a file is missing or cannot be opened.
    """
    from affekt.media import Recording

    for column in ('video', 'audio'):
        path = manifest.media(sample, column)
        if path is not None:
            Recording.open(path)


def _content(path: Path) -> object:
    """The sha256 of a file, or the names and sha256 of the files of a folder."""
    try:
        if path.is_dir():
            return [(file.name, file_sha256(file)) for file in sorted(path.iterdir()) if file.is_file()]
        return file_sha256(path)
    except OSError as error:
        if isinstance(error, AffektError):
            raise MediaError(expected=error.expected, came=error.came, todo=error.todo) from error
        raise MediaError(
            expected='a file that can be read', came=f'{path}: {error.strerror or error}', todo='check its permissions'
        ) from error


class Recognition:
    """Speech recognition: the recognised utterances of a recording, in order.

    Args:
        name: 'tiny.en' (English), 'base' (99 languages), or a folder in CTranslate2's format.
    """

    def __init__(self, name: str = 'tiny.en') -> None:
        self.name = name
        self._models: tuple[Any, Any] | None = None

    def __call__(self, clip: Path | Recording, span: Span | None = None) -> str:
        """The transcript of a file; '' if it has no audio or nothing was recognised.

        Args:
            clip: the media file, by path or opened.
            span: start and end in seconds; None for the whole file.

        Raises:
            MediaError: the file cannot be read.
            WeightsError: the model is not available.
        """
        from affekt.media import Recording
        from affekt.text import Recognizer, judged_together
        from affekt.voice import WhisperEncoder, observe_voice

        recording = clip if isinstance(clip, Recording) else Recording.open(clip)
        if not recording.audio:
            return ''
        if self._models is None:
            self._models = WhisperEncoder(self.name), Recognizer(self.name)
        encoder, recognizer = self._models
        audio = recording if span is None else [_audio_of(recording, span)]
        utterances = observe_voice(audio, encoder=encoder, recognizer=recognizer).utterances
        return ' '.join(utterance.text.strip() for utterance in judged_together(utterances) if not utterance.reason)


class _Block(NamedTuple):
    """A block of audio as `observe_voice` reads it."""

    start_s: float
    samples: Floats32


def _audio_of(recording: Any, span: Span) -> Any:
    """The audio of a span in seconds, as one block that starts at 0 s."""
    pieces: list[Floats32] = []
    for block in recording.samples(RATE_HZ, from_s=span[0]):
        begin = round(block.start_s * RATE_HZ)
        first, last = (max(0, round(time_s * RATE_HZ) - begin) for time_s in span)
        pieces.append(block.samples[first:last])
        if begin + len(block.samples) >= round(span[1] * RATE_HZ):
            break
    return _Block(0.0, np.concatenate(pieces) if pieces else np.zeros(0, np.float32))


def clips_manifest(clips: Sequence[tuple[str, Path]], texts: Mapping[str, str] | None = None) -> Manifest:
    """A manifest of media files, one sample per file.

    Args:
        clips: names and paths.
        texts: name to transcript, if known.

    Raises:
        TableError: a name occurs twice.
    """
    from affekt.containers import AUDIO

    samples = []
    for name, path in clips:
        sample = Sample(name, text=(texts or {}).get(name))
        is_audio = path.name.lower().endswith(AUDIO)
        samples.append(
            replace(sample, audio=str(path.absolute())) if is_audio else replace(sample, video=str(path.absolute()))
        )
    return Manifest(Facts('files', root=''), samples)


def shortened(asked: Asked, clip: PerceivedClip) -> PerceivedClip:
    """The clip, with a remark if its prompt contains only the beginning of the transcript."""
    if not asked.pieces.cut:
        return clip
    total = len(' '.join(clip.words.split()))
    reason = f'only the first {total - asked.pieces.cut:,} of {total:,} characters fit into the prompt'
    return replace(clip, lacking={**clip.lacking, WORDS: reason})
