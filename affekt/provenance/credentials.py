"""Credentials that sign outputs: a certificate chain and a private key.

By default affekt makes both, once per user, and stores them readable only by that user. Such a
signature shows that a file is unchanged since signing, and that two files come from one installation, but
not who the signer is. For that, use a certificate that others trust.

Source: C2PA Technical Specification 2.2, section 14.5 (what a signing certificate must hold).
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from affekt.errors import ProvenanceError, missing_extra
from affekt.files import read_regular_file, storage_error, user_folder

OWN = 'signing.pem'
"""The file with the user's own private key and chain, in the settings folder."""
YEARS = 30
"""Validity in years of a self-made chain. Without time stamps, files could not be verified after its end."""
_LARGEST = 1 << 20
"""Maximum size of a PEM file in bytes."""


@dataclass(frozen=True)
class Credentials:
    """A certificate chain and its private key, both PEM, and the algorithm that they sign with."""

    chain: bytes
    key: bytes
    algorithm: str
    """Name of the algorithm in C2PA, such as 'Es256'."""

    def __repr__(self) -> str:
        return f'Credentials({self.algorithm})'  # the key stays out of logs and tracebacks


def require_signing() -> None:
    """Require that outputs can be signed.

    Raises:
        MissingExtraError: c2pa-python is not installed.
    """
    try:
        import c2pa  # noqa: F401
        import cryptography  # noqa: F401
    except (ImportError, OSError) as error:
        raise missing_extra('c2pa-python, which signs and checks outputs', 'reenact', came=str(error)[:200]) from error


def settings_folder() -> Path:
    """affekt's settings folder: `AFFEKT_CONFIG`, or `affekt` in the user's settings folder.

    Raises:
        ProvenanceError: the user has no home folder, and AFFEKT_CONFIG is not set.
    """
    try:
        if configured := os.environ.get('AFFEKT_CONFIG'):
            return Path(configured).expanduser()
        if sys.platform == 'darwin':
            return Path.home() / 'Library' / 'Application Support' / 'affekt'
        if sys.platform == 'win32':
            return Path(os.environ.get('APPDATA', Path.home())) / 'affekt'
        return user_folder('XDG_CONFIG_HOME', '.config') / 'affekt'
    except RuntimeError as error:
        raise ProvenanceError(
            expected='a folder for the signing key', came=f'{error}', todo='name one by AFFEKT_CONFIG'
        ) from error


def own_credentials() -> Credentials:
    """This user's chain and key, created if missing.

    Raises:
        ProvenanceError: the existing credentials cannot be used.
        StorageError: new ones cannot be written.
        MissingExtraError: c2pa-python is not installed.
    """
    path = settings_folder() / OWN
    if not path.exists():
        _write_new(path)
    _keep_private(path)
    try:
        return read_credentials(path, path)
    except ProvenanceError as error:
        raise ProvenanceError(
            expected='the signing key and chain that affekt made', came=error.came,
            todo='restore the file from a backup, or delete it: affekt makes new ones',
        ) from error  # fmt: skip


def read_credentials(chain: str | os.PathLike[str], key: str | os.PathLike[str]) -> Credentials:
    """The user's own chain and key.

    Args:
        chain: PEM certificates, the signer's first, then its issuers.
        key: the signer's private key, PEM without a password.

    Raises:
        ProvenanceError: a file cannot be read, or the key does not match the first certificate.
        MissingExtraError: c2pa-python is not installed.
    """
    require_signing()
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    paths = {'certificate chain': Path(chain), 'private key': Path(key)}
    chain_pem, key_pem = (_read(name, path) for name, path in paths.items())
    try:
        certificates = x509.load_pem_x509_certificates(chain_pem)
    except ValueError as error:
        raise _unusable('a certificate chain in PEM', chain, error) from error
    try:
        private = serialization.load_pem_private_key(key_pem, password=None)
    except TypeError as error:
        raise ProvenanceError(
            expected='a private key without a password', came=f'{key}, which has one',
            todo='write a copy without it, readable by you alone: openssl pkcs8 -topk8 -nocrypt',
        ) from error  # fmt: skip
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _unusable('a private key in PEM', key, error) from error
    if private.public_key() != certificates[0].public_key():
        raise ProvenanceError(
            expected=f'the private key of the first certificate in {chain}', came=f'{key}, which is of another',
            todo='give the chain and the key that belong together, the signer’s certificate first',
        )  # fmt: skip
    key_alone = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain_alone = b''.join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)
    return Credentials(chain_alone, key_alone, _algorithm(private, key))


