"""The command: its estimate, its tables, what other verbs make of them, and a program that is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from caption_runs import settings_for
from click.testing import CliRunner
from clip_server import ClipServer, Faults

from affekt.captioning import PRICED, Caption, Use, caption, estimated, place_of, price_of, spread_first, sum_to_come
from affekt.captioning.estimate import estimate_from, spent_on
from affekt.cli import main
from affekt.cli.caption import _estimate_lines
from affekt.errors import LLMError, ValueRangeError

HERE = Path(__file__).parent


def _run(*words: str) -> str:
    ran = CliRunner().invoke(main, words, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def test_the_estimate_is_said_first_then_the_same_command_goes_on_and_other_verbs_read_the_table(
    corpus, serve, tmp_path
):
    corpus(8)
    server: ClipServer = serve()
    models = [part for name in ('audio', 'video', 'merge') for part in (f'--{name}-model', server.url)]
    words = ['caption', str(tmp_path / 'media' / 'clips.parquet'), *models, '--out', str(tmp_path / 'out')]
    words += ['--first', '3', '--price-in', '1', '--price-in', 'audio=2', '--price-out', '4']
    told = json.loads(_run(*words, '--estimate', '--json'))
    assert (told['done'], told['is_whole'], told['estimate']['clips']) == (3, False, 8)
    assert told['estimate']['money']['low'] > 0
    assert not (tmp_path / 'out' / 'captions.csv').exists()

    shown = _run(*words)
    assert 'estimate from 3 clips of 8' in shown
    assert 'merged' in shown
    table = str(tmp_path / 'out' / 'captions.csv')
    scored = json.loads(
        _run('score', 'openvocab', '--truth', table, '--prediction', table, '--json', '--resamples', '0')
    )
    assert scored['samples'] == 8
    _run('extract', table, '--out', str(tmp_path / 'labels.csv'))
    _run('caption', 'filter', str(tmp_path / 'out'), '--out', str(tmp_path / 'kept'))
    stats = json.loads(
        _run(
            'caption', 'stats', str(tmp_path / 'out'), '--filtered', str(tmp_path / 'kept'), '--truth', table, '--json'
        )
    )
    assert stats['before']['clips'] == 8
    assert stats['gain']['clips'] == 8


_KILLED = """
import os, sys
from pathlib import Path
from affekt.captioning import caption
from affekt.corpora import Manifest
from caption_runs import settings_for

class At:
    url = sys.argv[2]

def end(stage, done, count):
    if done >= 5:
        os.kill(os.getpid(), 9)

