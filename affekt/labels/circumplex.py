"""Where emotion words lie on the plane of valence and arousal, both in [-1, 1].

Means of rated pleasure and arousal of emotion terms from Russell & Mehrabian 1977, "Evidence for a three-factor theory
of emotions", Journal of Research in Personality 11, 273-294, doi:10.1016/0092-6566(77)90037-X, rounded to two places.
They are norms of how words are rated, not of how a person with that expression feels.
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


RATING_SD = (0.2, 0.3)
"""How far people's ratings of one term scatter there, about: 0.20 to 0.30 in pleasure, 0.26 to 0.41 in arousal."""


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
    """How far a posterior is from knowing nothing: 0 at the reference, 1 where all is on one category.

        c = TV(p, r) / (1 - p . r),    TV(p, r) = 1 - sum_k min(p_k, r_k)

    A mixture of one category with the uniform reference, a onehot + (1 - a) r, has the certainty a.

    Args:
        probabilities: (..., 7) in EKMAN order, each row of sum 1.
        reference: (7,) what a model says that has seen nothing; uniform when None.

    Returns:
        (...) in [0, 1]; nan where a row is nan.

    Raises:
        ShapeError: the last axis is not 7.
    """
    rows, prior = _rows(probabilities), _prior(reference)
    distance = 1 - np.minimum(rows, prior).sum(axis=-1)
    furthest = 1 - rows @ prior
    share = np.divide(distance, furthest, out=np.zeros_like(distance), where=~(furthest <= 1e-12))
    return np.asarray(np.clip(share, 0.0, 1.0))


def expected_affect(
    probabilities: npt.ArrayLike, reference: npt.ArrayLike | None = None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Valence and arousal expected over categories, so that knowing nothing is (0, 0).

        x = E_p[x] - (1 - c) E_r[x],    c = certainty(p, r)

    Most of the seven categories are unpleasant and excited: the plain expectation of a uniform posterior is
    (-0.17, 0.35), which says nothing about a person. What a posterior shares with the reference is therefore taken off;
    a certain category keeps its place on the plane, neutral among them at (0, 0).

    Args:
        probabilities: (..., 7) in EKMAN order, each row of sum 1.
        reference: (7,) what the model says that has seen nothing. Uniform when None, which is right for models that
            were trained with equal weight for each category, or corrected for their prior.

    Returns:
        (valence, arousal), each (...) in [-1, 1]: zero-dimensional for (7,), which `float` takes; nan where a row
        is nan.

    Raises:
        ShapeError: the last axis is not 7.
    """
    rows, prior = _rows(probabilities), _prior(reference)
    plane = coordinates(EKMAN)
    unknown = 1 - certainty(rows, prior)
    affect = np.clip(rows @ plane - unknown[..., None] * (prior @ plane), -1.0, 1.0)
    return affect[..., 0], affect[..., 1]


def affect_sd(probabilities: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """How uncertain valence and arousal are, by the categories alone.

        sd = sqrt(Var_p[x] + RATING_SD**2)

    The scatter of the categories' places under the posterior, and of what one category's word means to people.

    Args:
        probabilities: (..., 7) in EKMAN order, each row of sum 1.

    Returns:
        (valence_sd, arousal_sd), each (...): (0.2, 0.3) for a certain category, (0.58, 0.45) for a uniform row; nan
        where a row is nan.

    Raises:
        ShapeError: the last axis is not 7.
    """
    rows, plane = _rows(probabilities), coordinates(EKMAN)
    variance = np.maximum(rows @ plane**2 - (rows @ plane) ** 2, 0.0)
    spread = np.sqrt(variance + np.square(RATING_SD))
    return spread[..., 0], spread[..., 1]


def _rows(probabilities: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(..., 7)."""
    rows = np.asarray(probabilities, np.float64)
    if rows.shape[-1:] != (len(EKMAN),):
        raise ShapeError(
            expected=f'probabilities (..., {len(EKMAN)})', came=f'{rows.shape}', todo='fold them onto EKMAN first'
        )
    return rows


def _prior(reference: npt.ArrayLike | None) -> npt.NDArray[np.float64]:
    """(7,) of sum 1."""
    if reference is None:
        return np.full(len(EKMAN), 1 / len(EKMAN))
    prior = np.asarray(reference, np.float64)
    if prior.shape != (len(EKMAN),):
        raise ShapeError(expected=f'a reference ({len(EKMAN)},)', came=f'{prior.shape}', todo='give one share each')
    return np.asarray(prior / prior.sum())
