"""Where emotion words lie on the plane of valence and arousal, both in [-1, 1].

Means of rated pleasure and arousal of emotion terms from Russell & Mehrabian 1977, "Evidence for a three-factor theory
of emotions", Journal of Research in Personality 11, 273-294, doi:10.1016/0092-6566(77)90037-X, rounded to two places.
They are norms of how words are rated, not of how a person with that expression feels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from affekt.errors import UnknownNameError

CIRCUMPLEX: Mapping[str, tuple[float, float]] = {
    'anger': (-0.51, 0.59),
    'disgust': (-0.60, 0.35),
    'fear': (-0.64, 0.60),
    'happiness': (0.81, 0.51),
    'sadness': (-0.63, -0.27),
    'surprise': (0.40, 0.67),
    'neutral': (0.0, 0.0),
}


def coordinates(labels: Sequence[str]) -> npt.NDArray[np.float64]:
    """The (valence, arousal) of each label.

    Args:
        labels: K names from CIRCUMPLEX.

    Returns:
        (K, 2) values in [-1, 1].

    Raises:
        UnknownNameError: a label has no coordinates.
    """
    unknown = [label for label in labels if label not in CIRCUMPLEX]
    if unknown:
        raise UnknownNameError(
            expected=f'names among {sorted(CIRCUMPLEX)}', came=f'{unknown}', todo='map them to these first'
        )
    return np.array([CIRCUMPLEX[label] for label in labels], dtype=np.float64).reshape(-1, 2)
