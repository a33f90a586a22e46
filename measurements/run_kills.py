"""Kills every verb that works for long with signal 9 at random moments and resumes: is a result lost, or made twice?

A round starts a verb on a small input in a new folder, kills it at a moment drawn evenly from 0 to a little more than a
whole run takes, starts it again, and so on until it ends. After each kill the journal is read: what stood in it before
must still stand there, once, with its files whole and never written again; of a verb that asks a model, no question may
be asked again whose answer stood there, nor twice in a run. At the end the results must be those of a run that nobody
killed, and nothing else may lie in the folder.

    python measurements/run_kills.py [--kills 200] [--seed 1] [--verbs analyze,corrupt]
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from affekt.corpora import Manifest, made_up_corpus
from affekt.features import Store, extract
from affekt.runs import read_journal, versions, write_atomically

RESULT = Path(__file__).parent / 'results' / 'run_kills.json'
BROKEN = ('lost', 'twice', 'written_again', 'torn', 'left_over', 'failed_runs', 'other_results')
CLIPS, DESCRIPTIONS = 8, 24
VERDICTS, LABELS = ('a1', 'a2', 'same'), ('happy', 'sad', 'calm', 'tense')
"""What the model on the loopback answers, by the question's hash: both verbs find theirs."""


class Case(ABC):
    """A verb with a small input."""

    name: ClassVar[str]
    preload: ClassVar[tuple[str, ...]] = ()
    """Modules that the starter imports once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)

    @abstractmethod
    def words(self, out: Path) -> list[str]:
        """The command line that works into a folder, and goes on there."""

    @abstractmethod
    def results(self, out: Path) -> Any:
        """What must be the same after any number of kills."""

    def journal(self, out: Path) -> Path:
        """The folder of the journal."""
        return out

    def noted(self, out: Path) -> list[tuple[str, tuple[Path, ...], str]]:
        """Key of every note, its files, and what of them is not whole."""
        run = self.journal(out)
        try:
            return [
                (entry.key, tuple(run / name for name in entry.files or ()), entry.damage(run))
                for entry in read_journal(run)
            ]
        except FileNotFoundError:  # a run that is finished takes its journal with it
            return []

    def is_finished(self, out: Path) -> bool:
        """Whether the journal may be gone."""
        return False

    def is_torn(self, out: Path, expected: Any) -> bool:
        """Whether results that are there only at the end stand there before."""
        return False

    def made_again(self, kept_before: Mapping[str, Collection[str]]) -> int:
        """How many results were made again, beyond what their files tell.

        Args:
            kept_before: each run to the keys that the journal held when it began.
        """
        return 0

    def left_over(self, out: Path) -> list[str]:
        """What lies in the folder of a finished run and is no result."""
        return [path.name for path in out.rglob('*') if 'affekt-part' in path.name or 'affekt-old' in path.name]


def _corpus(folder: Path, count: int, sound: bool = False) -> Path:
    """A manifest of so many made-up samples, in order of the corpus but with every split among them."""
    corpus = made_up_corpus(media=folder / 'media' if sound else None)
    rows = corpus.samples[:: max(1, len(corpus.samples) // count)]
    Manifest(corpus.facts, rows).save(folder / 'manifest.parquet')
    return folder / 'manifest.parquet'


class Analyze(Case):
    """A folder of short sounds."""

    name = 'analyze'
    preload = ('affekt.batch.running', 'affekt.media.joining')

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


class Extract(Case):
    """Features of a corpus, a few samples at once."""

    name = 'features extract'
    preload = ('affekt.features', 'pyarrow.ipc', 'scipy.signal')

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._manifest = _corpus(folder, 48, sound=True)

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

    def words(self, out: Path) -> list[str]:
        """Batches of three, each by either process."""
        return [*super().words(out), '--processes', '2']


class Corrupt(Case):
    """Noise over short sounds."""

    name = 'corrupt'
    preload = ('affekt.corruption', 'pyarrow.parquet', 'av')

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._manifest = _corpus(folder, 48, sound=True)

    def words(self, out: Path) -> list[str]:
        """White noise."""
        return ['corrupt', str(self._manifest), '--out', str(out), '--snr', '5,10', '--resume', '--json']

    def results(self, out: Path) -> Any:
        """Hashes of the sounds, and the rows of the manifest."""
        sounds = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.rglob('*.wav')}
        return sounds, [dataclasses.asdict(row) for row in Manifest.load(out / 'manifest.parquet').samples]


class Merbench(Case):
    """A benchmark of small models."""

    name = 'bench merbench'
    preload = ('torch', 'affekt.benchmarks.merbench', 'affekt.fusion', 'affekt.training', 'pyarrow.parquet')

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._manifest = _corpus(folder, 72)
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
    preload = ('torch', 'affekt.challenges.training', 'affekt.fusion', 'affekt.training', 'pyarrow.parquet')

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
    preload = ('torch', 'transformers', 'affekt.benchmarks.finetuning', 'affekt.fusion', 'pyarrow.parquet')

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'tests' / 'fusion'))
        from tiny_encoders import bert

        bert(folder / 'encoder', [str(row.text) for row in Manifest.load(self._manifest).samples])

    def words(self, out: Path) -> list[str]:
        """Two draws, two epochs."""
        more = ['--trials', '2', '--seeds', '1', '--epochs', '2', '--resamples', '20', '--resume', '--json']
        encoder = str(self.folder / 'encoder')
        return ['bench', 'finetune', '--corpus', str(self._manifest), '--encoder', encoder, '--out', str(out), *more]


class Asking(Case):
    """A verb that asks a model on the loopback; its journal holds answers."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.server = Server()
        rows = ''.join(f's{number},%s says that clip {number} shows joy\n' for number in range(DESCRIPTIONS))
        for name in ('a', 'b'):
            (folder / f'{name}.csv').write_text('name,description\n' + rows.replace('%s', name))

    def noted(self, out: Path) -> list[tuple[str, tuple[Path, ...], str]]:
        """The questions of whole lines."""
        journal = out / 'a.csv.answers' / 'journal.jsonl'
        lines = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
        whole = [json.loads(line) for line in lines if line.startswith(b'{') and line.endswith(b'}\n')]
        return [(_question(line['request']), (), '') for line in whole]

    def is_torn(self, out: Path, expected: Any) -> bool:
        """The table is whole, or not there."""
        return (out / 'a.csv').exists() and self.results(out) != expected

    def made_again(self, kept_before: Mapping[str, Collection[str]]) -> int:
        """Questions asked though their answers were kept, or twice in one run."""
        asked = {run: self.server.asked.get(run, []) for run in kept_before}
        return sum(
            len(set(kept_before[run]) & set(questions)) + len(questions) - len(set(questions))
            for run, questions in asked.items()
        )

    def results(self, out: Path) -> Any:
        """The table."""
        return (out / 'a.csv').read_text()


