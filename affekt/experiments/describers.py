"""Training of a describer from a manifest and cached features: validation split, answers and training stage.

    learn_describer(manifest, {'voice': Store(folder)}, DescribeSettings('coarse'), folder=Path('coarse'))
    learn_describer(manifest, stores, DescribeSettings('fine'), folder=Path('fine'), init=Path('coarse'))

A speaker is either in training or in validation. Answers are written descriptions where a table has them, else made by
template from categories and measured readings. Needs torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from affekt.arrays import Ints
from affekt.corpora import Manifest, Sample
from affekt.description import (
    Describer,
    DescribeSettings,
    Example,
    GroupSettings,
    Kind,
    PreferredAnswer,
    QuestionAnswer,
    TemplateAnswers,
    Terciles,
    TrainedDescriber,
    described_place,
    examples_from,
    open_describer,
    packaged_wordings,
    question_of,
    readings_from,
    saved_notes,
    train_describer,
    train_preferred,
    train_rewarded,
)
from affekt.errors import CorpusError, TableError, UnknownNameError, ValueRangeError, did_you_mean, listed
from affekt.experiments.clip_parts import DEFAULT_SHARE, chosen_clips, shared_notes, split_of
from affekt.experiments.describer_forms import DescriberForm, kind_of_input
from affekt.features import Store
from affekt.labels import load_table
from affekt.llm import LexiconExtractor
from affekt.metrics.open_vocabulary_reward import Reward
from affekt.preference import Pairs
from affekt.progress import Progress

TRUNK = 'smollm2-135m-instruct.gguf'
"""Language model of a new describer by default."""
FORMS = {'coarse': 'description', 'single': 'description', 'fine': 'labels_first', 'reward': 'labels_first'}
"""Stage to the form of its template answers; the last stages train the form that is scored."""
PREFERRED = 'description'
"""Form of the question in stage `prefer`."""
PARTS = ('training', 'validation')
"""Names of the two parts of the clips."""


@dataclass(frozen=True)
class Rewarding:
    """Rewards of answers in stage `reward`, and weights of pairs in stage `prefer`.

    Args:
        answers: number of answers drawn for each clip.
        kl_weight: weight of the KL divergence from the describer before this stage.
        length_weight: penalty on the reward for each label too many.
        gain_weight: weight of the gain in log-probability that a source brings; 0 for none.
        gain_of: name of that source, or `words`.
        beta: strength of the pull towards the describer before stage `prefer` (beta of DPO).
    """

    answers: int = 8
    kl_weight: float = 0.04
    length_weight: float = 0.1
    gain_weight: float = 0.0
    gain_of: str = ''
    beta: float = 0.1


@dataclass(frozen=True)
class LearntDescriber:
    """Result of training from a manifest.

    Args:
        trained: the describer, its best step and its scores.
        folder: folder of the describer, as `describe --model` takes it.
        clips: name of a part to the number of its clips that were used.
        chosen_by: rule that selected the validation clips.
        left_out: name of a clip to the reason why it was left out.
        notes: sentences on the split.
    """

    trained: TrainedDescriber
    folder: Path
    clips: Mapping[str, int]
    chosen_by: str
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def named_stores(features: Iterable[str]) -> dict[str, Store]:
    """Stores by the name of their source.

    Args:
        features: `PATH`, whose source is named after its modality (voice, face, sentence), or `SOURCE=PATH`; a second
            store of a modality is named after its recipe.

    Raises:
        UnknownNameError: there is no store, or a name comes twice.
        TableError: a store is missing or damaged.
    """
    usual = {'audio': 'voice', 'video': 'face', 'text': 'sentence'}
    stores: dict[str, Store] = {}
    for feature in features:
        prefix, has_name, path = feature.partition('=')
        store = Store(Path(path if has_name else feature))
        name = prefix if has_name else usual.get(store.modality or '', '')
        if not has_name and (not name or name in stores):
            name = ''.join(character if character.isalnum() else '_' for character in store.provenance.recipe)
        if name in stores:
            raise UnknownNameError(
                expected='sources of different names', came=f'{name} twice', todo='write for example voice=FOLDER'
            )
        stores[name] = store
    if not stores:
        raise UnknownNameError(expected='at least one store of features', came='none', todo='name one with --features')
    return stores


def split_clips(manifest: Manifest, validation: str = '', *, seed: int = 0) -> tuple[Ints, Ints, str, tuple[str, ...]]:
    """Row numbers of the training and of the validation clips, the rule that chose validation, and notes.

    Args:
        manifest: manifest of the corpus; clips of a test split are left out.
        validation: `COLUMN=VALUE,VALUE`, or a share, which takes whole speakers; '' for the split of that name, else
            for a share of 0.15.
        seed: seed of the draw where validation is a share.

    Raises:
        CorpusError: a part is empty, or there is only one speaker.
        UnknownNameError, ValueRangeError: see `affekt.experiments.divided_clips`.
    """
    remaining, notes = np.arange(len(manifest)), list[str]()
    if tests := split_of(manifest, 'test'):
        test_rows = chosen_clips(manifest, remaining, tests, seed, notes)
        remaining = np.setdiff1d(remaining, test_rows)
        notes.append(f'{len(test_rows):,} clips of {tests} are not learnt from')
    rule = validation or split_of(manifest, 'val') or str(DEFAULT_SHARE)
    chosen = chosen_clips(manifest, remaining, rule, seed, notes)
    training = np.setdiff1d(remaining, chosen)
    if not len(training) or not len(chosen):
        raise CorpusError(
            expected='clips to learn from, and others that choose the step', came=f'{len(training)} and {len(chosen)}',
            todo='choose other values of --validation',
        )  # fmt: skip
    notes += shared_notes(manifest, {'training': training, 'validation': chosen})
    return training, chosen, rule, tuple(dict.fromkeys(notes))


@dataclass(frozen=True)
class WrittenAnswers:
    """Written descriptions as answers, for `examples_from`.

    Args:
        texts: name of a clip to its description; a clip without one, or with an empty one, is not annotated.
        table: name of the word table that defines labels.
    """

    texts: Mapping[str, str]
    table: str = 'affekt'

    def __call__(self, sample: Sample) -> list[QuestionAnswer]:
        """Question and answer for one clip, with the labels that occur in its description; [] if it has none."""
        text = (self.texts.get(sample.sample) or '').strip()
        if not text:
            return []
        labels = LexiconExtractor(load_table(self.table)).extract(text).labels
        contained = tuple(label for label in labels if label.lower() in text.lower())
        return [QuestionAnswer(question_of('description'), text, contained)]


def learn_describer(
    manifest: Manifest,
    stores: Mapping[str, Store],
    settings: DescribeSettings,
    *,
    folder: Path,
    trunk: str = '',
    init: Path | None = None,
    form: DescriberForm | None = None,
    sources: Sequence[str] = (),
    words: bool = True,
    descriptions: Mapping[str, str] | None = None,
    pairs: Pairs | None = None,
    rewarding: Rewarding | None = None,
    validation: str = '',
    resume: bool = False,
    report: Callable[[dict[str, float]], None] | None = None,
    progress: Progress | None = None,
) -> LearntDescriber:
    """Train a describer on a manifest and save it in `folder`/describer.

    1. Divide the clips. 2. Make the answers. 3. Build the describer, or load the one of `init`. 4. Train.

    Args:
        manifest: manifest of the corpus.
        stores: name of a source to its store of features.
        settings: the stage and its hyper-parameters.
        folder: folder of the run.
        trunk: name or folder of the language model; '' for the one of `init`, or for the small one.
        init: folder of a describer to continue from, or of the run that trained it; all stages but the first need it.
        form: architecture of a new describer; None for the defaults.
        sources: names of the stores to use, in the order of the prompt; () for all.
        words: include the transcript in prompts.
        descriptions: name of a clip to its written description; None for answers by template.
        pairs: pairs of answers, for stage `prefer`; their texts answer the question for a description.
        rewarding: settings of stages `reward` and `prefer`; None for the defaults.
        validation: see `split_clips`.
        resume, report, progress: see `train_describer`.

    Raises:
        CorpusError: no clip can be used, or a part is empty.
        UnknownNameError: there is no source of that name.
        ValueRangeError: a stage lacks `init` or its pairs.
        WeightsError, LLMError: `init` or the language model cannot be opened.
        RunError, TrainingError, LeakError: see `train_describer`.
    """
    _require_parts_of_stage(settings, init, pairs)
    stores, rewarding = _chosen_stores(stores, sources), rewarding or Rewarding()
    # 1. clips
    training, validating, chosen_by, notes = split_clips(manifest, validation, seed=settings.seed)
    manifests = manifest.take(training), manifest.take(validating)
    # 2. answers
    form_name, terciles = FORMS.get(settings.stage, 'description'), None
    answers: Any = WrittenAnswers(descriptions) if descriptions is not None else None
    if answers is None:
        answers, terciles = _template_answers(form_name, stores, *manifests, settings.seed)
    question = question_of(form_name if descriptions is None and settings.stage != 'prefer' else PREFERRED)
    parts: list[Any]
    if pairs is not None:
        parts = [_preferred(pairs, side, stores, words=words, question=question) for side in manifests]
    else:
        parts = [_examples(side, stores, answers, words=words) for side in manifests]
    # 3. the describer
    if init is not None:
        describer = _continued(init, trunk, stores, settings.device)
    else:
        describer = (form or DescriberForm()).built(trunk or TRUNK, stores, device=settings.device, seed=settings.seed)
    # 4. steps
    kind = kind_of_input(describer, stores, words=words)
    metadata = _metadata(manifest, stores, kind, question, chosen_by, terciles, by_template=descriptions is None)
    trained = _trained(
        describer, [side for side, _ in parts], settings, rewarding, kind=kind, folder=folder, resume=resume,
        report=report, progress=progress, notes=metadata,
    )  # fmt: skip
    clips = {part: len({example.name for example in side}) for part, (side, _) in zip(PARTS, parts, strict=True)}
    left_out = {**parts[0][1], **parts[1][1]}
    if pairs is not None:
        left_out |= dict.fromkeys(sorted({*pairs.names} - {*manifest.names}), 'not in the manifest')
    return LearntDescriber(trained, folder / 'describer', clips, chosen_by, left_out, notes)


def _examples(
    side: Manifest, stores: Mapping[str, Store], answers: Any, *, words: bool
) -> tuple[Sequence[Example], Mapping[str, str]]:
    """The training examples or pairs of the clips of a part, and clip to the reason why it was left out."""
    outcome = examples_from(side, stores, answers, words=words)
    return outcome.examples, outcome.left_out


def _trained(
    describer: Describer, examples: Sequence[Sequence[Any]], settings: DescribeSettings, rewarding: Rewarding,
    **common: Any,
) -> TrainedDescriber:  # fmt: skip
    """The stage of the settings trained on the examples, or pairs, of both parts."""
    training, validation = examples
    if settings.stage == 'prefer':
        return train_preferred(describer, training, validation, settings, beta=rewarding.beta, **common)
    if settings.stage == 'reward':
        return _rewarded(describer, training, validation, settings, rewarding, common)
    return train_describer(describer, training, validation, settings, **common)


def _metadata(
    manifest: Manifest, stores: Mapping[str, Store], kind: Kind, question: str, chosen_by: str,
    terciles: Terciles | None, *, by_template: bool,
) -> dict[str, Any]:  # fmt: skip
    """Metadata of the training, as saved in the describer's folder."""
    metadata: dict[str, Any] = {
        'recipes': {name: store.provenance.recipe for name, store in stores.items()}, 'question': question,
        'kind': asdict(kind), 'corpus': manifest.facts.corpus, 'validation_by': chosen_by,
        'answers': 'by template' if by_template else 'written',
    }  # fmt: skip
    bounds = {} if terciles is None else {name: list(bounds) for name, bounds in terciles.bounds.items()}
    return metadata if terciles is None else {**metadata, 'terciles_of_answers': bounds}


