"""Provenance of outputs: a signed manifest in the file, a visible note, a statement on who is portrayed.

A finished MP4, PNG or JPEG file is signed in place; `verify` checks whether any file is as signed.
`Consent` is the user's statement on the portrayed person. Read `signing.py` first, then `consent.py`.
"""

from affekt.provenance.consent import PORTRAYED, Consent, required_consent
from affekt.provenance.credentials import Credentials, own_credentials, read_credentials, require_signing
from affekt.provenance.note import with_note
from affekt.provenance.signing import Provenance, Verdict, require_signable, sign, usable_credentials, verify

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
    'usable_credentials',
    'verify',
    'with_note',
]
