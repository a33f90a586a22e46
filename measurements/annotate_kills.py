"""Kills the annotation server with SIGKILL at random moments while raters vote, and counts what was lost or doubled.

python measurements/annotate_kills.py [--kills 200] [--out measurements/results/annotate_kills.json]

A rater's client does what the page does: it makes an id for each vote and sends it until it is acknowledged, across
restarts. One process holds the imported program and forks a server after each kill, so that a kill costs 0.1 s rather
than the seconds of an import; what is killed is the process that answers and writes.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from affekt.annotation.exports import export_votes
from affekt.annotation.journal import read_events
from affekt.annotation.study import open_votes
from affekt.ranking import read_comparisons
from affekt.typed_json import json_file

HERE = Path(__file__).resolve().parent
TOKEN = 'token of the raters'
DESCRIBERS = ('ash', 'birch', 'cedar', 'dogwood')
CLIPS = 1500
RATERS = 3
UNDO_SHARE = 0.1


def write_pairs(path: Path) -> None:
    """More pairs than can be judged in the time."""
    lines = ['name,left,right,left_text,right_text']
    for clip in range(CLIPS):
        left, right = random.Random(clip).sample(DESCRIBERS, 2)
        lines.append(f'clip{clip},{left},{right},{left} on {clip},{right} on {clip}')
    path.write_text('\n'.join(lines) + '\n')


def serve_forever(pairs: Path, out: Path, port: int) -> None:
    """Fork a server for each line on standard input; say its process id."""
    import affekt.annotation.app  # noqa: F401  before the fork
    from affekt.annotation import annotate, prepare

    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            # The lock of the process before is gone only when the system has taken it down.
            annotate(prepare([pairs], out, without_media=True, resume=True), port=port, token=TOKEN)
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print('gone', flush=True)


@dataclass
class Client:
    """One rater's browser."""

    name: str
    port: int
    seed: int
    acknowledged: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Vote id to showing and choice."""
    last_try: dict[str, float] = field(default_factory=dict)
    """Id to when the request that was answered was sent."""
    undone: set[str] = field(default_factory=set)
    retries: int = 0
    conflicts: int = 0
    cookie: str = ''

    def ask(self, path: str, body: dict[str, object]) -> dict[str, object]:
        """One request; raises OSError or HTTPException where no whole answer comes."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=10)
        try:
            headers = {'content-type': 'application/json', 'cookie': self.cookie}
            connection.request('POST', path, json.dumps(body), headers)
            answer = connection.getresponse()
            reply = json.loads(answer.read())
            if answer.status != 200:
                self.conflicts += 1
                raise ValueError(f'{answer.status} {reply}')
            if cookie := answer.headers.get('set-cookie'):
                self.cookie = cookie.split(';')[0]
            return dict(reply)
        finally:
            connection.close()

    def until(self, path: str, body: dict[str, object]) -> dict[str, object]:
        """Ask again until there is an answer."""
        while True:
            self.last_try[str(body.get('id'))] = time.time()
            try:
                return self.ask(path, body)
            except (OSError, http.client.HTTPException):
                self.retries += 1
                time.sleep(0.005)

    def work(self, stop: threading.Event) -> None:
        """Vote until told to stop; the vote at hand is brought home first."""
        rng = random.Random(self.seed)
        self.until('/api/enter', {'token': TOKEN})
        screen = self.until('/api/join', {'rater': self.name})
        while not stop.is_set():
            id, shown = str(uuid.UUID(int=rng.getrandbits(128))), str(screen['shown'])
            choice = rng.choice(['left', 'right', 'tie', 'skip'])
            screen = self.until('/api/vote', {'id': id, 'rater': self.name, 'shown': shown, 'choice': choice})
            if screen['stored'] == id:
                self.acknowledged[id] = (shown, choice)
            if rng.random() < UNDO_SHARE:
                taken = str(uuid.UUID(int=rng.getrandbits(128)))
                screen = self.until('/api/undo', {'id': taken, 'rater': self.name})
                self.undone.add(id)


def run(kills: int, seed: int, folder: Path) -> dict[str, object]:
    """Kill so many times, then compare what was acknowledged with what is on disk."""
    rng = random.Random(seed)
    pairs, out = folder / 'pairs.csv', folder / 'votes'
    write_pairs(pairs)
    begun = time.monotonic()
    port = _free_port()
    holder = subprocess.Popen(
        [sys.executable, __file__, '--serve', str(pairs), str(out), str(port)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdin is not None
    assert holder.stdout is not None
    clients = [Client(f'rater {number}', port, seed + number) for number in range(RATERS)]
    stop = threading.Event()
    threads = [threading.Thread(target=client.work, args=(stop,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()

    def start() -> int:
        holder.stdin.write('start\n')
        holder.stdin.flush()
        return int(holder.stdout.readline())

    served = 0
    for _ in range(kills):
        before = sum(len(client.acknowledged) for client in clients)
        child = start()
        if rng.random() < 0.8:
            while sum(len(client.acknowledged) for client in clients) <= before + 1:
                time.sleep(0.002)
        time.sleep(rng.uniform(0.0, 0.08))
        served += sum(len(client.acknowledged) for client in clients) > before
        os.kill(child, signal.SIGKILL)
        assert holder.stdout.readline().strip() == 'gone'
    child = start()
    stop.set()
    for thread in threads:
        thread.join()
    os.kill(child, signal.SIGTERM)
    holder.stdout.readline()
    holder.communicate()
    return {**compare(clients, out), 'kills': kills, 'kills_while_voting': served, 'seconds': time.monotonic() - begun}


def compare(clients: list[Client], out: Path) -> dict[str, object]:
    """What the journal, the state built from it and the exported table say about every acknowledged vote."""
    events = read_events(out / 'votes.jsonl')
    written = Counter(event['id'] for event in events if event['kind'] == 'vote')
    stored = {event['id']: (event['shown'], event['choice']) for event in events if event['kind'] == 'vote'}
    acknowledged = {id: vote for client in clients for id, vote in client.acknowledged.items()}
    last_try = {id: when for client in clients for id, when in client.last_try.items()}
    undone = {id for client in clients for id in client.undone}
    state, _ = open_votes(out)
    counted = {vote.id for vote in state.votes()}
    table, *_ = export_votes(out)
    read = read_comparisons(table)
    return {
        'acknowledged_votes': len(acknowledged),
        'undone': len(undone),
        'stored_before_a_lost_answer': sum(
            event['time'] < last_try[event['id']] for event in events if event['kind'] in ('vote', 'undo')
        ),
        'lost': sum(stored.get(id) != vote for id, vote in acknowledged.items()),
        'twice': sum(number > 1 for number in written.values()),
        'never_acknowledged_but_stored': len(set(stored) - set(acknowledged)),
        'counted_differs_by': len(counted ^ (set(acknowledged) - undone)),
        'exported_differs_by': abs(len(read) + read.facts.get('skipped', 0) - len(counted)),
        'refused': sum(client.conflicts for client in clients),
        'sent_again': sum(client.retries for client in clients),
    }


def _free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return int(listener.getsockname()[1])


def main() -> None:
    if sys.argv[1:2] == ['--serve']:
        serve_forever(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=200)
    parser.add_argument('--seed', type=int, default=7)
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'annotate_kills.json')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(options.kills, options.seed, Path(folder))
    options.out.write_bytes(json_file(result))
    print(json.dumps(result, indent=2))


if __name__ == '__main__':
    main()
