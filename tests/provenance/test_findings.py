"""Codes of C2PA in plain words: a sentence for every family, whatever a later specification adds to it."""

import pytest

from affekt.provenance.findings import in_words

CODES = (
    'algorithm.unsupported', 'assertion.action.malformed', 'assertion.bmffHash.mismatch', 'assertion.cbor.invalid',
    'assertion.dataHash.mismatch', 'assertion.hashedURI.mismatch', 'assertion.missing', 'assertion.undeclared',
    'claim.hardBindings.missing', 'claim.missing', 'claim.multiple', 'claimSignature.mismatch',
    'claimSignature.missing', 'hashedURI.mismatch', 'ingredient.manifest.mismatch', 'manifest.inaccessible',
    'manifest.multipleParents', 'signingCredential.invalid', 'signingCredential.revoked', 'timeStamp.mismatch',
)  # fmt: skip
"""Of C2PA 2.2, table 16: failures."""


def test_every_family_of_codes_has_a_sentence_without_the_code():
    for code in CODES:
        words = in_words([code])
        assert words != 'the manifest does not fit the file', code
        assert code.split('.')[0] not in words.split() or code.startswith('manifest'), code
        assert '.' not in words


@pytest.mark.parametrize(
    ('codes', 'words'),
    [
        ([], ''),
        (['assertion.dataHash.mismatch'], 'the image or the audio was changed after it was signed'),
        (['assertion.dataHash.malformed', 'assertion.dataHash.mismatch'],
         'the image or the audio was changed after it was signed'),
        (['claimSignature.mismatch', 'claimSignature.missing'],
         'what was signed was changed, or the signature was; the signature was taken away'),
        (['claimSignature.ofAnotherDay'], 'the signature is damaged'),
        (['general.error'], 'the manifest does not fit the file'),
    ],
)  # fmt: skip
def test_codes_of_one_family_are_one_sentence_and_the_closest_family_counts(codes, words):
    assert in_words(codes) == words