class Judge(Asking):
    """Two describers compared."""

    name = 'judge'
    preload = ('affekt.ranking', 'affekt.llm')

    def words(self, out: Path) -> list[str]:
        """Both orders of each pair."""
        files = [str(self.folder / 'a.csv'), str(self.folder / 'b.csv')]
        return [
            'judge',
            *files,
            '--endpoint',
            self.server.url,
            '--model',
            'tiny',
            '--out',
            str(out / 'a.csv'),
            '--json',
        ]


class Labels(Asking):
    """Emotion words read out of descriptions."""

    name = 'extract'
    preload = ('affekt.llm', 'affekt.labels')

    def words(self, out: Path) -> list[str]:
        """One question a description."""
        more = ['--endpoint', self.server.url, '--model', 'tiny', '--out', str(out / 'a.csv'), '--json']
        return ['extract', str(self.folder / 'a.csv'), *more]


def _question(request: dict[str, Any]) -> str:
    return json.dumps(request['messages'], sort_keys=True)


class Server:
    """Answers after a moment, by the question's hash; keeps what each run asked, known by its key.

    A run that was killed may have a question on its way, which arrives when the next run has begun.
    """

    def __init__(self) -> None:
        self.asked: dict[str, list[str]] = {}
        guard, asked = threading.Lock(), self.asked

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                question = _question(json.loads(self.rfile.read(int(self.headers['Content-Length']))))
                with guard:
                    asked.setdefault(self.headers['Authorization'].split()[-1], []).append(question)
                time.sleep(0.005)
                number = hashlib.sha256(question.encode()).digest()[0]
                answer = {'labels': [LABELS[number % len(LABELS)]], 'verdict': VERDICTS[number % len(VERDICTS)]}
                choice = {'message': {'content': json.dumps(answer)}, 'finish_reason': 'stop'}
                body = json.dumps({'model': 'tiny', 'choices': [choice]}).encode()
                self.send_response(200)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients are killed on purpose
        self.url = f'http://127.0.0.1:{server.server_address[1]}/v1'
        threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True).start()


CASES = {
    case.name: case for case in (Analyze, Extract, ExtractBeside, Labels, Judge, Corrupt, Merbench, Track, Finetune)
}


