"""One run of training: readers started as heads, examples of a fold, and the step that validation speakers choose."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from data import FACE, PROSODY, SENTENCE, VOICE
from evaluate import LIMITS
from readers import KIND, Start, directions, fitted, margins, new_describer, sentence_start, start_reader, words_of

from affekt.arrays import Floats32
from affekt.description import Describer, DescribeSettings, Example, open_describer, standardise, train_describer
from affekt.labels import GOEMOTIONS, RAVDESS8
from affekt.typed_json import json_file
from examples import (
    Clips,
    Numbers,
    listed_labels,
    of_all,
    of_faces,
    of_mixed,
    of_mixed_texts,
    of_pairs,
    of_sentiment,
    of_texts,
    of_voices,
    rarest_first,
    thirds,
)

VOICES = words_of(RAVDESS8)
FACES = ('angry', 'disgusted', 'fearful', 'happy', 'sad', 'surprised', 'neutral')
KNOWN = {*VOICES, *FACES, *words_of(GOEMOTIONS)}
SENTIMENTS = {'positive', 'negative', 'neutral'}
FOLDS = 3
ACTORS = 24
FIRST_STEPS = 110
"""Of the part that teaches words and faces."""


@dataclass(frozen=True)
class Fold:
    """Clips of RAVDESS by number: learnt from, choosing the step, tested on; no actor is in two of them."""

    learnt: Numbers
    chosen_by: Numbers
    tested: Numbers


def folds(voices: Clips) -> list[Fold]:
    """Eight neighbouring actors are tested, four of either gender; two of the others choose the step."""
    return folds_of(voices.speaker)


def folds_of(speaker: npt.NDArray[np.str_]) -> list[Fold]:
    """The same by the (N,) actor of each clip."""
    actors = speaker.astype(int)
    rows = []
    for fold in range(FOLDS):
        first = fold * ACTORS // FOLDS
        tested = (actors > first) & (actors <= first + ACTORS // FOLDS)
        choosing = np.isin(actors, [(first + ACTORS // FOLDS + at) % ACTORS + 1 for at in (0, 1)])
        rows.append(
            Fold(np.flatnonzero(~tested & ~choosing), np.flatnonzero(choosing), np.flatnonzero(tested))
        )  # fmt: skip
    return rows


@dataclass(frozen=True)
class Starts:
    """The heads that readers start from; that of the voice is also what a describer is compared with."""

    by_source: dict[str, Start]

    def heard(self, features: Floats32) -> list[str]:
        """The likeliest word for each voice."""
        start = self.by_source[VOICE]
        return [start.words[at] for at in margins(start, features).argmax(axis=1)]


def starts_of(clips: dict[str, Clips], learnt: Numbers) -> Starts:
    """Heads that were fitted on some clips of RAVDESS, and on the training parts of the other corpora."""
    voices, faces = clips['ravdess'], clips['fer2013']
    truth = [voices.truth[n][0] for n in learnt]
    stills = faces.of_split('train')
    lines = [(clips[name], clips[name].of_split('train')) for name in ('meld', 'emobank')]
    return Starts(
        {
            VOICE: fitted(voices.sources[VOICE][learnt], truth, VOICES)[0],
            PROSODY: fitted(voices.sources[PROSODY][learnt], truth, VOICES)[0],
            FACE: fitted(faces.sources[FACE][stills], [faces.truth[n][0] for n in stills], FACES)[0],
            SENTENCE: sentence_start(
                np.concatenate([corpus.sources[SENTENCE][rows] for corpus, rows in lines]),
                np.concatenate([corpus.sentiment[rows] for corpus, rows in lines]),
            ),
        }
    )


@dataclass(frozen=True)
class Amounts:
    """How many examples of each sort; voices and pairs have one of each clip."""

    texts: int = 1500
    mixed_texts: int = 1500
    sentiment: int = 600
    faces: int = 800
    mixed: int = 2500
    all_sources: int = 200


def words_and_faces(clips: dict[str, Clips], starts: Starts, amounts: Amounts, seed: int) -> list[Example]:
    """Examples without voices: all of the first part of training, and half of the second."""
    rng = np.random.default_rng([seed, 1])
    texts, faces = clips['goemotions'], clips['fer2013']
    start, stills = starts.by_source[SENTENCE], rng.permutation(faces.of_split('train'))
    lines = rarest_first(texts, texts.of_split('train'), start, rng)
    made = of_texts(texts, lines[: amounts.texts], start)
    made += of_mixed_texts(texts, lines, amounts.mixed_texts, start, rng)
    for name in ('meld', 'emobank'):
        rows = rng.permutation(clips[name].of_split('train'))
        made += of_sentiment(clips[name], rows[: amounts.sentiment // 2], thirds(clips[name], rows))
    return made + of_faces(faces, stills[: amounts.faces])


def voices_and_all(
    clips: dict[str, Clips], learnt: Numbers, starts: Starts, amounts: Amounts, seed: int
) -> list[Example]:  # fmt: skip
    """Examples of the second part: as many voices, mixed voices and pairs as words and faces.

    What the first part has taught is unlearnt where the second has little of it.
    """
    rng = np.random.default_rng([seed, 2])
    voices, texts, faces = clips['ravdess'], clips['goemotions'], clips['fer2013']
    lines, stills = rng.permutation(texts.of_split('train')), rng.permutation(faces.of_split('train'))
    made = of_voices(voices, learnt) + of_mixed(voices, learnt, amounts.mixed, starts.by_source[VOICE], rng)
    made += of_pairs(voices, learnt, texts, lines, starts.by_source, rng)
    chosen = stills[: amounts.all_sources]
    made += of_all(faces, chosen, voices, learnt, texts, lines, starts.by_source[SENTENCE], rng)
    return made + words_and_faces(clips, starts, amounts, seed + 1)


def with_starts(describer: Describer, starts: Starts, sources: Sequence[str], examples: Sequence[Example]) -> Describer:
    """The readers of some sources as heads, their features standardised by examples of those alone."""
    standardise(describer, examples)
    words = sorted(KNOWN | SENTIMENTS)
    basis = directions(describer, words)
    vectors = {word: basis[:, at] for at, word in enumerate(words)}
    for source in sources:
        start_reader(describer, source, starts.by_source[source], vectors)
    return describer


def settings_of(
    steps: int, *, stage: str = 'single', seed: int = 0, batch: int = 32, score: str = 'uar'
) -> DescribeSettings:
    """Of a run of so many steps, judged in the middle and at the end."""
    every = max(5, steps // 2 // 5 * 5)
    return DescribeSettings(
        stage=stage, steps=steps, batch_size=batch, sorted_batches=1,  # type: ignore[arg-type]
        learning_rate=2e-6, adapter_rate=1e-3, label_weight=1.0,
        answer_tokens=LIMITS.tokens, evaluate_every=every, log_every=5, seed=seed, score=score,  # type: ignore[arg-type]
    )  # fmt: skip


def trained(
    describer: Describer, learnt: Sequence[Example], judged: Sequence[Example], settings: DescribeSettings, folder: Path
) -> dict[str, Any]:  # fmt: skip
    """Train in place, and go on where a run was stopped; what the run was is given."""
    before = time.process_time()
    result = train_describer(describer, learnt, judged, settings, kind=KIND, folder=folder, resume=True)
    return {
        'step': result.step, 'validation': result.scores, 'examples': len(learnt),
        'cpu_s': round(time.process_time() - before, 1), 'settings': asdict(settings),
        'history': [
            {name: round(float(row[name]), 4) for name in ('step', 'uar', 'f', 'valid', 'answer') if name in row}
            for row in result.history
        ],
    }  # fmt: skip


def comments_as_rated(clips: dict[str, Clips], starts: Starts, part: slice) -> list[Example]:
    """Comments of the development part with the labels that people gave to them, not those of the head."""
    texts = clips['goemotions']
    lines = texts.of_split('dev')[part]
    return [
        replace(each, answer=listed_labels(texts.truth[n]), labels=texts.truth[n])
        for each, n in zip(of_texts(texts, lines, starts.by_source[SENTENCE]), lines, strict=True)
    ]


def warmed(clips: dict[str, Clips], starts: Starts, folder: Path) -> Describer:
    """A describer after the first part of training, which is made once."""
    saved = folder / 'describer'
    if not saved.exists():
        examples = words_and_faces(clips, starts, Amounts(), 0)
        describer = with_starts(new_describer(), starts, (FACE, SENTENCE), examples)
        judged = comments_as_rated(clips, starts, slice(0, 240))
        record = trained(describer, examples, judged, settings_of(FIRST_STEPS, batch=48, score='f'), folder)
        (folder / 'record.json').write_bytes(json_file(record))
    return open_describer(saved)


def prepared(
    clips: dict[str, Clips], learnt: Numbers, starts: Starts, folder: Path
) -> Describer:  # fmt: skip
    """A describer before the second part: the first one learnt, its readers of voices as heads."""
    describer = warmed(clips, starts, folder)
    return with_starts(describer, starts, (VOICE, PROSODY), of_voices(clips['ravdess'], learnt))
