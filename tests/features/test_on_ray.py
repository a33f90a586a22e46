"""Extraction on Ray, here on this machine with two workers: the same files, and nothing lost with who dies.

Ray runs in processes of its own: it warns of itself, and its threads outlive a test.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from made_up_recipes import LENGTHS

from affekt.corpora import made_up_corpus
from affekt.errors import UnknownNameError, ValueRangeError
from affekt.features import extract

if find_spec('ray') is None:  # to import it takes seconds, in each process that collects tests
    pytest.skip('Ray is absent (pip install affekt[ray])', allow_module_level=True)
HERE = Path(__file__).parent
_ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != 'RAY_ADDRESS'},
    'PYTHONPATH': str(HERE),  # workers find the recipes of these tests
    'RAY_worker_niceness': '0',  # beside other tests Ray's workers would hardly ever have their turn
}

_ON_RAY = """
import dataclasses, json, os, sys
from pathlib import Path
from affekt.cli import main
from affekt.corpora import Manifest
from affekt.errors import AffektError
from affekt.features import extract
from affekt.features.on_ray import ray_data
from made_up_recipes import DEADLY, DYING, LENGTHS, NAN

out = Path(sys.argv[1])
manifest = Manifest.load(out / 'm.parquet')
marked = dataclasses.replace(manifest, facts=dataclasses.replace(manifest.facts, version=str(out / 'died')))

def command(*words):
    sys.stdout.flush()
    terminal = os.dup(1)
    with (out / 'stdout.json').open('wb') as file:
        os.dup2(file.fileno(), 1)
        main(list(words), standalone_mode=False)
        sys.stdout.flush()
        os.dup2(terminal, 1)

def run(recipe, name, manifest=manifest, processes=2, **options):
    try:
        made = extract(manifest, recipe, out / name, processes=processes, on='ray', **options)
        became = [made.samples, made.resumed]
    except AffektError as error:
        became = [type(error).__name__, str(error)]
    with (out / 'became.jsonl').open('a') as file:  # Ray prints to standard output
        print(json.dumps(became), file=file)

def end(stage, done, count):
    if done >= 40:
        os.kill(os.getpid(), 9)

with ray_data(2):  # one Ray for all
    command('features', 'extract', str(out / 'm.parquet'), '--recipe', 'hash512', '--out', str(out / 'command'),
            '--on', 'ray', '--processes', '2', '--batch', '50', '--json')
    run(DYING, 'worker', marked)
    run(DEADLY, 'deadly', processes=1, batch=72)
    run(NAN, 'nan', processes=1)
    run(LENGTHS, 'gpus', gpus=1000)
    run(LENGTHS, 'program', progress=end)
"""


@pytest.fixture(scope='module')
def corpus(tmp_path_factory):
    """A folder in which a program extracted on Ray until it was killed, and the manifest that it read."""
    folder = tmp_path_factory.mktemp('ray')
    manifest = made_up_corpus()
    manifest.save(folder / 'm.parquet')
    ran = subprocess.run([sys.executable, '-c', _ON_RAY, str(folder)], env=_ENVIRONMENT, capture_output=True, text=True)
    assert ran.returncode == -9, ran.stderr
    return folder, manifest


def test_the_command_writes_the_file_that_one_process_writes(corpus):
    folder, manifest = corpus
    assert json.loads((folder / 'stdout.json').read_text())['samples'] == 144
    plain = extract(manifest, 'hash512', folder / 'plain')
    assert (folder / 'command' / 'hash512' / plain.path.name).read_bytes() == plain.path.read_bytes()
    assert [path.name for path in (folder / 'command' / 'hash512').iterdir()] == [plain.path.name]


def test_neither_a_dead_worker_nor_a_dead_program_loses_a_batch_and_errors_come_through(corpus):
    folder, manifest = corpus
    worker, deadly, nan, gpus = map(json.loads, (folder / 'became.jsonl').read_text().splitlines())
    plain = extract(manifest, LENGTHS, folder / 'plain').path
    shard = Path('lengths', plain.name)

    assert (folder / 'died').exists()
    assert worker == [120, 0]  # in the same run: Ray gave the batch to a new worker
    marked = dataclasses.replace(manifest, facts=dataclasses.replace(manifest.facts, version=str(folder / 'died')))
    assert (folder / 'worker' / shard).read_bytes() == extract(marked, LENGTHS, folder / 'marked').path.read_bytes()
    assert deadly[0] == 'RunError'
    assert 'died 3 times' in deadly[1]
    assert nan == [sum(not name.endswith('_t3') for name in manifest.names), 0]  # the others have a reason
    assert gpus[0] == 'RunError'
    assert '1000 GPUs' in gpus[1]

    work = folder / 'program' / 'lengths' / '.work-1-of-1'
    written = len(list(work.glob('batch-*')))
    made = extract(manifest, LENGTHS, folder / 'program')
    assert made.resumed >= written >= 4  # also those that were written and not yet noted
    assert made.path.read_bytes() == plain.read_bytes()


def test_another_engine_and_gpus_without_ray_are_refused(tmp_path):
    with pytest.raises(UnknownNameError, match='ray'):
        extract(made_up_corpus(), LENGTHS, tmp_path, on='spark')
    with pytest.raises(ValueRangeError, match='on processes'):
        extract(made_up_corpus(), LENGTHS, tmp_path, gpus=0.5)
