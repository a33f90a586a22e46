"""What results depend on, in the settings of a run."""

from __future__ import annotations

from affekt.analysis import AnalysisSettings
from affekt.files import part_of
from affekt.text.recognition import _silence_path


def test_another_model_in_the_same_directory_is_another_run(tmp_path):
    (tmp_path / 'model.bin').write_bytes(b'one')
    (tmp_path / 'tokenizer.json').write_bytes(b'{}')
    settings = AnalysisSettings(asr=str(tmp_path))
    before = settings.recorded()
    assert set(before['asr_files']) == {'model.bin', 'tokenizer.json'}
    (tmp_path / 'model.bin').write_bytes(b'two')
    assert settings.recorded() != before
    assert 'asr_files' not in AnalysisSettings().recorded()


def test_what_a_run_itself_puts_beside_a_model_makes_no_other_run(tmp_path):
    (tmp_path / 'model.bin').write_bytes(b'one')
    settings = AnalysisSettings(asr=str(tmp_path))
    before = settings.recorded()
    _silence_path(tmp_path, '4.8.5').write_bytes(b'states')
    part_of(_silence_path(tmp_path, '4.8.5')).write_bytes(b'half')
    assert settings.recorded() == before