def _rewarded(
    describer: Describer, training: Sequence[Example], validation: Sequence[Example], settings: DescribeSettings,
    rewarding: Rewarding, common: Mapping[str, Any],
) -> TrainedDescriber:  # fmt: skip
    groups = GroupSettings(
        rewarding.answers, settings.answer_tokens, kl_weight=rewarding.kl_weight, gain_weight=rewarding.gain_weight
    )
    return train_rewarded(
        describer, training, validation, settings, groups=groups, gain_of=rewarding.gain_of,
        reward=Reward(length_weight=rewarding.length_weight), **common,
    )  # fmt: skip


def _require_parts_of_stage(settings: DescribeSettings, init: Path | None, pairs: Pairs | None) -> None:
    if settings.stage in ('fine', 'prefer', 'reward') and init is None:
        raise ValueRangeError(
            expected=f'a describer that stage {settings.stage} goes on with', came='none',
            todo='name the folder of the stage before with --init; a first stage is coarse or single',
        )  # fmt: skip
    if (settings.stage == 'prefer') != (pairs is not None):
        raise ValueRangeError(
            expected='pairs of answers for stage prefer, and for no other', came='none' if pairs is None else 'some',
            todo='name their table with --preference, and the stage prefer',
        )  # fmt: skip


def _chosen_stores(stores: Mapping[str, Store], sources: Sequence[str]) -> dict[str, Store]:
    for name in sources:
        if name not in stores:
            raise UnknownNameError(
                expected=f'a source among {listed(stores)}', came=repr(name), todo=did_you_mean(name, stores)
            )
    return {name: stores[name] for name in sources or stores}


