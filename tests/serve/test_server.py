"""Where a page is served: ports that are taken, names that a link may hold, files that nobody else reads."""

from __future__ import annotations

import stat

import pytest

from affekt.errors import RunError
from affekt.serve import listen
from affekt.serve.server import hosts_of, name_of, write_private


def test_the_port_of_last_time_is_taken_again_and_another_one_where_it_is_in_use():
    with listen('127.0.0.1', 0) as first:
        port = first.getsockname()[1]
        with listen('127.0.0.1', 0, before=port) as second:
            assert second.getsockname()[1] != port
        with pytest.raises(RunError, match=f'127.0.0.1 port {port}'):
            listen('127.0.0.1', port)
    with listen('127.0.0.1', 0, before=port) as again:
        assert again.getsockname()[1] == port


@pytest.mark.parametrize('address', ['a' * 100, 'x\0y', 'ü..', '-'])
def test_what_is_no_address_is_refused_in_words(address):
    with pytest.raises(RunError, match='an address to listen at'):
        listen(address, 0)


@pytest.mark.parametrize(
    ('address', 'hosts', 'name'),
    [
        ('127.0.0.1', {'127.0.0.1', 'localhost', '::1'}, '127.0.0.1'),
        ('::1', {'127.0.0.1', 'localhost', '::1'}, '[::1]'),
        ('10.0.0.7', {'10.0.0.7'}, '10.0.0.7'),
        ('Here.local', {'here.local'}, 'Here.local'),  # browsers and the guard write names small
    ],
)
def test_a_server_is_asked_by_the_names_of_its_address(address, hosts, name):
    assert hosts_of(address) == frozenset(hosts)
    assert name_of(address) == name


def test_a_server_at_every_address_is_asked_by_any():
    assert hosts_of('0.0.0.0') is None
    assert name_of('0.0.0.0') not in ('', '0.0.0.0')


def test_a_private_file_replaces_a_link_and_is_its_owners(tmp_path):
    (tmp_path / 'theirs').write_text('old')
    (tmp_path / 'mine').symlink_to(tmp_path / 'theirs')
    write_private(tmp_path / 'mine', 'new')
    assert (tmp_path / 'theirs').read_text() == 'old'
    assert (tmp_path / 'mine').read_text() == 'new'
    assert stat.S_IMODE((tmp_path / 'mine').stat().st_mode) == 0o600
