"""Small studies: three describers, a few clips, gold, a clock that tests turn."""

from __future__ import annotations

import pytest

from affekt.annotation import Study, StudySettings
from affekt.preference import DescribedPair


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tasks() -> tuple[DescribedPair, ...]:
    """12 clips, each with the three pairs of ash, birch and cedar."""
    pairs = (('ash', 'birch'), ('birch', 'cedar'), ('cedar', 'ash'))
    return tuple(
        DescribedPair(f'clip{clip}', left, right, f'{left} on {clip}', f'{right} on {clip}')
        for clip in range(12)
        for left, right in pairs
    )


@pytest.fixture
def gold() -> tuple[DescribedPair, ...]:
    """8 pairs whose right one is a different text in each."""
    return tuple(
        DescribedPair(f'gold{clip}', 'known', 'wrong', f'true {clip}', f'false {clip}', outcome='left')
        for clip in range(8)
    )


@pytest.fixture
def open_study(tmp_path, tasks, gold, clock):
    """Opens, or opens again, the study in one folder."""
    opened = []

    def opening(*, resume: bool = False, with_gold: bool = False, asked=tasks, folder='votes', **chosen) -> Study:
        for study in opened:
            study.close()
        settings = StudySettings(**chosen)
        study = Study(tmp_path / folder, asked, gold if with_gold else (), settings, resume=resume, clock=clock)
        opened.append(study)
        return study

    yield opening
    for study in opened:
        study.close()


@pytest.fixture
def shared_faults(shared_data):
    """Exports and clips that once went wrong; skips where the shared data is absent."""
    return shared_data / 'faults' / 'annotation'
