"""C2PA's findings on a file, in plain words: its codes are made for programs.

Source: C2PA Technical Specification 2.2, section 15.2, "Returning validation results".
"""

from __future__ import annotations

from collections.abc import Iterable

FINDINGS = {
    'assertion.dataHash': 'the image or the audio was changed after it was signed',
    'assertion.bmffHash': 'the frames, the audio or their times were changed after they were signed',
    'assertion.boxesHash': 'a part of the image was changed, added or taken away after it was signed',
    'assertion.collectionHash': 'one of the files that were signed together was changed',
    'assertion.hashedURI': 'a statement in the manifest was changed after it was signed',
    'assertion.missing': 'a statement that was signed is no longer in the manifest',
    'assertion.required.missing': 'a statement that every manifest must make is not in it',
    'assertion.undeclared': 'the manifest holds a statement that was not signed',
    'assertion.inaccessible': 'a statement of the manifest lies elsewhere and cannot be read',
    'assertion.multipleHardBindings': 'the manifest states twice which content was signed',
    'assertion.action': 'the statements of the manifest on how the file was made contradict each other',
    'assertion.ingredient': 'the statements of the manifest on the files that this one was made from cannot be read',
    'assertion.notRedacted': 'a statement of the manifest was blacked out although its signer did not allow that',
    'assertion.selfRedacted': 'a manifest blacks out a statement of its own',
    'assertion.cloud-data': 'a statement of the manifest lies elsewhere and cannot be read',
    'assertion.externalReference': 'a statement of the manifest lies elsewhere and cannot be read',
    'assertion': 'a statement in the manifest is damaged',
    'claimSignature.missing': 'the signature was taken away',
    'claimSignature.mismatch': 'what was signed was changed, or the signature was',
    'claimSignature.outsideValidity': 'it was signed at a time at which the certificate was not valid',
    'claimSignature': 'the signature is damaged',
    'claim.hardBindings': 'the manifest does not state which content was signed',
    'claim.missing': 'the list of what was signed was taken away',
    'claim.multiple': 'the manifest lists twice what was signed',
    'claim': 'the list of what was signed is damaged',
    'hashedURI': 'a part of the manifest is missing or was changed after it was signed',
    'ingredient': 'the manifest of a file that this one was made from is missing or damaged',
    'manifest.inaccessible': 'the manifest lies elsewhere and cannot be read',
    'manifest': 'the manifest is put together in a way that is not allowed',
    'signingCredential.untrusted': 'nobody whom you trust vouches for the signer',
    'signingCredential.expired': 'the certificate of the signer has expired',
    'signingCredential.revoked': 'the certificate of the signer was withdrawn',
    'signingCredential.ocsp': 'it is not known whether the certificate of the signer was withdrawn',
    'signingCredential': 'the certificate of the signer is not one that may sign media',
    'timeStamp': 'the time stamp does not belong to this signature, or is damaged',
    'timestamp': 'the time stamp does not belong to this signature, or is damaged',
    'algorithm': 'the file was signed by a method that is unknown or no longer safe',
}
"""Beginning of a code to its meaning; of several that fit, the longest counts."""
UNKNOWN = 'the manifest does not fit the file'


def in_words(codes: Iterable[str]) -> str:
    """Meanings of codes of C2PA, each sentence once, in the order of the codes; '' for none."""
    return '; '.join(dict.fromkeys(_sentence(code) for code in codes))


def _sentence(code: str) -> str:
    parts = code.split('.')
    beginnings = ('.'.join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((FINDINGS[beginning] for beginning in beginnings if beginning in FINDINGS), UNKNOWN)
