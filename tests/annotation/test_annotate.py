"""The verb: what is said before anybody comes, where it listens, what a kill leaves, what it writes."""

from __future__ import annotations

import http.client
import importlib
import json
import signal
import stat
import sys
from pathlib import Path

import pytest
from browsing import Server, write_study
from click.testing import CliRunner

from affekt.cli import main
from affekt.ranking import read_comparisons

pytest.importorskip('uvicorn', reason='uvicorn is not installed')


def _run(*words: object):
    return CliRunner().invoke(main, ['annotate', *map(str, words)])


@pytest.fixture
def pairs(tmp_path) -> Path:
    path = tmp_path / 'pairs.csv'
    path.write_text('name,a1,a2\none,x,y\ntwo,x,z\n')
    return path


def test_missing_clips_are_all_named_before_anything_starts(pairs, tmp_path):
    (tmp_path / 'clips').mkdir()
    result = _run(pairs, '--media', tmp_path / 'clips', '--out', tmp_path / 'out')
    assert result.exit_code == 2
    assert 'one, two' in result.output
    assert '--without-media' in result.output
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        ([], 'PAIRS'),
        (['nowhere.csv', '--without-media'], 'nowhere.csv'),
        (['PAIRS'], '--media'),
        (['PAIRS', '--without-media', '--test-share', '3'], 'share'),
        (['PAIRS', '--without-media', '--token', 'short'], 'token'),
        (['PAIRS', '--without-media', '--host', '203.0.113.9'], '203.0.113.9'),
        (['--export-only', '--out', 'none'], 'run folder'),
    ],
)
def test_bad_input_is_exit_code_2(pairs, tmp_path, words, said):
    words = [str(pairs) if word == 'PAIRS' else word for word in words]
    result = _run(*words, *([] if '--out' in words else ['--out', str(tmp_path / 'out')]))
    assert result.exit_code == 2
    assert said in result.output
    assert 'Traceback' not in result.output


def test_a_folder_of_votes_is_not_written_over(pairs, tmp_path):
    out = tmp_path / 'out'
    assert _run(pairs, '--out', out, '--export-only').exit_code == 0
    result = _run(pairs, '--out', out, '--without-media')
    assert result.exit_code == 2
    assert '--resume' in result.output


@pytest.mark.parametrize('module', ['uvicorn', 'fastapi'])
def test_without_the_extra_the_command_says_what_to_install(pairs, tmp_path, monkeypatch, module):
    monkeypatch.delitem(sys.modules, 'affekt.annotation.app', raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    result = _run(pairs, '--without-media', '--out', tmp_path / 'out')
    assert result.exit_code == 2
    assert "pip install 'affekt[serve]'" in result.output
    assert not (tmp_path / 'out').exists()  # nothing that --resume would be needed for


def test_a_restart_keeps_links_and_the_secret_file_is_nobody_elses(tmp_path):
    server = Server(write_study(tmp_path, clips=1, gold=1))
    before = server.start()
    held = tmp_path / 'votes' / '.serve.json'
    assert stat.S_IMODE(held.stat().st_mode) == 0o600
    server.stop(signal.SIGKILL)
    assert server.start('--resume') == before
    assert server.stop() == 0
    assert before['raters'].startswith('http://127.0.0.1:')
    secrets = [before[name].split('#token=')[1] for name in ('raters', 'board')]
    assert len(set(secrets)) == 2
    assert min(map(len, secrets)) >= 24
    stored = ''.join(path.read_text() for path in (tmp_path / 'votes').glob('[!.]*'))
    assert not any(secret in stored for secret in secrets)


def test_votes_over_the_wire_become_a_table_that_rank_reads(tmp_path):
    server = Server(write_study(tmp_path, clips=2, gold=0))
    # No gold to read: the file has a head alone.
    server._words = [word for word in server._words if word not in ('--gold', str(tmp_path / 'gold.csv'))]
    links = server.start('--token', 'chosen by hand')
    port = int(links['raters'].split(':')[2].split('/')[0])
    assert links['raters'].endswith('#token=chosen by hand')

    def ask(path: str, body: dict, cookie: str = '') -> tuple[dict, str]:
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
        connection.request('POST', path, json.dumps(body), {'content-type': 'application/json', 'cookie': cookie})
        answer = connection.getresponse()
        held = json.loads(answer.read())
        connection.close()
        return held, (answer.headers.get('set-cookie') or '').split(';')[0]

    _, cookie = ask('/api/enter', {'token': 'chosen by hand'})
    screen, _ = ask('/api/join', {'rater': 'ann'}, cookie)
    number = 0
    while screen['shown']:
        number += 1
        vote = {'id': f'vote-{number:06}', 'rater': 'ann', 'shown': screen['shown'], 'choice': 'left'}
        screen, _ = ask('/api/vote', vote, cookie)
    assert server.stop(signal.SIGINT) == 0
    assert number == len(read_comparisons(tmp_path / 'votes' / 'comparisons.csv')) == 6
    result = CliRunner().invoke(
        main, ['rank', str(tmp_path / 'votes' / 'comparisons.csv'), '--prior', '1', '--html', str(tmp_path / 'r.html')]
    )
    assert result.exit_code == 0
    assert (tmp_path / 'r.html').read_text().count('<html') == 1


def test_a_server_killed_6_times_loses_no_vote_and_doubles_none(tmp_path):
    kills = importlib.import_module('measurements.annotate_kills')
    found = kills.run(6, 11, tmp_path)
    assert found['acknowledged_votes'] > 10
    assert found['kills_while_voting'] >= 3
    wrong = ('lost', 'twice', 'never_acknowledged_but_stored', 'counted_differs_by', 'exported_differs_by', 'refused')
    assert {name: found[name] for name in wrong} == dict.fromkeys(wrong, 0)
