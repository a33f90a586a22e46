"""Kills every verb that works for long with signal 9 at random moments and resumes: is a result lost, or made twice?

A round starts a verb on a small input in a new folder, kills it at a moment drawn evenly from 0 to a little more than a
whole run takes, starts it again, and so on until it ends. After each kill the journal is read: what stood in it before
must still stand there, once, with its files whole and never written again; of a verb that asks a model, no question may
be asked again whose answer stood there, nor twice in a run; of one that trains, the updates that a checkpoint holds
stand for results. At the end the results must be those of a run that nobody killed, and nothing else may lie in the
folder.

Every run is forked from a process that has done the verb once, so that imports and models cost a kill nothing.

    python measurements/run_kills.py [--kills 200] [--seed 1] [--verbs analyze,corrupt]

Figures of several seeds add up: the result file holds, for each verb, those of every seed and their sums. A seed that
is drawn again replaces its earlier figures.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from affekt.runs import versions, write_atomically
from measurements import killed_asking, killed_runs, killed_training
from measurements.killed_case import Case

RESULT = Path(__file__).parent / 'results' / 'run_kills.json'
BROKEN = ('lost', 'twice', 'written_again', 'torn', 'left_over', 'failed_runs', 'other_results')
STARTER = f"""
import sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[1])!r})
from measurements import run_kills
run_kills.starter(run_kills.CASES[sys.argv[1]])
"""
CASES = {case.name: case for case in (*killed_runs.CASES, *killed_asking.CASES, *killed_training.CASES)}


class Starter:
    """A process that has run a verb to its end and forks one run at a time, with imports and models in memory."""

    def __init__(self, name: str, words: list[str]) -> None:
        process = [sys.executable, '-c', STARTER, name]  # a script would be imported by processes that a verb starts
        self._process = subprocess.Popen(process, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.start(words, 'warm')

    def start(self, words: list[str], run: str) -> int:
        """The process that runs these words; it sends the run's name for its key. The first one ends before this."""
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


def starter(case: type[Case]) -> None:
    """Run the first line of standard input, then fork a run for each line; say its process, and how it ended."""
    from affekt.cli import main

    case.prepare()
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.environ['AFFEKT_LLM_KEY'], words = json.loads(sys.stdin.readline())
    assert not main.main(words, standalone_mode=False), 'the first run failed'
    gc.collect()
    gc.freeze()  # a run that is forked neither visits nor copies what this one holds
    print(os.getpid(), file=answers, flush=True)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os.environ['AFFEKT_LLM_KEY'], words = json.loads(line)
            try:
                main(words)
            except SystemExit as ended:
                threading._shutdown()
                atexit._run_exitfuncs()
                os._exit(ended.code)  # networks would join threads that the fork has not taken along
        print(child, file=answers, flush=True)
        _, state = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(state), file=answers, flush=True)


def kill_and_resume(case: Case, kills: int, seed: int) -> dict[str, Any]:
    """Kill so often, and count what broke; every count under `broken` must be 0."""
    runs = Starter(case.name, case.words(case.folder / 'warm'))
    draw, begun = random.Random(seed), time.monotonic()
    broken: Counter[str] = Counter(dict.fromkeys(BROKEN, 0))
    done = {'kills': 0, 'rounds': 0, 'runs': 0, 'results_at_kills': 0}
    kept_before: dict[str, Collection[str]] = {}
    try:
        start = time.monotonic()
        runs.start(case.words(case.folder / 'whole'), 'whole')
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
                start, is_new = time.monotonic(), not out.exists()
                child = runs.start(case.words(out), f'run-{done["runs"]}')
                if done['kills'] < kills:
                    time.sleep(draw.uniform(0.0, 1.1 * whole_s))
                    with contextlib.suppress(ProcessLookupError):  # it was done before
                        os.kill(child, signal.SIGKILL)
                code, ended_s = runs.ended(), time.monotonic()
                was_killed = code == -signal.SIGKILL
                if is_new and code == 0:  # it ended within the wait; the first run may have been slowed by other work
                    whole_s = min(whole_s, max(ended_s - start, 0.1))
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


def with_seed(verb: dict[str, Any] | None, seed: int, figures: dict[str, Any]) -> dict[str, Any]:
    """The figures of a verb with those of one more seed: sums, and each seed's own under `seeds`."""
    seeds = {**(verb['seeds'] if verb else {}), str(seed): figures}
    summed = [name for name in figures if name not in {'broken', 'whole_run_s'}]
    return {
        **{name: round(sum(each[name] for each in seeds.values()), 1) for name in summed},
        'broken': {name: sum(each['broken'][name] for each in seeds.values()) for name in BROKEN},
        'seeds': seeds,
    }


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
    """Kill, count, and write the result file; verbs and seeds that are not named keep their figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument('--kills', type=int, default=200)
    options.add_argument('--seed', type=int, default=1)
    options.add_argument('--verbs', default=','.join(CASES))
    options.add_argument('--out', type=Path, default=RESULT)
    chosen = options.parse_args()
    np.seterr(all='raise')
    results = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    for name in chosen.verbs.split(','):
        with tempfile.TemporaryDirectory() as folder:
            figures = kill_and_resume(CASES[name](Path(folder) / 'case'), chosen.kills, chosen.seed)
        print(name, json.dumps(figures), flush=True)
        results[name] = with_seed(results.get(name), chosen.seed, figures)
        results['versions'] = versions()
        write_atomically(chosen.out, (json.dumps(results, indent=1) + '\n').encode())
    sys.exit(any(any(each['broken'].values()) for name, each in results.items() if name != 'versions'))


if __name__ == '__main__':
    main()