class Starter:
    """A process that has imported what a verb needs and forks one run at a time, so that a kill costs no imports."""

    def __init__(self, preload: tuple[str, ...]) -> None:
        words = [sys.executable, __file__, '--starter', *preload]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, words: list[str], run: str) -> int:
        """The process that runs these words; it sends the run's name for its key."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps([run, words]) + '\n')
        self._process.stdin.flush()
        return int(self._line())

    def ended(self) -> int:
        """Wait for it: its exit code, or minus the signal that ended it."""
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def starter(preload: list[str]) -> None:
    """Fork a run for each line of standard input; say its process, then how it ended."""
    from importlib import import_module

    from affekt.cli import main

    for name in preload:
        import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.environ['AFFEKT_LLM_KEY'], words = json.loads(line)
            main(words)  # exits
        print(child, flush=True)
        _, state = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(state), flush=True)


def kill_and_resume(case: Case, kills: int, seed: int) -> dict[str, Any]:
    """Kill so often, and count what broke; every count under `broken` must be 0."""
    runs, draw, begun = Starter(case.preload), random.Random(seed), time.monotonic()
    broken: Counter[str] = Counter(dict.fromkeys(BROKEN, 0))
    done = {'kills': 0, 'rounds': 0, 'runs': 0, 'results_at_kills': 0}
    kept_before: dict[str, Collection[str]] = {}
    try:
        for warm in ('warm', 'whole'):  # the second one has its files in the system's cache
            start = time.monotonic()
            runs.start(case.words(case.folder / warm), warm)
            assert runs.ended() == 0, f'{case.name}: the run that nobody kills failed'
            whole_s = time.monotonic() - start
        expected = case.results(case.folder / 'whole')
        assert expected == case.results(case.folder / 'warm'), f'{case.name}: two runs differ without any kill'
        while done['kills'] < kills:
            out, before, was_killed = case.folder / f'round {done["rounds"]}', dict[str, tuple[int, ...]](), True
            done['rounds'] += 1
            while was_killed:
                done['runs'] += 1
                kept_before[f'run-{done["runs"]}'] = tuple(before)
                child = runs.start(case.words(out), f'run-{done["runs"]}')
                if done['kills'] < kills:
                    time.sleep(draw.uniform(0.0, 1.1 * whole_s))
                    with contextlib.suppress(ProcessLookupError):  # it was done before
                        os.kill(child, signal.SIGKILL)
                code = runs.ended()
                was_killed = code == -signal.SIGKILL
                done['kills'] += was_killed
                broken['torn'] += case.is_torn(out, expected)
                if not case.is_finished(out):
                    before = _compared(case, out, before, broken)
                    done['results_at_kills'] += was_killed * len(before)
            broken['failed_runs'] += code != 0
            broken['other_results'] += code == 0 and case.results(out) != expected
            broken['left_over'] += len(case.left_over(out))
    finally:
        runs.close()
    broken['written_again'] += case.made_again(kept_before)
    return {
        **done, 'whole_run_s': round(whole_s, 2), 'seconds': round(time.monotonic() - begun, 1), 'broken': dict(broken)
    }  # fmt: skip


def _compared(
    case: Case, out: Path, before: dict[str, tuple[int, ...]], broken: Counter[str]
) -> dict[str, tuple[int, ...]]:
    """What is noted now, with when its files were written, compared with what was noted before."""
    notes = case.noted(out)
    broken['twice'] += len(notes) - len({key for key, _, _ in notes})
    broken['torn'] += sum(bool(damage) for _, _, damage in notes)
    now = {key: tuple(path.stat().st_mtime_ns for path in files if path.exists()) for key, files, _ in notes}
    broken['lost'] += len(before.keys() - now.keys())
    broken['written_again'] += sum(now[key] != written for key, written in before.items() if key in now)
    return now


def main() -> None:
    """Kill, count, and write the result file; verbs that are not named keep their figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument('--kills', type=int, default=200)
    options.add_argument('--seed', type=int, default=1)
    options.add_argument('--verbs', default=','.join(CASES))
    options.add_argument('--out', type=Path, default=RESULT)
    options.add_argument('--starter', nargs='*', help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.starter is not None:
        starter(chosen.starter)
        return
    np.seterr(all='raise')
    results = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    for name in chosen.verbs.split(','):
        with tempfile.TemporaryDirectory() as folder:
            figures = kill_and_resume(CASES[name](Path(folder) / 'case'), chosen.kills, chosen.seed)
        print(name, json.dumps(figures), flush=True)
        results[name] = {'seed': chosen.seed, **figures}
        results['versions'] = versions()
        write_atomically(chosen.out, (json.dumps(results, indent=1) + '\n').encode())
    sys.exit(any(any(each['broken'].values()) for name, each in results.items() if name != 'versions'))


if __name__ == '__main__':
    main()
