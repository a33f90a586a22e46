"""The speech of both corpora: for pre-training whole recordings without labels, for reading them the turns with labels.

Corpora, folds and turns are those of the vocal emotion heads (`recipes/vocal_emotion/features.py`), so that scores here
and there are of the same clips. The last fold of each corpus is left out of pre-training: its people are heard there
for the first time.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affekt.arrays import Floats32
from affekt.clips import Clip

VOCAL = Path(__file__).resolve().parents[2] / 'recipes' / 'vocal_emotion'
sys.path.insert(0, str(VOCAL))
vocal = import_module('features')

ALL = 1_000_000


def unlabelled(ravdess: Path, nemo: Path, out: Path) -> list[Clip]:
    """Every recording of both corpora but those of the people left out, decoded once and kept in `out`."""
    clips: list[Clip] = []
    for corpus in (vocal.read_ravdess(ravdess), vocal.read_nemo(nemo, ALL)):
        path = out / f'{corpus.name}.recordings.npz'
        if not path.exists():
            sounds = [vocal.read_sound(corpus.folder / name) for name in corpus.files]
            out.mkdir(parents=True, exist_ok=True)
            pcm = np.concatenate([np.clip(sound * 32767, -32768, 32767).astype(np.int16) for sound in sounds])
            np.savez(path, pcm=pcm, lengths=np.array([len(sound) for sound in sounds]))
        with np.load(path) as stored:
            pieces = np.split(stored['pcm'], np.cumsum(stored['lengths'])[:-1])
        left_out = is_left_out(corpus)
        names = zip(corpus.files, pieces, left_out, strict=True)
        clips += [Clip(name, None, None, pcm.astype(np.float32) / 32767) for name, pcm, is_out in names if not is_out]
    return clips


def is_left_out(corpus: Any) -> npt.NDArray[np.bool_]:
    """(S,) clips of the people that pre-training never hears: the last fold."""
    return np.asarray(corpus.fold == corpus.fold.max())


def labelled(ravdess: Path, nemo: Path, out: Path) -> dict[str, tuple[Any, Any]]:
    """Tables and turns of both corpora; arrays are made where `out` lacks them."""
    corpora = (vocal.read_ravdess(ravdess), vocal.read_nemo(nemo))
    return {corpus.name: (corpus, vocal.Store(corpus, out, {'tiny.en': 'tiny.en'})) for corpus in corpora}


def turns(store: Any) -> list[Floats32]:
    """What is said in each clip."""
    return store.sound('clean')
