"""Signing and verifying of a manifest in the file that states how an output was made, and from what.

`sign` puts a C2PA manifest into an MP4, PNG or JPEG file: the engine, hashes of portrait and driver, whether the
visible mouth is the driver's, the user's statement on the portrayed person, the settings, and that the medium is
synthetic. `verify` reads any file's manifest and checks whether the file is as signed. No network is
used: there is no time stamp, no certificate look-up, and no remote manifest.

Source: C2PA Technical Specification 2.2; IPTC, digital source types.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from affekt.errors import AffektError, MediaError, ProvenanceError
from affekt.files import place_atomically, read_regular_file, require_regular_file, storage_error
from affekt.provenance.consent import Consent
from affekt.provenance.credentials import (
    OWN,
    Credentials,
    own_credentials,
    require_signing,
    settings_folder,
    why_unusable,
)
from affekt.provenance.findings import in_words
from affekt.provenance.manifest_boxes import MIME, Malformed, embedded, has_traces, mime_of, require_signers_form
from affekt.typed_json import plain

LABEL = 'org.affekt.reenactment'
"""Label of the assertion with affekt's statements on its output."""
SOURCE_TYPES = {
    'geometric': 'http://cv.iptc.org/newscodes/digitalsourcetype/compositeSynthetic',
    'diffusion': 'http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia',
}
"""Engine to the IPTC source type of its outputs: composite with synthetic parts, or with output of a trained model."""
OFFLINE = {
    'builder': {'thumbnail': {'enabled': False}},
    'verify': {'remote_manifest_fetch': False, 'ocsp_fetch': False},
}
"""Settings of c2pa-python: no thumbnails, no network."""
SIGNER_ONLY = frozenset(('signingCredential.untrusted', 'signingCredential.expired', 'claimSignature.outsideValidity'))
"""C2PA's codes for problems of the signer only, while the file itself is as signed."""
INTACT, CHANGED, NO_MANIFEST = 'intact', 'changed', 'no manifest'


@dataclass(frozen=True)
class Provenance:
    """The contents of an output's manifest.

    Args:
        engine: a name in SOURCE_TYPES.
        consent: the statement on the portrayed person.
        portrait_sha256: SHA-256 of the portrait's file.
        driver_sha256: SHA-256 of the driver's file; None if an emotion or a curve moved the face.
        has_drivers_mouth: whether the output shows the inside of the driver's mouth.
        settings: settings of the run, as JSON values.
    """

    engine: str
    consent: Consent
    portrait_sha256: str
    driver_sha256: str | None = None
    has_drivers_mouth: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The contents as an assertion."""
        return {
            'engine': self.engine,
            'portrait_sha256': self.portrait_sha256,
            'driver_sha256': self.driver_sha256,
            'has_drivers_mouth': self.has_drivers_mouth,
            'consent': self.consent.as_json(),
            'settings': plain(dict(self.settings)),
        }


@dataclass(frozen=True)
class Verdict:
    """Whether a file is as signed, and the content of its manifest."""

    path: Path
    state: str
    """'intact', 'changed' or 'no manifest'."""
    signer: str = ''
    """The name in the certificate, which anybody may claim unless `is_signer_known`."""
    is_signer_known: bool = False
    """True if an authority that the user trusts issued the certificate."""
    is_expired: bool = False
    """True if the certificate has expired, and no time stamp proves that it was valid when it signed."""
    reason: str = ''
    """The change in words; '' for none."""
    codes: tuple[str, ...] = ()
    """C2PA's codes for the changes, or its error for an unreadable manifest."""
    made_by: str = ''
    """Name and version of the program that wrote the manifest, as stated there."""
    statement: Mapping[str, Any] = field(default_factory=dict)
    """affekt's assertion; empty in other manifests."""
    source_type: str = ''
    """The IPTC digital source type, its last part."""

    @property
    def is_intact(self) -> bool:
        """Whether the file is as signed."""
        return self.state == INTACT

    @property
    def words(self) -> str:
        """The verdict in words."""
        if self.state != INTACT:
            return self.state
        expired = ', certificate expired' if self.is_expired else ''
        return (
            f'intact, signed by {self.signer}{expired}' if self.is_signer_known else f'intact, signer unknown{expired}'
        )


