"""Model files: only the registered bytes are ever handed out, and a failed source leaves nothing behind."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from http.client import IncompleteRead
from pathlib import Path

import pytest

from affekt import downloads, weights
from affekt.cli.installation import fetch
from affekt.doctor import unusable_cache
from affekt.errors import StorageError, UnknownNameError, WeightsError
from affekt.files import user_folder
from affekt.weights import ModelFile, Part, Tarball, Wheel, cache_folder, model_path, state, wanted_path

CONTENT = b'weights of a made-up model'
PART = Part('made_up.bin', hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv('AFFEKT_CACHE', str(tmp_path / 'cache'))
    monkeypatch.delenv('AFFEKT_MODELS', raising=False)
    return tmp_path / 'cache' / 'weights'


@pytest.fixture
def made_up(cache, monkeypatch) -> ModelFile:
    model = ModelFile('made_up.bin', 'nothing', 'none', (PART,))
    monkeypatch.setitem(weights.MODELS, model.name, model)
    return model


def test_a_file_given_by_the_user_is_taken_where_its_hash_is_right(made_up, cache, tmp_path, monkeypatch):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'made_up.bin').write_bytes(CONTENT)
    monkeypatch.setenv('AFFEKT_MODELS', str(tmp_path / 'mine'))
    assert state(made_up) == 'missing'
    assert model_path('made_up.bin').read_bytes() == CONTENT
    assert state(made_up) == 'verified'


def test_a_file_with_another_hash_is_refused_and_not_kept(made_up, cache, tmp_path, monkeypatch):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'made_up.bin').write_bytes(CONTENT[::-1])
    monkeypatch.setenv('AFFEKT_MODELS', str(tmp_path / 'mine'))
    with pytest.raises(WeightsError, match='sha256'):
        model_path('made_up.bin')
    assert [path.name for path in cache.rglob('*') if path.is_file()] == ['.lock']


def test_a_changed_byte_in_the_cache_is_noticed(made_up, cache):
    cache.mkdir(parents=True)
    (cache / 'made_up.bin').write_bytes(CONTENT)
    assert state(made_up) == 'verified'
    (cache / 'made_up.bin').write_bytes(b'W' + CONTENT[1:])
    assert state(made_up) == 'damaged'
    assert state(made_up, thorough=True) == 'damaged'


def test_a_damaged_stamp_of_a_file_costs_a_check_of_the_file(made_up, cache):
    cache.mkdir(parents=True)
    (cache / 'made_up.bin').write_bytes(CONTENT)
    assert state(made_up) == 'verified'
    (stamp,) = (path for path in cache.iterdir() if path.name not in ('made_up.bin', '.lock'))
    stamp.write_bytes(b'\xff\xfe\xff')
    assert state(made_up) == 'verified'
    (cache / 'made_up.bin').write_bytes(CONTENT[::-1])
    stamp.write_bytes(b'\xff\xfe\xff')
    assert state(made_up) == 'damaged'


def test_a_member_is_taken_out_of_a_wheel_and_parts_are_joined(cache, tmp_path, monkeypatch):
    wheel = Wheel('made-up', '1.0', 10)

    def download(name, asked, staging, progress):
        (staging / 'wheel').mkdir()
        with zipfile.ZipFile(staging / 'wheel' / 'made_up-1.0-py3-none-any.whl', 'w') as archive:
            archive.writestr('a/part1', CONTENT[:7])
            archive.writestr('a/part2', CONTENT[7:])

    monkeypatch.setattr(weights, '_pip_download', download)
    part = Part(PART.filename, PART.sha256, PART.size, ((wheel, 'a/part1'), (wheel, 'a/part2')))
    monkeypatch.setitem(weights.MODELS, 'made_up.bin', ModelFile('made_up.bin', '', '', (part,)))
    assert model_path('made_up.bin').read_bytes() == CONTENT
    assert not list((tmp_path / 'cache').glob('wheels-*'))


@pytest.fixture
def in_a_tarball(cache, tmp_path, monkeypatch) -> list[str]:
    """A model in an npm package; the addresses that are asked."""
    tarball = Tarball('@made/up', '1.0.0', 10_000)
    part = Part(PART.filename, PART.sha256, PART.size, ((tarball, 'package/a.bin'), (tarball, 'package/b.bin')))
    monkeypatch.setitem(weights.MODELS, 'made_up.bin', ModelFile('made_up.bin', '', '', (part,)))
    monkeypatch.setenv('npm_config_registry', 'https://mirror.example')
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w:gz') as archive:
        for name, content in (('package/a.bin', CONTENT[:7]), ('package/b.bin', CONTENT[7:])):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    asked: list[str] = []

    def opened(call, address):
        asked.append(address)
        return io.BytesIO(packed.getvalue())

    monkeypatch.setattr(downloads, 'require_reachable', lambda address: None)
    monkeypatch.setattr(downloads, 'response_to', opened)
    return asked


def test_members_of_an_npm_package_cost_one_download_and_nothing_of_it_stays(in_a_tarball, cache):
    assert model_path('made_up.bin').read_bytes() == CONTENT
    assert in_a_tarball == ['https://mirror.example/@made/up/-/up-1.0.0.tgz']
    assert sorted(path.name for path in cache.rglob('*') if path.is_file()) == [
        '.lock', '.made_up.bin.verified', 'made_up.bin',
    ]  # fmt: skip


def test_an_npm_package_that_is_larger_than_registered_is_given_up(in_a_tarball, cache, monkeypatch):
    tarball = Tarball('@made/up', '1.0.0', 20)
    part = Part(PART.filename, PART.sha256, PART.size, ((tarball, 'package/a.bin'),))
    monkeypatch.setitem(weights.MODELS, 'made_up.bin', ModelFile('made_up.bin', '', '', (part,)))
    with pytest.raises(WeightsError, match=r'npm package @made/up 1\.0\.0: more than the expected 20 bytes'):
        model_path('made_up.bin')
    assert not (cache / 'made_up.bin').exists()


def test_a_member_that_is_larger_than_registered_is_given_up(in_a_tarball, monkeypatch):
    tarball = Tarball('@made/up', '1.0.0', 10_000)
    part = Part(PART.filename, PART.sha256, 3, ((tarball, 'package/a.bin'),))
    monkeypatch.setitem(weights.MODELS, 'made_up.bin', ModelFile('made_up.bin', '', '', (part,)))
    with pytest.raises(WeightsError, match='more than the expected 3 bytes'):
        model_path('made_up.bin')


def test_a_model_that_is_only_wanted_is_asked_for_once_and_then_done_without(cache, monkeypatch):
    part = Part('one.bin', hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), address='https://models.invalid/one.bin')
    monkeypatch.setitem(weights.MODELS, 'far', ModelFile('far', 'nothing', 'none', (part,)))
    monkeypatch.setattr(weights, '_unavailable', set())
    asked = []

    def unreachable(address):
        asked.append(address)
        raise OSError('cannot be reached')

    monkeypatch.setattr(downloads, 'require_reachable', unreachable)
    assert wanted_path('far') is None
    assert wanted_path('far') is None
    assert len(asked) == 1


def test_a_command_says_once_what_it_goes_on_without(cache, monkeypatch, capsys):
    monkeypatch.setattr(weights, '_unavailable', set())
    monkeypatch.setattr(downloads, 'require_reachable', lambda address: (_ for _ in ()).throw(OSError('unreachable')))
    for name, role in (('far', 'who it is'), ('farther', 'what is heard')):
        part = Part(name, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), address='https://models.invalid/a')
        monkeypatch.setitem(weights.MODELS, name, ModelFile(name, role, 'none', (part,)))
    fetch(['far', 'farther'], required=False)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if 'not be fetched' in line]
    assert 'far (who it is) and farther (what is heard); the analysis goes on without' in line


def test_a_wanted_model_is_done_without_where_the_cache_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / 'file').write_bytes(b'')
    monkeypatch.setenv('AFFEKT_CACHE', str(tmp_path / 'file'))
    monkeypatch.setattr(weights, '_unavailable', set())
    assert wanted_path('face-identity') is None


def test_a_process_that_works_for_another_fetches_nothing(cache, monkeypatch):
    monkeypatch.setattr(weights.multiprocessing, 'parent_process', lambda: object())
    monkeypatch.setattr(weights, '_unavailable', set())
    monkeypatch.setattr(weights, '_fetch', lambda *given: pytest.fail('it fetched'))
    assert wanted_path('face-identity') is None


@pytest.mark.parametrize(
    ('headers', 'content'),
    [({'GNU.sparse.major': '1', 'GNU.sparse.minor': '0'}, b'x\n' * 256), ({'size': 'x'}, CONTENT), ({}, CONTENT[::-1])],
)
def test_a_made_up_npm_package_is_one_clear_error(in_a_tarball, monkeypatch, headers, content):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w:gz', format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo('package/a.bin')
        entry.size, entry.pax_headers = len(content), headers
        archive.addfile(entry, io.BytesIO(content))
    monkeypatch.setattr(downloads, 'response_to', lambda call, address: io.BytesIO(packed.getvalue()))
    with pytest.raises(WeightsError, match=r'made_up\.bin'):
        model_path('made_up.bin')


@pytest.mark.parametrize('registry', ['https://me:secret@models.invalid', f'https://{"a" * 70}.invalid'])
def test_an_address_that_cannot_be_asked_is_one_clear_error_without_its_password(cache, monkeypatch, registry):
    part = Part('a', hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), ((Tarball('made-up', '1.0', 9), 'a'),))
    monkeypatch.setitem(weights.MODELS, 'made_up.bin', ModelFile('made_up.bin', '', '', (part,)))
    monkeypatch.setenv('npm_config_registry', registry)
    monkeypatch.setattr(downloads, 'require_reachable', lambda address: None)
    with pytest.raises(WeightsError, match='made-up') as raised:
        model_path('made_up.bin')
    assert 'secret' not in str(raised.value)


def test_a_wheel_without_the_member_is_one_clear_error(cache, monkeypatch):
    def download(name, asked, staging, progress):
        (staging / 'wheel').mkdir()
        with zipfile.ZipFile(staging / 'wheel' / 'x.whl', 'w') as archive:
            archive.writestr('other', b'')

    monkeypatch.setattr(weights, '_pip_download', download)
    part = Part(PART.filename, PART.sha256, PART.size, ((Wheel('made-up', '1.0', 10), 'a/part1'),))
    monkeypatch.setitem(weights.MODELS, 'made_up.bin', ModelFile('made_up.bin', '', '', (part,)))
    with pytest.raises(WeightsError, match=r'made-up 1\.0'):
        model_path('made_up.bin')


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match=r'silero_vad\.onnx'):
        model_path('nothing')


def test_every_registered_model_names_its_licence_hash_and_size():
    for model in weights.MODELS.values():
        assert model.licence
        assert all(len(part.sha256) == 64 and part.size > 0 for part in model.parts)
        from_wheels = all(part.members for part in model.parts)
        assert model.packaged or from_wheels or (model.by_name_only and all(part.address for part in model.parts))


def test_the_packaged_files_are_the_registered_ones():
    packaged = [model for model in weights.MODELS.values() if model.packaged]
    assert packaged
    assert all(state(model, thorough=True) == 'verified' for model in packaged)


def test_what_a_killed_download_left_goes_with_the_next(made_up, cache, tmp_path, monkeypatch):
    scratch = cache / '.affekt-downloads'
    (scratch / 'wheels' / 'torch-2').mkdir(parents=True)
    (scratch / 'wheels' / 'torch-2' / 'half.whl').write_bytes(b'half')
    (scratch / 'file').write_bytes(b'half')
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'made_up.bin').write_bytes(CONTENT)
    monkeypatch.setenv('AFFEKT_MODELS', str(tmp_path / 'mine'))
    assert model_path('made_up.bin').read_bytes() == CONTENT
    assert [path.name for path in scratch.iterdir()] == ['.lock']


def test_a_user_without_a_home_is_told_of_the_variable(monkeypatch):
    def homeless():
        raise RuntimeError('Could not determine home directory.')

    monkeypatch.delenv('AFFEKT_CACHE', raising=False)
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.setattr('pathlib.Path.home', homeless)
    with pytest.raises(WeightsError, match='AFFEKT_CACHE'):
        cache_folder()


def test_a_cache_that_cannot_be_made_is_named_with_the_variable(made_up, tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('x')
    monkeypatch.setenv('AFFEKT_CACHE', str(tmp_path / 'file'))
    with pytest.raises(StorageError, match=r'file/weights.*AFFEKT_CACHE'):
        model_path('made_up.bin')


def test_a_relative_cache_folder_is_ignored_as_the_xdg_specification_demands(monkeypatch, tmp_path):
    monkeypatch.delenv('AFFEKT_CACHE', raising=False)
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('XDG_CACHE_HOME', 'below/here')
    assert user_folder('XDG_CACHE_HOME', '.cache') == tmp_path / '.cache'
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'own'))
    assert user_folder('XDG_CACHE_HOME', '.cache') == tmp_path / 'own'


@pytest.mark.parametrize(('place', 'why'), [('', ''), ('a.txt/affekt', 'Not a directory')])
def test_doctor_says_that_a_cache_cannot_be_made_and_leaves_nothing_there(monkeypatch, tmp_path, place, why):
    (tmp_path / 'a.txt').touch()
    monkeypatch.setenv('AFFEKT_CACHE', str(tmp_path / (place or 'new')))
    assert why in unusable_cache()
    assert bool(unusable_cache()) == bool(why)
    assert [path.name for path in tmp_path.iterdir()] == ['a.txt']


def test_a_server_that_cannot_be_reached_is_asked_once_and_not_waited_for(cache, monkeypatch):
    parts = tuple(
        Part(name, hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), address=f'https://models.invalid/{name}')
        for name in ('one.bin', 'two.bin')
    )
    monkeypatch.setitem(weights.MODELS, 'far', ModelFile('far', 'nothing', 'none', parts))
    monkeypatch.setattr(downloads, '_unreachable', set())
    monkeypatch.setattr(downloads.urllib.request, 'getproxies', dict)
    looked_up, released = [], threading.Event()

    def hang(address, timeout):
        looked_up.append(address)
        released.wait(60)
        raise OSError

    monkeypatch.setattr(downloads.socket, 'create_connection', hang)
    monkeypatch.setattr(downloads, 'REACHED_S', 0.05)
    try:
        for _ in range(2):
            with pytest.raises(WeightsError, match=r'models\.invalid cannot be reached'):
                model_path('far')
    finally:
        released.set()
    assert looked_up == [('models.invalid', 443)]


def test_an_official_word_table_that_is_not_here_names_its_folder_in_the_published_repository(cache, monkeypatch):
    from affekt.labels.official_tables import official_table, release_folder

    assert release_folder('2025') == 'MER2025/MER2025_Track23/emotion_wheel'
    monkeypatch.setattr(downloads, '_unreachable', {'raw.githubusercontent.com'})
    monkeypatch.setattr(downloads.urllib.request, 'getproxies', dict)
    official_table.cache_clear()
    with pytest.raises(WeightsError, match='copy the folder MER2026/MER2026_Track2/emotion_wheel of'):
        official_table('2026')


def test_a_download_that_breaks_off_within_its_length_is_one_clear_error(cache, monkeypatch):
    # http.client says so by an exception that is no OSError
    part = Part('one.bin', hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), address='https://models.invalid/one.bin')
    monkeypatch.setitem(weights.MODELS, 'far', ModelFile('far', 'nothing', 'none', (part,)))
    monkeypatch.setattr(downloads, 'require_reachable', lambda address: None)

    def breaks_off(call, address):
        raise IncompleteRead(CONTENT[:3], len(CONTENT) - 3)

    monkeypatch.setattr(downloads, 'response_to', breaks_off)
    with pytest.raises(WeightsError, match='IncompleteRead'):
        model_path('far')


def test_a_folder_of_models_below_an_unknown_home_is_one_clear_error(made_up, monkeypatch):
    monkeypatch.setenv('AFFEKT_MODELS', '~nobody-of-that-name/models')
    with pytest.raises(WeightsError, match='AFFEKT_MODELS'):
        model_path('made_up.bin')
