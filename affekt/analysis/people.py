"""Who a person is: what the face says of those who left the picture and came back."""

from __future__ import annotations

import dataclasses

from affekt.analysis.observations import Observed
from affekt.wording import percent_never_sure


def with_return_notes(observed: Observed) -> Observed:
    """The observations with a sentence on each person whose stretches the face put together, and how surely."""
    sentences = tuple(
        f'{name[:1].upper()}{name[1:]} was followed in {back.stretches} stretches; by the face they are one person, '
        f'certainty {percent_never_sure(back.certainty)} %.'
        for name, back in sorted(observed.returned.items())
        if back.certainty is not None
    )
    source = dataclasses.replace(observed.source, notes=(*observed.source.notes, *sentences))
    return dataclasses.replace(observed, source=source) if sentences else observed