def require_signable(path: str | os.PathLike[str]) -> str:
    """The MIME type of a file yet to be written, by its extension; checked before the content is computed.

    Raises:
        MediaError: such a file cannot hold a manifest.
        MissingExtraError: c2pa-python is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in MIME:
        raise MediaError(
            expected=f'an output that can carry a manifest: {", ".join(MIME)}', came=str(path),
            todo='name the output so; convert nothing afterwards, since a converted file has no manifest',
        )  # fmt: skip
    require_signing()
    return MIME[suffix]


def sign(path: str | os.PathLike[str], provenance: Provenance, credentials: Credentials | None = None) -> Path:
    """Put a signed manifest into a finished file, in place and atomically.

    Args:
        path: .mp4, .png or .jpg.
        provenance: contents of the manifest.
        credentials: credentials that sign it; None for this user's own, made by affekt.

    Returns:
        The path.

    Raises:
        MediaError: the file is missing, or cannot hold a manifest.
        ProvenanceError: it cannot be signed with these credentials.
        StorageError: it cannot be written.
        MissingExtraError: c2pa-python is not installed.
    """
    target = Path(path)
    mime = require_signable(target)
    try:
        require_regular_file(target)
    except AffektError:
        raise
    except OSError as error:
        raise MediaError(
            expected='a finished file to sign', came=f'{target}: {error.strerror}', todo='write it first'
        ) from error
    used = credentials or own_credentials()
    import c2pa

    try:
        with place_atomically(target) as signed, target.open('rb') as source, signed.open('w+b') as written:
            _sign(source, written, mime, _manifest(target, mime, provenance), used)
            written.flush()
            os.fsync(written.fileno())
    except c2pa.C2paError as error:
        raise ProvenanceError(
            expected=f'a file that C2PA can sign, and credentials that it accepts, for {target.name}',
            came=str(error)[:300], todo='sign the file as it was written, with a valid certificate',
        ) from error  # fmt: skip
    return target


def usable_credentials(credentials: Credentials | None = None) -> Credentials:
    """The credentials, after they have signed an image of one pixel in memory.

    Call it before long work whose result is signed: C2PA also refuses certificates that are expired or not made for
    signing.

    Args:
        credentials: credentials to try; None for this user's own, made by affekt.

    Raises:
        ProvenanceError: C2PA refuses to sign with them, or they cannot be used.
        StorageError: new ones cannot be written.
        MissingExtraError: c2pa-python is not installed.
    """
    require_signing()
    used = credentials or own_credentials()
    import c2pa
    from PIL import Image

    image = io.BytesIO()
    Image.new('L', (1, 1)).save(image, 'PNG')
    created = {'actions': [{'action': 'c2pa.created', 'digitalSourceType': SOURCE_TYPES['geometric']}]}
    manifest = {'format': MIME['.png'], 'assertions': [{'label': 'c2pa.actions.v2', 'data': created}]}
    try:
        _sign(image, io.BytesIO(), MIME['.png'], manifest, used)
    except c2pa.C2paError as error:
        raise ProvenanceError(
            expected='a certificate chain that C2PA accepts for signing', came=str(error)[:300],
            todo='give --certificate a chain with the signer first, valid today, with the key usage digital signature '
            'and an extended key usage such as e-mail protection' if credentials is not None else
            f'delete {settings_folder() / OWN}: affekt makes new ones',
        ) from error  # fmt: skip
    return used


def _sign(source: BinaryIO, written: BinaryIO, mime: str, manifest: Mapping[str, Any], used: Credentials) -> None:
    import c2pa

    algorithm = c2pa.C2paSigningAlg[used.algorithm.upper()]
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm, used.chain, used.key, None))
    c2pa.Builder(json.dumps(manifest), _context()).sign(signer, mime, source, written)


def verify(path: str | os.PathLike[str], trusted: str | os.PathLike[str] | None = None) -> Verdict:
    """Whether a file is as signed, and the content of its manifest.

    Args:
        path: .mp4, .png or .jpg, of any origin.
        trusted: PEM certificates that the user trusts to vouch for signers; none by default.

    Raises:
        MediaError: the file cannot be read, or is of another type.
        ProvenanceError: `trusted` holds no certificates.
        MissingExtraError: c2pa-python is not installed.
    """
    require_signing()
    target = Path(path)
    try:
        require_regular_file(target)
        mime = mime_of(target)
    except AffektError:
        raise
    except OSError as error:
        raise MediaError(
            expected='a file to check', came=f'{target}: {error.strerror or error}', todo='check the path'
        ) from error
    if not mime:
        raise MediaError(
            expected=f'a file of {", ".join(MIME)}', came=f'{target}, which is of another type',
            todo='give the file as it came from affekt',
        )  # fmt: skip
    import c2pa

    try:
        with target.open('rb') as file, c2pa.Reader(mime, file, context=_context(_anchors(trusted))) as reader:
            content, state = json.loads(reader.json()), reader.get_validation_state()
    except c2pa.C2paError as error:
        if has_traces(target):
            return Verdict(target, CHANGED, reason='the file or its manifest is damaged', codes=(_first_words(error),))
        if 'NotFound' in type(error).__name__:
            return Verdict(target, NO_MANIFEST)
        return Verdict(target, NO_MANIFEST, reason=f'it cannot be read as {mime}', codes=(_first_words(error),))
    except OSError as error:
        raise storage_error(error, target) from error
    return _verdict(target, mime, content, state)


def _verdict(path: Path, mime: str, content: Mapping[str, Any], state: str) -> Verdict:
    """The verdict on a file whose manifest could be read."""
    manifest = content.get('manifests', {}).get(content.get('active_manifest', ''), {})
    assertions = {item.get('label'): item.get('data') for item in manifest.get('assertions', ())}
    # a foreign signer may write anything
    statement = stated if isinstance(stated := assertions.get(LABEL), Mapping) else {}
    signature = manifest.get('signature_info', {})
    codes = {item['code'] for item in content.get('validation_status') or ()}
    change_codes = tuple(sorted(codes - SIGNER_ONLY))
    reason = in_words(change_codes) or ('its signature does not fit' if state == 'Invalid' and not codes else '')
    if not reason and statement:
        reason = _unsigned_change(path, mime, statement)
    actions = (assertions.get('c2pa.actions.v2') or {}).get('actions', ())
    generators: Sequence[Mapping[str, Any]] = manifest.get('claim_generator_info') or ({},)
    return Verdict(
        path,
        CHANGED if reason else INTACT,
        signer=str(signature.get('common_name') or signature.get('issuer') or ''),
        is_signer_known=not reason and state == 'Trusted',
        is_expired=bool(codes & (SIGNER_ONLY - {'signingCredential.untrusted'})),
        reason=reason,
        codes=change_codes,
        made_by=' '.join(str(generators[0].get(part, '')) for part in ('name', 'version')).strip(),
        statement=statement,
        source_type=next(
            (
                str(action['digitalSourceType']).rsplit('/', 1)[-1]
                for action in actions
                if 'digitalSourceType' in action
            ),
            '',
        ),
    )


def _unsigned_change(path: Path, mime: str, statement: Mapping[str, Any]) -> str:
    """The change in a file that affekt signed, in parts that C2PA's hashes leave out; '' for none."""
    try:
        carried = embedded(path, mime)
        require_signers_form(carried.store)
    except Malformed as error:
        return str(error)
    return '' if carried.file_type.hex() == statement.get('file_type', '') else 'its file type is another'


