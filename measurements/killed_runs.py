"""Verbs of the kill measurement whose results are files: analyses, features, clips, portraits."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import numpy as np

from affekt.corpora import Manifest, made_up_corpus
from affekt.features import Store
from affekt.media import Recording, write_audio, write_image, write_video
from affekt.media.synthetic import tone
from affekt.runs import read_journal
from measurements.killed_case import TESTS, Case, small_corpus

CLIPS = 8


class Analyze(Case):
    """A folder of short sounds."""

    name = 'analyze'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        corpus = made_up_corpus(media=folder / 'all')
        (folder / 'clips').mkdir()
        for row in corpus.samples[:CLIPS]:
            (folder / 'all' / str(row.audio)).rename(folder / 'clips' / str(row.audio))

    def words(self, out: Path) -> list[str]:
        """Without recognition of speech, which would take most of the time."""
        return ['analyze', str(self.folder / 'clips'), '--out', str(out), '--asr', 'none', '--resume', '--json']

    def results(self, out: Path) -> Any:
        """Rows of every clip's timeline."""
        from affekt.analysis import Analysis

        return {
            entry.key: Analysis.load(out / entry.folder).timeline.to_arrow().to_pylist() for entry in read_journal(out)
        }


class ShortTones(Analyze):
    """A folder of shorter sounds, no two equal: `bench analyze` analyses equal ones once."""

    def __init__(self, folder: Path) -> None:
        Case.__init__(self, folder)
        (folder / 'clips').mkdir()
        for at in range(5):
            write_audio(folder / 'clips' / f'{at}.wav', tone(0.4, 200.0 + 20 * at), 16_000)


class BenchAnalyze(ShortTones):
    """Such a folder, with labels."""

    name = 'bench analyze'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        rows = [
            f'{path.name},{("happy", "sad")[at % 2]}' for at, path in enumerate(sorted((folder / 'clips').iterdir()))
        ]
        (folder / 'clips' / 'labels.csv').write_text('\n'.join(['file,emotion', *rows]) + '\n')

    def words(self, out: Path) -> list[str]:
        """Few resamples."""
        return [
            'bench', 'analyze', '--manifest', str(self.folder / 'clips' / 'labels.csv'), '--asr', 'none', '--resamples',
            '20', '--out', str(out), '--resume', '--json',
        ]  # fmt: skip

    def results(self, out: Path) -> Any:
        """What was read of each clip."""
        return (out / 'clips.csv').read_text()


class Extract(Case):
    """Features of a corpus, a few samples at once."""

    name = 'features extract'
    samples = 48

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._manifest = small_corpus(folder, self.samples, sound=True)

    def words(self, out: Path) -> list[str]:
        """Batches of three."""
        return [
            'features', 'extract', str(self._manifest), '--recipe', 'acoustics-utt', '--out', str(out), '--batch', '3',
            '--json',
        ]  # fmt: skip

    def journal(self, out: Path) -> Path:
        """The folder of finished batches."""
        return out / 'acoustics-utt' / '.work-1-of-1'

    def is_finished(self, out: Path) -> bool:
        """Whether all batches are in one file."""
        return any((out / 'acoustics-utt').glob('shard-*'))

    def results(self, out: Path) -> Any:
        """Every vector."""
        store = Store(out / 'acoustics-utt')
        return {name: store[name].values.tolist() for name in store.names}

    def left_over(self, out: Path) -> list[str]:
        """All but the one file."""
        return sorted(path.name for path in (out / 'acoustics-utt').iterdir())[1:]


class ExtractBeside(Extract):
    """The same by two processes beside the one that is killed."""

    name = 'features extract --processes 2'
    samples = 18

    @classmethod
    def prepare(cls) -> None:
        """New processes come from one that has imported what they need."""
        super().prepare()
        context = multiprocessing.get_context('forkserver')
        context.set_forkserver_preload([
            'measurements.lasting_forkserver', 'affekt.features.extraction', 'affekt.features.recipes', 'scipy.signal',
            'av',
        ])  # fmt: skip
        forkserver.ensure_running()
        forkserver._forkserver.ensure_running = lambda: None  # runs are forked, and it is no child of theirs
        multiprocessing.get_context = lambda method=None: context

    def words(self, out: Path) -> list[str]:
        """Batches of three, each by either process."""
        return [*super().words(out), '--processes', '2']


class Corrupt(Case):
    """Noise over short sounds."""

    name = 'corrupt'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._manifest = small_corpus(folder, 48, sound=True)

    def words(self, out: Path) -> list[str]:
        """White noise."""
        return ['corrupt', str(self._manifest), '--out', str(out), '--snr', '5,10', '--resume', '--json']

    def results(self, out: Path) -> Any:
        """Hashes of the sounds, and the rows of the manifest."""
        return _sha256_of(out.rglob('*.wav')), [
            dataclasses.asdict(row) for row in Manifest.load(out / 'manifest.parquet').samples
        ]


class DescribeClips(ShortTones):
    """Such a folder described from measurements."""

    name = 'describe'

    def words(self, out: Path) -> list[str]:
        """Without recognition of speech."""
        return [
            'describe', str(self.folder / 'clips'), '--model', 'plain', '--asr', 'none', '--out', str(out), '--resume',
            '--json',
        ]  # fmt: skip

    def results(self, out: Path) -> Any:
        """Both tables."""
        return [(out / name).read_text() for name in ('descriptions.csv', 'descriptions.jsonl')]


