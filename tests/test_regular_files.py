"""No reader of a stranger's files waits for a pipe, whatever the room: each refuses it with one sentence."""

from __future__ import annotations

import os
import signal

import pytest

from affekt.analysis.storage import read_json
from affekt.analysis.storage import read_table as read_analysis_table
from affekt.analysis.timeline import Timeline
from affekt.challenges.submissions import check_submission
from affekt.encoders.folders import model_folder
from affekt.encoders.onnx_side_files import weights_beside
from affekt.errors import AffektError
from affekt.labels.wheels import read_table as read_words
from affekt.live.journal import read_source
from affekt.media import Recording
from affekt.npz import read_npz
from affekt.provenance import verify
from affekt.ranking.reading import comparison_table as read_comparisons
from affekt.runs import file_sha256
from affekt.tables import read_columns
from affekt.text import read_transcript


def verified_by(trusted):
    """What a picture says of itself to somebody who trusts a file of certificates."""
    picture = trusted.with_name('a.png')
    picture.write_bytes(b'\x89PNG\r\n\x1a\n')
    return verify(picture, trusted)


READERS = {
    'a.mp4': (Recording.open, file_sha256),
    'a.srt': (read_transcript,),
    'a.csv': (
        read_columns,
        read_comparisons,
        read_transcript,
        lambda path: check_submission('mer2024-ov', path, ['a']),
    ),
    'a.tsv': (read_columns, read_comparisons),
    'a.json': (read_json, read_words, read_comparisons),
    'a.jsonl': (read_columns, read_comparisons),
    'a.parquet': (read_columns, read_comparisons, read_analysis_table, Timeline.read_parquet),
    'a.npz': (read_npz, read_columns),
    'a.onnx': (weights_beside,),
    'a.pem': (lambda path: verified_by(path),),
    'config.json': (lambda path: model_folder(str(path.parent)),),
    'source.json': (lambda path: read_source(path.parent),),
}


@pytest.mark.parametrize('name', READERS)
def test_a_pipe_and_a_link_to_one_are_refused_at_once(tmp_path, name):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / name).symlink_to('pipe')
    previous = signal.signal(signal.SIGALRM, lambda *_: pytest.fail('waits for a pipe'))
    signal.alarm(120)
    try:
        for read in READERS[name]:
            with pytest.raises(AffektError, match='pipe'):
                read(tmp_path / name)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
