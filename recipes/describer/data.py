"""Corpora of the small describer as manifests, and their features in stores: each made once by affekt's own recipes.

    python recipes/describer/data.py --corpora DIR --out DIR

What a clip of a user goes through at run time is the same: `affekt.features.extract` with the recipes of `RECIPES_OF`.

| corpus | has | part in it |
|---|---|---|
| RAVDESS speech | sound of 24 actors, eight emotions, two sentences | folds of actors |
| nEMO | sound of 9 Polish speakers, six emotions | left out: only tested on |
| GoEmotions | comments of 28 labels | official split; tested on comments of the development part that are `HELD` |
| MELD | spoken lines as text, sentiment | official split |
| EmoBank | sentences with rated valence | official split |
| FER2013 | stills of faces, seven expressions | PublicTest is learnt from, PrivateTest is tested on |

FER2013's Training part taught the network of expressions whose readings are read here, so it is left out.
"""

from __future__ import annotations

import argparse
import csv
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from affekt.corpora import Facts, Manifest, Sample
from affekt.features import Store, extract
from affekt.labels import GOEMOTIONS, RAVDESS8
from affekt.runs import write_atomically

VOICE, PROSODY, FACE, SENTENCE = 'voice', 'prosody', 'face', 'sentence'
RECIPES_OF = {
    VOICE: 'voice-layers-utt', PROSODY: 'speech-acoustics-utt', FACE: 'faces-utt', SENTENCE: 'text-emotion-utt',
}  # fmt: skip
"""Source of the describer to the recipe of its features."""
STATEMENTS = {'1': 'Kids are talking by the door', '2': 'Dogs are sitting by the door'}
NEMO_LABELS = {
    'anger': 'angry', 'fear': 'fearful', 'happiness': 'happy', 'neutral': 'neutral', 'sadness': 'sad',
    'surprised': 'surprised',
}  # fmt: skip
NEMO_MOST = 20
"""Clips of each speaker and emotion of nEMO, drawn: nine speakers limit what it tells, not clips."""
FER_MOST = 350
"""Stills of each expression in each part, drawn."""
FER_PARTS = {'validation': 'train', 'test': 'test'}
COMMENTS = {'train': 6000, 'dev': 1000, 'test': None}
"""Texts of each split that are read, drawn; None for all."""
HELD = 'held'
"""Comments of the development part that are not drawn. Nothing is chosen by them but calibration and thresholds of the
head of text, from which the describer's reader of words starts too: both are favoured. What ships is tested on them:
the test part is spent on earlier forms of it."""


def ravdess(folder: Path) -> Manifest:
    """Speech of 24 actors; category is one of RAVDESS8."""
    with (folder / 'metadata.csv').open(newline='', encoding='utf-8') as stream:
        rows = list(csv.DictReader(stream))
    samples = [
        Sample(
            Path(row['file']).stem, audio=row['file'], text=STATEMENTS[row['statement']], category=row['emotion'],
            speaker=f'{int(row["actor"]):02d}',
        )
        for row in rows
    ]  # fmt: skip
    return Manifest(Facts('ravdess', categories=tuple(RAVDESS8), root=str(folder)), samples)


def nemo(folder: Path) -> Manifest:
    """Polish speech; categories by the words of RAVDESS8, at most `NEMO_MOST` clips of each speaker and emotion."""
    with (folder / 'metadata.tsv').open(newline='', encoding='utf-8') as stream:
        rows = sorted(csv.DictReader(stream, delimiter='\t', quoting=csv.QUOTE_NONE), key=lambda row: row['file_id'])
    chosen = _at_most(rows, NEMO_MOST, lambda row: (row['speaker_id'].strip(), row['emotion']))
    samples = [
        Sample(
            Path(row['file_id']).stem, audio=f'{row["speaker_id"].strip()}/{Path(row["file_id"]).stem}.opus',
            category=NEMO_LABELS[row['emotion']], speaker=row['speaker_id'].strip(),
        )
        for row in chosen
    ]  # fmt: skip
    return Manifest(Facts('nemo', categories=tuple(NEMO_LABELS.values()), root=str(folder)), samples)


def goemotions(folder: Path) -> Manifest:
    """Comments; `category` has all labels of a comment, joined by commas; the split of some is `HELD`."""
    samples: list[Sample] = []
    categories: set[str] = set()
    for split, most in COMMENTS.items():
        lines = [line.split('\t') for line in (folder / f'{split}.tsv').read_text('utf-8').split('\n') if line]
        drawn = set(_drawn(len(lines), most))
        for number in range(len(lines)) if split == 'dev' else sorted(drawn):
            text, labels, _ = lines[number]
            category = ','.join(GOEMOTIONS[int(label)] for label in labels.split(','))
            categories.add(category)
            part = split if number in drawn else HELD
            samples.append(Sample(f'goemotions-{split}-{number}', text=text, category=category, split=part))
    return Manifest(Facts('goemotions', language='en', categories=tuple(sorted(categories))), samples)


