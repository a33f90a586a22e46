"""Models that a benchmark tunes on clips of faces and voices, and the clips and features that it needs for that.

A `Candidate` says how a model is made, as often as a fold and a seed ask for it; a `ClipSource` says what is there of a
clip. Clips are packed and features extracted once, into a folder of their own. torch is imported where it is used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affekt.clips import Clip, ClipSettings, PackedClips
from affekt.corpora import Manifest
from affekt.encoders import RUN_WEIGHTS
from affekt.errors import CorpusError, UnknownNameError
from affekt.experiments import open_stores
from affekt.features import RECIPES, Store, extract
from affekt.files import file_sha256
from affekt.progress import Progress

if TYPE_CHECKING:
    from affekt.pretraining import HicmaeForm, SvfapForm

SCRATCH = 'scratch'
NO_FEATURES = 'none'
SOUND_RECIPE = 'acoustics-utt'
"""What the linear baseline reads where sound is read and nothing else is asked for."""


@dataclass(frozen=True)
class Candidate:
    """A model that is tuned on every fold.

    Args:
        name: of its rows.
        open: (outputs, seed) to the model as it is before tuning; the seed draws what no checkpoint holds.
        reads: `video`, `audio` or both.
        facts: where it comes from, for the outcome; what the numbers depend on.
        beside: names of other candidates that it is tested against, such as the same form from random weights.
        form: its size, where it is one of the forms here.
    """

    name: str
    open: Callable[[int, int], Any] = field(repr=False)
    reads: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    form: HicmaeForm | SvfapForm | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ClipSource:
    """Where a clip comes from, and what is there of it."""

    load: Callable[[], Clip] = field(repr=False)
    has: frozenset[str]
    """`video`, `audio`, both or neither."""


def scratch(form: HicmaeForm | SvfapForm, name: str = SCRATCH) -> Candidate:
    """A form with random weights: what tuning reaches without pre-training."""
    return Candidate(name, partial(_drawn, form), tuple(form.modalities), {'form': dataclasses.asdict(form)}, form=form)


def pretrained(
    source: Path, modalities: Sequence[str] = (), *, name: str = '', beside: Sequence[str] = ()
) -> Candidate:
    """The encoders of a checkpoint, with a head that is new in every fold.

    Args:
        source: a published file, or the folder or a file of a pre-training run.
        modalities: that there are; the checkpoint's branch of one modality is taken alone where the other is absent.
        name: of its rows; '' for that of the folder or file.
        beside: names of candidates that it is tested against.

    Raises:
        WeightsError: it holds no whole encoders of a known system.
        CorpusError: it reads none of the modalities.
    """
    from affekt.checkpoints import opened
    from affekt.pretraining import stored_form

    path = source / RUN_WEIGHTS if source.is_dir() else source
    checkpoint = opened(path)
    form = _narrowed(stored_form(checkpoint), modalities, source.name)
    facts = {'form': dataclasses.asdict(form), 'sha256': file_sha256(path), 'file': path.name}
    return Candidate(
        name or source.resolve().name, partial(_filled, checkpoint, form), tuple(form.modalities), facts, tuple(beside),
        form,
    )  # fmt: skip


def dfer_candidates(checkpoints: Sequence[Path], from_scratch: str, modalities: Sequence[str]) -> list[Candidate]:
    """The models of a run: checkpoints, and a form from random weights that each of them is tested against.

    Args:
        checkpoints: as for `pretrained`; two of one name are told apart by their numbers.
        from_scratch: a form by its name, `same` for that of the first checkpoint, '' for none.
        modalities: that there are.

    Raises:
        UnknownNameError: `same` without a checkpoint.
        WeightsError, CorpusError: as `pretrained`.
    """
    if from_scratch == 'same' and not checkpoints:
        raise UnknownNameError(
            expected='a form that is tuned from random weights', came='--scratch without a name, and no --from',
            todo='name one, such as hicmae-tiny',
        )  # fmt: skip
    names = [path.resolve().name for path in checkpoints]
    unique = [name if names.count(name) == 1 else f'{name} {at}' for at, name in enumerate(names, 1)]
    beside = (SCRATCH,) if from_scratch else ()
    models = [
        pretrained(path, modalities, name=name, beside=beside) for path, name in zip(checkpoints, unique, strict=True)
    ]
    if from_scratch:
        form = models[0].form if from_scratch == 'same' else narrowed_form(from_scratch, modalities)
        assert form is not None
        models.append(scratch(form))
    return models


def narrowed_form(name: str, modalities: Sequence[str] = ()) -> HicmaeForm | SvfapForm:
    """A form by its name, such as `hicmae-tiny`, of the branches that read some modalities.

    Raises:
        UnknownNameError: no such form.
        CorpusError: it reads none of the modalities.
    """
    from affekt.pretraining import form_named

    return _narrowed(form_named(*name.rsplit('-', 1)), modalities, name)


def _narrowed(form: HicmaeForm | SvfapForm, modalities: Sequence[str], name: str) -> HicmaeForm | SvfapForm:
    reads = tuple(modality for modality in form.modalities if not modalities or modality in modalities)
    if not reads:
        raise CorpusError(
            expected=f'clips with {" or ".join(form.modalities)}, which {name} reads',
            came=f'{" and ".join(modalities)} alone', todo='take another model, or another corpus',
        )  # fmt: skip
    if reads == tuple(form.modalities):
        return form
    narrowed: HicmaeForm | SvfapForm = dataclasses.replace(form, modalities=reads)  # type: ignore[arg-type]
    return narrowed


def _drawn(form: HicmaeForm | SvfapForm, outputs: int, seed: int) -> Any:
    import torch

    from affekt.pretraining import HicmaeClassifier, HicmaeForm, SvfapClassifier

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return HicmaeClassifier(form, outputs) if isinstance(form, HicmaeForm) else SvfapClassifier(form, outputs)


def _filled(checkpoint: Any, form: HicmaeForm | SvfapForm, outputs: int, seed: int) -> Any:
    from affekt.pretraining import transferred

    model = _drawn(form, outputs, seed)
    transferred(model, checkpoint)
    return model


def modalities_of(manifest: Manifest, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Which of `video` and `audio` clips of a manifest can have; sound may lie in videos.

    Raises:
        CorpusError: none of those that are wanted.
    """
    present = manifest.present()
    there = {'video': present['video'] + present['frames'], 'audio': present['audio'] + present['video']}
    able = tuple(name for name, count in there.items() if count and (not wanted or name in wanted))
    if not able:
        raise CorpusError(
            expected=f'clips of {manifest.facts.corpus} with {" or ".join(wanted) or "video or audio"}',
            came='a manifest that names none', todo='import the corpus again, from the folder that holds its media',
        )  # fmt: skip
    return able