class MadeUpFaces(Case):
    """Videos of made-up people."""

    name = 'corpus make faces'

    def words(self, out: Path) -> list[str]:
        """Six clips of a few frames."""
        return [
            'corpus', 'make', 'faces', '--clips', '6', '--people', '4', '--seconds', '0.2', '--fps', '10', '--size',
            '48', '--out', str(out), '--resume', '--json',
        ]  # fmt: skip

    def results(self, out: Path) -> Any:
        """Hashes of the videos, and the rows of the manifest."""
        rows = [dataclasses.asdict(row) for row in Manifest.load(out / 'manifest.parquet').samples]
        return _sha256_of(out.glob('*.mp4')), rows


class Portraits(Case):
    """A set of stimuli from a made-up portrait."""

    name = 'reenact (a set)'

    @classmethod
    def prepare(cls) -> None:
        """Keys of its own, and the networks in memory."""
        os.environ['AFFEKT_CONFIG'] = tempfile.mkdtemp()
        super().prepare()

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        sys.path.insert(0, str(TESTS / 'reenactment'))
        from portraits import made_up_face

        (folder / 'portraits').mkdir()
        write_image(folder / 'portraits' / 'day.png', made_up_face(size=192)[0])

    def words(self, out: Path) -> list[str]:
        """The portrait and three short clips of it."""
        return [
            'reenact', str(self.folder / 'portraits'), '--emotion', 'surprise', '--intensity', '0,0.5,1',
            '--seconds', '0.1', '--fps', '10', '--portrayed', 'nobody', '-o', str(out), '--json',
        ]  # fmt: skip

    def results(self, out: Path) -> Any:
        """The table, and hashes of the pictures that each clip shows; signatures hold times."""
        return (out / 'stimuli.csv').read_text(), {path.name: _pictures(path) for path in out.rglob('*.mp4')}


class Portrait(Portraits):
    """One longer video of a portrait."""

    name = 'reenact'

    @classmethod
    def prepare(cls) -> None:
        """Windows of 4 pictures instead of 250."""
        super().prepare()
        from affekt.reenactment import write_reenactment

        write_reenactment.__kwdefaults__['window'] = 4

    def words(self, out: Path) -> list[str]:
        """Five windows."""
        return [
            'reenact', str(self.folder / 'portraits' / 'day.png'), '--emotion', 'surprise', '--seconds', '2', '--fps',
            '10', '--portrayed', 'nobody', '-o', str(out / 'out.mp4'), '--json',
        ]  # fmt: skip

    def journal(self, out: Path) -> Path:
        """The hidden run beside the output."""
        from affekt.files import part_of
        from affekt.reenactment.output import WINDOWS_SUFFIX

        return part_of(out / 'out.mp4', WINDOWS_SUFFIX)

    def is_finished(self, out: Path) -> bool:
        """Its windows are gone."""
        return (out / 'out.mp4').exists()

    def results(self, out: Path) -> Any:
        """A hash of its pictures."""
        return _pictures(out / 'out.mp4')

    def left_over(self, out: Path) -> list[str]:
        """All but the video and its record."""
        return sorted({path.name for path in out.iterdir()} - {'out.mp4', 'out.mp4.json'})


class BenchReenact(Portraits):
    """A benchmark of reenactment on short videos of one made-up face."""

    name = 'bench reenact'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from portraits import made_up_face

        image = made_up_face(size=128)[0]
        for at in range(4):
            write_video(folder / f'd{at}.mp4', [image, np.maximum(image, 40 * at), image], 5.0)
        (folder / 'pairs.csv').write_text('driver\n' + ''.join(f'd{at}.mp4\n' for at in range(4)))

    def words(self, out: Path) -> list[str]:
        """Without the network that compares faces."""
        return [
            'bench', 'reenact', '--pairs', str(self.folder / 'pairs.csv'), '--portrayed', 'nobody',
            '--without-identity', '--fps', '2', '--out', str(out), '--resume', '--json',
        ]  # fmt: skip

    def journal(self, out: Path) -> Path:
        """The folder itself."""
        return out

    def is_finished(self, out: Path) -> bool:
        """The journal stays."""
        return False

    def results(self, out: Path) -> Any:
        """The table, and the record without when consent was stated."""
        record = json.loads((out / 'result.json').read_text())
        return (out / 'pairs.csv').read_text(), {name: value for name, value in record.items() if name != 'consent'}

    def left_over(self, out: Path) -> list[str]:
        """Unfinished files."""
        return Case.left_over(self, out)


def _sha256_of(paths: Iterable[Path]) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _pictures(path: Path) -> str:
    """A hash of all pictures of a video."""
    digest = hashlib.sha256()
    for frame in Recording.open(path).frames():
        digest.update(frame.image.tobytes())
    return digest.hexdigest()


CASES = (
    Analyze,
    DescribeClips,
    Extract,
    ExtractBeside,
    Corrupt,
    MadeUpFaces,
    Portraits,
    Portrait,
    BenchAnalyze,
    BenchReenact,
)