def _manifest(target: Path, mime: str, provenance: Provenance) -> dict[str, Any]:
    """The manifest as c2pa-python takes it."""
    import affekt

    agent = {'name': 'affekt', 'version': affekt.__version__}
    source_type = SOURCE_TYPES[provenance.engine]
    action = {'action': 'c2pa.created', 'digitalSourceType': source_type, 'softwareAgent': agent}
    # the one part of an MP4 besides the manifest that C2PA's own hash leaves out
    file_type = _file_type(target) if mime.startswith('video/') else b''
    statement = provenance.as_json() | ({'file_type': file_type.hex()} if file_type else {})
    return {
        'claim_generator_info': [agent | {'c2pa-python': version('c2pa-python')}],
        'title': target.name,
        'format': mime,
        'assertions': [
            {'label': 'c2pa.actions.v2', 'data': {'actions': [action]}},
            {'label': LABEL, 'data': statement},
        ],
    }


def _file_type(path: Path) -> bytes:
    """The `ftyp` box at the start of an MP4 file."""
    with path.open('rb') as file:
        header = file.read(8)
        size = int.from_bytes(header[:4], 'big')
        if header[4:] != b'ftyp' or not 8 <= size <= 1 << 16:
            raise MediaError(expected='an MP4 file', came=f'{path}, which does not begin as one', todo='write it anew')
        return header + file.read(size - 8)


def _context(anchors: str = '') -> Any:
    import c2pa

    trust = {'trust': {'trust_anchors': anchors}} if anchors else {}
    return c2pa.Context(c2pa.Settings.from_dict(OFFLINE | trust))


def _anchors(trusted: str | os.PathLike[str] | None) -> str:
    """The certificates of a PEM file."""
    if trusted is None:
        return ''
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        certificates = x509.load_pem_x509_certificates(read_regular_file(trusted))
    except (OSError, ValueError) as error:
        raise ProvenanceError(
            expected='a file of trusted certificates in PEM', came=f'{trusted}{why_unusable(error)}',
            todo='give the certificate of whoever vouches for signers',
        ) from error  # fmt: skip
    return b''.join(certificate.public_bytes(Encoding.PEM) for certificate in certificates).decode()


def _first_words(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__.strip('_')
