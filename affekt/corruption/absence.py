"""Withheld modalities, by a fixed rule or at random, as the column `missing` of a manifest.

| rule | withheld |
|---|---|
| `audio`, `audio+text` | these, from every sample |
| `audio:0.3` | audio, from 30 % of the samples |
| `any:0.3` | 30 % of all (sample, modality) cells, while every sample keeps at least one |

Shares are exact up to rounding to whole samples or cells. With three modalities, `any:0.7` means two thirds, the most
that leaves one modality per sample, as in the literature. Draws depend on the seed and on the samples' names, not on
their order.

Source: Zhao et al. 2021 (MMIN), doi:10.18653/v1/2021.acl-long.203; Lian et al. 2023 (GCNet), arXiv:2203.02177.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affekt.corpora import Manifest
from affekt.corpora.manifest import MODALITIES
from affekt.corruption.seeds import rng_of
from affekt.errors import ValueRangeError

ANY = 'any'
"""Name of the rule that draws single cells of all modalities."""


@dataclass(frozen=True)
class Absence:
    """A rule for withholding modalities; as text, the notation that `of` parses."""

    modalities: tuple[str, ...]
    """Modalities that are withheld together, or all modalities where `is_any`."""
    rate: float = 1.0
    """Share of samples, or of cells where `is_any`."""
    is_any: bool = False
    """Whether cells are drawn singly from all modalities."""

    @classmethod
    def of(cls, text: str) -> Absence:
        """Parse a rule such as `audio`, `audio+text`, `audio:0.3` or `any:0.5`.

        Raises:
            ValueRangeError: the text is not a rule, withholds everything, or has a rate out of range.
        """
        names, _, share = text.strip().partition(':')
        is_any = names == ANY
        modalities = MODALITIES if is_any else tuple(part.strip() for part in names.split('+'))
        try:
            rate = float(share) if share else 1.0
        except ValueError:
            rate = -1.0
        max_rate = round((len(MODALITIES) - 1) / len(MODALITIES), 1) if is_any else 1.0
        is_known = set(modalities) <= set(MODALITIES) and len(set(modalities)) == len(modalities)
        if not is_known or not 0 < rate <= max_rate or (not is_any and len(modalities) == len(MODALITIES)):
            raise ValueRangeError(
                expected=f'audio, video or text, two of them with +, a share in (0, 1], or any:0.1 to any:{max_rate:g}',
                came=repr(text), todo='write for example --missing audio:0.3',
            )  # fmt: skip
        return cls(modalities, rate, is_any)

    def __str__(self) -> str:
        names = ANY if self.is_any else '+'.join(self.modalities)
        return names if self.rate == 1.0 else f'{names}:{self.rate:g}'


def absences(names: Sequence[str], rules: Sequence[Absence], seed: int) -> Mapping[str, frozenset[str]]:
    """Name of each sample to its withheld modalities.

    Args:
        names: names of the samples.
        rules: rules, all of which are applied, each with its own draws.
        seed: seed of the draws.

    Raises:
        ValueRangeError: a sample would be left without any modality.
    """
    withheld: dict[str, set[str]] = {name: set() for name in names}
    for number, rule in enumerate(rules):
        rng = rng_of(seed, f'{number} {rule}', 'missing')
        ordered = sorted(names)
        if not rule.is_any:
            for index in rng.permutation(len(ordered))[: round(rule.rate * len(ordered))]:
                withheld[ordered[index]] |= set(rule.modalities)
            continue
        gaps = withheld_cells(np.ones((len(ordered), len(MODALITIES)), dtype=bool), rule.rate, rng)
        for name, mask in zip(ordered, gaps, strict=True):
            withheld[name] |= {modality for modality, is_withheld in zip(MODALITIES, mask, strict=True) if is_withheld}
    empty = [name for name, of_sample in withheld.items() if len(of_sample) == len(MODALITIES)]
    if empty:
        raise ValueRangeError(
            expected='at least one modality for every sample', came=f'{len(empty)} without any, such as {empty[0]!r}',
            todo='use one rule any:RATE, or lower rates',
        )  # fmt: skip
    return {name: frozenset(of_sample) for name, of_sample in withheld.items()}


def withheld_cells(present: npt.NDArray[np.bool_], rate: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """A random share of the present cells; every sample keeps at least one modality.

    N samples, M modalities.

    Args:
        present: (N, M) True where a sample has a modality.
        rate: share of the present cells; fewer where every sample must keep one modality.
        rng: generator of the draw.

    Returns:
        (N, M) True where withheld.
    """
    remaining, withheld = present.sum(axis=1), np.zeros_like(present)
    count = min(round(rate * int(remaining.sum())), int((remaining - 1).clip(min=0).sum()))
    for cell in rng.permutation(present.size):
        if not count:
            break
        row, column = divmod(int(cell), present.shape[1])
        if present[row, column] and remaining[row] > 1:
            withheld[row, column] = True
            remaining[row] -= 1
            count -= 1
    return withheld


def withhold(manifest: Manifest, rules: Sequence[Absence], seed: int) -> Manifest:
    """The manifest with the column `missing` extended; modalities that were missing before stay missing.

    Args:
        manifest: manifest whose samples lose modalities.
        rules: rules, all of which are applied.
        seed: seed of the draws.

    Raises:
        ValueRangeError: see `absences`.
    """
    drawn = absences(manifest.names, rules, seed)
    missing = []
    for name, listed in manifest.samples.cells(('sample', 'missing')):
        absent = drawn[name] | {part for part in (listed or '').split(',') if part}
        if len(absent) == len(MODALITIES):
            raise ValueRangeError(
                expected='at least one modality for every sample', came=f'{name!r} without any',
                todo='start from a manifest without missing modalities',
            )  # fmt: skip
        missing.append(','.join(modality for modality in MODALITIES if modality in absent) or None)
    return manifest.replaced(missing=missing)
