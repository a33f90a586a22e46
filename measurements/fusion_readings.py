"""What the models of face, voice and words say of corpora that they were not fitted to, kept in a folder.

`fusion_weights.py` says what is read and why. Axes: N samples.
"""

from __future__ import annotations

import csv
import itertools
import json
import sys
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np

from affekt.labels import EKMAN, GOEMOTIONS, GOEMOTIONS_TO_EKMAN, fold
from affekt.voice.emotion import HEADS

RECIPES = Path(__file__).resolve().parents[1] / 'recipes'
MODELS = RECIPES.parent / 'affekt' / 'models'
MOST_TEXTS = 4000
SENTENCES = ('Kids are talking by the door.', 'Dogs are sitting by the door.')
"""What RAVDESS's actors say."""
SENTIMENT = {'positive': 1.0, 'neutral': 0.0, 'negative': -1.0}


@dataclass(frozen=True)
class Readings:
    """What one model says of N samples of one corpus: probabilities (N, 7), truth (N,) in EKMAN, group (N,)."""

    probabilities: np.ndarray
    truth: np.ndarray
    group: np.ndarray
    arousal: np.ndarray | None = None
    """(N,) where the source states one that is not derived from the categories."""
    valence: np.ndarray | None = None


def read_faces(data: Path, cache: Path) -> Readings:
    """The private test faces of FER2013, as they came, without blendshapes."""
    path = cache / 'faces.npz'
    if not path.exists():
        from affekt.faces.expression import ExpressionModel

        faces = _recipe('face_expression', 'data').load_faces(data / 'fer2013', 'test')
        np.savez(path, probabilities=ExpressionModel().probabilities(faces.images), truth=faces.labels)
    with np.load(path) as stored:
        return Readings(stored['probabilities'], stored['truth'], np.arange(len(stored['truth'])))


def read_words(data: Path, cache: Path) -> dict[str, Readings]:
    """Lines of IEMOCAP and comments of GoEmotions' test part, of both of which the map for spoken lines learned
    nothing; MELD's development part; and RAVDESS's two sentences. nan where the model abstains."""
    corpora = _recipe('textual_emotion', 'data')
    lines = corpora.read_iemocap(data / 'merbench' / 'iemocap-process')
    dialogue = corpora.read_meld(data / 'meld_text', 'dev')
    comments = corpora.read_goemotions(data / 'goemotions' / 'original', 'test')
    categories = fold(comments.truth, GOEMOTIONS, GOEMOTIONS_TO_EKMAN) > 0
    of_one = np.flatnonzero(categories.sum(axis=1) == 1)
    texts = {
        'iemocap': (lines.texts, lines.truth.argmax(axis=1)),
        'goemotions': ([comments.texts[at] for at in of_one], categories[of_one].argmax(axis=1)),
        'meld': (dialogue.texts, dialogue.truth.argmax(axis=1)),
        'ravdess sentences': (SENTENCES, np.full(2, EKMAN.index('neutral'))),
    }
    read = {}
    for name, (spoken, truth) in texts.items():
        path = cache / f'words {name}.npz'
        if not path.exists():
            from affekt.text import TextEmotion

            rows = np.random.default_rng(12).permutation(len(spoken))[:MOST_TEXTS]
            readings = TextEmotion().read([spoken[at] for at in rows])
            named = np.array([not reading.abstains for reading in readings])
            np.savez(
                path, probabilities=np.stack([reading.ekman for reading in readings]), named=named, rows=rows,
                truth=np.asarray(truth)[rows], valence=np.array([reading.valence for reading in readings]),
            )  # fmt: skip
        with np.load(path) as stored:
            probabilities = np.where(stored['named'][:, None], stored['probabilities'], np.nan)
            read[name] = Readings(probabilities, stored['truth'], stored['rows'], valence=stored['valence'])
    return read


def sentiment_of_meld(data: Path) -> np.ndarray:
    """(N,) 1, 0 or -1 for each line of MELD's development part."""
    with (data / 'meld_text' / 'dev_sent_emo.csv').open(encoding='utf-8', newline='') as file:
        return np.array([SENTIMENT[row['Sentiment']] for row in csv.DictReader(file)])


def _recipe(name: str, file: str) -> ModuleType:
    """A file of a recipe as a module."""
    path = RECIPES / name / f'{file}.py'
    spec = spec_from_file_location(f'{name}_{file}', path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def read_voices(features: Path, data: Path, cache: Path, encoder: str = 'tiny.en') -> dict[str, Readings]:
    """Each corpus by a head fitted on the other as the shipped one was on both, with the temperature of the other
    direction; clips of categories that both have."""
    path = cache / 'voices.npz'
    corpora = {'ravdess': data / 'ravdess_speech', 'nemo': data / 'nemo'}
    if not path.exists():
        sys.path.insert(0, str(RECIPES / 'vocal_emotion'))
        from features import CORPORA, Store
        from heads import fit_heads, rows_of, seven
        from train import COPIES_TRIED, read_left_out

        chosen = json.loads((MODELS / f'{HEADS[encoder]}.json').read_text('utf-8'))['selection']
        statistics, shares = chosen['statistics'], COPIES_TRIED[chosen['copies']]
        stores = {name: Store(CORPORA[name](folder), features, {encoder: encoder}) for name, folder in corpora.items()}
        read = {}
        for name, other in itertools.permutations(corpora):
            (head,) = fit_heads(rows_of(stores[other], encoder, statistics, shares), [chosen['penalty']])
            read[name] = read_left_out(stores[name], encoder, head, statistics)
        shared = np.intersect1d(*(each.truth for each in read.values()))
        kept = {}
        for name, other in itertools.permutations(corpora):
            known = np.isin(read[name].truth, shared)
            clips, rows = stores[name].clips, read[name].rows[known]
            heard = _arousal(features / name / 'clean.sound.npz', cache / f'arousal {name}.npy')
            kept[f'{name}.probabilities'] = seven(read[name].clean[known] / read[other].temperature).astype(np.float64)
            kept[f'{name}.truth'], kept[f'{name}.arousal'] = read[name].truth[known], heard[rows]
            kept[f'{name}.speaker'], kept[f'{name}.sentence'] = clips.speaker[rows], clips.sentence[rows]
        np.savez(path, **kept)
    with np.load(path) as stored:
        return {
            name: Readings(
                stored[f'{name}.probabilities'], stored[f'{name}.truth'], stored[f'{name}.speaker'],
                stored[f'{name}.arousal'],
            )
            for name in corpora
        }  # fmt: skip


def _arousal(sound: Path, path: Path) -> np.ndarray:
    """(S,) the arousal that is heard in each clip by itself; nan where nothing is voiced."""
    if not path.exists():
        from affekt.voice.acoustics import acoustic_summary
        from affekt.voice.arousal import acoustic_arousal

        with np.load(sound) as stored:
            turns = np.split(stored['pcm'], np.cumsum(stored['lengths'])[:-1])
        summaries = np.stack([acoustic_summary(turn.astype(np.float32) / 32767) for turn in turns])
        np.save(path, acoustic_arousal(summaries))
    return np.asarray(np.load(path))
