"""Models that a benchmark fine-tunes on clips of faces and voices, and the clips and features that it needs for that.

A `Candidate` creates a model, once per fold and seed; a `ClipSource` states which modalities a clip has. Clips are
packed and features extracted once, into a folder of their own. torch is imported where it is used.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affekt.clips import MODALITIES, Clip, ClipSettings, PackedClips, named_media, packed_clips
from affekt.corpora import Manifest
from affekt.errors import CorpusError, UnknownNameError
from affekt.experiments import open_stores
from affekt.features import RECIPES, Store, extract
from affekt.files import file_sha256
from affekt.progress import Progress

if TYPE_CHECKING:
    from affekt.checkpoints import Checkpoint
    from affekt.pretraining import HicmaeClassifier, HicmaeForm, SvfapClassifier, SvfapForm

    Form = HicmaeForm | SvfapForm
    Classifier = HicmaeClassifier | SvfapClassifier

CONSTANT, PRIOR, LINEAR, SCRATCH = 'constant', 'prior', 'linear', 'scratch'
"""Names of the baseline rows."""
NO_FEATURES = 'none'
"""Value of the option for features that leaves out the linear baseline."""
SOUND_RECIPE = 'acoustics-utt'
"""Default recipe of the linear baseline for audio."""


@dataclass(frozen=True)
class Candidate:
    """A model that is fine-tuned on every fold.

    Args:
        name: name of its rows.
        open: (outputs, seed) to the model before fine-tuning; the seed initialises weights that no checkpoint has.
        reads: `video`, `audio` or both.
        facts: its origin, for the outcome; everything results depend on.
        beside: names of other candidates to test it against, such as the same form from random weights.
        form: its form, if it is one of affekt's.
    """

    name: str
    open: Callable[[int, int], Any] = field(repr=False)
    reads: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    form: Form | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ClipSource:
    """The origin of a clip, and the modalities it has."""

    load: Callable[[], Clip] = field(repr=False)
    has: frozenset[str]
    """`video`, `audio`, both or neither."""
    made: str = ''
    """Settings by which it was cut from its media, '' if unknown; other settings belong to another run."""


def scratch(form: Form, name: str = SCRATCH) -> Candidate:
    """A form with random weights: the result without pre-training."""
    return Candidate(
        name, partial(_initialised, form), tuple(form.modalities), {'form': dataclasses.asdict(form)}, form=form
    )


def pretrained(
    source: Path, modalities: Sequence[str] = (), *, name: str = '', beside: Sequence[str] = ()
) -> Candidate:
    """The encoders of a checkpoint, with a new head in every fold.

    Args:
        source: a published file, or the folder or a file of a pre-training run.
        modalities: modalities of the corpus; only the checkpoint's branch of one modality is used if the other is
            absent.
        name: name of its rows; '' for that of the folder or file.
        beside: names of candidates to test it against.

    Raises:
        WeightsError: it has no complete encoders of a known system.
        CorpusError: the checkpoint reads none of the modalities.
    """
    from affekt.checkpoints import recognised
    from affekt.pretraining import opened_checkpoint, stored_form

    name = name or source.resolve().name
    checkpoint = opened_checkpoint(source)
    form = _narrowed(stored_form(checkpoint), modalities, name)
    recognised_checkpoint = recognised(checkpoint.shapes)
    _loaded(checkpoint, form, 1, 0)  # an incomplete file is refused here, before clips are decoded
    facts = {
        'form': dataclasses.asdict(form), 'sha256': file_sha256(checkpoint.path), 'file': checkpoint.path.name,
        'stage': '' if recognised_checkpoint is None else recognised_checkpoint.form,
    }  # fmt: skip
    return Candidate(name, partial(_loaded, checkpoint, form), tuple(form.modalities), facts, tuple(beside), form)


def dfer_candidates(checkpoints: Sequence[Path], from_scratch: str, modalities: Sequence[str]) -> list[Candidate]:
    """The models of a run: checkpoints, and a form from random weights to test each of them against.

    Args:
        checkpoints: as for `pretrained`; duplicate names get a number.
        from_scratch: name of a form, `same` for that of the first checkpoint, '' for none.
        modalities: modalities of the corpus.

    Raises:
        UnknownNameError: `same` without a checkpoint.
        WeightsError, CorpusError: as for `pretrained`.
    """
    if from_scratch == 'same' and not checkpoints:
        raise UnknownNameError(
            expected='a form that is tuned from random weights', came='--scratch without a name, and no --from',
            todo='name one, such as hicmae-tiny',
        )  # fmt: skip
    names = [path.resolve().name for path in checkpoints]
    counts = Counter((*names, CONSTANT, PRIOR, LINEAR, SCRATCH))
    unique = [name if counts[name] == 1 else f'{name} {number}' for number, name in enumerate(names, 1)]
    beside = (SCRATCH,) if from_scratch else ()
    models = [
        pretrained(path, modalities, name=name, beside=beside) for path, name in zip(checkpoints, unique, strict=True)
    ]
    if from_scratch:
        form = models[0].form if from_scratch == 'same' else narrowed_form(from_scratch, modalities)
        assert form is not None
        models.append(scratch(form))
    return models


def narrowed_form(name: str, modalities: Sequence[str] = ()) -> Form:
    """A form by its name, such as `hicmae-tiny`, reduced to the branches that read the given modalities.

    Raises:
        UnknownNameError: unknown form.
        CorpusError: the form reads none of the modalities.
    """
    from affekt.pretraining import form_named

    return _narrowed(form_named(*name.rsplit('-', 1)), modalities, name)


def _narrowed(form: Form, modalities: Sequence[str], name: str) -> Form:
    reads = tuple(modality for modality in form.modalities if not modalities or modality in modalities)
    if not reads:
        raise CorpusError(
            expected=f'clips with {" or ".join(form.modalities)}, which {name} reads',
            came=f'{" and ".join(modalities)} alone', todo='take another model, or another corpus',
        )  # fmt: skip
    if reads == tuple(form.modalities):
        return form
    narrowed: Form = dataclasses.replace(form, modalities=reads)  # type: ignore[arg-type]
    return narrowed


def _initialised(form: Form, outputs: int, seed: int) -> Classifier:
    from affekt.nn import seeded
    from affekt.pretraining import HicmaeClassifier, HicmaeForm, SvfapClassifier

    with seeded(seed):
        return HicmaeClassifier(form, outputs) if isinstance(form, HicmaeForm) else SvfapClassifier(form, outputs)


def _loaded(checkpoint: Checkpoint, form: Form, outputs: int, seed: int) -> Classifier:
    """The encoders of the checkpoint with a head initialised by the seed, not that of a fine-tuned file."""
    from affekt.pretraining import transferred

    model = _initialised(form, outputs, seed)
    head = {name: value.clone() for name, value in model.head.state_dict().items()}
    transferred(model, checkpoint)
    model.head.load_state_dict(head)
    return model


def modalities_of(manifest: Manifest, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Modalities (`video`, `audio`) that clips of a manifest can have; audio may be part of videos.

    Args:
        manifest: manifest of the corpus.
        wanted: the requested ones; () for all that exist.

    Raises:
        CorpusError: there is none, or a requested one is missing.
    """
    available = tuple(name for name in MODALITIES if named_media(manifest, name).any())
    if not available or not set(wanted) <= set(available):
        raise CorpusError(
            expected=f'clips of {manifest.facts.corpus} with {" and ".join(wanted) or "video or audio"}',
            came=f'a manifest that names {f"{available[0]} alone" if available else "none"}',
            todo='import the corpus again, from the folder that holds its media, or choose another modality',
        )  # fmt: skip
    return tuple(name for name in available if not wanted or name in wanted)


