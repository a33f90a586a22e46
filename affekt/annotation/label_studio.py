"""Tasks and votes in the format that Label Studio imports.

The labelling configuration is its pairwise template with a choice for ties. A verdict is a result of type `pairwise`
with `selected` left or right, or of type `choices` with *tie*; a cancelled annotation is a skip.
`label_studio_reading.py` reads its exports.

Source: https://labelstud.io/templates/pairwise_comparison, https://labelstud.io/guide/task_format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from affekt.annotation.state import Vote
from affekt.preference import DescribedPair

CONFIG = """<View>
  <Header value="Which description fits better how the person comes across?"/>
  <Video name="clip" value="$video"/>
  <Pairwise name="preference" toName="left,right"/>
  <Text name="left" value="$left_text"/>
  <Text name="right" value="$right_text"/>
  <Choices name="tie" toName="left" choice="single"><Choice value="tie"/></Choices>
</View>
"""
"""Labelling configuration of the exported tasks."""
PLACE = 'video'


def label_studio_tasks(
    tasks: Sequence[DescribedPair],
    votes: Sequence[Vote],
    predictions: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    places: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Tasks with annotations as JSON values for Label Studio's import.

    Args:
        tasks: all tasks of the study.
        votes: votes that count.
        predictions: task key to predictions, which are passed on.
        places: clip to its location in Label Studio; by default a file of the clip's name in its local storage.
    """
    raters = {name: number for number, name in enumerate(sorted({vote.rater for vote in votes}), 1)}
    by_task: dict[str, list[Vote]] = {}
    for vote in votes:
        by_task.setdefault(vote.task, []).append(vote)
    return [
        {
            'id': number,
            'data': {
                PLACE: (places or {}).get(task.sample) or local_place(task.sample),
                'name': task.sample,
                'left': task.left,
                'right': task.right,
                'left_text': task.left_text,
                'right_text': task.right_text,
            },
            'annotations': [_annotation(vote, raters[vote.rater]) for vote in by_task.get(task.key, ())],
            'predictions': [dict(prediction) for prediction in (predictions or {}).get(task.key, ())],
        }
        for number, task in enumerate(tasks, 1)
    ]


def local_place(path: str) -> str:
    """URL of a file in Label Studio's local storage; special characters are percent-encoded."""
    return f'/data/local-files/?d={quote(path)}'


def _annotation(vote: Vote, number: int) -> dict[str, Any]:
    when = _iso_time(vote.time)
    return {
        'unique_id': vote.id,
        'completed_by': {'id': number, 'first_name': vote.rater, 'last_name': '', 'email': f'rater{number}@localhost'},
        'result': _result(vote),
        'was_cancelled': vote.outcome == 'skip',
        'ground_truth': False,
        **({'created_at': when, 'updated_at': when} if when else {}),
        'lead_time': round(vote.seconds, 3),
        'meta': {'order': vote.first},
    }


def _iso_time(seconds: float) -> str:
    """A time in the format of Label Studio; '' for an unknown or impossible one."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat() if seconds else ''
    except (ValueError, OverflowError, OSError):
        return ''


def _result(vote: Vote) -> list[dict[str, Any]]:
    if vote.outcome == 'skip':
        return []
    origin = {'id': vote.id[:10], 'origin': 'manual'}
    if vote.outcome == 'tie':
        return [{**origin, 'from_name': 'tie', 'to_name': 'left', 'type': 'choices', 'value': {'choices': ['tie']}}]
    value = {'selected': vote.outcome}
    return [{**origin, 'from_name': 'preference', 'to_name': 'left,right', 'type': 'pairwise', 'value': value}]
