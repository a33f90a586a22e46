"""Truth and prediction parsed into label sets, with checks that both have the same samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.errors import TableError, listed
from affekt.metrics.label_sets import LabelSets, Vocabulary


@dataclass(frozen=True)
class LabelledAnswers:
    """Truth and prediction of N samples as label sets over one vocabulary."""

    names: tuple[str, ...]
    """(N,) names of the samples."""
    truth: LabelSets
    prediction: LabelSets
    vocabulary: Vocabulary

    @classmethod
    def of(
        cls,
        truth: Mapping[str, object],
        prediction: Mapping[str, object],
        parse: Callable[[object], Iterable[str]],
    ) -> LabelledAnswers:
        """Parse truth and prediction of the samples in the truth; further predictions are ignored.

        Raises:
            TableError: a sample of the truth has no prediction.
        """
        require_names(truth, prediction, 'the prediction')
        vocabulary = Vocabulary()
        return cls(
            tuple(truth),
            vocabulary.sets(truth.values(), parse),
            vocabulary.sets((prediction[name] for name in truth), parse),
            vocabulary,
        )

    def where(self, keep_mask: npt.NDArray[np.bool_]) -> LabelledAnswers:
        """The samples where the mask is True."""
        names = tuple(name for name, is_kept in zip(self.names, keep_mask, strict=True) if is_kept)
        return LabelledAnswers(names, self.truth.where(keep_mask), self.prediction.where(keep_mask), self.vocabulary)


def require_names(wanted: Mapping[str, object], given: Mapping[str, object], side: str) -> None:
    """Check that every sample is given.

    Args:
        wanted: samples that are required.
        given: samples of one side.
        side: name of that side, for the message.

    Raises:
        TableError: some are missing; the message names the first of them.
    """
    missing = [name for name in wanted if name not in given]
    if missing:
        raise TableError(
            expected=f'{side} for all {len(wanted)} samples',
            came=f'none for {listed(missing)}',
            todo='add them, with an empty answer where the system gave none',
        )


def require_same_names(truth: Mapping[str, object], prediction: Mapping[str, object]) -> None:
    """Check that truth and prediction have the same samples.

    Raises:
        TableError: a sample is on one side only; the message names the first of each side.
    """
    missing = [name for name in truth if name not in prediction]
    extra = [name for name in prediction if name not in truth]
    if missing or extra:
        parts = [f'{len(missing)} without a prediction ({listed(missing)})'] if missing else []
        parts += [f'{len(extra)} that the truth does not have ({listed(extra)})'] if extra else []
        raise TableError(
            expected=f'predictions for the {len(truth)} samples of the truth and no others',
            came=' and '.join(parts),
            todo='add the missing ones with an empty answer'
            if missing
            else 'take them out, or use --subset to score only the samples of the truth',
        )