folder = Path(sys.argv[1])
caption(Manifest.load(folder / 'media' / 'clips.parquet'), settings_for(At), folder / 'killed', at_once=3, progress=end)
"""


def test_a_killed_program_goes_on_to_the_bytes_of_one_that_was_not(corpus, serve, tmp_path):
    manifest, server = corpus(10), serve(Faults(fail=0.1, cut=0.1, refuse=0.1, drop=0.1))
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get('PYTHONPATH')])])
    killed = subprocess.run(
        [sys.executable, '-c', _KILLED, str(tmp_path), server.url], env={**os.environ, 'PYTHONPATH': path}
    )
    assert killed.returncode == -9
    resumed = caption(manifest, settings_for(server), tmp_path / 'killed')
    assert 5 <= resumed.resumed < 10
    caption(manifest, settings_for(server), tmp_path / 'whole')
    for name in ('captions.csv', 'captions.parquet', 'clips.csv'):
        assert (tmp_path / 'killed' / name).read_bytes() == (tmp_path / 'whole' / name).read_bytes()
    answers = (tmp_path / 'killed' / 'shard-1-of-1' / 'answers' / 'journal.jsonl').read_text()
    assert len({json.loads(line)['key'] for line in answers.splitlines()}) == len(answers.splitlines())  # none twice


def test_a_sum_to_come_is_held_by_its_interval_as_often_as_it_says(rng):
    held = 0
    for _ in range(400):
        values = rng.gamma(4.0, 50.0, 200)
        interval = sum_to_come(values[:20], 180)
        held += interval.low <= values.sum() <= interval.high
    assert 0.92 < held / 400 < 0.98


def test_equal_clips_give_no_interval():
    equal = sum_to_come([0.1 + 0.2, 0.3, 0.3], 180)
    assert equal.value == pytest.approx(183 * 0.3)
    assert np.isnan([equal.low, equal.high]).all()
    assert sum_to_come([2.0, 2.0], 0).low == 4.0
    lines = _estimate_lines(estimated([Caption(f'c{at}', 'merged', seconds=2.0) for at in range(3)], 9, at_once=1))
    assert all('no interval: the clips were equal' in line for line in lines[1:5])
    assert 'nan' not in ' '.join(lines)


def test_the_first_clips_represent_a_list_that_repeats_itself():
    for period in (4, 5, 10, 20):
        values = np.arange(200) % period
        first = spread_first(200, 20)
        interval = sum_to_come(values[first], 180)
        assert interval.low <= values.sum() <= interval.high
    assert first == spread_first(200, 20) == sorted(set(first))
    assert spread_first(3, 20) == [0, 1, 2]
    assert spread_first(0, 20) == []


def test_time_is_estimated_from_clips_that_were_in_work_among_as_many_as_there_will_be(rng):
    # Four workers take clips of 2 to 4 s; the first clip of each waits 9 s more for decoders and servers to warm up.
    took = [*(rng.uniform(2, 4, 4) + 9), *rng.uniform(2, 4, 196)]
    free = [0.0] * 4
    for seconds in took[20:]:
        free[int(np.argmin(free))] += seconds
    captions = [Caption(f'c{at}', 'merged', seconds=seconds) for at, seconds in enumerate(took[:20])]
    done = [spent_on(caption, None, 4 if at >= 4 else 0) for at, caption in enumerate(captions)]
    made = estimate_from(done, 200, at_once=4)
    rest = made.seconds.value - sum(took[:20]) / 4
    assert rest == pytest.approx(max(free), rel=0.1)
    assert estimated(captions, 200, at_once=4).seconds.value > 1.4 * made.seconds.value  # with the warming ones
    assert estimate_from(done[:5], 200, at_once=4).seconds.value > 0  # one steady clip alone: all five count
    assert 'nan' not in ' '.join(_estimate_lines(estimate_from(done[:1], 200, at_once=4)))  # no interval of one clip
    assert made.seconds.low < max(free) + sum(took[:20]) / 4 < made.seconds.high


def test_the_estimate_of_a_run_by_a_fake_clock_is_near_what_the_rest_takes_also_where_it_goes_on(
    corpus, serve, tmp_path
):
    class Slow(ClipServer):
        """Warms up for 40 s at the first question about a clip, and takes 1 to 3 s for each of the others."""

        now_s, is_warm = 0.0, False

        def answer(self, question):
            text, tokens = super().answer(question)
            if question['max_tokens'] > 4 and 'person' in str(question['messages']):
                self.now_s += (1 + len(text) % 3) if self.is_warm else 40
                self.is_warm = True
            return text, tokens

    manifest, server, estimates = corpus(40), Slow(), []
    try:
        clock = lambda: server.now_s  # noqa: E731
        for only_estimate in (True, False):
            caption(
                manifest, settings_for(server), tmp_path / 'out', at_once=1, first=10, only_estimate=only_estimate,
                on_estimate=lambda estimate: estimates.append((estimate, server.now_s)), clock=clock,
            )  # fmt: skip
        took_s = server.now_s
    finally:
        server.close()
    for estimate, at_s in estimates:
        rest = estimate.seconds.value - at_s
        assert rest == pytest.approx(took_s - at_s, rel=0.15)


def test_money_is_tokens_times_the_price_of_their_step():
    use = {'audio': Use('m', 1, 1000, 100), 'translate': Use('m', 1, 500, 50), 'labels': Use('m', 1, 10, 0, 1)}
    captions = [Caption(f'c{at}', 'merged', use=use, seconds=2.0) for at in range(4)]
    prices = price_of({'': 1.0, 'audio': 2.0}, {'': 10.0}, PRICED)
    made = estimated(captions, 10, at_once=2, prices=prices)
    # a clip: (2 * 1000 + 10 * 100) + (1 * 500 + 10 * 50) + 10 = 4,010 millionths
    assert made.money.value == pytest.approx(10 * 4010e-6)
    assert (made.calls.value, made.seconds.value, made.uncounted) == (30, 10.0, 4)
    with pytest.raises(ValueRangeError, match='of all'):
        price_of({'video': 1.0}, {}, PRICED)


def test_what_hears_cannot_be_a_model_of_this_process_and_a_server_of_several_wants_a_name(corpus, serve, tmp_path):
    corpus(2)
    server = serve()
    (tmp_path / 'tiny.gguf').write_bytes(b'GGUF')
    words = ['caption', str(tmp_path / 'media' / 'clips.parquet'), '--audio-model', str(tmp_path / 'tiny.gguf')]
    words += ['--video-model', server.url, '--merge-model', server.url, '--out', str(tmp_path / 'out')]
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code == 2
    assert 'read text alone' in ' '.join(ran.output.split())
    server.models = ('clip-1', 'clip-2')
    with pytest.raises(LLMError, match='#NAME'):
        place_of(server.url)
    assert place_of(f'{server.url}#clip-2').model == 'clip-2'
