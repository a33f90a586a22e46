"""How far every default model, and all of them together, are right on data that they have not learnt from.

    python measurements/carried_over.py [--data SHARED_DATA] [--limit N] [--manifest CSV --scale 1..5] [--out FILE]

All of it goes through `affekt.own_data`, the code of `affekt bench analyze`: the same readings, scores and intervals.
Each set says what it is to the models:

- *unseen*: no model has learnt from this corpus. MELD's test dialogues (words) are, and what `--manifest` names.
- *unseen part*: models have learnt from other people or pictures of the same corpus: FER2013's test faces.
- *learnt from*: the packaged voice has learnt from these very speakers: RAVDESS and nEMO. Such a row shows what fusion
  makes of a voice that is right, and nothing else. With `--head-without ravdess=FOLDER` (a head that
  `recipes/vocal_emotion/left_out_heads.py` fitted without the corpus) the set is unseen.

What the recipe measured on corpora that were left out is copied from the voices' cards. Clips are drawn by one seed. An
interrupted run goes on where it stopped; a finished one leaves the result file alone. Default: below 8 minutes of
one core.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from affekt.analysis import AnalysisSettings, column
from affekt.analysis.model_choice import card_of
from affekt.analysis.utterances import utterance_table
from affekt.experiments import sheet_markdown
from affekt.labels import EKMAN, MELD_TO_EKMAN
from affekt.own_data import (
    AnalysisBenchmark,
    ClipReading,
    LabelledClip,
    LabelledClips,
    ReadClips,
    SourceReading,
    analysis_sheet,
    bench_analysis,
    benchmark_facts,
    conclusions,
    labelled_clips,
    parsed_scales,
    scored,
)
from affekt.text import TextEmotion, Utterance

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / 'shared' / 'data'
SEED = 12
LIMITS = {'ravdess': 120, 'nemo': 120, 'fer2013': 900, 'meld': 2610}
"""Clips of each corpus; MELD's are all."""
ACTED = {'ravdess': 'ravdess_speech', 'nemo': 'nemo'}
VOICES = ('vocal_emotion_tiny_en', 'vocal_emotion_base')
KEPT = ('corpus', 'clips', 'grouped_by', 'groups', 'conclusions', 'missing', 'failed', 'notes', 'scores')


def sets(given: argparse.Namespace, work: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name of each set and what is known of it, one after the other."""
    limits = {name: given.limit or size for name, size in LIMITS.items()}
    heads = dict(text.split('=', 1) for text in given.head_without)
    for name, folder in ACTED.items():
        head = Path(heads[name]) if name in heads else None
        relation = 'unseen' if head else 'learnt from'
        table = given.data / folder / ('metadata.csv' if name == 'ravdess' else 'metadata.tsv')
        yield name, _analyzed(labelled_clips(table), limits[name], work / name, relation, head)
    yield 'fer2013', _faces(given.data / 'fer2013', limits['fer2013'], work)
    yield 'meld', _words(given.data / 'meld_text' / 'test_sent_emo.csv', limits['meld'])
    for path in given.manifest:
        labelled = labelled_clips(path, scales=parsed_scales(given.scale))
        yield path.stem, _analyzed(labelled, given.limit, work / path.stem, 'unseen', None)


def _analyzed(
    labelled: LabelledClips, limit: int | None, out: Path, relation: str, head: Path | None
) -> dict[str, Any]:
    """Clips analyzed from end to end."""
    drawn = labelled.drawn(limit, np.random.default_rng(SEED))
    outcome = bench_analysis(drawn, out, AnalysisSettings(), vocal_head=head, resume=True, seed=SEED)
    return _facts(outcome, relation)


def _faces(folder: Path, limit: int, work: Path) -> dict[str, Any]:
    """Faces of FER2013's test part as pictures that are analyzed."""
    pictures = work / 'fer2013_jpg'
    with zipfile.ZipFile(folder / 'fer2013_jpg.zip') as archive:
        for name in archive.namelist():
            if name.startswith('test/') and not (pictures / name).exists():
                archive.extract(name, pictures)
    labelled = labelled_clips(folder / 'labels.csv', media=pictures, split='test')
    return _analyzed(labelled, limit, work / 'fer2013', 'unseen part', None)


def _words(path: Path, limit: int) -> dict[str, Any]:
    """Utterances of dialogues, read as a transcript's words are."""
    with path.open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))[:limit]
    clips = tuple(
        LabelledClip(
            f'dia{row["Dialogue_ID"]}_utt{row["Utterance_ID"]}', None, None, row['Emotion'],
            MELD_TO_EKMAN[row['Emotion']], group=row['Dialogue_ID'],
        )
        for row in rows
    )  # fmt: skip
    utterances = [Utterance(float(at), at + 0.9, '', row['Utterance']) for at, row in enumerate(rows)]
    table, _ = utterance_table(utterances, TextEmotion())
    readings = [ClipReading({'words': SourceReading(silent_because='nothing measured')})] * len(clips)
    shares = np.stack([column(table, category) for category in EKMAN], axis=1)
    values = {name: column(table, name) for name in ('start_s', 'valence', 'arousal')}
    for at, row in enumerate(shares):
        place = int(values['start_s'][at])
        is_named = bool(np.isfinite(row).all())
        stated = tuple((row / row.sum()).tolist()) if is_named else ()
        why = '' if is_named else 'unsure'
        reading = SourceReading(stated, float(values['valence'][at]), float(values['arousal'][at]), why)
        readings[place] = ClipReading({'words': reading})
    labelled = LabelledClips('MELD, test', clips, 'dialogue')
    scores = scored(clips, readings, rng=np.random.default_rng(SEED))
    outcome = AnalysisBenchmark(labelled, ReadClips(tuple(readings)), scores, {})
    return _facts(outcome, 'unseen')


def _facts(outcome: AnalysisBenchmark, relation: str) -> dict[str, Any]:
    whole = benchmark_facts(outcome)
    facts = {'relation': relation, **{name: whole[name] for name in KEPT}}
    title, *tables = sheet_markdown(analysis_sheet(outcome)).split('\n')
    return {
        **facts,
        'markdown': '\n'.join([title, '', *(f'- {sentence}' for sentence in conclusions(outcome)), *tables]),
    }


def _left_out(name: str) -> Mapping[str, Any]:
    """What a card says of corpora that were left out."""
    card = card_of(name)
    parts = {**card, **card.get('metrics', {})}
    return {key: value for key, value in parts.items() if 'left_out' in key or 'left-out' in key}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=DATA)
    parser.add_argument('--limit', type=int, help='clips of each corpus (default: what the script says)')
    parser.add_argument('--manifest', type=Path, action='append', default=[], help='labelled clips of your own')
    parser.add_argument('--scale', action='append', default=[], help='of their ratings, such as 1..5')
    parser.add_argument('--head-without', action='append', default=[], metavar='CORPUS=FOLDER')
    parser.add_argument('--work', type=Path, default=HERE / '.carried_over')
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'carried_over.json')
    given = parser.parse_args()
    result: dict[str, Any] = {'seed': SEED, 'sets': {}}
    for name, facts in sets(given, given.work):
        result['sets'][name] = _rounded(facts)
        print(name, *facts['conclusions'], sep='\n  ', flush=True)
    result['voices_on_left_out_corpora'] = {name: _rounded(_left_out(name)) for name in VOICES}
    given.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + '\n')
    shutil.rmtree(given.work, ignore_errors=True)


if __name__ == '__main__':
    main()
