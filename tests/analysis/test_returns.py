"""Who a person is, as the analysis says it."""

from __future__ import annotations

import dataclasses

from affekt.analysis.assemble import assemble
from affekt.analysis.settings import AnalysisSettings
from affekt.people import Returned


def test_who_came_back_says_so_with_the_certainty_of_the_face_in_notes_and_json(observed):
    name = observed.faces['person'][0].as_py()
    back = dataclasses.replace(observed, returned={name: Returned(3, 0.9913)})
    analysis = assemble(back, AnalysisSettings())
    person = next(person for person in analysis.people if person.stretches == 3)
    assert person.identity_certainty == 0.9913
    assert any('3 stretches' in note and 'certainty 99 %' in note for note in analysis.source.notes)
    assert {'stretches': 3, 'identity_certainty': 0.9913}.items() <= next(
        row for row in analysis.summary()['people'] if row['name'] == person.name
    ).items()


def test_who_was_followed_throughout_has_no_certainty_to_state(observed):
    analysis = assemble(observed, AnalysisSettings())
    assert all(person.stretches == 1 and person.identity_certainty is None for person in analysis.people)
    assert not any('stretches' in note for note in analysis.source.notes)
