"""Manifests: what they say, what a changed byte does, who may read the key."""

from __future__ import annotations

import json
import stat
import struct
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from affekt.errors import ConsentError, FileError, MediaError, ProvenanceError, UnknownNameError
from affekt.media import write_video
from affekt.media.writing import write_image
from affekt.provenance import (
    Consent,
    Provenance,
    own_credentials,
    read_credentials,
    require_signable,
    required_consent,
    sign,
    usable_credentials,
    verify,
    with_note,
)
from affekt.provenance.credentials import OWN, made_chain, settings_folder
from affekt.reenactment import ByEmotion, reenact_to

pytest.importorskip('c2pa')
ENDINGS = ('mp4', 'mov', 'png', 'jpg')
MADE = Provenance('geometric', Consent('myself'), 'a' * 64, 'b' * 64, True, {'intensity': 0.8})
PICTURE = np.stack([np.add.outer(np.arange(32), np.arange(48)).astype(np.uint8)] * 3, axis=2)


@pytest.fixture(scope='module', autouse=True)
def _own_settings(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('AFFEKT_CONFIG', str(tmp_path_factory.mktemp('settings')))
        yield


def _unsigned(folder: Path, ending: str) -> Path:
    path = folder / f'out.{ending}'
    if ending in ('mp4', 'mov'):
        tone = np.sin(np.arange(4000) / 20).astype(np.float32)
        return write_video(path, (np.roll(PICTURE, step, axis=1) for step in range(6)), 25, tone)
    return write_image(path, PICTURE)


@pytest.fixture(scope='module')
def signed(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp('signed')
    return {ending: sign(_unsigned(folder, ending), MADE).read_bytes() for ending in ENDINGS}


def _state(content: bytes, folder: Path, ending: str) -> str:
    path = folder / f'checked.{ending}'
    path.write_bytes(content)
    return verify(path).state


@pytest.mark.parametrize('ending', ENDINGS)
def test_a_signed_file_is_intact_and_its_signer_unknown(signed, tmp_path, ending):
    path = tmp_path / f'moved.{ending}'
    path.write_bytes(signed[ending])
    verdict = verify(path)
    assert verdict.words == 'intact, signer unknown'
    assert verdict.made_by.startswith('affekt')
    assert verdict.source_type == 'compositeSynthetic'
    assert verdict.statement['driver_sha256'] == 'b' * 64
    assert verdict.statement['has_drivers_mouth'] is True
    assert verdict.statement['consent']['portrayed'] == 'myself'
    assert verdict.statement['settings'] == {'intensity': 0.8}


@pytest.mark.parametrize('ending', ENDINGS)
def test_a_signed_file_has_no_thumbnail(signed, ending):
    assert b'thumbnail' not in signed[ending]


@pytest.mark.parametrize('ending', ENDINGS)
def test_one_changed_bit_anywhere_is_seen(signed, tmp_path, ending):
    whole = signed[ending]
    rng = np.random.default_rng(0)
    # the file type of an MP4 and the header of the manifest's carrier, then any 200 others
    places = [*range(80), *rng.integers(80, len(whole), 200)]
    unseen = []
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << int(rng.integers(8))
        if _state(bytes(changed), tmp_path, ending) != 'changed':
            unseen.append(place)
    assert unseen == []


@pytest.mark.parametrize('ending', ENDINGS)
def test_a_longer_and_a_shorter_file_are_changed(signed, tmp_path, ending):
    whole = signed[ending]
    assert _state(whole + b'\0', tmp_path, ending) == 'changed'
    assert _state(whole[:-1], tmp_path, ending) == 'changed'
    assert _state(whole[: len(whole) // 2] + whole[len(whole) // 2 + 1 :], tmp_path, ending) == 'changed'


def test_padding_is_seen_also_where_the_checksum_of_the_chunk_was_made_to_fit(signed, tmp_path):
    changed = bytearray(signed['png'])
    start = changed.index(b'caBX') - 4
    (length,) = struct.unpack_from('>I', changed, start)
    changed[changed.index(b'cpad', changed.index(b'c2pa.signature')) + 20] = 7
    covered = bytes(changed[start + 4 : start + 8 + length])
    struct.pack_into('>I', changed, start + 8 + length, zlib.crc32(covered))
    assert _state(bytes(changed), tmp_path, 'png') == 'changed'


@pytest.mark.parametrize('ending', ENDINGS)
def test_a_file_without_a_manifest_says_so(tmp_path, ending):
    assert verify(_unsigned(tmp_path, ending)).words == 'no manifest'


def test_a_manifest_of_many_segments_is_intact(tmp_path):
    path = _unsigned(tmp_path, 'jpg')
    many = Provenance('diffusion', Consent('nobody'), 'a' * 64, settings={'curve': list(range(40_000))})
    whole = sign(path, many).read_bytes()
    assert whole.count(b'JP\x02\x11') > 1
    assert verify(path).words == 'intact, signer unknown'
    second = whole.index(b'JP\x02\x11', whole.index(b'JP\x02\x11') + 1)
    assert (
        _state(whole[: second + 9] + bytes([whole[second + 9] ^ 4]) + whole[second + 10 :], tmp_path, 'jpg')
        == 'changed'
    )


def test_a_signer_whom_the_user_trusts_is_named(tmp_path):
    path = sign(_unsigned(tmp_path, 'png'), MADE)
    assert verify(path, settings_folder() / OWN).words == 'intact, signed by affekt local signer'
    chain, _ = made_chain()
    (tmp_path / 'others.pem').write_bytes(chain)
    assert verify(path, tmp_path / 'others.pem').words == 'intact, signer unknown'


def test_the_own_key_is_made_once_and_read_by_its_owner_alone():
    first, second = own_credentials(), own_credentials()
    assert first == second
    place = settings_folder() / OWN
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    place.chmod(0o644)
    own_credentials()
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert [path.name for path in settings_folder().iterdir()] == [OWN]


def test_no_secret_shows_in_what_credentials_print():
    assert repr(own_credentials()) == 'Credentials(Es256)'


def test_a_user_signs_with_a_chain_and_key_of_their_own(tmp_path):
    chain, key = made_chain()
    (tmp_path / 'chain.pem').write_bytes(chain)
    (tmp_path / 'key.pem').write_bytes(key)
    path = sign(_unsigned(tmp_path, 'png'), MADE, read_credentials(tmp_path / 'chain.pem', tmp_path / 'key.pem'))
    assert verify(path, tmp_path / 'chain.pem').is_signer_known
    assert not verify(path, settings_folder() / OWN).is_signer_known


@pytest.mark.parametrize(
    ('valid_days', 'has_usage', 'reason'),
    [((-400, -30), True, 'not valid'), ((30, 400), True, 'not valid'), ((-1, 400), False, 'invalid')],
    ids=['expired', 'not yet valid', 'not for signing'],
)
def test_certificates_that_c2pa_refuses_are_refused_before_anything_is_drawn(tmp_path, valid_days, has_usage, reason):
    chain, key = tmp_path / 'chain.pem', tmp_path / 'key.pem'
    chain_pem, key_pem = made_chain()
    chain.write_bytes(_issued_anew(chain_pem, key_pem, valid_days, has_usage=has_usage))
    key.write_bytes(key_pem)
    credentials = read_credentials(chain, key)
    with pytest.raises(ProvenanceError, match=rf'a certificate chain that C2PA accepts .*{reason}.*valid today'):
        usable_credentials(credentials)
    with pytest.raises(ProvenanceError, match='C2PA accepts'):
        reenact_to(
            tmp_path / 'out.mp4', chain, ByEmotion('anger'), consent=Consent('nobody'),
            credentials=credentials,
        )  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {'chain.pem', 'key.pem'}


def _issued_anew(chain: bytes, key: bytes, valid_days: tuple[int, int], *, has_usage: bool) -> bytes:
    """The signer's certificate for other days from now, with or without its extended key usage, by a new authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    signer, authority = x509.load_pem_x509_certificates(chain)
    private = serialization.load_pem_private_key(key, password=None)
    start, end = (datetime.now(UTC) + timedelta(days=days) for days in valid_days)

    def issued(old: x509.Certificate, start: datetime, end: datetime) -> bytes:
        builder = x509.CertificateBuilder(old.issuer, old.subject, private.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(start).not_valid_after(end)
        for extension in old.extensions:
            if has_usage or not isinstance(extension.value, x509.ExtendedKeyUsage):
                builder = builder.add_extension(extension.value, extension.critical)
        return builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    return issued(signer, start, end) + issued(authority, *(datetime.now(UTC) + timedelta(days=d) for d in (-500, 500)))


def test_a_damaged_file_of_own_credentials_is_named_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv('AFFEKT_CONFIG', str(tmp_path))
    (tmp_path / OWN).write_bytes(b'nothing of use')
    with pytest.raises(ProvenanceError, match=rf'{OWN}, in which none can be read; .*delete it: affekt makes new ones'):
        usable_credentials()
    (tmp_path / OWN).unlink()
    assert usable_credentials() == own_credentials()


def test_a_key_of_another_chain_is_refused(tmp_path):
    (tmp_path / 'chain.pem').write_bytes(made_chain()[0])
    (tmp_path / 'key.pem').write_bytes(made_chain()[1])
    with pytest.raises(ProvenanceError, match='which is of another'):
        read_credentials(tmp_path / 'chain.pem', tmp_path / 'key.pem')


@pytest.mark.parametrize(
    'content', [b'', b'\xff' * 40, b'-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n']
)
def test_a_broken_key_is_an_error_in_words(tmp_path, content):
    (tmp_path / 'chain.pem').write_bytes(made_chain()[0])
    (tmp_path / 'key.pem').write_bytes(content)
    with pytest.raises(ProvenanceError):
        read_credentials(tmp_path / 'chain.pem', tmp_path / 'key.pem')
    with pytest.raises(ProvenanceError, match=r'chain in PEM; got .*key.pem, in which none can be read; give'):
        read_credentials(tmp_path / 'key.pem', tmp_path / 'chain.pem')


def test_what_is_no_medium_is_refused(tmp_path):
    (tmp_path / 'notes.txt').write_text('words')
    with pytest.raises(MediaError):
        verify(tmp_path / 'notes.txt')
    with pytest.raises(MediaError):
        verify(tmp_path / 'absent.png')
    with pytest.raises(FileError):
        verify(tmp_path)
    with pytest.raises(MediaError, match='carry a manifest'):
        require_signable(tmp_path / 'out.webm')


def test_a_failed_signing_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / 'out.png'
    path.write_bytes(b'no picture')
    with pytest.raises(ProvenanceError):
        sign(path, MADE)
    assert path.read_bytes() == b'no picture'
    assert [entry.name for entry in tmp_path.iterdir()] == ['out.png']


@pytest.mark.parametrize(
    'stated',
    [
        {'portrayed': 'child'},
        {'portrayed': 'agreed', 'age_years': 17.9},
        {'portrayed': 'agreed', 'age_years': float('nan')},
        {'portrayed': 'agreed', 'note': 'my daughter, 9 years old'},
        {'portrayed': 'agreed', 'note': 'a 15-year-old'},
        {'portrayed': 'agreed', 'note': 'the baby of a friend'},
        {'portrayed': 'agreed', 'note': 'mein Kind'},
        {'portrayed': 'agreed', 'note': 'aged 12, form with the school'},
        {'portrayed': 'agreed', 'note': 'parents of the minor signed'},
    ],
)
def test_a_child_by_the_users_own_statement_is_refused(stated):
    with pytest.raises(ConsentError, match='child'):
        Consent(**stated)


def test_an_adult_by_the_users_own_statement_is_not_refused():
    assert (
        Consent('agreed', 'form 12 of 2025, aged 34, kept by Dr Childs for 10 visits').as_json()['portrayed']
        == 'agreed'
    )
    assert Consent('agreed', 'adult', 18).age_years == 18


@pytest.mark.parametrize(
    'note',
    [
        'with the kind permission of the actor',
        'form kept for 10 years',
        'filmed 5 years ago, with minor edits',
        'agreed for the next 3 years',
    ],
)
def test_words_that_only_look_like_those_of_a_child_do_not_refuse(note):
    assert Consent('agreed', note).note == note


@pytest.mark.parametrize('note', ['consent for 12 years old girl', 'Einwilligung für das Kind', 'for a 9-year-old'])
def test_words_of_a_child_refuse_also_beside_others(note):
    with pytest.raises(ConsentError, match='child'):
        Consent('agreed', note)


def test_an_assertion_of_another_form_in_somebody_elses_manifest_is_no_statement(tmp_path):
    from affekt.provenance.signing import LABEL, _verdict

    manifest = {'assertions': [{'label': LABEL, 'data': ['no', 'object']}]}
    content = {'active_manifest': 'x', 'manifests': {'x': manifest}}
    verdict = _verdict(tmp_path / 'x.png', 'image/png', content, 'Valid')
    assert (verdict.state, verdict.statement) == ('intact', {})


def test_consent_has_to_be_stated():
    with pytest.raises(ConsentError, match='--portrayed'):
        required_consent(None)
    with pytest.raises(UnknownNameError):
        required_consent('somebody')


def test_what_consent_records_can_be_read_back_as_json():
    recorded = json.loads(json.dumps(Consent('agreed', 'form 3', 40, '2026-01-01T00:00:00+00:00').as_json()))
    assert recorded == {
        'portrayed': 'agreed',
        'statement': 'the portrayed person has agreed to this use of their face',
        'stated_at': '2026-01-01T00:00:00+00:00',
        'note': 'form 3',
        'age_years': 40,
    }


@pytest.mark.parametrize('size', [(512, 512), (96, 64), (33, 31), (1080, 1920), (9, 5)])
def test_the_note_is_seen_and_leaves_the_rest_as_it_was(size):
    image = np.full((*size, 3), 128, np.uint8)
    marked = with_note(image)
    assert marked.shape == image.shape
    assert (image == 128).all()
    rows = np.flatnonzero((marked != image).any(axis=(1, 2)))
    assert rows.min() > size[0] * 0.6 or size[0] < 40
    assert marked.max() > 200 or size[0] < 60
    assert marked.min() < 80
