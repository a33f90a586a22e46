"""Readings of speech beside Praat, pyloudnorm and openSMILE, where they are installed."""

from __future__ import annotations

import numpy as np
import pytest
from sounds import read_sound

from affekt.voice import COLUMNS, acoustic_summary, find_pitch, integrated_loudness

CLIPS = {
    'a shouting woman': 'Actor_06/03-01-06-02-01-02-06.flac',
    'a calm woman': 'Actor_02/03-01-02-01-01-01-02.flac',
    'an angry man': 'Actor_07/03-01-05-02-01-01-07.flac',
}


@pytest.fixture(params=CLIPS, ids=lambda name: name)
def clip(request, shared_data) -> np.ndarray:
    return read_sound(shared_data / 'ravdess_speech' / CLIPS[request.param])


def test_pitch_and_harmonicity_are_those_of_praat(clip):
    parselmouth = pytest.importorskip('parselmouth', reason='praat-parselmouth is not installed')
    sound = parselmouth.Sound(clip.astype(np.float64), 16000)
    times = (np.arange(clip.shape[0] // 160) + 0.5) / 100

    def passed(ceiling_hz: float) -> np.ndarray:
        pitch = sound.to_pitch_ac(time_step=0.01, pitch_floor=60, pitch_ceiling=ceiling_hz)
        return np.array([pitch.get_value_at_time(time) for time in times])

    first = passed(800)
    theirs = passed(min(max(1.5 * np.nanpercentile(first, 75), 500), 1050))
    ours = find_pitch(clip)
    both = ours.voiced & np.isfinite(theirs)
    assert np.mean(ours.voiced == np.isfinite(theirs)) > 0.9
    assert np.mean(np.abs(ours.f0_hz[both] / theirs[both] - 1) < 0.03) > 0.94
    harmonicity = sound.to_harmonicity_ac(time_step=0.01, minimum_pitch=60, periods_per_window=3)
    nearest = np.abs(np.asarray(harmonicity.xs())[None] - times[:, None]).argmin(axis=1)
    strength = harmonicity.values[0][nearest]
    both = ours.voiced & (strength > -100)
    assert np.corrcoef(ours.hnr_db[both], strength[both])[0, 1] > 0.93
    assert np.mean(ours.hnr_db[both] - strength[both]) == pytest.approx(0, abs=0.6)


def test_loudness_is_that_of_pyloudnorm_at_48_khz(clip):
    pyloudnorm = pytest.importorskip('pyloudnorm', reason='pyloudnorm is not installed')
    from scipy.signal import resample_poly

    weighted = resample_poly(clip.astype(np.float64), 3, 1)
    for stage in pyloudnorm.Meter(48000, 'DeMan')._filters.values():
        weighted = stage.apply_filter(weighted)
    assert integrated_loudness(clip) == pytest.approx(-0.691 + 10 * np.log10(np.mean(weighted**2)), abs=0.06)


def test_pitch_and_alpha_ratio_are_near_those_of_opensmile(shared_data):
    opensmile = pytest.importorskip('opensmile', reason='opensmile is not installed')
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    for name in ('a calm woman', 'an angry man'):
        sound = read_sound(shared_data / 'ravdess_speech' / CLIPS[name])
        row, theirs = acoustic_summary(sound), smile.process_signal(sound, 16000).iloc[0]
        semitones = 12 * np.log2(row[COLUMNS.index('f0_mean_hz')] / 27.5)
        assert semitones == pytest.approx(theirs['F0semitoneFrom27.5Hz_sma3nz_amean'], abs=2)
        assert row[COLUMNS.index('alpha_ratio_db')] == pytest.approx(theirs['alphaRatioV_sma3nz_amean'], abs=3)
