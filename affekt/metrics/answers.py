"""Truth and prediction of the same samples, parsed once, and the check that they are the same samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from affekt.errors import TableError
from affekt.metrics.label_sets import LabelSets, Vocabulary


@dataclass(frozen=True)
class LabelledAnswers:
    """The labels of N samples on both sides, over one vocabulary."""

    names: tuple[str, ...]
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
        """Parse the samples of the truth; others of the prediction are not looked at.

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


def require_names(wanted: Mapping[str, object], held: Mapping[str, object], side: str) -> None:
    """Every wanted sample is held.

    Raises:
        TableError: some are not; names the first of them.
    """
    missing = [name for name in wanted if name not in held]
    if missing:
        raise TableError(
            expected=f'{side} for all {len(wanted)} samples',
            came=f'none for {listed(missing)}',
            todo='add them, with an empty answer where the system gave none',
        )


def listed(names: Iterable[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    every = list(names)
    more = f' and {len(every) - most} more' if len(every) > most else ''
    return ', '.join(map(repr, every[:most])) + more
