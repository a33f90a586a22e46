"""What the small describer learns from: clips with features, short questions, and answers of labels or by template.

No clip here has a voice, a face and emotional words at once. So pairs are made up: a voice of RAVDESS with its own
sentence or with a comment of somebody else, a face with both. The answer names what each source shows, in the order
voice, face, words; *neutral* is left out beside anything else. That teaches to name all that is there, and nothing
about how sources go together in life.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from data import FACE, PROSODY, SENTENCE, SOURCES_OF, VOICE, manifests, stores
from readers import DESCRIPTION, LABELS, SENTIMENT, Start, margins, words_of

from affekt.arrays import Floats32
from affekt.corpora import Manifest
from affekt.description import Example, Terciles, packaged_wordings
from affekt.features import RECIPES
from affekt.labels import GOEMOTIONS

NEUTRAL = 'neutral'
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Clips:
    """N clips of a corpus that have all features that it should have.

    Args:
        names: (N,)
        sources: name to (N, D).
        truth: (N,) the words that are true of each, () where none is known.
        speaker: (N,) '' where nobody knows.
        split: (N,) likewise.
        sentiment: (N,) in [-1, 1]; nan where it was not rated.
        without: clips that lack features.
    """

    names: tuple[str, ...]
    sources: dict[str, Floats32]
    truth: tuple[tuple[str, ...], ...]
    speaker: npt.NDArray[np.str_]
    split: npt.NDArray[np.str_]
    sentiment: Floats32
    without: int

    def __len__(self) -> int:
        return len(self.names)

    def of_split(self, split: str) -> Numbers:
        """Numbers of its clips."""
        return np.flatnonzero(self.split == split)

    def perceived(self, number: int, sources: Iterable[str] | None = None) -> dict[str, Floats32]:
        """The features of one clip."""
        return {name: self.sources[name][number] for name in (self.sources if sources is None else sources)}


def read_clips(corpora: Path, out: Path) -> dict[str, Clips]:
    """Every corpus by name, its features from stores that are made where they are absent."""
    return {name: clips_of(manifest, out) for name, manifest in manifests(corpora, out).items()}


def clips_of(manifest: Manifest, out: Path) -> Clips:
    """The samples of a corpus that have all features."""
    opened = stores(manifest, out)
    rows = [row for row in manifest.samples if all(row.sample in store for store in opened.values())]
    names = [row.sample for row in rows]
    valence = np.array([np.nan if row.valence is None else (row.valence - 3.0) / 2.0 for row in rows])
    sentiment = np.array([np.nan if row.sentiment is None else row.sentiment for row in rows])
    return Clips(
        tuple(names), {source: opened[source].matrix(names) for source in SOURCES_OF[manifest.facts.corpus]},
        tuple(words_of(row.category.split(',')) if row.category else () for row in rows),
        np.array([row.speaker or '' for row in rows]), np.array([row.split or '' for row in rows]),
        np.where(np.isnan(sentiment), valence, sentiment).astype(np.float32), len(manifest) - len(rows),
    )  # fmt: skip


# What a corpus's words say, and what three sources say together


def decided(start: Start, features: Floats32) -> list[tuple[str, ...]]:
    """The labels that the head of text gives to texts, strongest first; the nearest one where it gives none."""
    scores = margins(start, features)[:, : len(GOEMOTIONS)]
    order = np.argsort(-scores, axis=1, kind='stable')
    return [
        tuple(start.words[k] for at, k in enumerate(ranked) if at == 0 or row[k] >= 0)
        for ranked, row in zip(order, scores, strict=True)
    ]


def joined(*shown: Sequence[str]) -> tuple[str, ...]:
    """What sources show, in their order, each word once; neutral only where nothing else is shown."""
    words = dict.fromkeys(word for each in shown for word in each)
    return tuple(word for word in words if word != NEUTRAL) or (NEUTRAL,)


def sentiment_word(value: float, third: float) -> str:
    """positive, negative or neutral; a third of the rated sentences is farther from 0 than `third`, on either side."""
    return NEUTRAL if abs(value) < third else 'positive' if value > 0 else 'negative'


def thirds(clips: Clips, numbers: Numbers) -> float:
    """Of sentences rated on a scale: from where on they count as positive or negative; 0.5 of three steps."""
    values = np.abs(clips.sentiment[numbers])
    return 0.5 if set(np.unique(values)) <= {0.0, 1.0} else float(np.quantile(values, 1 / 3))


def listed_labels(labels: Sequence[str]) -> str:
    """An answer: labels, each with a comma behind it.

    So the end of an answer is weighed against every label that might follow, in one step. With commas between labels
    alone it would have to be weighed against a comma, before any of those labels is looked at.
    """
    return f' {", ".join(labels)},'


def _example(name: str, sources: dict[str, Floats32], question: str, labels: Sequence[str]) -> Example:
    return Example(name, sources, '', question, listed_labels(labels), tuple(labels))


# Examples


def of_voices(clips: Clips, numbers: Numbers, sources: Sequence[str] = (VOICE, PROSODY)) -> list[Example]:
    """The label of each voice."""
    return [
        _example(clips.names[n], clips.perceived(n, sources), LABELS, clips.truth[n]) for n in numbers
    ]  # fmt: skip


def of_mixed(clips: Clips, numbers: Numbers, count: int, start: Start, rng: np.random.Generator) -> list[Example]:
    """Means of two voices, with the label that the head of the voice gives to them.

    The head is sure of the clips that it was fitted on and less so of others. A describer that learnt from sure voices
    alone names other ones worse than the head does; between two labels it learns what a voice that is less clear is
    called.
    """
    voices, words = _mixed(clips, numbers, count, start, rng)
    return [
        _example(f'mixed {at}', {name: values[at] for name, values in voices.items()}, LABELS, (word,))
        for at, word in enumerate(words)
    ]  # fmt: skip


def _mixed(
    clips: Clips, numbers: Numbers, count: int, start: Start, rng: np.random.Generator
) -> tuple[dict[str, Floats32], list[str]]:
    first, second = rng.choice(numbers, count), rng.choice(numbers, count)
    share = rng.uniform(0.3, 0.7, (count, 1)).astype(np.float32)
    voices = {
        name: share * clips.sources[name][first] + (1 - share) * clips.sources[name][second]
        for name in (VOICE, PROSODY)
    }  # fmt: skip
    return voices, [start.words[at] for at in margins(start, voices[VOICE]).argmax(axis=1)]


def of_pairs(
    voices: Clips, numbers: Numbers, texts: Clips, lines: Numbers, starts: Mapping[str, Start],
    rng: np.random.Generator,
) -> list[Example]:  # fmt: skip
    """Mixed voices with words: half with a sentence of RAVDESS, which says nothing, and half with a comment."""
    start = starts[SENTENCE]
    read, own = (decided(start, corpus.sources[SENTENCE][rows]) for corpus, rows in ((texts, lines), (voices, numbers)))
    mixed, heard = _mixed(voices, numbers, len(numbers), starts[VOICE], rng)
    examples = []
    for place, n in enumerate(numbers):
        sources = {name: values[place] for name, values in mixed.items()}
        sources[SENTENCE], words = voices.sources[SENTENCE][n], own[place]
        if place % 2:
            at = int(rng.integers(len(lines)))
            sources[SENTENCE], words = texts.sources[SENTENCE][lines[at]], read[at]
        examples.append(_example(f'{voices.names[n]} with words', sources, LABELS, joined((heard[place],), words)))
    return examples


def of_texts(texts: Clips, lines: Numbers, start: Start) -> list[Example]:
    """What the head of text says of comments: it is the teacher here."""
    read = decided(start, texts.sources[SENTENCE][lines])
    return [_example(texts.names[n], texts.perceived(n), LABELS, labels) for n, labels in zip(lines, read, strict=True)]


def rarest_first(texts: Clips, lines: Numbers, start: Start, rng: np.random.Generator) -> Numbers:
    """Comments drawn in an order in which those with a rare label come sooner: macro-F1 counts all labels alike."""
    read = decided(start, texts.sources[SENTENCE][lines])
    counts = Counter(word for labels in read for word in labels)
    chance = np.array([1 / np.sqrt(min(counts[word] for word in labels)) for labels in read])
    return rng.choice(lines, len(lines), replace=False, p=chance / chance.sum())


def of_mixed_texts(texts: Clips, lines: Numbers, count: int, start: Start, rng: np.random.Generator) -> list[Example]:
    """Means of two comments, mostly of the first, with the labels that the head of text gives to them.

    Between two comments lie features on which the head just gives a label or just does not.
    """
    features, order = texts.sources[SENTENCE], rarest_first(texts, lines, start, rng)
    first, second = np.resize(order[: count // 2], count), rng.choice(lines, count)
    share = rng.uniform(0.5, 1.0, (count, 1)).astype(np.float32)
    mixed = share * features[first] + (1 - share) * features[second]
    return [
        _example(f'mixed comment {at}', {SENTENCE: mixed[at]}, LABELS, labels)
        for at, labels in enumerate(decided(start, mixed))
    ]


def of_sentiment(texts: Clips, lines: Numbers, third: float) -> list[Example]:
    """Whether a line is positive, negative or neutral, as rated."""
    return [
        _example(texts.names[n], texts.perceived(n), SENTIMENT, (sentiment_word(float(texts.sentiment[n]), third),))
        for n in lines
    ]  # fmt: skip


def of_faces(faces: Clips, numbers: Numbers) -> list[Example]:
    """The expression of each face."""
    return [_example(faces.names[n], faces.perceived(n), LABELS, faces.truth[n]) for n in numbers]


def of_all(
    faces: Clips, stills: Numbers, voices: Clips, numbers: Numbers, texts: Clips, lines: Numbers, start: Start,
    rng: np.random.Generator,
) -> list[Example]:  # fmt: skip
    """Each face with a voice and, in half of them, with a comment: made-up people."""
    read = decided(start, texts.sources[SENTENCE][lines])
    examples = []
    for place, still in enumerate(stills):
        voice = int(rng.choice(numbers))
        sources = {**faces.perceived(still), **voices.perceived(voice, (VOICE, PROSODY))}
        words: tuple[str, ...] = ()
        if place % 2:
            at = int(rng.integers(len(lines)))
            sources[SENTENCE], words = texts.sources[SENTENCE][lines[at]], read[at]
        labels = joined(voices.truth[voice], faces.truth[still], words)
        examples.append(_example(f'{faces.names[still]} with a voice', sources, LABELS, labels))
    return examples


def readings_of(clips: Clips, numbers: Numbers) -> list[dict[str, float]]:
    """What was measured of voices, by the names of clues."""
    columns = RECIPES['speech-acoustics-utt'].columns
    clues = {name: clue.column for name, clue in packaged_wordings().clues.items() if clue.column in columns}
    rows = clips.sources[PROSODY][numbers]
    return [{name: float(row[columns.index(column)]) for name, column in clues.items()} for row in rows]


def descriptions(clips: Clips, numbers: Numbers, terciles: Terciles, rng: np.random.Generator) -> list[Example]:
    """Coarse data: each voice described by template, with one or two of its readings."""
    wordings, examples = packaged_wordings(), []
    for n, readings in zip(numbers, readings_of(clips, numbers), strict=True):
        levels = terciles.levels(readings)
        cited = {name: levels[name] for name in rng.permutation(sorted(levels))[: int(rng.integers(1, 3))]}
        text = wordings.described(clips.truth[n], cited, rng)
        examples.append(
            Example(
                f'{clips.names[n]} described', clips.perceived(n, (VOICE, PROSODY)), '', DESCRIPTION, f' {text}',
                clips.truth[n], (PROSODY,),
            )
        )  # fmt: skip
    return examples


def faces_read(faces: Clips, numbers: Numbers) -> list[str]:
    """What affekt's own network of expressions says of each still."""
    columns = RECIPES['faces-utt'].columns
    names = ('anger', 'disgust', 'fear', 'happiness', 'sadness', 'surprise', 'neutral')
    rows = faces.sources[FACE][numbers][:, [columns.index(f'{name}_mean') for name in names]]
    return [words_of(names)[at] for at in rows.argmax(axis=1)]
