"""Recordings on both sides of a split: one person of a video is in training, another in validation or test.

Two people of one recording share audio, light and events, so a model that was trained on one of them is not judged
fairly on the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from affekt.frames.labels import TASK_NAMES, TASKS, FrameTable
from affekt.wording import listed


def shared_with_judged(table: FrameTable, tasks: Sequence[str]) -> dict[str, str]:
    """Training videos whose recording is in the validation or test part too.

    Args:
        table: labels of all videos.
        tasks: names in TASKS. One task has its own split; several together have that of `FrameLabels.partition`.

    Returns:
        Training video to the others of its recording with their parts, such as `video59 (val)`. Videos without a label
        of these tasks do not count, except those of a test.
    """
    by_recording: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for labels in table:
        if not any(labels.belongs_to(task) for task in tasks):
            continue
        part = labels.partition_of(tasks[0]) if len(tasks) == 1 else labels.partition
        if part == 'test' or any(labels.labelled(task).any() for task in tasks):
            by_recording[labels.recording].append((labels.video, part))
    shared: dict[str, str] = {}
    for people in by_recording.values():
        if judged := [f'{video} ({part})' for video, part in people if part != 'train']:
            shared |= {video: listed(judged) for video, part in people if part == 'train'}
    return shared


def shared_by_task(table: FrameTable) -> tuple[str, ...]:
    """A phrase per training video whose recording is also in validation or test, with the other videos and the tasks.

    All tasks together have a split of their own; of it, only videos that no single task lists are named.
    """
    tasks_of: dict[tuple[str, str], list[str]] = defaultdict(list)
    for task in TASKS:
        for pair in shared_with_judged(table, (task,)).items():
            tasks_of[pair].append(TASK_NAMES[task])
    listed_before = {video for video, _ in tasks_of}
    for pair in shared_with_judged(table, TASKS).items():
        if pair[0] not in listed_before:
            tasks_of[pair].append('all tasks together')
    return tuple(
        f'{video} (train) and {others}, for {"every task" if len(names) == len(TASKS) else listed(names)}'
        for (video, others), names in tasks_of.items()
    )
