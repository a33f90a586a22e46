"""Models that a benchmark tunes on clips of faces and voices, and where the clips come from.

A `Candidate` says how a model is made, as often as a fold and a seed ask for it; a `ClipSource` says what is there of a
clip. torch is imported where it is used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affekt.pretraining import Clip, HicmaeForm, PackedClips, SvfapForm


@dataclass(frozen=True)
class Candidate:
    """A model that is tuned on every fold.

    Args:
        name: of its rows.
        open: (outputs, seed) to the model as it is before tuning; the seed draws what no checkpoint holds.
        reads: `video`, `audio` or both.
        facts: where it comes from, for the outcome; what the numbers depend on.
        beside: names of other candidates that it is tested against, such as the same form from random weights.
    """

    name: str
    open: Callable[[int, int], Any] = field(repr=False)
    reads: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClipSource:
    """Where a clip comes from, and what is there of it."""

    load: Callable[[], Clip] = field(repr=False)
    has: frozenset[str]
    """`video`, `audio`, both or neither."""


def clip_sources(clips: PackedClips) -> dict[str, ClipSource]:
    """Sample to where its clip is in a cache; samples without a clip are left out."""
    sources = {}
    for at, name in enumerate(clips.names):
        counts = {'video': clips.frame_counts[at], 'audio': clips.sample_counts[at]}
        there = frozenset(modality for modality, count in counts.items() if count)
        sources[name] = ClipSource(partial(clips.__getitem__, at), there)
    return sources


def scratch(form: HicmaeForm | SvfapForm, name: str = 'scratch') -> Candidate:
    """A form with random weights: what tuning reaches without pre-training."""
    return Candidate(name, partial(_drawn, form), tuple(form.modalities), {'form': dataclasses.asdict(form)})


def _drawn(form: HicmaeForm | SvfapForm, outputs: int, seed: int) -> Any:
    import torch

    from affekt.pretraining import HicmaeClassifier, HicmaeForm, SvfapClassifier

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return HicmaeClassifier(form, outputs) if isinstance(form, HicmaeForm) else SvfapClassifier(form, outputs)
