"""Descriptions by template, as coarse data: the label of a clip in hundreds of wordings, with measured clues.

A sentence names the emotions; others cite readings measured on the clip itself, each as low, middling or high
relative to other clips. Nothing else can be written, so no clue is invented, and `claims` parses every clue:

    f0_mean_hz 280, loudness_lufs -14   ->   {'pitch': 'high', 'loudness': 'high'}
    'The voice is high in pitch and loud. The person seems angry.'   ->   the same

These are not descriptions by people, and a model trained on them alone has learnt only a form. The words are in
`wordings.json`.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from affekt.corpora import Sample
from affekt.description.examples import QuestionAnswer
from affekt.description.questions import answer_of, question_of
from affekt.errors import TableError, UnknownNameError, ValueRangeError, did_you_mean, listed
from affekt.features import Store
from affekt.runs import read_regular_file
from affekt.wording import listed as in_words

PACKAGED = Path(__file__).with_name('wordings.json')
LEVELS = ('low', 'middle', 'high')
FORMS = ('description', 'labels_first', 'labels', 'one_label')
Form = Literal['description', 'labels_first', 'labels', 'one_label']


@dataclass(frozen=True)
class Citable:
    """A reading that can be cited.

    Args:
        source: source of a describer that perceives it.
        column: column of a store that contains it.
        phrases: level to its phrases.
    """

    source: str
    column: str
    phrases: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Sentences:
    """Sentences that name emotions: each subject with each verb."""

    subjects: tuple[str, ...]
    verbs: tuple[str, ...]

    def written(self, label_words: str) -> list[str]:
        """All sentences."""
        return [f'{subject} {verb} {label_words}.' for subject in self.subjects for verb in self.verbs]


@dataclass(frozen=True)
class Wordings:
    """Words for emotions and readings.

    Args:
        adjectives: category to its adjective, as said of a person.
        states: sentences that take adjectives.
        names: sentences that take any word.
        nouns: words for what a person shows.
        shows: verb that takes nouns, beside a verb that takes adjectives.
        others: sentence for words that are known as neither.
        clues: reading to its phrases.
        sentences: source to sentences that take its clues.
    """

    adjectives: Mapping[str, str]
    states: Sentences
    names: Sentences
    nouns: frozenset[str]
    shows: str
    others: str
    clues: Mapping[str, Citable]
    sentences: Mapping[str, tuple[str, ...]]

    def label_of(self, category: str) -> str:
        """The word by which answers name a category: its adjective if it has one."""
        return self.adjectives.get(category.lower(), category.lower())

    def statements(self, labels: Sequence[str]) -> list[str]:
        """All sentences that name exactly these labels; adjectives and nouns never share a verb.

        angry, sad          ->   The person seems angry and sad.
        love                ->   The emotion is love.
        angry, love         ->   The person seems angry and shows love.
        love, angry, sad    ->   The person shows love, and seems angry and sad.
        angry, saudade      ->   The person seems angry. The emotion can also be called saudade.
        """
        adjectives, nouns, others = self._by_class(labels)
        if not adjectives:
            return self.names.written(in_words(list(labels)))
        ending = f' {self.others.format(words=in_words(others))}' if others else ''
        if not nouns:
            return [f'{sentence}{ending}' for sentence in self.states.written(in_words(adjectives))]
        joint, shown_nouns = (
            ' and ' if len(adjectives) == len(nouns) == 1 else ', and ',
            f'{self.shows} {in_words(nouns)}',
        )
        order = slice(None, None, 1 if next(label for label in labels if label not in others) in adjectives else -1)
        return [
            f'{subject} {joint.join((f"{verb} {in_words(adjectives)}", shown_nouns)[order])}.{ending}'
            for subject in self.states.subjects
            for verb in self.states.verbs
        ]

    def _by_class(self, labels: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
        """Labels that are adjectives, nouns, and known as neither; each in order."""
        adjectives = set(self.adjectives.values())
        adjective_labels = [label for label in labels if label in adjectives]
        noun_labels = [label for label in labels if label in self.nouns and label not in adjectives]
        return adjective_labels, noun_labels, [label for label in labels if label not in adjectives | self.nouns]

    def cited(self, levels: Mapping[str, str], rng: np.random.Generator) -> str:
        """Sentences that cite these readings, one per source; '' for no reading.

        Args:
            levels: reading to its level.
            rng: draws the words.

        Raises:
            UnknownNameError: unknown reading or level.
        """
        phrases: dict[str, list[str]] = {}
        for name, level in levels.items():
            if name not in self.clues or level not in LEVELS:
                raise UnknownNameError(
                    expected=f'a reading among {listed(self.clues)}, and a level among {listed(LEVELS)}',
                    came=f'{name} {level}', todo=did_you_mean(name, self.clues),
                )  # fmt: skip
            clue = self.clues[name]
            phrases.setdefault(clue.source, []).append(_drawn(clue.phrases[level], rng))
        sentences = [
            _drawn(self.sentences[source], rng).format(
                clues=in_words([source_phrases[at] for at in rng.permutation(len(source_phrases))])
            )
            for source, source_phrases in phrases.items()
        ]
        return ' '.join(sentences)

    def described(self, labels: Sequence[str], levels: Mapping[str, str], rng: np.random.Generator) -> str:
        """A description that names these labels and cites these readings, and nothing else.

        Args:
            labels: at least one, from `label_of`.
            levels: reading to its level; may be empty.
            rng: draws the wording.

        Raises:
            ValueRangeError: no label.
            UnknownNameError: unknown reading or level.
        """
        if not labels:
            raise ValueRangeError(expected='a label', came='none', todo='leave out clips that nobody has labelled')
        parts = [_drawn(self.statements(labels), rng), self.cited(levels, rng)]
        return ' '.join(parts if rng.random() < 0.5 else parts[::-1]).strip()

    def claims(self, text: str) -> dict[str, set[str]]:
        """The readings that a text cites in these words, each with the stated levels."""
        claimed: dict[str, set[str]] = {}
        for match in self._pattern.finditer(text.lower()):
            name, level = self._meanings[match.group()]
            claimed.setdefault(name, set()).add(level)
        return claimed

    @cached_property
    def _meanings(self) -> dict[str, tuple[str, str]]:
        """Phrase to the reading and level that it means."""
        return {
            phrase.lower(): (name, level)
            for name, clue in self.clues.items()
            for level, phrases in clue.phrases.items()
            for phrase in phrases
        }

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self._meanings, key=len, reverse=True)
        return re.compile(rf'(?<![\w-])(?:{"|".join(map(re.escape, longest_first))})(?![\w-])')


def _drawn(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def read_wordings(path: Path = PACKAGED) -> Wordings:
    """Wordings from a file in the form of `wordings.json`.

    Raises:
        TableError: the file has another form, or a phrase is ambiguous.
    """
    try:
        content = json.loads(read_regular_file(path))
        clues = {name: _clue(values) for name, values in content['clues'].items()}
        states, names = (
            Sentences(tuple(content[part]['subjects']), tuple(content[part]['verbs'])) for part in ('states', 'names')
        )
        sentences = {source: tuple(values) for source, values in content['sentences'].items()}
        nouns, shows, others = frozenset(map(str, content['nouns'])), str(content['shows']), str(content['others'])
        wordings = Wordings(dict(content['adjectives']), states, names, nouns, shows, others, clues, sentences)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TableError(
            expected=f'wordings in {path.name}, of the form of the packaged ones', came=str(error), todo='correct it'
        ) from error
    phrases = [phrase for clue in clues.values() for values in clue.phrases.values() for phrase in values]
    repeated = sorted({phrase for phrase in phrases if phrases.count(phrase) > 1})
    unsaid = sorted(name for name, clue in clues.items() if clue.source not in sentences)
    if repeated or unsaid:
        raise TableError(
            expected=f'phrases in {path.name} that mean one thing, and sentences for the source of each',
            came=listed(repeated or unsaid), todo='correct it',
        )  # fmt: skip
    return wordings


@cache
def packaged_wordings() -> Wordings:
    """The wordings that come with affekt."""
    return read_wordings()


def _clue(content: Mapping[str, Any]) -> Citable:
    return Citable(content['source'], content['column'], {level: tuple(content[level]) for level in LEVELS})


@dataclass(frozen=True)
class Terciles:
    """Bounds of the readings of clips: a third lies below the lower one, a third above the upper one.

    Args:
        bounds: reading to its lower and upper bound.
    """

    bounds: Mapping[str, tuple[float, float]]

    @classmethod
    def of(cls, clips: Iterable[Mapping[str, float]]) -> Terciles:
        """The terciles of readings of training clips; a reading that hardly varies has none and is never cited.

        Args:
            clips: reading to its value in each clip; nan if it could not be measured.
        """
        values: dict[str, list[float]] = {}
        for readings in clips:
            for name, value in readings.items():
                if math.isfinite(value):
                    values.setdefault(name, []).append(value)
        bounds = {name: np.quantile(column, (1 / 3, 2 / 3)).tolist() for name, column in values.items()}
        return cls({name: (low, high) for name, (low, high) in bounds.items() if low < high})

    def levels(self, readings: Mapping[str, float]) -> dict[str, str]:
        """Reading to its level, for measured readings with terciles."""
        return {
            name: LEVELS[int(value >= self.bounds[name][0]) + int(value > self.bounds[name][1])]
            for name, value in readings.items()
            if name in self.bounds and math.isfinite(value)
        }


def readings_from(
    stores: Iterable[Store], names: Iterable[str], wordings: Wordings | None = None
) -> dict[str, dict[str, float]]:
    """Measured readings of clips, by the names of clues.

    Args:
        stores: feature stores whose columns have names, such as those of the recipes `acoustics-utt` and `faces-utt`.
        names: names of the clips.
        wordings: the clues to look for; None for the packaged ones.

    Returns:
        Clip to reading to its value, a mean over steps; absent if the clip lacks it.

    Raises:
        TableError: no store has a column that can be cited.
    """
    clues = (wordings or packaged_wordings()).clues
    stores = list(stores)
    citable = [[name for name, clue in clues.items() if clue.column in store.provenance.columns] for store in stores]
    if not any(citable):
        raise TableError(
            expected=f'a store with one of the columns {listed([clue.column for clue in clues.values()])}',
            came='none', todo='extract acoustics-utt or faces-utt',
        )  # fmt: skip
    measured: dict[str, dict[str, float]] = {}
    for clip in names:
        measured[clip] = {}
        for store, readings in zip(stores, citable, strict=True):
            if clip in store and readings:
                means = np.asarray(store.values(clip), np.float64).mean(axis=0)
                columns = {name: store.provenance.columns.index(clues[name].column) for name in readings}
                measured[clip] |= {name: float(means[at]) for name, at in columns.items() if np.isfinite(means[at])}
    return measured


@dataclass(frozen=True)
class TemplateAnswers:
    """Questions and answers on clips, by template; for `examples_from`.

    Args:
        form: the question, of `FORMS`: a `description` in one of hundreds of wordings, `labels_first` and a short clue
            (what a fine stage trains), or the published answers with labels alone.
        readings: clip to its measured readings, from `readings_from`.
        terciles: terciles of the training clips; None to cite nothing.
        most: maximum readings that an answer cites, drawn from the measured ones.
        seed: seed of the wordings; that of each clip depends on its name.
        wordings: the words; None for the packaged ones.
        sources: name of a source in the wordings to the describer's, if it differs.
    """

    form: Form = 'description'
    readings: Mapping[str, Mapping[str, float]] | None = None
    terciles: Terciles | None = None
    most: int = 2
    seed: int = 0
    wordings: Wordings | None = None
    sources: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UnknownNameError(
                expected=f'a form among {listed(FORMS)}', came=repr(self.form), todo=did_you_mean(self.form, FORMS)
            )

    def __call__(self, sample: Sample) -> list[QuestionAnswer]:
        """The question on one clip; nothing where it has no category."""
        if not sample.category:
            return []
        wordings = self.wordings or packaged_wordings()
        label = wordings.label_of(sample.category)
        rng = np.random.default_rng([self.seed, zlib.crc32(sample.sample.encode())])
        levels = self.drawn_levels(sample.sample, withheld=(sample.missing or '').split(','), rng=rng)
        if self.form == 'description':
            answer = wordings.described([label], levels, rng)
        elif self.form == 'labels_first':
            clues = wordings.cited(levels, rng)
            answer = answer_of('labels_first', labels=label.capitalize(), clues=clues).strip()
        else:
            levels = {}
            answer = answer_of(self.form, **{'label' if self.form == 'one_label' else 'labels': label})
        names = self.sources or {}
        cites = dict.fromkeys(
            names.get(source, source) for source in (wordings.clues[reading].source for reading in levels)
        )
        return [QuestionAnswer(question_of(self.form), answer, (label,), tuple(cites))]

    def drawn_levels(self, clip: str, *, withheld: Collection[str], rng: np.random.Generator) -> dict[str, str]:
        """The readings that the answer on a clip cites; none of a withheld modality."""
        if self.readings is None or self.terciles is None or self.form not in ('description', 'labels_first'):
            return {}
        clues = (self.wordings or packaged_wordings()).clues
        withheld_sources = {
            source for modality, source in (('audio', 'voice'), ('video', 'face')) if modality in withheld
        }
        levels = self.terciles.levels(self.readings.get(clip, {}))
        allowed = [name for name in levels if clues[name].source not in withheld_sources]
        chosen = rng.permutation(len(allowed))[: self.most]
        return {allowed[at]: levels[allowed[at]] for at in sorted(chosen)}
