"""Public names that were moved or renamed: the old name still works, with a warning that gives the new one."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

T = TypeVar('T')

MOVED: Mapping[str, Mapping[str, str]] = {
    'affekt.benchmarks': {
        'affekt.challenges': 'ClosedSet Submission TRACKS Track TrackAnswers TrackScore TrackSettings check_submission '
        'read_candidates read_groups save_track score_track track_named train_track write_submission'
    },
    'affekt.experiments': {'affekt.benchmarks': 'Merbench MerbenchSettings'},
    'affekt.fusion': {'affekt.encoders': 'Backbone open_backbone'},
    'affekt.ranking': {
        'affekt.judging': 'Agreement AlwaysLeft Answer Coin Described DescribedPair FirstShown Judge JudgeReport '
        'Judgement Judgements LanguageModelJudge LongerText ModelUse PairPredictor Panel PreferenceJudge Price '
        'RecordedJudge Verdict agreement_with_people judge_descriptions judge_pairs official_verdict read_described '
        'read_verdict reference_agreements reference_judge report_on',
        'affekt.llm': 'ClipLimits',
        'affekt.metrics': 'alpha_interval cohen_kappa kendall krippendorff_alpha rank_biased_overlap spearman',
        'affekt.preference': 'Answers Pairs PreferenceEvaluation PreferenceModel answers_of evaluate_preferences '
        'even_accuracy load_preferences official_scores read_pairs swap_consistency train_preferences',
    },
    'affekt.serve': {
        'affekt.annotation': 'Clip Imported Links Prepared RaterFigures Screen Study StudySettings Task Vote annotate '
        'comparisons_csv export_votes find_clips label_studio_tasks prepare rater_figures read_gold read_label_studio '
        'read_tasks'
    },
}
"""Old package to new package to the names that moved there, separated by spaces."""


def moved(room: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package for names that moved to another: it returns the object, with a FutureWarning.

    Args:
        room: the old package, its `__name__`.
    """
    homes = {name: home for home, names in MOVED[room].items() for name in names.split()}

    def moved_name(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f'module {room} has no attribute {name!r}')
        warnings.warn(f'{room}.{name} is now {homes[name]}.{name}', FutureWarning, stacklevel=2)
        return getattr(import_module(homes[name]), name)

    return moved_name


def with_old_names(**renamed: str) -> Callable[[type[T]], type[T]]:
    """Class decorator by which a dataclass still accepts and has the old names of its fields.

    Args:
        renamed: old name to new.
    """

    def decorated(settings: type[T]) -> type[T]:
        new_init = settings.__init__

        @functools.wraps(new_init)
        def init(self: T, *args: Any, **kwargs: Any) -> None:
            for old in renamed.keys() & kwargs.keys():
                _warn_of_name(settings, old, renamed[old])
                kwargs[renamed[old]] = kwargs.pop(old)
            new_init(self, *args, **kwargs)

        settings.__init__ = init  # type: ignore[method-assign, assignment]
        for old, new in renamed.items():
            setattr(settings, old, property(functools.partial(_new_of, settings, old, new)))
        return settings

    return decorated


def _new_of(settings: type, old: str, new: str, instance: Any) -> Any:
    _warn_of_name(settings, old, new)
    return getattr(instance, new)


def _warn_of_name(settings: type, old: str, new: str) -> None:
    warnings.warn(f'{settings.__name__}.{old} is now {new}', FutureWarning, stacklevel=4)


def with_new_names(saved: Any, renamed: Mapping[str, str]) -> Any:
    """Saved settings with old names replaced by new ones, at any depth.

    Args:
        saved: settings as JSON values.
        renamed: old name to new.

    >>> with_new_names({'models': [{'rate': 0.1}]}, {'rate': 'learning_rate'})
    {'models': [{'learning_rate': 0.1}]}
    """
    if isinstance(saved, Mapping):
        return {renamed.get(name, name): with_new_names(value, renamed) for name, value in saved.items()}
    return [with_new_names(part, renamed) for part in saved] if isinstance(saved, list) else saved