def clip_sources(clips: PackedClips) -> dict[str, ClipSource]:
    """Sample to its clip in a cache; samples without a clip are absent."""
    sources, settings = {}, repr(clips.settings)
    for index, name in enumerate(clips.names):
        counts = {'video': clips.frame_counts[index], 'audio': clips.sample_counts[index]}
        modalities = frozenset(modality for modality, count in counts.items() if count)
        sources[name] = ClipSource(partial(clips.__getitem__, index), modalities, settings)
    return sources


def corpus_clips(
    manifest: Manifest,
    settings: ClipSettings,
    folder: Path,
    *,
    processes: int = 1,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> PackedClips:
    """The clips of a manifest, decoded once into `folder`/clips-…; modalities, crop and size each have their cache.

    Args:
        manifest: manifest of the corpus.
        settings: how clips are made.
        folder: folder of inputs.
        processes: number of processes that decode.
        progress: called with 'clips', clips done, total clips.
        say: called with a sentence on the size of the cache before it is written.

    Raises:
        CorpusError, RunError, StorageError, WeightsError: as for `affekt.clips.packed_clips`.
    """
    crop_parts = [settings.crop, str(settings.size)] if 'video' in settings.modalities else []
    name = '-'.join(('clips', *settings.modalities, *crop_parts))
    return packed_clips(manifest, folder / name, settings, processes=processes, progress=progress, say=say)


def baseline_stores(
    features: str, manifest: Manifest, folder: Path, *, processes: int = 1, progress: Progress | None = None
) -> dict[str, Store]:
    """Modality to features of the linear baseline.

    Args:
        features: names of recipes, which are extracted once into `folder`/features, and stores, separated by commas;
            `none` for no baseline.
        manifest: manifest of the corpus.
        folder: folder of inputs.
        processes: number of processes for extraction.
        progress: called with 'features', samples done, total samples.

    Raises:
        UnknownNameError, TableError, CorpusError: as for `extract` and `open_stores`.
    """
    if features in ('', NO_FEATURES):
        return {}
    parts, paths = features.split(','), []
    if stored := [part for part in parts if part not in RECIPES]:
        open_stores(stored, several=True)  # before anything is extracted
    for part in parts:
        if part in RECIPES:
            part = str(extract(manifest, part, folder / 'features', processes=processes, progress=progress).path)
        paths.append(part)
    return open_stores(paths, several=True)
