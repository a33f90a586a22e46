"""Runs that an older version left, finished or killed halfway, are gone on with; settings have their old names still.

The folders in `data` were written by `train` when its settings were called rate, decay and batch: `linear` of
`training_cases` for 5 epochs, one of them stopped after 3.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import training_cases as cases

from affekt.errors import RunError
from affekt.training import TrainingSettings, train

DATA = Path(__file__).with_name('data')
SETTINGS = replace(cases.SETTINGS, epochs=5)


def _resumed(name: str, folder: Path, **changes):
    shutil.copytree(DATA / name, folder / name)
    rows = []
    trained = train(
        cases.model('linear', seed=7), cases.samples(), cases.samples(40, 1), replace(SETTINGS, **changes),
        folder=folder / name, resume=True, report=rows.append,
    )  # fmt: skip
    return trained, rows


@pytest.mark.parametrize(('name', 'left'), [('old_half', 2), ('old_done', 0)])
def test_a_run_of_an_older_version_goes_on_where_it_stopped(name, left, tmp_path):
    trained, rows = _resumed(name, tmp_path)
    assert len(rows) == left
    expected = json.loads((DATA / 'old_history.json').read_text())
    assert [dict(row) for row in trained.history] == [pytest.approx(row, rel=1e-6) for row in expected]


def test_a_run_of_an_older_version_is_not_gone_on_with_other_settings(tmp_path):
    with pytest.raises(RunError, match='other values for learning_rate'):
        _resumed('old_half', tmp_path, learning_rate=0.5)


def test_settings_are_taken_and_answered_under_their_old_names_with_a_warning():
    with pytest.warns(FutureWarning, match='TrainingSettings.rate is now learning_rate'):
        settings = TrainingSettings(rate=0.5, epochs=3)
    assert settings == TrainingSettings(learning_rate=0.5, epochs=3)
    with pytest.warns(FutureWarning, match='batch is now batch_size'):
        assert settings.batch == 32
    with pytest.warns(FutureWarning, match='decay is now weight_decay'):
        assert replace(settings, decay=0.25).weight_decay == 0.25