def _algorithm(private: Any, key: str | os.PathLike[str]) -> str:
    """The name of the algorithm that a private key signs with."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(private, ed25519.Ed25519PrivateKey):
        return 'Ed25519'
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size >= 2048:
        return 'Ps256'
    curves: Mapping[str, str] = {'secp256r1': 'Es256', 'secp384r1': 'Es384', 'secp521r1': 'Es512'}
    curve = private.curve.name if isinstance(private, ec.EllipticCurvePrivateKey) else ''
    if curve not in curves:
        raise ProvenanceError(
            expected='a key that C2PA allows: P-256, P-384, P-521, Ed25519, or RSA from 2048 bits',
            came=f'{key}: {curve or type(private).__name__.strip("_")}', todo='sign with such a key',
        )  # fmt: skip
    return curves[curve]


def _read(name: str, path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST:
            raise ProvenanceError(
                expected=f'a {name} in PEM', came=f'{path}, a large file', todo='give the PEM file itself'
            )
        return read_regular_file(path)
    except ProvenanceError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise ProvenanceError(
            expected=f'a {name}', came=f'{path}: {reason}', todo='give a file that can be read'
        ) from error


def _unusable(expected: str, path: str | os.PathLike[str], error: Exception) -> ProvenanceError:
    return ProvenanceError(expected=expected, came=f'{path}{why_unusable(error)}', todo='give such a file')


def why_unusable(error: Exception) -> str:
    """The fault of a PEM file, as text that follows its name; the library's message would name its web pages."""
    return f': {error.strerror}' if isinstance(error, OSError) else ', in which none can be read'


def _keep_private(key: Path) -> None:
    """Make the key readable by its owner alone, since a copy or a restored backup may have given others rights."""
    if os.name == 'posix' and stat.S_IMODE(key.stat().st_mode) & 0o077:
        try:
            key.chmod(0o600)
        except OSError as error:
            raise ProvenanceError(
                expected=f'a private key that only you can read at {key}', came=f'others can: {error.strerror}',
                todo=f'run: chmod 600 {key}',
            ) from error  # fmt: skip


def _write_new(path: Path) -> None:
    """Create key and chain in one file, readable only by its owner from the start.

    If two processes do this at once, the file of the first is kept, and both sign with it.
    """
    require_signing()
    chain, key = made_chain()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(prefix=f'.{path.name}.', dir=path.parent)  # has rights 0600
        try:
            with os.fdopen(handle, 'wb') as file:
                file.write(key + chain)
                file.flush()
                os.fsync(file.fileno())
            try:
                with contextlib.suppress(FileExistsError):
                    os.link(temporary, path)
            except OSError:  # a file system without links
                if not path.exists():
                    os.replace(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except OSError as error:
        raise storage_error(error, path) from error


def made_chain() -> tuple[bytes, bytes]:
    """A new certificate chain and its private key, PEM: a signer, and an authority that issues only this certificate.

    C2PA refuses self-signed certificates. The authority's key is discarded at once. Neither certificate
    identifies the user.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(common: str) -> x509.Name:
        texts = {NameOID.COMMON_NAME: common, NameOID.ORGANIZATION_NAME: 'affekt (made on the signer’s own computer)'}
        return x509.Name([x509.NameAttribute(oid, text) for oid, text in texts.items()])

    def usage(*, signs: bool, vouches: bool) -> x509.KeyUsage:
        return x509.KeyUsage(signs, False, False, False, False, vouches, vouches, False, False)

    authority_key, signer_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority, signer = name('affekt local authority'), name('affekt local signer')
    start = datetime.now(UTC) - timedelta(days=1)  # still valid on a clock that is hours behind
    expiry = start + timedelta(days=365 * YEARS)
    authority_identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())

    def builder_for(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(authority).public_key(public)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(expiry)
        return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)

    authority_certificate = (
        builder_for(authority, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs=False, vouches=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    signer_certificate = (
        builder_for(signer, signer_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs=True, vouches=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_identifier), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key = signer_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return signer_certificate.public_bytes(pem) + authority_certificate.public_bytes(pem), key
