"""Attempts that killed a worker are counted, and no others."""

from __future__ import annotations

import pytest

from affekt.errors import LLMError, RunError
from affekt.features import counted_tries


def test_an_error_is_no_death_of_a_worker(tmp_path):
    for _ in range(5):
        with pytest.raises(LLMError, match='server down'), counted_tries(tmp_path / 'tries'):
            raise LLMError(expected='an answer', came='server down', todo='wait')
    assert not (tmp_path / 'tries').exists()


def test_a_batch_that_killed_three_workers_ends_the_run_and_the_next_run_counts_anew(tmp_path):
    (tmp_path / 'tries').write_bytes(b'...')
    with pytest.raises(RunError, match='died 3 times'), counted_tries(tmp_path / 'tries'):
        pass
    with counted_tries(tmp_path / 'tries'):
        pass
    assert not (tmp_path / 'tries').exists()