def meld(folder: Path) -> Manifest:
    """Lines; `sentiment` is 1, 0 or -1."""
    values = {'positive': 1.0, 'neutral': 0.0, 'negative': -1.0}
    samples = []
    for split, most in {'train': 1500, 'dev': 300, 'test': None}.items():
        with (folder / f'{split}_sent_emo.csv').open(encoding='utf-8', newline='') as stream:
            rows = list(csv.DictReader(stream))
        samples += [
            Sample(
                f'meld-{split}-{number}', text=rows[number]['Utterance'], split=split,
                sentiment=values[rows[number]['Sentiment']], dialogue=rows[number]['Dialogue_ID'],
            )
            for number in _drawn(len(rows), most)
        ]  # fmt: skip
    return Manifest(Facts('meld', language='en'), samples)


def emobank(folder: Path) -> Manifest:
    """Sentences; `valence` from 1 to 5 as rated."""
    with (folder / 'emobank.csv').open(encoding='utf-8', newline='') as stream:
        rows = list(csv.DictReader(stream))
    samples = []
    for split, most in {'train': 1500, 'dev': 300, 'test': None}.items():
        own = [row for row in rows if row['split'] == split]
        samples += [
            Sample(f'emobank-{split}-{n}', text=own[n]['text'], split=split, valence=float(own[n]['V']))
            for n in _drawn(len(own), most)
        ]
    return Manifest(Facts('emobank', language='en'), samples)


def fer2013(folder: Path, stills: Path) -> Manifest:
    """Stills of faces, unpacked one a folder, as a recipe of faces reads them."""
    with (folder / 'labels.csv').open(newline='', encoding='utf-8') as stream:
        rows = [row for row in csv.DictReader(stream) if row['split'] in FER_PARTS]
    chosen = _at_most(rows, FER_MOST, lambda row: (row['split'], row['emotion']))
    samples = []
    with zipfile.ZipFile(folder / 'fer2013_jpg.zip') as archive:
        for row in chosen:
            name = Path(row['file']).stem
            (stills / name).mkdir(parents=True, exist_ok=True)
            if not (still := stills / name / '00001.jpg').exists():
                write_atomically(still, archive.read(row['file']))
            samples.append(Sample(name, frames=name, category=row['emotion'], split=FER_PARTS[row['split']]))
    categories = tuple(sorted({row['emotion'] for row in chosen}))
    return Manifest(Facts('fer2013', categories=categories, root=str(stills)), samples)


def _drawn(count: int, most: int | None) -> list[int]:
    if most is None or count <= most:
        return list(range(count))
    return sorted(np.random.default_rng(5).permutation(count)[:most].tolist())


def _at_most(rows: list[dict[str, str]], most: int, group: Callable[[dict[str, str]], object]) -> list[dict[str, str]]:
    """At most so many rows of a group, by chance."""
    seen: dict[object, int] = {}
    chosen = []
    for place in np.random.default_rng(5).permutation(len(rows)):
        key = group(rows[place])
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= most:
            chosen.append(int(place))
    return [rows[place] for place in sorted(chosen)]


SOURCES_OF = {
    'ravdess': (VOICE, PROSODY, SENTENCE), 'nemo': (VOICE, PROSODY), 'goemotions': (SENTENCE,), 'meld': (SENTENCE,),
    'emobank': (SENTENCE,), 'fer2013': (FACE,),
}  # fmt: skip


def manifests(corpora: Path, out: Path) -> dict[str, Manifest]:
    """Every corpus by name.

    Args:
        corpora: folder of the corpora, each as its README there says.
        out: for stills that have to be unpacked.
    """
    return {
        'ravdess': ravdess(corpora / 'ravdess_speech'),
        'nemo': nemo(corpora / 'nemo'),
        'goemotions': goemotions(corpora / 'goemotions' / 'original'),
        'meld': meld(corpora / 'meld_text'),
        'emobank': emobank(corpora / 'emobank' / 'corpus'),
        'fer2013': fer2013(corpora / 'fer2013', out / 'stills'),
    }


def stores(manifest: Manifest, out: Path) -> dict[str, Store]:
    """Source to the store of its features; what is absent is extracted first."""
    folder = out / 'features' / manifest.facts.corpus
    opened = {}
    for source in SOURCES_OF[manifest.facts.corpus]:
        extract(manifest, RECIPES_OF[source], folder)
        opened[source] = Store(folder / RECIPES_OF[source])
    return opened


def main(names: Iterable[str] = SOURCES_OF) -> None:
    """Extracts everything; a run that was stopped goes on where it was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--corpora', type=Path, required=True, help='folder with ravdess_speech, nemo, goemotions, …')
    parser.add_argument('--out', type=Path, required=True, help='folder for features and runs')
    options = parser.parse_args()
    tables = manifests(options.corpora, options.out)
    for name in names:
        opened = stores(tables[name], options.out)
        for source, store in opened.items():
            print(f'{name}: {source} of {len(store):,} samples, without {len(store.missing):,}', flush=True)


if __name__ == '__main__':
    main()
