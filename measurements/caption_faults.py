"""200 clips captioned by a server that times out, fails, lies and dies, by a program that is killed: what is lost.

    python measurements/caption_faults.py

1. An undisturbed run against a server that lies (empty answers, refusals, nonsense, wrong JSON, dropped media), with
   the estimate that it makes from its first 20 clips beside what the other 180 really took.
2. The same against a server that also hangs, fails, cuts answers and closes connections, and that dies three times;
   `affekt caption` is killed by SIGKILL eight times, at random, and begun again.
3. Both tables, byte by byte. Questions that were asked again beyond what was on its way at a kill are counted.

Writes results/caption_faults.json.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from affekt.captioning import PRICED, caption, price_of
from affekt.captioning.captions import USE
from affekt.tables import read_table
from affekt.typed_json import json_file

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / 'tests' / 'captioning'))
runs, servers = (importlib.import_module(name) for name in ('caption_runs', 'clip_server'))
LIES = {'empty': 0.03, 'refuse': 0.05, 'nonsense': 0.03, 'data': 0.03, 'drop': 0.04}
ON_THE_WAY = {'hang': 0.01, 'fail': 0.04, 'cut': 0.02, 'close': 0.02}
PRICES = {'audio': (0.4, 0.8), 'visual': (0.2, 0.6), 'merge': (0.1, 0.3), 'labels': (0.1, 0.3)}
TABLES = ('captions.csv', 'captions.parquet', 'clips.csv')


def undisturbed(folder: Path, clips: int) -> dict:
    """The reference run, and how far its estimate was off."""
    manifest = runs.write_corpus(folder / 'media', clips)
    server = servers.ClipServer(servers.Faults(**LIES))
    prices = price_of({s: p for s, (p, _) in PRICES.items()}, {s: p for s, (_, p) in PRICES.items()}, PRICED)
    estimates, said_at = [], []

    def show_estimate(estimate) -> None:
        estimates.append(estimate)
        said_at.append(time.monotonic())

    made = caption(
        manifest,
        runs.settings_for(server, labels=True),
        folder / 'whole',
        at_once=4,
        prices=prices,
        on_estimate=show_estimate,
    )
    took_s = time.monotonic() - said_at[0]
    server.close()
    use = read_table(folder / 'whole' / USE)
    real = {
        'calls': sum(map(int, use['calls'])), 'prompt_tokens': sum(map(int, use['prompt_tokens'])),
        'answer_tokens': sum(map(int, use['answer_tokens'])),
        'money': sum(
            (PRICES[step][0] * int(p) + PRICES[step][1] * int(a)) / 1e6
            for step, p, a in zip(use['step'], use['prompt_tokens'], use['answer_tokens'], strict=True)
        ),
    }  # fmt: skip
    off = {}
    for name, value in real.items():
        interval = getattr(estimates[0], name)
        first = interval.value * estimates[0].done / clips  # what the first clips took: the estimate is even over all
        off[name] = {
            'estimated': round(interval.value, 6), 'low': round(interval.low, 6), 'high': round(interval.high, 6),
            'real': round(value, 6), 'off_on_the_rest': round((interval.value - first) / (value - first) - 1, 4),
            'is_within': bool(interval.low <= value <= interval.high),
        }  # fmt: skip
    seconds = estimates[0].seconds.value * (1 - estimates[0].done / clips)
    off['seconds'] = {
        'estimated': round(seconds, 2),
        'real': round(took_s, 2),
        'off_on_the_rest': round(seconds / took_s - 1, 3),
    }
    return {'statuses': dict(made.statuses), 'questions': len(server.questions), 'estimate': off}


def disturbed(folder: Path, clips: int, kills: int, deaths: int) -> dict:
    """The run that is killed, against the server that fails and dies."""
    rng = random.Random(0)
    server = servers.ClipServer(servers.Faults(**LIES, **ON_THE_WAY))
    words = [
        'caption',
        str(folder / 'media' / 'clips.parquet'),
        '--out',
        str(folder / 'killed'),
        '--at-once',
        '8',
        '--timeout',
        '2',
    ]
    words += [part for name in ('audio', 'video', 'merge', 'label') for part in (f'--{name}-model', server.url)]
    journal = folder / 'killed' / 'shard-1-of-1' / 'journal.jsonl'
    done_at = sorted(rng.sample(range(5, clips - 5), kills + deaths))
    dies = set(rng.sample(range(kills + deaths), deaths))
    ended, codes = Counter(), []
    for number, limit in enumerate([*done_at, clips + 1]):
        process = subprocess.Popen(
            [sys.executable, '-m', 'affekt.cli', *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, 'OMP_NUM_THREADS': '1'},
        )  # fmt: skip
        while process.poll() is None and _lines(journal) < limit:
            time.sleep(0.02)
        if process.poll() is None and number in dies:
            server.die()
            ended['server died'] += 1
            process.wait()
            server.revive()
        elif process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            ended['program killed'] += 1
        else:
            ended['finished'] += 1
        codes.append(process.returncode)
        print(number, limit, _lines(journal), process.returncode, process.stdout.read()[-300:], flush=True)
    while codes[-1] != 0:
        codes.append(subprocess.run([sys.executable, '-m', 'affekt.cli', *words], capture_output=True).returncode)
    server.close()
    return {'ended': dict(ended), 'exit_codes': codes, 'questions': len(server.questions)}


def _lines(path: Path) -> int:
    return path.read_bytes().count(b'\n') if path.exists() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--clips', type=int, default=200)
    parser.add_argument('--kills', type=int, default=8)
    parser.add_argument('--deaths', type=int, default=3)
    parser.add_argument('--only', choices=('undisturbed',), help='what is measured; the rest stays as it is')
    parser.add_argument('--out', type=Path, default=HERE / 'results' / 'caption_faults.json')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        (folder / 'media').mkdir()
        result = json.loads(options.out.read_text()) if options.only else {'clips': options.clips}
        result['undisturbed'] = undisturbed(folder, result['clips'])  # as many as of what stays
        print(json.dumps(result, indent=1), flush=True)
        if not options.only:
            result['disturbed'] = disturbed(folder, options.clips, options.kills, options.deaths)
            result['equal_bytes'] = {
                name: (folder / 'whole' / name).read_bytes() == (folder / 'killed' / name).read_bytes()
                for name in TABLES
            }
    options.out.write_bytes(json_file(result))
    print(json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
