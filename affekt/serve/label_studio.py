"""Tasks and votes as Label Studio keeps them, both ways.

The labelling configuration is its pairwise template with a choice for ties. A verdict is a result of type `pairwise`
with `selected` left or right, or of type `choices` with *tie*; a cancelled annotation is a skip.

Source: https://labelstud.io/templates/pairwise_comparison, https://labelstud.io/guide/task_format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from affekt.errors import TableError
from affekt.ranking.comparisons import short
from affekt.serve.journal import Event
from affekt.serve.pairs import Task, checked
from affekt.serve.state import Vote
from affekt.serve.study import rater_name

CONFIG = """<View>
  <Header value="Which description fits better how the person comes across?"/>
  <Video name="clip" value="$video"/>
  <Pairwise name="preference" toName="left,right"/>
  <Text name="left" value="$left_text"/>
  <Text name="right" value="$right_text"/>
  <Choices name="tie" toName="left" choice="single"><Choice value="tie"/></Choices>
</View>
"""
"""The labelling configuration that the exported tasks are for."""
PLACE = 'video'


@dataclass(frozen=True)
class Imported:
    """What a Label Studio export holds."""

    tasks: tuple[Task, ...]
    votes: tuple[Event, ...]
    """Annotations as events of kind import."""
    predictions: Mapping[str, tuple[Mapping[str, Any], ...]]
    """Task key to predictions as they came; they are no votes."""


def label_studio_tasks(
    tasks: Sequence[Task],
    votes: Sequence[Vote],
    predictions: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> list[dict[str, Any]]:
    """Tasks with annotations, ready for Label Studio's import as JSON.

    Args:
        tasks: all that is asked.
        votes: that count.
        predictions: task key to predictions, passed on.
    """
    raters = {name: number for number, name in enumerate(sorted({vote.rater for vote in votes}), 1)}
    by_task: dict[str, list[Vote]] = {}
    for vote in votes:
        by_task.setdefault(vote.task, []).append(vote)
    return [
        {
            'id': number,
            'data': {
                PLACE: f'/data/local-files/?d={task.sample}',
                'name': task.sample,
                'left': task.left,
                'right': task.right,
                'left_text': task.left_text,
                'right_text': task.right_text,
            },
            'annotations': [_annotation(vote, raters[vote.rater]) for vote in by_task.get(task.key, ())],
            'predictions': [dict(one) for one in (predictions or {}).get(task.key, ())],
        }
        for number, task in enumerate(tasks, 1)
    ]


def read_label_studio(rows: object, source: str = 'the export') -> Imported:
    """Tasks and votes of a Label Studio export (JSON, pairwise template).

    Args:
        rows: the parsed JSON.
        source: what messages call it.

    Raises:
        ValueRangeError: a rater's name is too long.
        TableError: it is no list of tasks with texts, or a verdict cannot be read; the message names the task.
    """
    if not isinstance(rows, list) or not rows:
        raise TableError(expected='a JSON list of tasks', came=source, todo='export as JSON from Label Studio')
    tasks, votes, predictions = [], [], {}
    for number, row in enumerate(rows, 1):
        where = f'task {number} of {source}'
        task = _task(row, where)
        tasks.append(task)
        for one in _listed(row, 'annotations', where):
            votes.append(_event(one, task, where))
        if held := _listed(row, 'predictions', where):
            predictions[task.key] = tuple(held)
    return Imported(checked(tasks, source), tuple(votes), predictions)


def is_label_studio(rows: object) -> bool:
    """Whether parsed JSON looks like tasks of Label Studio."""
    return isinstance(rows, list) and bool(rows) and isinstance(rows[0], dict) and isinstance(rows[0].get('data'), dict)


def _annotation(vote: Vote, number: int) -> dict[str, Any]:
    when = datetime.fromtimestamp(vote.time, UTC).isoformat()
    return {
        'unique_id': vote.id,
        'completed_by': {'id': number, 'first_name': vote.rater, 'last_name': '', 'email': f'rater{number}@localhost'},
        'result': _result(vote),
        'was_cancelled': vote.outcome == 'skip',
        'ground_truth': False,
        'created_at': when,
        'updated_at': when,
        'lead_time': round(vote.seconds, 3),
        'meta': {'order': vote.first},
    }


def _result(vote: Vote) -> list[dict[str, Any]]:
    if vote.outcome == 'skip':
        return []
    held = {'id': vote.id[:10], 'origin': 'manual'}
    if vote.outcome == 'tie':
        return [{**held, 'from_name': 'tie', 'to_name': 'left', 'type': 'choices', 'value': {'choices': ['tie']}}]
    value = {'selected': vote.outcome}
    return [{**held, 'from_name': 'preference', 'to_name': 'preference', 'type': 'pairwise', 'value': value}]


def _task(row: object, where: str) -> Task:
    held = row.get('data') if isinstance(row, dict) else None
    if not isinstance(row, dict) or not isinstance(held, dict):
        raise TableError(expected='an object with data', came=where, todo='export as JSON from Label Studio')
    left, right = (
        _string(held.get(one, held.get(two))) for one, two in (('left_text', 'text1'), ('right_text', 'text2'))
    )
    if not left or not right:
        raise TableError(
            expected='left_text and right_text (or text1 and text2) in data',
            came=f'{where} with {short(", ".join(map(str, held)) or "nothing", 120)}',
            todo='rename the fields',
        )
    place = _string(held.get(PLACE) or held.get('audio') or held.get('image'))
    sample = _string(held.get('name')) or place.split('=')[-1].split('/')[-1] or f'task {row.get("id")}'
    return Task(sample, _string(held.get('left')) or 'left', _string(held.get('right')) or 'right', left, right)


def _string(held: object) -> str:
    """A field as text that can be written; '' for anything else."""
    return str(held).strip().encode('utf-8', 'replace').decode() if isinstance(held, (str, int)) else ''


def _listed(row: Mapping[str, Any], name: str, where: str) -> list[Mapping[str, Any]]:
    found = row.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise TableError(expected=f'a list of {name}', came=where, todo='export as JSON from Label Studio')
    return found


def _event(one: Mapping[str, Any], task: Task, where: str) -> Event:
    rater = _rater(one.get('completed_by'))
    meta = one.get('meta')
    order = meta.get('order', '') if isinstance(meta, dict) else ''
    return {
        'kind': 'import',
        'id': str(one.get('unique_id') or f'label-studio-{one.get("id")}-{task.key}'),
        'rater': rater,
        'task': task.key,
        'outcome': 'skip' if one.get('was_cancelled') else _outcome(one.get('result'), where),
        'first': order if order in ('left', 'right') else '',
        'seconds': float(one.get('lead_time') or 0.0),
        'time': _seconds(one.get('created_at')),
    }


def _outcome(result: object, where: str) -> str:
    found = []
    for one in result if isinstance(result, list) else []:
        value = one.get('value') if isinstance(one, dict) else None
        if isinstance(value, dict):
            if one.get('type') == 'pairwise':
                found.append(str(value.get('selected')))
            elif one.get('type') == 'choices':
                found += [str(choice).strip().lower() for choice in value.get('choices', ())]
    found = ['tie' if verdict in ('same', 'none', 'equal') else verdict for verdict in found]
    if len(set(found)) != 1 or found[0] not in ('left', 'right', 'tie'):
        raise TableError(
            expected='one verdict: pairwise left or right, or the choice tie',
            came=f'{", ".join(found) or "none"} in {where}',
            todo='correct that annotation, or take it out',
        )
    return found[0]


def _rater(held: object) -> str:
    if isinstance(held, dict):
        named = ' '.join(_string(held.get(key)) for key in ('first_name', 'last_name'))
        name = named.strip() or _string(held.get('email') or held.get('id')) or 'unknown'
    else:
        name = 'unknown' if held is None else f'user {held}'
    return rater_name(name)


def _seconds(text: object) -> float:
    try:
        return datetime.fromisoformat(str(text).replace('Z', '+00:00')).timestamp()
    except ValueError:
        return 0.0
