"""Corpora of emotional text, and the encoder's states of every word piece, kept on disk.

Read by `train.py` and `dialogue.py`. GoEmotions, EmoBank and MELD come with official splits; of MELD only the map to
categories of dialogue is fitted, and IEMOCAP is read for judging alone.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from affekt.labels import EKMAN, GOEMOTIONS, MELD_TO_EKMAN
from affekt.npz import read_npz
from affekt.text.sentences import DIMENSIONS, LAYERS, SentenceEncoder

WIDTH = LAYERS * DIMENSIONS


@dataclass(frozen=True)
class Texts:
    """N texts and what is known of each; arrays that a corpus lacks have no columns."""

    name: str
    texts: tuple[str, ...]
    truth: npt.NDArray[np.float32]
    """(N, 28) of 0 and 1 for GoEmotions; (N, 3) ratings from 1 to 5 for EmoBank; (N, 7) of 0 and 1 for MELD."""
    groups: npt.NDArray[np.int64]
    """(N,) what samples share: the dialogue in MELD, the document in EmoBank; their own number in GoEmotions."""


def read_goemotions(folder: Path, split: str) -> Texts:
    """One official split ('train', 'dev', 'test') of the filtered GoEmotions release."""
    texts, rows = [], []
    for line in (folder / f'{split}.tsv').read_text('utf-8').split('\n'):
        if line:
            text, labels, _ = line.split('\t')
            texts.append(text)
            row = np.zeros(len(GOEMOTIONS), np.float32)
            row[[int(label) for label in labels.split(',')]] = 1.0
            rows.append(row)
    return Texts(f'goemotions-{split}', tuple(texts), np.array(rows), np.arange(len(texts)))


def read_emobank(folder: Path, split: str) -> Texts:
    """One official split ('train', 'dev', 'test') of EmoBank: valence, arousal, dominance."""
    with (folder / 'meta.tsv').open(encoding='utf-8', newline='') as file:
        documents = {row['id']: row['document'] for row in csv.DictReader(file, delimiter='\t', quoting=csv.QUOTE_NONE)}
    with (folder / 'emobank.csv').open(encoding='utf-8', newline='') as file:
        rows = [row for row in csv.DictReader(file) if row['split'] == split]
    truth = np.array([[float(row[dimension]) for dimension in 'VAD'] for row in rows], np.float32)
    _, groups = np.unique([documents.get(row['id'], row['id']) for row in rows], return_inverse=True)
    return Texts(f'emobank-{split}', tuple(row['text'] for row in rows), truth, groups.astype(np.int64))


def read_meld(folder: Path, split: str) -> Texts:
    """One official split ('train', 'dev', 'test') of MELD's transcripts, one of EKMAN each."""
    with (folder / f'{split}_sent_emo.csv').open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    truth = np.zeros((len(rows), len(EKMAN)), np.float32)
    for at, row in enumerate(rows):
        truth[at, EKMAN.index(MELD_TO_EKMAN[row['Emotion']])] = 1.0
    groups = np.array([int(row['Dialogue_ID']) for row in rows])
    return Texts(f'meld-{split}', tuple(row['Utterance'] for row in rows), truth, groups)


IEMOCAP = ('happiness', 'sadness', 'neutral', 'anger', 'happiness')
"""The category of each of MERBench's classes of IEMOCAP: happy, sad, neutral, angry, excited. Frustrated, the sixth,
has no category of its own here and is left out, as in the usual four classes."""


def read_iemocap(folder: Path) -> Texts:
    """IEMOCAP's lines of four categories, grouped by dialogue, from MERBench's transcripts and labels."""
    with (folder / 'transcription-engchi-polish.csv').open(encoding='utf-8', newline='') as file:
        lines = {row['name']: row['english'] for row in csv.DictReader(file)}
    labels = read_npz(folder / 'label_6way.npz')['whole_corpus']
    names = [name for name, row in labels.items() if int(row['emo']) < len(IEMOCAP) and lines.get(name, '').strip()]
    truth = np.zeros((len(names), len(EKMAN)), np.float32)
    for at, name in enumerate(names):
        truth[at, EKMAN.index(IEMOCAP[int(labels[name]['emo'])])] = 1.0
    _, groups = np.unique([name.rsplit('_', 1)[0] for name in names], return_inverse=True)
    return Texts('iemocap', tuple(lines[name] for name in names), truth, groups.astype(np.int64))


@dataclass(frozen=True)
class States:
    """The states of all word pieces of a corpus, in a file read by memory map."""

    values: npt.NDArray[np.float16]
    """(P, L D): P word pieces of all texts, one text after another."""
    starts: npt.NDArray[np.int64]
    """(N + 1,) where each text begins in `values`."""

    def means(self) -> npt.NDArray[np.float32]:
        """(N, L D) the mean state of each text."""
        spans = pairwise(self.starts)
        return np.array([self.values[begin:end].mean(axis=0, dtype=np.float32) for begin, end in spans])

    def padded(
        self, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """(B, T, A) chosen columns of the states of the given texts, zero beyond their ends, and a (B, T) keep_mask."""
        lengths = [int(self.starts[row + 1] - self.starts[row]) for row in rows]
        states = np.zeros((len(lengths), max(lengths), len(columns)), np.float32)
        keep_mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
        for at, row in enumerate(rows if len(columns) else ()):
            states[at, : lengths[at]] = self.values[self.starts[row] : self.starts[row + 1]][:, columns]
        return states, keep_mask


def states_of(corpus: Texts, encoder: SentenceEncoder, cache: Path) -> States:
    """The corpus's states, from the cache where they are complete."""
    cache.mkdir(parents=True, exist_ok=True)
    values_at, facts_at = cache / f'{corpus.name}.f16', cache / f'{corpus.name}.json'
    lengths = np.array([len(encoder.pieces(text)) for text in corpus.texts])
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    shape = (int(starts[-1]), WIDTH)
    if not facts_at.exists() or json.loads(facts_at.read_text()) != list(shape):
        values = np.memmap(values_at, np.float16, 'w+', shape=shape)
        for rows, states in encoder.states(corpus.texts):
            for row, piece_states in zip(rows, states, strict=True):
                values[starts[row] : starts[row + 1]] = piece_states
        values.flush()
        facts_at.write_text(json.dumps(shape))
    return States(np.memmap(values_at, np.float16, 'r', shape=shape), starts)
