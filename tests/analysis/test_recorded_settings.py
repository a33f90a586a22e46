"""What results depend on, in the settings of a run."""

from __future__ import annotations

from affekt.analysis import AnalysisSettings


def test_another_model_in_the_same_directory_is_another_run(tmp_path):
    (tmp_path / 'model.bin').write_bytes(b'one')
    (tmp_path / 'tokenizer.json').write_bytes(b'{}')
    settings = AnalysisSettings(asr=str(tmp_path))
    before = settings.recorded()
    assert set(before['asr_files']) == {'model.bin', 'tokenizer.json'}
    (tmp_path / 'model.bin').write_bytes(b'two')
    assert settings.recorded() != before
    assert 'asr_files' not in AnalysisSettings().recorded()