def _template_answers(
    form: str, stores: Mapping[str, Store], training: Manifest, validation: Manifest, seed: int
) -> tuple[TemplateAnswers, Terciles | None]:
    """Answers from categories, with clues where a store has columns that a clue can cite."""
    if not training.samples.known('category').any():
        raise CorpusError(
            expected='clips with categories, or descriptions that were written', came='neither',
            todo='name a table of descriptions with --descriptions',
        )  # fmt: skip
    try:
        readings = readings_from(stores.values(), [*training.names, *validation.names])
    except TableError:  # no store has a column to cite
        return TemplateAnswers(form, seed=seed), None  # type: ignore[arg-type]
    terciles = Terciles.of(readings[name] for name in training.names)
    columns = {clue.source: clue.column for clue in packaged_wordings().clues.values()}
    by_column = {
        cited: next((name for name, store in stores.items() if column in store.provenance.columns), cited)
        for cited, column in columns.items()
    }
    return TemplateAnswers(form, readings, terciles, seed=seed, sources=by_column), terciles  # type: ignore[arg-type]


def _continued(init: Path, trunk: str, stores: Mapping[str, Store], device: str) -> Describer:
    """The describer of an earlier stage, after checking that its features match the stores."""
    folder = described_place(init)
    describer = open_describer(folder, trunk=trunk or None, device=device)
    recipes = dict((saved_notes(folder).get('notes') or {}).get('recipes') or {})
    recipes |= {name: source.recipe for name, source in describer.table.items() if source.recipe}
    unknown = sorted({*stores} - {*describer.table})
    changed = [
        f'{name} by {store.provenance.recipe} and not {recipes[name]}'
        for name, store in stores.items()
        if name in recipes and recipes[name] != store.provenance.recipe
    ]
    if unknown or changed:
        raise UnknownNameError(
            expected=f'features of the sources of {init}: {listed(describer.table)}',
            came='; '.join(changed) or listed(unknown), todo='name them as SOURCE=FOLDER, made by the same recipes',
        )  # fmt: skip
    return describer