def clip_sources(clips: PackedClips) -> dict[str, ClipSource]:
    """Sample to where its clip is in a cache; samples without a clip are left out."""
    sources = {}
    for at, name in enumerate(clips.names):
        counts = {'video': clips.frame_counts[at], 'audio': clips.sample_counts[at]}
        there = frozenset(modality for modality, count in counts.items() if count)
        sources[name] = ClipSource(partial(clips.__getitem__, at), there)
    return sources


def packed_clips(
    manifest: Manifest, settings: ClipSettings, folder: Path, *, processes: int = 1, progress: Progress | None = None
) -> PackedClips:
    """The clips of a manifest, decoded once into `folder`/clips-…, a cache for each way of making them."""
    made = '-'.join((*settings.modalities, *([settings.crop] if 'video' in settings.modalities else [])))
    return PackedClips.write(
        folder / f'clips-{made}', manifest, settings, processes=processes, resume=True, progress=progress
    )


def baseline_stores(
    features: str, manifest: Manifest, folder: Path, *, processes: int = 1, progress: Progress | None = None
) -> dict[str, Store]:
    """Modality to features of the linear baseline.

    Args:
        features: recipes by name, which are extracted once into `folder`/features, and stores, with commas between;
            `none` for no baseline.
        manifest: of the corpus.
        folder: of inputs.
        processes: that extract.
        progress: told 'features', samples done, samples in all.

    Raises:
        UnknownNameError, TableError, CorpusError: as `extract` and `open_stores`.
    """
    if features in ('', NO_FEATURES):
        return {}
    paths = []
    for part in features.split(','):
        if part in RECIPES:
            part = str(extract(manifest, part, folder / 'features', processes=processes, progress=progress).path)
        paths.append(part)
    return open_stores(paths, several=True)
