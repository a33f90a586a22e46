"""Verbs of the kill measurement that ask models on the loopback, and the server that counts what each run asks."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from affekt.corpora import Facts, Manifest, Sample
from affekt.media import write_audio
from affekt.media.synthetic import tone
from measurements.killed_case import TESTS, Case

DESCRIPTIONS, DESCRIBED, CAPTIONED = 24, 10, 6
PROBES = ('Which colour', 'Listen: is', 'This clip shows one', 'Answer with the one word yes')
VERDICTS, LABELS = ('a1', 'a2', 'same'), ('happy', 'sad', 'calm', 'tense')
"""What the model on the loopback answers, by the question's hash: both verbs find theirs."""


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
        return [(question, (), '') for question in _answered(out / 'a.csv.answers' / 'journal.jsonl')]

    def key_of(self, question: str) -> str | None:
        """What a question is noted by; None where it may be asked in each run, as probes are."""
        return question

    def is_torn(self, out: Path, expected: Any) -> bool:
        """The table is whole, or not there."""
        return (out / 'a.csv').exists() and self.results(out) != expected

    def made_again(self, kept_before: Mapping[str, Collection[str]]) -> int:
        """Questions asked though their answers were kept, or twice in one run."""
        asked = {
            run: [key for question in self.server.asked.get(run, []) if (key := self.key_of(question)) is not None]
            for run in kept_before
        }
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

    def words(self, out: Path) -> list[str]:
        """One question a description."""
        more = ['--endpoint', self.server.url, '--model', 'tiny', '--out', str(out / 'a.csv'), '--json']
        return ['extract', str(self.folder / 'a.csv'), *more]


def _answered(journal: Path) -> list[str]:
    """The questions of whole lines of a journal of answers."""
    lines = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
    whole = [json.loads(line) for line in lines if line.startswith(b'{') and line.endswith(b'}\n')]
    return [_question(line['request']) for line in whole]


def _question(request: dict[str, Any]) -> str:
    return json.dumps(request['messages'], sort_keys=True)


def _by_hash(question: str) -> str:
    number = hashlib.sha256(question.encode()).digest()[0]
    return json.dumps({'labels': [LABELS[number % len(LABELS)]], 'verdict': VERDICTS[number % len(VERDICTS)]})


class Server:
    """Answers after a moment, by the question's hash; keeps what each run asked, known by its key.

    A run that was killed may have a question on its way, which arrives when the next run has begun.

    Args:
        answer: gives the answer to a question, always the same; None for labels and a verdict by its hash.
    """

    def __init__(self, answer: Callable[[dict[str, Any]], str] | None = None) -> None:
        self.asked: dict[str, list[str]] = {}
        guard, asked = threading.Lock(), self.asked

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
                question = _question(request)
                with guard:
                    asked.setdefault(self.headers['Authorization'].split()[-1], []).append(question)
                time.sleep(0.005)
                text = _by_hash(question) if answer is None else answer(request)
                choice = {'message': {'content': text}, 'finish_reason': 'stop'}
                usage = {'prompt_tokens': len(question) // 4, 'completion_tokens': len(text) // 4}
                self._send({'model': 'tiny', 'choices': [choice], 'usage': usage})

            def do_GET(self) -> None:
                self._send({'data': [{'id': 'tiny'}]})

            def _send(self, content: dict[str, Any]) -> None:
                body = json.dumps(content).encode()
                self.send_response(200)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients are killed on purpose
        self.url = f'http://127.0.0.1:{server.server_address[1]}/v1'
        threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True).start()


class AboutClips(Asking):
    """A verb that asks about clips that say their numbers; its journal holds answers by the clip's name."""

    def __init__(self, folder: Path) -> None:
        Case.__init__(self, folder)
        sys.path[:0] = [str(TESTS / room) for room in ('llm', 'describers', 'captioning')]

    def noted(self, out: Path) -> list[tuple[str, tuple[Path, ...], str]]:
        """The clips in the journal."""
        return Case.noted(self, out)

    def is_torn(self, out: Path, expected: Any) -> bool:
        """Tables are written at the end."""
        return False

    def key_of(self, question: str) -> str | None:
        """The clip that a question is about, by what it says; None for a probe."""
        said = re.search(r'I say (\d+)\.', question)
        return self.clip_named(int(said[1])) if said else None

    def clip_named(self, number: int) -> str:
        """The name of a clip by its number."""
        return f'clip{number:03d}'