def _preferred(
    pairs: Pairs, manifest: Manifest, stores: Mapping[str, Store], *, words: bool, question: str
) -> tuple[list[PreferredAnswer], dict[str, str]]:
    """The pairs whose clips are in this part, and clip to the reason why its pair was left out."""
    answers: list[PreferredAnswer] = []
    left_out: dict[str, str] = {}
    rated_clips = set(pairs.names)
    rows = {sample.sample: sample for sample in manifest.samples if sample.sample in rated_clips}
    for index, (name, verdict) in enumerate(zip(pairs.names, pairs.truth.tolist(), strict=True)):
        if name not in rows:
            continue
        sample, texts = rows[name], (pairs.left[index].strip(), pairs.right[index].strip())
        withheld = set((sample.missing or '').split(','))
        transcript = (sample.text or '').strip() if words and 'text' not in withheld else ''
        features = {
            source: store.values(name)
            for source, store in stores.items()
            if name in store and store.modality not in withheld
        }
        if verdict == 0 or not all(texts) or texts[0] == texts[1]:
            left_out[name] = 'neither answer is preferred'
        elif not features and not transcript:
            left_out[name] = 'no features, and nothing was spoken'
        else:
            better, worse = texts if verdict == 1 else texts[::-1]
            answers.append(PreferredAnswer(name, features, transcript, question, better, worse))
    return answers, left_out
