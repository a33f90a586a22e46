"""Provenance of outputs: a signed manifest in the file, a note in the picture, a statement on who is shown.

A finished MP4, PNG or JPEG file comes in and goes out signed; `verify` says of any file whether it is as it was signed.
`Consent` is what a user states on the portrayed person. Read `signing.py` first, then `consent.py`.
"""

from affekt.provenance.consent import PORTRAYED, Consent, required_consent
from affekt.provenance.credentials import Credentials, own_credentials, read_credentials, require_signing
from affekt.provenance.note import with_note
from affekt.provenance.signing import Provenance, Verdict, require_signable, sign, verify

__all__ = [
    'PORTRAYED',
    'Consent',
    'Credentials',
    'Provenance',
    'Verdict',
    'own_credentials',
    'read_credentials',
    'require_signable',
    'require_signing',
    'required_consent',
    'sign',
    'verify',
    'with_note',
]