class DescribeServed(AboutClips):
    """Clips described by a model on a server."""

    name = 'describe --endpoint'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from made_up_sets import hears

        self.server = Server(hears)
        rows = []
        for at in range(DESCRIBED):
            write_audio(folder / f'{at}.wav', tone(0.3, 200.0 + 10 * at), 16_000)
            rows.append(Sample(self.clip_named(at), audio=f'{at}.wav', text=f'I say {at}.'))
        Manifest(Facts('tones', root=str(folder)), rows).save(folder / 'm.parquet')

    def words(self, out: Path) -> list[str]:
        """Without a probe, which is asked in each run anew."""
        return [
            'describe', str(self.folder / 'm.parquet'), '--endpoint', self.server.url, '--model', 'tiny', '--no-probe',
            '--asr', 'none', '--out', str(out), '--resume', '--json',
        ]  # fmt: skip

    def results(self, out: Path) -> Any:
        """Both tables."""
        return [(out / name).read_text() for name in ('descriptions.csv', 'descriptions.jsonl')]


class UniBench(AboutClips):
    """A model on a server asked about a set of MER-UniBench."""

    name = 'bench unibench --model'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from made_up_sets import hears, made_up_sets

        self.server = Server(hears)
        self._labels, self._media = made_up_sets(folder, size=DESCRIBED)

    def words(self, out: Path) -> list[str]:
        """One set, few resamples."""
        return [
            'bench', 'unibench', '--model', f'a={self.server.url}', '--served', 'a=tiny', '--labels',
            str(self._labels), '--media', str(self._media), '--set', 'meld', '--out', str(out), '--tables', 'affekt',
            '--resamples', '20', '--json',
        ]  # fmt: skip

    def clip_named(self, number: int) -> str:
        """As the set names them."""
        return f'meld_dia{number // 4}_{number}'

    def journal(self, out: Path) -> Path:
        """Of the one set."""
        return out / 'a' / 'answers' / 'meld'

    def results(self, out: Path) -> Any:
        """All tables."""
        return {str(path.relative_to(out)): path.read_text() for path in sorted(out.rglob('*.csv'))}


class CaptionClips(AboutClips):
    """Clips captioned by models that hear, see, merge and list."""

    name = 'caption'

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from caption_runs import write_corpus
        from clip_server import ClipServer

        answers = ClipServer()
        answers.close()
        self.server = Server(lambda question: answers.answer(question)[0])
        write_corpus(folder, CAPTIONED)

    def words(self, out: Path) -> list[str]:
        """All four by the one server."""
        models = [
            part for step in ('audio', 'video', 'merge', 'label') for part in (f'--{step}-model', self.server.url)
        ]
        return ['caption', str(self.folder / 'clips.parquet'), *models, '--first', '2', '--out', str(out), '--json']

    def journal(self, out: Path) -> Path:
        """Of the one shard."""
        return out / 'shard-1-of-1'

    def noted(self, out: Path) -> list[tuple[str, tuple[Path, ...], str]]:
        """The clips that are done, and the questions that are answered."""
        path = self.journal(out) / 'answers' / 'journal.jsonl'
        return [*super().noted(out), *((question, (), '') for question in _answered(path))]

    def key_of(self, question: str) -> str | None:
        """The question itself; None for a probe."""
        return None if any(probe in question for probe in PROBES) else question

    def results(self, out: Path) -> Any:
        """All tables but that of what was used, in which times stand."""
        return {
            str(path.relative_to(out)): path.read_bytes()
            for path in sorted(out.rglob('*'))
            if path.name in ('captions.csv', 'captions.parquet', 'clips.csv')
        }


CASES = (Labels, Judge, DescribeServed, UniBench, CaptionClips)
