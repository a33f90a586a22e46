"""Verbs of the kill measurement that train: benchmarks of models, pre-training, fine-tuning, describers."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from affekt.corpora import Facts, Manifest, Sample
from affekt.features import extract
from measurements.killed_case import TESTS, Case, small_corpus


def of_tests(room: str) -> None:
    """Let modules beside the tests of a room be imported."""
    sys.path.insert(0, str(TESTS / room))


class Merbench(Case):
    """A benchmark of small models."""

    name = 'bench merbench'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._manifest = small_corpus(folder, 72)
        extract(Manifest.load(self._manifest), 'hash512', folder / 'features')

    def words(self, out: Path) -> list[str]:
        """Two draws, two epochs."""
        more = ['--trials', '2', '--seeds', '1', '--epochs', '2', '--resamples', '20', '--resume', '--json']
        store = str(self.folder / 'features' / 'hash512')
        return ['bench', 'merbench', '--corpus', str(self._manifest), '--features', store, '--out', str(out), *more]

    def results(self, out: Path) -> Any:
        """All predictions."""
        import pyarrow.parquet as pq

        return pq.read_table(out / 'predictions.parquet', partitioning=None).to_pylist()


class Track(Merbench):
    """Training for a track."""

    name = 'track train'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        corpus = Manifest.load(self._manifest)
        names = ('neutral', 'angry', 'happy', 'sad', 'worried', 'surprise')
        rows = tuple(
            dataclasses.replace(row, category=names[number % 6]) for number, row in enumerate(corpus.samples)
        )  # fmt: skip
        Manifest(dataclasses.replace(corpus.facts, categories=names, ranges={}), rows).save(self._manifest)

    def words(self, out: Path) -> list[str]:
        """Two draws, two epochs."""
        more = ['--trials', '2', '--seeds', '1', '--epochs', '2', '--resume', '--json']
        store = str(self.folder / 'features' / 'hash512')
        return [
            'track',
            'train',
            'mer2024-semi',
            '--manifest',
            str(self._manifest),
            '--features',
            store,
            '--out',
            str(out),
            *more,
        ]

    def results(self, out: Path) -> Any:
        """The answers."""
        return (out / 'predictions.csv').read_text()


class Finetune(Merbench):
    """A small encoder of words, trained end to end."""

    name = 'bench finetune'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        of_tests('fusion')
        from tiny_encoders import bert

        bert(folder / 'encoder', [str(row.text) for row in Manifest.load(self._manifest).samples])

    def words(self, out: Path) -> list[str]:
        """Two draws, two epochs."""
        more = ['--trials', '2', '--seeds', '1', '--epochs', '2', '--resamples', '20', '--resume', '--json']
        encoder = str(self.folder / 'encoder')
        return ['bench', 'finetune', '--corpus', str(self._manifest), '--encoder', encoder, '--out', str(out), *more]


class Training(Case):
    """A verb that takes updates of one model; the updates up to its last checkpoint stand for results."""

    def training(self, out: Path) -> Path:
        """The folder of log and checkpoints."""
        return out

    def noted(self, out: Path) -> list[tuple[str, tuple[Path, ...], str]]:
        """The rows of the log."""
        return _updates(self.training(out))

    def is_finished(self, out: Path) -> bool:
        """Whether the checkpoints may be gone."""
        return (out / 'weights.safetensors').exists()

    def results(self, out: Path) -> Any:
        """The log, and a hash of the weights."""
        from affekt.training.curves import LOG_FILE, read_log

        return read_log(self.training(out) / LOG_FILE), _weights(out / 'weights.safetensors')


def _updates(folder: Path) -> list[tuple[str, tuple[Path, ...], str]]:
    """The rows of a log up to the last checkpoint, which have no files."""
    from affekt.training.checkpoints import last_step
    from affekt.training.curves import LOG_FILE, read_log

    start = last_step(folder) if folder.exists() else None
    if start is None or not (folder / LOG_FILE).exists():
        return []
    rows = [row for row in read_log(folder / LOG_FILE) if row['step'] <= start[1]['step']]
    return [(json.dumps(row, sort_keys=True), (), '') for row in rows]


def _weights(path: Path) -> str:
    """A hash of the tensors of a file, without what it notes of times and versions."""
    from affekt.nn import read_tensors

    digest = hashlib.sha256()
    for name, value in sorted(read_tensors(path)[0].items()):
        digest.update(name.encode() + value.float().numpy().tobytes())
    return digest.hexdigest()


class Pretrain(Training):
    """A tiny network of faces and voices, without labels."""

    name = 'pretrain'

    @classmethod
    def prepare(cls) -> None:
        """A network of two blocks takes the name of the smallest."""
        super().prepare()
        of_tests('pretraining')
        import pretrain_cases

        from affekt.pretraining import forms

        form = dataclasses.replace(pretrain_cases.FORM, depth=2, decoder_depth=2)
        forms.FORMS['hicmae-tiny'] = lambda: form

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        of_tests('pretraining')
        from pretrain_cases import corpus_in

        self._manifest = corpus_in(folder)

    def words(self, out: Path) -> list[str]:
        """Four updates, a checkpoint after each."""
        more = ['--crop', 'none', '--batch-size', '5', '--epochs', '4', '--save-every', '1', '--resume', '--json']
        return ['pretrain', 'hicmae', '--manifest', str(self._manifest), '--out', str(out), *more]


class FinetuneClips(Training):
    """A tiny network of voices with labels."""

    name = 'finetune'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        of_tests('pretraining')
        import torch
        from small_clips import SMALL

        from affekt.media import write_audio
        from affekt.media.synthetic import tone
        from affekt.nn import save_tensors
        from affekt.pretraining import HicmaePretraining
        from affekt.pretraining.masked_training import form_notes

        rows = []
        for at in range(8):
            write_audio(folder / f's{at}.wav', tone(0.75, (300, 3000)[at % 2]), 16_000)
            rows.append(Sample(f's{at}', audio=f's{at}.wav', category=('low', 'high')[at % 2], speaker=f'p{at // 2}'))
        Manifest(Facts('tones', categories=('low', 'high'), root=str(folder)), rows).save(folder / 'm.parquet')
        torch.manual_seed(0)
        notes = {'notes': json.dumps(form_notes(SMALL))}
        save_tensors(folder / 'from.safetensors', HicmaePretraining(SMALL).state_dict(), notes)

    def words(self, out: Path) -> list[str]:
        """Five epochs, with scores on speakers that nothing was learnt from."""
        more = ['--test', 'speaker=p0', '--epochs', '5', '--batch-size', '3', '--resume', '--json']
        source, manifest = str(self.folder / 'from.safetensors'), str(self.folder / 'm.parquet')
        return ['finetune', '--from', source, '--manifest', manifest, '--out', str(out), *more]

    def training(self, out: Path) -> Path:
        """Below the model."""
        return out / 'training'

    def results(self, out: Path) -> Any:
        """Weights, labels, answers and scores."""
        scores = json.loads((out / 'scores.json').read_text())
        texts = [(out / name).read_text() for name in ('labels.json', 'predictions.csv')]
        return _weights(out / 'weights.safetensors'), texts, scores


class DescribeTrain(Training):
    """A describer on a tiny language model."""

    name = 'describe train'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        of_tests('description')
        from clip_describers import saved_trunk

        felt = {'happy': 'What a wonderful day', 'sad': 'I miss her so much', 'angry': 'Leave me alone now'}
        moods = list(felt)
        rows = [
            Sample(f'clip{at}', text=f'{felt[moods[at % 3]]} {at}.', category=moods[at % 3], speaker=f's{at // 3 % 6}')
            for at in range(24)
        ]
        manifest = Manifest(Facts('toy', categories=tuple(felt)), rows)
        manifest.save(folder / 'm.parquet')
        extract(manifest, 'hash512', folder)
        self._trunk = saved_trunk(folder)

    def words(self, out: Path) -> list[str]:
        """Four updates, judged after each."""
        store, more = str(self.folder / 'hash512'), ['--rank', '2', '--answer-tokens', '2', '--resume', '--json']
        return [
            'describe', 'train', '--stage', 'coarse', '--manifest', str(self.folder / 'm.parquet'), '--features', store,
            '--out', str(out), '--trunk', str(self._trunk), '--steps', '4', '--batch-size', '2', '--evaluate-every',
            '1', *more,
        ]  # fmt: skip

    def is_finished(self, out: Path) -> bool:
        """The checkpoints stay."""
        return False

    def results(self, out: Path) -> Any:
        """The log, and the weights of the describer."""
        from affekt.training.curves import LOG_FILE, read_log

        weights = {path.name: _weights(path) for path in (out / 'describer').glob('*.safetensors')}
        return read_log(out / LOG_FILE), weights


class Abaw(Case):
    """Models of every frame, on made-up people."""

    name = 'bench abaw'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from affekt.benchmarks import made_up_inputs
        from affekt.corpora import AffWild2Settings

        made = AffWild2Settings(videos=5, seconds=0.4, rate_hz=10, size=32)
        made_up_inputs(folder / 'made', made, recipes=('acoustics-frm',))

    def words(self, out: Path) -> list[str]:
        """A model from two seeds."""
        made = self.folder / 'made'
        return [
            'bench', 'abaw', '--corpus', str(made / 'corpus.parquet'), '--features',
            str(made / 'features' / 'acoustics-frm'), '--key', str(made / 'corpus' / 'key'), '--task', 'va', '--model',
            'convolution', '--window', '4', '--stride', '2', '--epochs', '2', '--hidden', '4',
            '--resamples', '20', '--seeds', '2', '--out', str(out), '--resume', '--json',
        ]  # fmt: skip

    def noted(self, out: Path) -> list[tuple[str, tuple[Path, ...], str]]:
        """The updates of each model; one that is finished is opened again, and its page written anew."""
        folders = sorted((out / 'training' / 'models').glob('*/*'))
        return [
            (f'{folder.name} {key}', files, damage) for folder in folders for key, files, damage in _updates(folder)
        ]

    def results(self, out: Path) -> Any:
        """Scores, and the answers in the official form."""
        facts = json.loads((out / 'abaw.json').read_text())
        submissions = {path.name: path.read_text() for path in (out / 'submissions').glob('*.txt')}
        rows = [{name: value for name, value in row.items() if name != 'seconds'} for row in facts['rows']]
        return json.dumps(rows), submissions


class Dfer(FinetuneClips):
    """The same network tuned on each fold."""

    name = 'bench dfer'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        few = Manifest.load(small_corpus(folder, 12, sound=True))
        few.replaced(split=[None] * len(few), fold=[1 if row.fold < 3 else 2 for row in few.samples]).save(
            folder / 'few.parquet'
        )

    def words(self, out: Path) -> list[str]:
        """Two epochs."""
        more = ['--epochs', '2', '--batch-size', '12', '--features', 'none', '--resamples', '20', '--resume', '--json']
        source, manifest = str(self.folder / 'from.safetensors'), str(self.folder / 'few.parquet')
        return ['bench', 'dfer', '--corpus', manifest, '--from', source, '--scratch', '--out', str(out), *more]

    def noted(self, out: Path) -> list[tuple[str, tuple[Path, ...], str]]:
        """Models of folds that are finished."""
        return Case.noted(self, out)

    def is_finished(self, out: Path) -> bool:
        """The journal stays."""
        return False

    def results(self, out: Path) -> Any:
        """All rows without times."""
        rows = json.loads((out / 'dfer.json').read_text())['rows']
        return json.dumps([{name: value for name, value in row.items() if 'second' not in name} for row in rows])


CASES = (Merbench, Track, Finetune, Pretrain, FinetuneClips, DescribeTrain, Abaw, Dfer)
