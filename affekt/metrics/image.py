"""Similarity of images, of videos and of faces.

Images are (H, W, 3) or (H, W), uint8 or floats from 0 to 255; videos are iterables of images, read once and never
all in memory. Where a metric has rival definitions, the docstring says which one is used.

Source: Wang et al. 2004, doi:10.1109/TIP.2003.819861 (SSIM); Wang, Simoncelli & Bovik 2003,
doi:10.1109/ACSSC.2003.1292216 (MS-SSIM); Heusel et al. 2017, arXiv:1706.08500 (Fréchet distance).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import linalg
from scipy.ndimage import correlate1d

from affekt.arrays import Floats
from affekt.errors import AffektError, ShapeError, ValueRangeError

RANGE = 255.0
"""Difference between the brightest and the darkest value."""
SIGMA, SIDE = 1.5, 11
"""Standard deviation and side of the Gaussian window of SSIM, in pixels."""
K1, K2 = 0.01, 0.03
"""Constants K of SSIM, which keep its fractions finite, as published."""
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the scales of MS-SSIM, finest first, as measured by its authors; four digits as published."""
OUTER_EYE_CORNERS = (33, 263)
"""Indices of the outer eye corners among the 478 landmarks."""


def absolute_error(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Mean absolute difference (L1) of two images, in grey levels from 0 to 255.

    Args:
        truth: (H, W, 3) or (H, W).
        prediction: the same shape.

    Raises:
        ShapeError: the images differ in shape, or are not images.
    """
    left, right = _pair(truth, prediction)
    return float(np.abs(left - right).mean())


def peak_signal_to_noise(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """PSNR of two images in dB: 10 log10(255² / mean squared difference); inf for equal images.

    Args:
        truth: (H, W, 3) or (H, W).
        prediction: the same shape.

    Raises:
        ShapeError: the images differ in shape, or are not images.
    """
    left, right = _pair(truth, prediction)
    error = float(((left - right) ** 2).mean())
    return float('inf') if error == 0 else float(10 * np.log10(RANGE**2 / error))


def structural_similarity(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """SSIM of two images, in [-1, 1], 1 for equal ones: the mean over windows and colour channels.

        (2 m₁ m₂ + c₁)(2 s₁₂ + c₂) / ((m₁² + m₂² + c₁)(s₁² + s₂² + c₂)),   c = (K · 255)²

    Means m and variances s are weighted by a Gaussian of standard deviation 1.5 over 11 x 11 pixels, windows that reach
    beyond the image are left out, and variances divide by the sum of weights, as in the paper's own code.

    Args:
        truth: (H, W, 3) or (H, W).
        prediction: the same shape.

    Raises:
        ShapeError: the images differ in shape, or have a side of fewer than 11 pixels.
    """
    left, right = _pair(truth, prediction, SIDE)
    return float(np.mean([_similarity(left[..., channel], right[..., channel])[0] for channel in range(left.shape[2])]))


def multiscale_similarity(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """MS-SSIM of two images, in [0, 1], 1 for equal ones: contrast and structure at five scales, luminance at the last.

    Each scale averages 2 x 2 pixels of the previous one, with the windows of `structural_similarity`. A negative value
    at a scale counts as 0, since its fractional power is undefined.

    Args:
        truth: (H, W, 3) or (H, W).
        prediction: the same shape.

    Raises:
        ShapeError: the images differ in shape, or have a side of fewer than 176 pixels, which five scales need.
    """
    last = len(SCALE_WEIGHTS) - 1
    left, right = _pair(truth, prediction, SIDE << last)
    products = np.ones(left.shape[2])
    for scale, weight in enumerate(SCALE_WEIGHTS):
        by_channel = [_similarity(left[..., channel], right[..., channel]) for channel in range(left.shape[2])]
        values = np.array([terms[0] if scale == last else terms[1] for terms in by_channel])
        products *= np.maximum(values, 0) ** weight
        left, right = _halved(left), _halved(right)
    return float(products.mean())


def temporal_flicker(truth: Iterable[npt.ArrayLike], prediction: Iterable[npt.ArrayLike]) -> float:
    """Flicker of a video's error: the mean of |e(t) - e(t - 1)|, in grey levels.

    A constant error does not flicker, nor does motion in the truth. nan for fewer than two frames.

    Args:
        truth: images of one size.
        prediction: as many images of the same size.

    Raises:
        ShapeError: the videos differ in size or length.
    """
    total, count = 0.0, 0
    previous: Floats | None = None
    for left, right in _frames(truth, prediction):
        error = right - left
        if previous is not None:
            total, count = total + float(np.abs(error - previous).mean()), count + 1
        previous = error
    return total / count if count else float('nan')


def landmark_error(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Mean distance of landmarks, divided by the distance of the true outer eye corners; nan where that is 0.

    Args:
        truth: (478, 2 or more) positions in pixels; columns beyond x and y are ignored.
        prediction: the same shape.

    Raises:
        ShapeError: the shapes differ, or there are too few landmarks.
    """
    left, right = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    if left.ndim != 2 or left.shape != right.shape or left.shape[1] < 2 or len(left) <= max(OUTER_EYE_CORNERS):
        raise ShapeError(
            expected='landmarks (478, 2) twice', came=f'{left.shape} and {right.shape}', todo='read both alike'
        )
    eye_axis = left[OUTER_EYE_CORNERS[0], :2] - left[OUTER_EYE_CORNERS[1], :2]
    eye_distance = float(np.hypot(*eye_axis))
    return (
        float(np.linalg.norm(left[:, :2] - right[:, :2], axis=1).mean() / eye_distance)
        if eye_distance
        else float('nan')
    )


def expression_distance(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Mean absolute difference of the amounts of named expression directions; nan without directions.

    Args:
        truth: (D,) amounts, 0 to 1, as `affekt.face3d.ExpressionFit` gives them.
        prediction: (D,) amounts of the same directions.

    Raises:
        ShapeError: the shapes differ.
    """
    left, right = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    if left.shape != right.shape:
        raise ShapeError(
            expected='amounts of the same directions', came=f'{left.shape} and {right.shape}', todo='fit both alike'
        )
    return float(np.abs(left - right).mean()) if left.size else float('nan')


def pose_distance_deg(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Angle of the rotation from one head pose to the other, in degrees from 0 to 180.

    Args:
        truth: (3, 3) rotation matrix.
        prediction: (3, 3) rotation matrix.

    Raises:
        ShapeError: a matrix is not (3, 3).
    """
    left, right = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    if left.shape != (3, 3) or right.shape != (3, 3):
        raise ShapeError(expected='two rotations (3, 3)', came=f'{left.shape}, {right.shape}', todo='give matrices')
    relative = left.T @ right
    # arctan2 is exact for small angles, where the arccosine of the trace loses half of the digits.
    twice_sine = np.linalg.norm(
        [relative[2, 1] - relative[1, 2], relative[0, 2] - relative[2, 0], relative[1, 0] - relative[0, 1]]
    )
    return float(np.degrees(np.arctan2(twice_sine / 2, (np.trace(relative) - 1) / 2)))


def identity_distance(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Euclidean distance of two face embeddings, as `affekt.faces.FaceIdentity` gives them.

    Images of one person are about 0.3 apart, those of two persons about 0.77; 0.6 separates them.

    Args:
        truth: (D,) embedding.
        prediction: (D,) embedding.

    Raises:
        ShapeError: the shapes differ.
    """
    left, right = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    if left.ndim != 1 or left.shape != right.shape:
        raise ShapeError(
            expected='two face embeddings (D,)', came=f'{left.shape} and {right.shape}', todo='read both alike'
        )
    return float(np.linalg.norm(left - right))


def frechet_distance(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Fréchet distance of two sets of features, 0 for equal means and covariances.

        |m₁ - m₂|² + tr(S₁ + S₂ - 2 (S₁ S₂)^½)

    With Inception features of images this is FID, with I3D features of videos it is FVD. It decreases with the number
    of samples: compare only values from equal numbers.

    Args:
        truth: (N, D) features, N at least 2.
        prediction: (M, D) features, M at least 2.

    Raises:
        ShapeError: the features have other shapes.
        ValueRangeError: a feature is nan or infinite.
    """
    left, right = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1] or min(len(left), len(right)) < 2:
        raise ShapeError(
            expected='features (N, D) and (M, D) of two samples or more', came=f'{left.shape} and {right.shape}',
            todo='take the same network for both',
        )  # fmt: skip
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise ValueRangeError(expected='finite features', came='nan or infinity', todo='leave those samples out')
    truth_covariance, prediction_covariance = (
        np.atleast_2d(np.cov(features, rowvar=False)) for features in (left, right)
    )
    # tr (S₁ S₂)^½ is the sum of the roots of the eigenvalues of S₁^½ S₂ S₁^½, which is symmetric: they are real.
    values, vectors = linalg.eigh(truth_covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    root_trace = np.sqrt(np.maximum(linalg.eigvalsh(root @ prediction_covariance @ root), 0)).sum()
    squared_distance = float(((left.mean(axis=0) - right.mean(axis=0)) ** 2).sum())
    covariance_term = float(np.trace(truth_covariance) + np.trace(prediction_covariance) - 2 * root_trace)
    return max(0.0, squared_distance + covariance_term)


def _similarity(left: Floats, right: Floats) -> tuple[float, float]:
    """SSIM of one colour channel, and its contrast and structure terms alone."""
    c1, c2 = (K1 * RANGE) ** 2, (K2 * RANGE) ** 2
    means = [_window_mean(plane) for plane in (left, right)]
    variances = [_window_mean(plane * plane) - mean * mean for plane, mean in zip((left, right), means, strict=True)]
    covariance = _window_mean(left * right) - means[0] * means[1]
    structure = (2 * covariance + c2) / (variances[0] + variances[1] + c2)
    luminance = (2 * means[0] * means[1] + c1) / (means[0] ** 2 + means[1] ** 2 + c1)
    return float((luminance * structure).mean()), float(structure.mean())


def _window_mean(plane: Floats) -> Floats:
    """Weighted means over all windows that lie within the image."""
    reach = SIDE // 2
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SIGMA) ** 2)
    weights /= weights.sum()
    rows = correlate1d(plane, weights, axis=0)[reach:-reach]
    return np.asarray(correlate1d(rows, weights, axis=1)[:, reach:-reach])


def _halved(image: Floats) -> Floats:
    """The mean over 2 x 2 pixels; a last odd row or column is left out."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    blocks = image[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1)  # (H/2, 2, W/2, 2, C)
    return np.asarray(blocks.mean(axis=(1, 3)))


def _pair(truth: npt.ArrayLike, prediction: npt.ArrayLike, min_side: int = 1) -> tuple[Floats, Floats]:
    """Both images as (H, W, C) floats."""
    left, right = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    if left.shape != right.shape or left.ndim not in (2, 3) or not left.size or min(left.shape[:2]) < min_side:
        raise ShapeError(
            expected=f'two images of one size, with sides of at least {min_side} pixels',
            came=f'{left.shape} and {right.shape}', todo='scale one to the other',
        )  # fmt: skip
    return (left[..., None], right[..., None]) if left.ndim == 2 else (left, right)


def _frames(truth: Iterable[npt.ArrayLike], prediction: Iterable[npt.ArrayLike]) -> Iterable[tuple[Floats, Floats]]:
    """Pairs of frames of two videos, checked to be of one length and size."""
    try:
        for left, right in zip(truth, prediction, strict=True):
            yield _pair(left, right)
    except ValueError as error:
        if isinstance(error, AffektError):
            raise
        raise ShapeError(expected='two videos of one length', came=str(error), todo='cut the longer one') from error
