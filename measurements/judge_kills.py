"""Kills `affekt judge` with signal 9 at random moments: is an answer lost, or a question asked again?

A round judges 60 pairs in both orders against a loopback server that answers after a few milliseconds, four pairs at
once. The process is killed at a moment drawn evenly from 0 to a little more than a whole run takes, started again, and
so on until it ends; then a new round begins in a new folder. After each kill the journal is read: nothing that stands
in it may be asked for again. What was on its way at the kill may be, and is counted. At the end of a round the verdicts
must be those of a run that nobody killed, byte for byte; while it lasts, a file of verdicts is whole or not there.

    python measurements/judge_kills.py [--kills 200] [--seed 1]
"""

from __future__ import annotations

import argparse
import contextlib
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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from affekt.runs import versions, write_atomically

RESULT = Path(__file__).parent / 'results' / 'judge_kills.json'
SAMPLES = 20
AT_ONCE = 4
DESCRIBERS = ('a', 'b', 'c')


class Server:
    """Answers after a moment, by the question's hash; keeps what each run asked, known by its key.

    A run that was killed may have a question in the server's queue, which arrives when the next run has begun.
    """

    def __init__(self, delay_s: float) -> None:
        self.asked: dict[str, list[str]] = {}
        guard = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
                prompt = question['messages'][0]['content']
                with guard:
                    server.asked.setdefault(self.headers['Authorization'].split()[-1], []).append(prompt)
                number = hashlib.sha256(prompt.encode()).digest()[0]
                time.sleep(delay_s * (1 + number % 4))
                content = json.dumps({'verdict': ('a1', 'a2', 'same')[number % 3]})
                choice = {'message': {'content': content}, 'finish_reason': 'stop'}
                body = json.dumps({'model': 'tiny', 'choices': [choice]}).encode()
                self.send_response(200)
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients are killed on purpose
        self.url = f'http://127.0.0.1:{self._server.server_address[1]}/v1'
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={'poll_interval': 0.01})
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Starter:
    """A process that has imported everything and forks one run of the command line at a time."""

    def __init__(self) -> None:
        words = [sys.executable, __file__, '--starter']
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, words: list[str], key: str) -> int:
        """The process that runs these words, and sends this key."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps([key, words]) + '\n')
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


def starter() -> None:
    """Fork a run for each line of standard input; say its process, then how it ended."""
    import affekt.llm
    import affekt.ranking  # noqa: F401  imported once, not in each run
    from affekt.cli import main

    for line in sys.stdin:
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.environ['AFFEKT_LLM_KEY'], words = json.loads(line)
            main(words)  # exits
        print(child, flush=True)
        _, state = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(state), flush=True)


def kill_and_resume(
    kills: int, seed: int, folder: Path, *, samples: int = SAMPLES, delay_s: float = 0.002
) -> dict[str, Any]:
    """Kill so often, and count what broke; every count under `broken` must be 0.

    Args:
        kills: how many kills.
        seed: of their moments.
        folder: empty; holds the input and a folder a round.
        samples: of three describers: six questions each.
        delay_s: the server's shortest answer takes so long, the longest four times that.
    """
    files = _describers(folder, samples)
    server, runs, draw = Server(delay_s), Starter(), random.Random(seed)
    broken = dict.fromkeys(BROKEN, 0)
    facts = {'kills': 0, 'rounds': 0, 'runs': 0}
    kept_before: dict[str, set[str]] = {}
    asked_by_killed: dict[str, str] = {}

    def words(out: Path) -> list[str]:
        more = ['--out', str(out), '--at-once', str(AT_ONCE), '--json']
        return ['judge', *files, '--endpoint', server.url, '--model', 'tiny', *more]

    try:
        for warm in ('warm', 'whole'):  # the second one has its files in the system's cache
            begun = time.monotonic()
            runs.start(words(folder / warm / 'verdicts.csv'), warm)
            assert runs.ended() == 0, 'the run that nobody kills failed'
            whole_s = time.monotonic() - begun
        expected = (folder / 'whole' / 'verdicts.csv').read_bytes()
        questions = set(server.asked['whole'])
        while facts['kills'] < kills:
            out, kept, was_killed = folder / f'round {facts["rounds"]}' / 'verdicts.csv', set[str](), True
            facts['rounds'] += 1
            while was_killed:
                key = f'run-{facts["runs"]}'
                facts['runs'] += 1
                kept_before[key] = kept
                child = runs.start(words(out), key)
                if facts['kills'] < kills:
                    time.sleep(draw.uniform(0.0, 1.1 * whole_s))
                    with contextlib.suppress(ProcessLookupError):  # it was done before
                        os.kill(child, signal.SIGKILL)
                code = runs.ended()
                lines = _kept(out)
                broken['answers_lost'] += len(kept - set(lines))
                broken['kept_twice'] += len(lines) - len(set(lines))
                kept, was_killed = set(lines), code == -signal.SIGKILL
                facts['kills'] += was_killed
                is_whole = out.exists() and out.read_bytes() == expected
                broken['torn_verdicts'] += out.exists() and not is_whole
                broken['failed_runs'] += not was_killed and (code != 0 or not is_whole or kept != questions)
                if was_killed:
                    asked_by_killed[key] = f'run-{facts["runs"]}'
    finally:
        runs.close()
        server.close()
    asked = {key: server.asked.get(key, []) for key in kept_before}
    broken['asked_again_though_kept'] = sum(len(kept_before[key] & set(each)) for key, each in asked.items())
    broken['asked_twice_in_a_run'] = sum(len(each) - len(set(each)) for each in asked.values())
    again = [len(set(asked[key]) & set(asked.get(following, []))) for key, following in asked_by_killed.items()]
    return {
        **facts,
        'questions_a_round': len(questions),
        'asked': sum(map(len, asked.values())),
        'asked_again_on_their_way': sum(again),
        'most_on_their_way_at_one_kill': max(again, default=0),
        'kills_before_any_answer': sum(not asked[key] for key in asked_by_killed),
        'whole_run_s': round(whole_s, 3),
        'broken': broken,
    }


BROKEN = (
    'answers_lost',
    'kept_twice',
    'asked_again_though_kept',
    'asked_twice_in_a_run',
    'torn_verdicts',
    'failed_runs',
)


def _describers(folder: Path, samples: int) -> list[str]:
    found = []
    for name in DESCRIBERS:
        path = folder / f'{name}.csv'
        rows = ''.join(f's{number},{name} says that clip {number} shows joy\n' for number in range(samples))
        path.write_text('name,description\n' + rows)
        found.append(str(path))
    return found


def _kept(out: Path) -> list[str]:
    """The questions whose answers stand in the journal, whole lines alone."""
    journal = out.with_name(f'{out.name}.answers') / 'journal.jsonl'
    if not journal.exists():
        return []
    found = []
    for line in journal.read_bytes().splitlines(keepends=True):
        try:
            found.append(json.loads(line)['request']['messages'][0]['content'])
        except ValueError:
            continue
    return found


def main() -> None:
    """Kill, count, and write the result file."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument('--kills', type=int, default=200)
    options.add_argument('--seed', type=int, default=1)
    options.add_argument('--out', type=Path, default=RESULT)
    options.add_argument('--starter', action='store_true', help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.starter:
        starter()
        return
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = kill_and_resume(chosen.kills, chosen.seed, Path(folder))
    held = {'seed': chosen.seed, **found, 'seconds': round(time.monotonic() - begun, 1), 'versions': versions()}
    write_atomically(chosen.out, (json.dumps(held, indent=1) + '\n').encode())
    print(json.dumps(held, indent=1))
    sys.exit(any(found['broken'].values()))


if __name__ == '__main__':
    main()
