"""The example on the page about models of every frame runs, from stores on disk."""

import re
from pathlib import Path

import numpy as np
from frame_cases import face_of, labels_of, voice_of

from affekt.features import Provenance, write_features
from affekt.frames import FrameTable

PAGE = Path(__file__).parents[2] / 'docs/frames.md'


def test_the_example_on_the_page_runs(tmp_path, monkeypatch, capsys):
    frames = {'video1': 60, 'video2_left': 50, 'video3': 70, 'video12': 4310}
    parts = dict(zip(frames, ('train', 'train', 'val', 'test'), strict=True))
    labels = [labels_of(name, parts[name], count, known=name != 'video12') for name, count in frames.items()]
    FrameTable(tuple(labels), action_units=('AU12', 'AU25')).save(tmp_path / 'affwild2.frames.parquet')
    voices = [voice_of(name.removesuffix('_left'), count) for name, count in frames.items()]
    for recipe, rows in (
        ('faces-frm', [face_of(name, count) for name, count in frames.items()]), ('wavlm-base-frm', voices)
    ):  # fmt: skip
        (tmp_path / 'features' / recipe).mkdir(parents=True)
        made = Provenance(recipe, 'abc', rows[0].values.shape[1], {})
        write_features(tmp_path / 'features' / recipe / f'{recipe}.features.arrow', rows, made)
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r'```python\n(.*?)```', PAGE.read_text(encoding='utf-8'), flags=re.S)
    names: dict = {}
    code = example.replace("FrameTrainingSettings('va')", "FrameTrainingSettings('va', hidden=8, epochs=2)")
    exec(compile(code, PAGE.name, 'exec'), names)
    epoch, score, smoothed = map(float, capsys.readouterr().out.split())
    assert epoch in (1, 2)
    assert smoothed >= score
    affect = names['answers']['video12'].affect
    assert affect.shape == (4310, 2)
    assert np.isfinite(affect).all()
