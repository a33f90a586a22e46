"""The live leaderboard: the ranking from the votes so far, computed when a page asks for it."""

from __future__ import annotations

import html
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from affekt.annotation.raters import RaterFigures, flags_of, rater_figures, shared_agreement
from affekt.annotation.state import left_out_sentences
from affekt.annotation.study import Study, comparisons_of, votes_that_count
from affekt.errors import AffektError, UnrankableError
from affekt.ranking import Ranking, RankSettings, page_body, rank
from affekt.wording import MINUS, percent

NUMBER = ' class="number"'
THIN_PRIOR = 1.0
"""Prior that keeps strengths finite, with a note, until wins and ties connect every describer to every other."""


class Board:
    """Caches the last leaderboard, so that several viewers cost as much as one."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._lock = threading.Lock()
        self._last: dict[str, Any] = {'change': -1}

    def show(self, since: int = -1) -> dict[str, Any]:
        """The board as HTML with its number of votes and of the last change; only the latter if it equals `since`."""
        with self._lock:
            change, votes, statuses = self._study.snapshot()
            trouble = self._study.trouble
            change += len(statuses) * 1_000_000 + bool(trouble) * 500_000  # a new rater is a change as well
            if change != self._last['change']:
                state = self._study.state
                kept = votes_that_count(votes, statuses)
                figures = rater_figures(votes, statuses, state.tasks, self._study.settings.test_share)
                body = _ranking_html(kept, state.tasks, state.items, flags_of(figures)) + raters_html(
                    figures, shared_agreement(kept, state.tasks)
                )
                body += notes_html(left_out_sentences(state))
                if trouble:
                    body = notes_html([f'Votes cannot be written: {trouble}. Browsers keep them and try again']) + body
                self._last = {'change': change, 'votes': sum(vote.outcome != 'skip' for vote in kept), 'html': body}
            return {'change': change} if since == change else self._last


def live_ranking(
    votes: Sequence[Any], tasks: Any, items: Sequence[str], flags: Mapping[str, tuple[str, ...]] | None = None
) -> Ranking:
    """The ranking from the work votes; with a prior, which its notes state, while they are too few to rank without it.

    Raises:
        ComparisonError: there are no votes.
    """
    comparisons = comparisons_of(votes, tasks, items, flags)
    try:
        return rank(comparisons)
    except UnrankableError:
        return rank(comparisons, RankSettings(prior=THIN_PRIOR))


def _ranking_html(votes: Sequence[Any], tasks: Any, items: Sequence[str], flags: Mapping[str, tuple[str, ...]]) -> str:
    if not any(vote.outcome != 'skip' for vote in votes):
        return '<p class="empty">No votes yet. The leaderboard appears with the first one.</p>'
    try:
        return page_body(live_ranking(votes, tasks, items, flags))
    except AffektError as error:
        return f'<p class="empty">No ranking yet: {html.escape(error.came)}.</p>'


def raters_html(figures: Sequence[RaterFigures], alpha: float) -> str:
    """A table of the figures of each rater."""
    rows = ''.join(
        '<tr>'
        f'<th scope="row">{html.escape(rater.name)}</th><td>{html.escape(rater.status)}</td>'
        f'<td>{html.escape(rater.flags or "–")}</td>'
        f'<td class="number">{rater.votes}</td><td class="number">{rater.ties}</td>'
        f'<td class="number">{rater.skips}</td>'
        f'<td class="number">{_of(rater.test_right, rater.test_of)}{_unplayed(rater.test_unplayed)}</td>'
        f'<td class="number">{_of(rater.gold_right, rater.gold_of)}</td>'
        f'<td class="number">{percent(rater.agreement, 0, "%")}'
        f'{f" <small>of {rater.compared}</small>" if rater.compared else ""}</td>'
        f'<td class="number">{percent(rater.left_share, 0, "%")}</td>'
        f'<td class="number">{"–" if rater.seconds != rater.seconds else f"{rater.seconds:.1f} s"}</td>'
        f'<td class="number">{percent(rater.watched, 0, "%")}</td></tr>'
        for rater in figures
    )
    heads = ('rater', 'status', 'flags', 'votes', 'ties', 'skips', 'test', 'gold', 'agreement', 'chose left',
             'median time', 'watched')  # fmt: skip
    head = ''.join(f'<th scope="col"{"" if name in heads[:3] else NUMBER}>{name}</th>' for name in heads)
    agreement = (
        'not yet known: no pair has two votes'
        if alpha != alpha
        else f"Krippendorff's alpha {alpha:z.2f}".replace('-', MINUS)
    )
    empty = '' if figures else '<p class="empty">No rater has joined yet.</p>'
    return (
        '<section class="part" id="raters"><h2>Raters</h2>'
        f'<p class="soft">Agreement of all: {html.escape(agreement)}.</p>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="Raters"><table class="sortable"><thead><tr>{head}'
        f'</tr></thead><tbody>{rows}</tbody></table></div>{empty}</section>'
    )


def notes_html(notes: Sequence[str]) -> str:
    """Notes as a list in HTML; '' if there are none."""
    listed = ''.join(f'<li>{html.escape(note)}.</li>' for note in notes)
    return f'<ul class="notes" aria-label="What is not counted">{listed}</ul>' if notes else ''


def _of(right: int, total: int) -> str:
    return f'{right} of {total}' if total else '–'


def _unplayed(count: int) -> str:
    return f' <small>{count} not played</small>' if count else ''
