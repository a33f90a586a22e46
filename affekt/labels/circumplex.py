"""Positions of emotion words on the plane of valence and arousal, both in [-1, 1].

Means of rated pleasure and arousal of emotion terms from Russell & Mehrabian 1977, "Evidence for a three-factor theory
of emotions", Journal of Research in Personality 11, 273-294, doi:10.1016/0092-6566(77)90037-X, rounded to two places.
They are norms of the ratings of words, not of what a person with that expression feels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from affekt.errors import ShapeError, UnknownNameError
from affekt.labels.sets import EKMAN

CIRCUMPLEX: Mapping[str, tuple[float, float]] = {
    'anger': (-0.51, 0.59),
    'disgust': (-0.60, 0.35),
    'fear': (-0.64, 0.60),
    'happiness': (0.81, 0.51),
    'sadness': (-0.63, -0.27),
    'surprise': (0.40, 0.67),
    'neutral': (0.0, 0.0),
}
"""Category to (valence, arousal); neutral is the origin by definition."""
RATING_SD = (0.2, 0.3)
"""Typical standard deviations of the ratings of one term: 0.20 to 0.30 in pleasure, 0.26 to 0.41 in arousal."""


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


def certainty(probabilities: npt.ArrayLike, reference: npt.ArrayLike | None = None) -> npt.NDArray[np.float64]:
    """Distance of a posterior from the uninformed one: 0 at the reference, 1 where all probability is on one category.

        c = TV(p, r) / (1 - p . r),    TV(p, r) = 1 - sum_k min(p_k, r_k)

    A mixture of one category with the uniform reference, a onehot + (1 - a) r, has certainty a.

    Args:
        probabilities: (..., 7) in EKMAN order, rows sum to 1.
        reference: (7,) output of an uninformed model; None for uniform.

    Returns:
        (...) in [0, 1]; nan where a row is nan.

    Raises:
        ShapeError: the last axis is not 7.
    """
    rows, prior = _rows(probabilities), _prior(reference)
    distance = 1 - np.minimum(rows, prior).sum(axis=-1)
    furthest = 1 - rows @ prior
    certainties = np.divide(distance, furthest, out=np.zeros_like(distance), where=~(furthest <= 1e-12))
    return np.asarray(np.clip(certainties, 0.0, 1.0))


def expected_affect(
    probabilities: npt.ArrayLike, reference: npt.ArrayLike | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Expected valence and arousal over categories, corrected so that an uninformed posterior gives (0, 0).

        x = E_p[x] - (1 - c) E_r[x],    c = certainty(p, r)

    Most of the seven categories are unpleasant and excited: the plain expectation of a uniform posterior is (-0.17,
    0.35), which says nothing about a person. The part that a posterior shares with the reference is therefore
    subtracted. A certain category keeps its position on the plane, with neutral at (0, 0).

    Args:
        probabilities: (..., 7) in EKMAN order, rows sum to 1.
        reference: (7,) output of the uninformed model. None for uniform, which is right for models trained with equal
            weights of the categories, or corrected for their prior.

    Returns:
        (valence, arousal), each (...) in [-1, 1]: zero-dimensional for (7,), which `float` takes; nan where a row
        is nan.

    Raises:
        ShapeError: the last axis is not 7.
    """
    rows, prior = _rows(probabilities), _prior(reference)
    plane = coordinates(EKMAN)
    uncertainty = 1 - certainty(rows, prior)
    affect = np.clip(rows @ plane - uncertainty[..., None] * (prior @ plane), -1.0, 1.0)
    return affect[..., 0], affect[..., 1]


def affect_sd(probabilities: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Standard deviations of valence and arousal, given the categories alone.

        sd = sqrt(Var_p[x] + RATING_SD**2)

    The spread of the categories' positions under the posterior, plus that of people's ratings of one category's word.

    Args:
        probabilities: (..., 7) in EKMAN order, rows sum to 1.

    Returns:
        (valence_sd, arousal_sd), each (...): (0.2, 0.3) for a certain category, (0.58, 0.45) for a uniform row; nan
        where a row is nan.

    Raises:
        ShapeError: the last axis is not 7.
    """
    rows, plane = _rows(probabilities), coordinates(EKMAN)
    variance = np.maximum(rows @ plane**2 - (rows @ plane) ** 2, 0.0)
    deviations = np.sqrt(variance + np.square(RATING_SD))
    return deviations[..., 0], deviations[..., 1]


def _rows(probabilities: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(..., 7) probabilities, checked."""
    rows = np.asarray(probabilities, np.float64)
    if rows.shape[-1:] != (len(EKMAN),):
        raise ShapeError(
            expected=f'probabilities (..., {len(EKMAN)})', came=f'{rows.shape}', todo='fold them onto EKMAN first'
        )
    return rows


def _prior(reference: npt.ArrayLike | None) -> npt.NDArray[np.float64]:
    """(7,) reference, normalised to sum 1."""
    if reference is None:
        return np.full(len(EKMAN), 1 / len(EKMAN))
    prior = np.asarray(reference, np.float64)
    if prior.shape != (len(EKMAN),):
        raise ShapeError(expected=f'a reference ({len(EKMAN)},)', came=f'{prior.shape}', todo='give one share each')
    return np.asarray(prior / prior.sum())
