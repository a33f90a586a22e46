"""Opening a describer of clips by name: a training folder, a published checkpoint, or the shipped model.

clips = open_clip_describer(Path('run/describer'))
for perceived, description in clips.describe(manifest, manifest.samples):
    description.answer.text
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from affekt.corpora import Manifest, Sample
from affekt.description.answering import Limits
from affekt.description.answers import Answer, read_answer
from affekt.description.clips import ClipReader, PerceivedClip, Recognition, clip_form, shortened
from affekt.description.clues import GIVEN_BY, clues_in
from affekt.description.describing import Description, describe, reproduction_record
from affekt.description.grounded import grounded, measured, noted_terciles
from affekt.description.model import Asked, Describer
from affekt.description.published import inspect_official, load_official
from affekt.description.questions import KINDS, WORDS
from affekt.description.saved import SETTINGS, SHIPPED, described_place, open_describer, saved_notes
from affekt.description.trunk import open_trunk
from affekt.description.wordings import Terciles
from affekt.errors import MediaError, ShapeError, ValueRangeError, WeightsError
from affekt.features import Recipe
from affekt.weights import SMALL_DESCRIBER

REACHES = 'reaches_targets'
"""The note of the shipped describer on whether it reliably reaches its targets; if not, it is not the default."""
DIGITS = 3
"""Decimal places of a certainty: the sixth depends on which clips share a batch."""
PUBLISHED_RECIPES = {
    'voice': 'chinese-hubert-large-frm',
    'face': 'clip-vit-large-patch14-frm',
    'frame': 'clip-vit-large-patch14-frm',
}
"""Source of a published describer to the recipe that is closest to its features."""


def shipped_describer() -> Path | None:
    """The folder of the small describer that comes with affekt; None if there is none that reaches its targets."""
    if not (SHIPPED / SETTINGS).is_file():
        return None
    notes = saved_notes(SHIPPED).get('notes') or {}
    return SHIPPED if notes.get(REACHES) else None


@dataclass(frozen=True)
class LikelyLabels:
    """The labels that an answer probably contains, instead of those of the single most probable answer.

    The share of answers that name a label k is at least

        s(k) = p(k) + sum over the most probable first labels j of p(j) p(k | j)

    with p(k) the share of answers that begin with k, and p(k | j) the share that continue with it after j. Labels with
    a share of at least `least` are named, or else the one with the largest; the most probable first label comes first.
    A greedy answer names a second label only if it is likelier than the end, given a first one taken for certain.

    Args:
        words: all labels that an answer may name; they differ in their first token.
        least: sources of a prompt, joined by +, to the minimum share of a named label; other prompts are answered
            token by token.
        width: number of most probable first labels for which the second is examined.
    """

    words: tuple[str, ...]
    least: Mapping[str, float]
    width: int = 1

    def covers(self, asked: Asked) -> bool:
        """Whether a prompt is answered by shares of labels."""
        return '+'.join(asked.pieces.sources) in self.least

    def of(self, describer: Describer, asked: Sequence[Asked]) -> list[tuple[str, ...]]:
        """The labels of each prompt that is covered.

        Args:
            describer: the describer to be asked.
            asked: N prompts, few enough for one batch.
        """
        if not asked:
            return []
        first, named = self.shares(describer, asked)
        least = [self.least['+'.join(prompt.pieces.sources)] for prompt in asked]
        return [self.chosen(*row) for row in zip(first, named, least, strict=True)]

    def chosen(self, first: Tensor, named: Tensor, least: float) -> tuple[str, ...]:
        """The labels of a clip with these (K,) shares, the most probable first label first."""
        indices = torch.nonzero(named >= least).flatten().tolist() or [int(named.argmax())]
        return tuple(self.words[index] for index in sorted(indices, key=lambda index: -float(first[index])))

    def shares(self, describer: Describer, asked: Sequence[Asked]) -> tuple[Tensor, Tensor]:
        """(N, K) shares of answers that begin with each word, and of those that name it first or second."""
        beginnings = [f' {word}' for word in self.words]
        first = describer.beginning_logits(asked, beginnings).double().softmax(dim=1)
        named, likeliest = first.clone(), first.topk(min(self.width, len(self.words)), dim=1).indices  # (N, W)
        for previous in likeliest.T:
            continued = [f' {self.words[index]},' for index in previous.tolist()]
            logits = describer.beginning_logits(asked, [*beginnings, ''], continued).double()
            logits.scatter_(1, previous.unsqueeze(1), -torch.inf)  # a label does not follow itself
            # (N, 1) times (N, K): p(j) p(k given j)
            named += first.gather(1, previous.unsqueeze(1)) * logits.softmax(dim=1)[:, :-1]
        return first, named


@dataclass(frozen=True)
class Certainty:
    """Calibrated confidence in the first label of an answer: a softmax over words, at a fitted temperature.

    Args:
        words: all labels that an answer may begin with; they differ in their first token.
        temperatures: source to the temperature of prompts in which it comes first; other prompts are not calibrated.
        limits: source to the distance from the training clips (`SourceReader.distance`) beyond which a clip is
            unlike them and has no calibrated confidence.
    """

    words: tuple[str, ...]
    temperatures: Mapping[str, float]
    limits: Mapping[str, float] = field(default_factory=dict)

    def of(self, describer: Describer, asked: Sequence[Asked], labels: Sequence[Sequence[str]]) -> list[float | None]:
        """For each answer, the probability of its first label; None if its prompt has no fitted temperature.

        Args:
            describer: the describer that answered.
            asked: N prompts.
            labels: labels of the N answers.
        """
        certainties: list[float | None] = [None] * len(asked)
        first = [next(iter(prompt.pieces.sources), '') for prompt in asked]
        calibrated = [
            index
            for index, answer_labels in enumerate(labels)
            if answer_labels and answer_labels[0] in self.words and not self.why_unknown(describer, asked[index])
        ]
        if calibrated:
            logits = describer.beginning_logits(
                [asked[index] for index in calibrated], [f' {word}' for word in self.words]
            )
            for index, row in zip(calibrated, logits.double(), strict=True):
                shares = (row / self.temperatures[first[index]]).softmax(dim=0)
                certainties[index] = round(float(shares[self.words.index(labels[index][0])]), DIGITS)
        return certainties

    def why_unknown(self, describer: Describer, asked: Asked) -> str:
        """Why the first label has no calibrated confidence; '' if it has one."""
        sources = asked.pieces.sources
        first = next(iter(sources), '')
        if first not in self.temperatures:
            return f'not calibrated for labels of the {_perceived(first or WORDS)}'
        for name, limit in self.limits.items():
            # nan counts as unlike
            if name in sources and not describer.reader(name).distance(asked.features[name]) <= limit:
                return f'the {_perceived(name)} is unlike those of the training clips'
        return ''


def _perceived(source: str) -> str:
    """Name for users of what is perceived through a source: `voice` for acoustic readings too."""
    return GIVEN_BY.get(source, (source,))[0]


class ClipDescriber:
    """A describer whose input is media clips.

    Args:
        describer: the opened describer.
        reader: reads clips for the describer.
        limits: limits of answers.
        name: name of the describer, for people and records.
        batch_size: clips answered together; does not change answers.
        table: name of the word table that defines the labels.
        terciles: terciles of training clips, for a describer that only names labels: measured readings are then stated
            (`grounded`); None if it writes sentences of its own.
        certainty: confidence in the first label; None if not calibrated.
        likely_labels: labels by their shares, for prompts that it covers; None if all are answered token by token.
        remark: remark on the question, for every clip; '' for none.
    """

    def __init__(
        self, describer: Describer, reader: ClipReader, limits: Limits, *, name: str, batch_size: int = 8,
        table: str = 'affekt', terciles: Terciles | None = None, certainty: Certainty | None = None,
        likely_labels: LikelyLabels | None = None, remark: str = '',
    ) -> None:  # fmt: skip
        self.describer, self.reader, self.limits = describer, reader, limits
        self.name, self.batch_size, self._table = name, batch_size, table
        self._terciles, self._certainty, self._likely_labels = terciles, certainty, likely_labels
        self._remark = remark

    def record(self) -> dict[str, Any]:
        """Everything that answers depend on, as JSON values; see `reproduction_record`."""
        record = reproduction_record(self.describer, self.limits, table=self._table)
        recipes = {name: recipe.hash for name, recipe in self.reader.form.recipes.items()}
        parts = {'likely_labels': self._likely_labels, 'certainty': self._certainty, 'terciles': self._terciles}
        fitted = {name: asdict(part) for name, part in parts.items() if part is not None}
        return {**record, 'recipes': recipes, 'question': self.reader.form.question, **fitted}

    def digest(self, manifest: Manifest, sample: Sample, words: str | None = None) -> str:
        """A digest of what is read of a clip; see `ClipReader.digest`."""
        return self.reader.digest(manifest, sample, words)

    def describe(
        self, manifest: Manifest, samples: Iterable[Sample], words: Mapping[str, str] | None = None
    ) -> list[tuple[PerceivedClip, Description]]:
        """The perceived clip and its description for each sample, in order.

        A clip that cannot be read or answered is returned with its failure; other clips are not affected.

        Args:
            manifest: the manifest of the samples.
            samples: rows of the manifest, few enough for their features to fit in memory.
            words: name to transcript, for samples that have none.
        """
        clips: list[PerceivedClip] = []
        asked: list[tuple[str, Asked]] = []
        failures: dict[str, str] = {}
        for sample in samples:
            clip = PerceivedClip(sample.sample, {})
            try:
                clip = self.reader.read(manifest, sample, words=(words or {}).get(sample.sample))
                prompt = self.reader.asked(clip)
            except (MediaError, ShapeError, ValueRangeError) as error:
                failures[sample.sample] = str(error)
            else:
                clip = self._with_remarks(prompt, shortened(prompt, clip))
                asked.append((sample.sample, prompt))
            clips.append(clip)
        described = {description.name: description for description in self._answers(asked)}
        return [
            (
                clip,
                self._with_clues(clip, described[clip.name])
                if clip.name in described
                else Description(clip.name, read_answer(''), '', '', failures[clip.name]),
            )
            for clip in clips
        ]

    def _answers(self, asked: Sequence[tuple[str, Asked]]) -> list[Description]:
        """The answer to each prompt, with its certainty."""
        likely_labels = self._likely_labels
        is_covered = [likely_labels is not None and likely_labels.covers(prompt) for _, prompt in asked]
        covered, others = (
            [clip for clip, covers in zip(asked, is_covered, strict=True) if covers is wanted_side]
            for wanted_side in (True, False)
        )
        descriptions = list(
            describe(
                others, self.describer, self.limits, batch_size=self.batch_size, table=self._table,
                gives=self.reader.form.gives(),
            )
        )  # fmt: skip
        for begin in range(0, len(covered), self.batch_size):
            descriptions += self._listed(covered[begin : begin + self.batch_size])
        return list(self._with_certainty([prompt for _, prompt in (*others, *covered)], descriptions))

    def _listed(self, asked: Sequence[tuple[str, Asked]]) -> list[Description]:
        """The likely labels of each prompt, or why there are none; after an error, each prompt is tried alone."""
        assert self._likely_labels is not None
        try:
            labels = self._likely_labels.of(self.describer, [prompt for _, prompt in asked])
        except (ShapeError, ValueRangeError) as error:
            if len(asked) == 1:
                return [Description(asked[0][0], read_answer(''), '', '', str(error))]
            return [description for clip in asked for description in self._listed([clip])]
        texts = [f'{", ".join(clip_labels)},' for clip_labels in labels]
        return [
            Description(name, Answer(clip, text, 'list'), text, 'end')
            for (name, _), clip, text in zip(asked, labels, texts, strict=True)
        ]

    def _with_remarks(self, asked: Asked, clip: PerceivedClip) -> PerceivedClip:
        """The clip with remarks on its answer: why it has no certainty, and that its question was not trained."""
        reason = self._certainty.why_unknown(self.describer, asked) if self._certainty is not None else ''
        remarks = {'certainty': reason} if reason else {}
        remarks |= {'question': self._remark} if self._remark else {}
        return replace(clip, lacking={**clip.lacking, **remarks})

    def _with_certainty(self, asked: Sequence[Asked], descriptions: Sequence[Description]) -> Sequence[Description]:
        """Answers with the certainty of their first labels; None where that is not calibrated."""
        if self._certainty is None:
            return descriptions
        labels = [description.answer.labels for description in descriptions]
        certainties = self._certainty.of(self.describer, asked, labels)
        return [
            replace(description, certainty=value) for description, value in zip(descriptions, certainties, strict=True)
        ]

    def _with_clues(self, clip: PerceivedClip, description: Description) -> Description:
        """The description of generated labels with measured clues, for a describer that only names labels."""
        answer = description.answer
        if self._terciles is None or description.failure or answer.form in ('refusal', 'nonsense'):
            return description
        readings = measured(clip.features, {name: recipe.name for name, recipe in self.reader.form.recipes.items()})
        text = grounded(answer.labels, readings, self._terciles).text
        return replace(description, answer=replace(answer, text=text, evidence=clues_in(text)))


def open_clip_describer(
    model: str | Path | None = None,
    *,
    trunk: str | Path | None = None,
    recipes: Mapping[str, str | Recipe] | None = None,
    question: str = '',
    asr: str = 'tiny.en',
    limits: Limits | None = None,
    batch_size: int = 8,
    precision: str = '',
    device: str = 'cpu',
    table: str = 'affekt',
) -> ClipDescriber:
    """Open a describer whose input is media clips.

    Args:
        model: the folder of a describer or of the run that trained it, a published checkpoint of AffectGPT, or `small`
            for the shipped one; None for that one if it reaches its targets.
        trunk: the language model, if other than the folder's; required for a published checkpoint.
        recipes: source to recipe or its name, if the folder does not note them.
        question: question instead of the first that it was trained with: a name noted in its folder, one of
            `QUESTIONS`, or a text.
        asr: speech recognition if no transcript is known: a name, a folder, or `none`.
        limits: limits of answers; None for the token limit of training.
        batch_size: clips answered together.
        precision: see `open_trunk`.
        device: device on which it runs.
        table: name of the word table that defines the labels.

    Raises:
        WeightsError: the describer is missing or incomplete, or does not fit the trunk or the recipes.
        LLMError: the trunk cannot be opened.
        MissingExtraError: a package is not installed.
    """
    path = shipped_describer() if model is None else described_place(model)
    if path is None:
        raise WeightsError(
            expected='a model that describes', came='no name, and no default model',
            todo=f'name one with --model, such as {SMALL_DESCRIBER}',
        )  # fmt: skip
    if not path.exists():
        raise WeightsError(
            expected='a describer: a training folder, a checkpoint, or small', came=f'{model}, which does not exist',
            todo='give a server with --endpoint and its model with --model' if ':/' in str(model) else 'check the path',
        )  # fmt: skip
    notes: Mapping[str, Any]
    if path.is_dir():
        notes = saved_notes(path).get('notes') or {}
        describer = open_describer(path, trunk=trunk, precision=precision, device=device)
    else:
        describer, notes = _published(path, trunk, precision, device)
    noted_questions = notes.get('questions') or {}
    question = noted_questions.get(question, question)
    is_untrained = bool(question and noted_questions) and question not in noted_questions.values()
    remark = f'it was trained to answer {" and ".join(noted_questions)} alone' if is_untrained else ''
    form = clip_form(describer, notes, recipes=recipes, question=question, device=device)
    hear = None if asr == 'none' or not form.reads_words else Recognition(asr)
    is_default_question = not question or question == notes.get(
        'question'
    )  # calibration is for answers to one question
    certainty, likely_labels = _noted_certainty(notes) if is_default_question else (None, None)
    limits = limits or Limits(tokens=int((notes.get('training') or {}).get('answer_tokens', Limits().tokens)))
    return ClipDescriber(
        describer, ClipReader(describer, form, hear=hear), limits, name=_name_of(path, notes), batch_size=batch_size,
        table=table, terciles=noted_terciles(notes) if 'terciles' in notes else None, certainty=certainty,
        likely_labels=likely_labels, remark=remark,
    )  # fmt: skip


def _noted_certainty(notes: Mapping[str, Any]) -> tuple[Certainty | None, LikelyLabels | None]:
    """Confidence in answers to the first question, and the choice of labels; None for each that is not noted."""
    words = tuple(notes.get('labels') or ())
    certainty = likely_labels = None
    if 'certainty' in notes:
        certainty = Certainty(words, notes['certainty'], notes.get('certain_within') or {})
    if 'likely_labels' in notes:
        likely_labels = LikelyLabels(words, notes['likely_labels'])
    return certainty, likely_labels


def _published(
    path: Path, trunk: str | Path | None, precision: str, device: str
) -> tuple[Describer, dict[str, Any]]:  # fmt: skip
    kind = inspect_official(path).kind
    if trunk is None:
        raise WeightsError(
            expected='the language model of a published checkpoint', came='none',
            todo='name its folder with --trunk; `affekt describe inspect` says which one it is',
        )  # fmt: skip
    describer, _ = load_official(path, open_trunk(trunk, precision=precision, device=device))
    describer = describer.to(device).eval()
    recipes = {name: PUBLISHED_RECIPES[name] for name in describer.table if name in PUBLISHED_RECIPES}
    if kind not in KINDS:
        kind = 'multiface_audio_face_text' if 'multi' in describer.table else 'face'
    return describer, {'recipes': recipes, 'kind': kind, 'question': 'description'}


def _name_of(path: Path, notes: Mapping[str, Any]) -> str:
    """Name of a describer: the noted one, or else that of its folder or of the run that trained it."""
    if name := str(notes.get('name') or ''):
        return name
    return path.parent.name if path.name == 'describer' and path.parent.name else path.name
