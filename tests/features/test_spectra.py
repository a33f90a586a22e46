"""Spectra and measures of openSMILE: librosa's numbers, and a whole corpus by each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soxr

from affekt.corpora import made_up_corpus
from affekt.errors import UnknownNameError, WeightsError
from affekt.features import Store, extract, recipe_named
from affekt.features.smile_recipes import SETS, has_smile
from affekt.features.spectra import cepstra, hertz_of, mel_bands, mel_of, mel_power

needs_smile = pytest.mark.skipif(not has_smile(), reason='openSMILE is absent (pip install affekt[opensmile])')


@pytest.fixture(scope='module')
def sound():
    """One second at 22.05 kHz, raised from 16 kHz as recipes do."""
    t = np.arange(16_000) / 16_000
    chirp = 0.4 * np.sin(2 * np.pi * (180 * t + 60 * t * t)) + 0.02 * np.cos(2 * np.pi * 4000 * t * t)
    made = chirp + 0.2 * np.sin(2 * np.pi * 1200 * t) * np.exp(-3 * t)
    return soxr.resample(made.astype(np.float32), 16_000, 22_050)


def test_power_in_mel_bands_is_that_of_librosa(sound):
    # librosa 0.11.0: feature.melspectrogram(y=sound, sr=22050, win_length=551, hop_length=220, n_fft=2048, n_mels=128,
    # pad_mode='reflect').T at these windows and bands
    rows = mel_power(sound)
    assert rows.shape == (101, 128)
    expected = {(0, 3): 86.6021957397461, (10, 20): 6.287689757300541e-05, (50, 60): 3.891984334813969e-08}
    for at, value in expected.items():
        assert rows[at] == pytest.approx(value, rel=2e-5)


def test_cepstra_and_their_slopes_are_those_of_librosa(sound):
    # librosa 0.11.0: feature.mfcc(S=power_to_db(the same), n_mfcc=40), feature.delta of it and of that, stacked
    rows = cepstra(sound)
    assert rows.shape == (101, 120)
    expected = {
        (0, 0): -161.1316375732422, (10, 1): 194.26446533203125, (50, 39): 0.7329424023628235,
        (99, 45): -2.915153980255127, (0, 41): 4.087226390838623, (60, 80): 0.0035962089896202087,
        (100, 119): 0.41959959268569946,
    }  # fmt: skip
    for at, value in expected.items():
        assert rows[at] == pytest.approx(value, abs=2e-4)


def test_mels_go_there_and_back_and_bands_have_area_one():
    np.testing.assert_allclose(hertz_of(mel_of(np.arange(0, 11_000, 37.0))), np.arange(0, 11_000, 37.0), atol=1e-9)
    step = 22_050 / 2_048
    assert mel_bands().sum(axis=0)[40:] * step == pytest.approx(1, abs=0.025)  # below, few bins fall into a band


def test_spectra_of_a_corpus_have_times_and_name_what_is_silent(tmp_path):
    manifest = made_up_corpus(media=tmp_path / 'sound').where(dialogue='pair01_d1')
    for name in ('mel-spec-frm', 'mfcc-frm', 'mfcc-utt'):
        extract(manifest, name, tmp_path)
    one = Store(tmp_path / 'mfcc-frm')['pair01_d1_t0']
    assert one.values.shape == (101, 120)
    assert one.times[10] == pytest.approx(10 * 220 / 22_050)
    row = Store(tmp_path / 'mfcc-utt').values('pair01_d1_t0')[0]
    np.testing.assert_allclose(row, one.values.mean(axis=0), rtol=1e-4, atol=1e-4)
    assert Store(tmp_path / 'mel-spec-frm').values('pair01_d1_t0').shape == (101, 128)


@needs_smile
@pytest.mark.parametrize('name', ['egemaps-v01a', 'egemaps-v02', 'is09'])
def test_measures_of_opensmile_have_their_published_sizes_names_and_times(tmp_path, name):
    manifest = made_up_corpus(media=tmp_path / 'sound').where(dialogue='pair01_d1')
    _, functionals, measures = SETS[name]
    for ending in ('utt', 'frm'):
        extract(manifest, recipe_named(f'{name}-{ending}'), tmp_path)
    whole, frames = (Store(tmp_path / f'{name}-{ending}')['pair01_d1_t0'] for ending in ('utt', 'frm'))
    assert whole.values.shape == (1, functionals) == (1, len(set(whole.columns)))
    assert frames.values.shape == (len(frames.times), measures)
    assert 0.009 < np.diff(frames.times).mean() < 0.011
    if name == 'egemaps-v02':
        pitch = whole.values[0, whole.columns.index('F0semitoneFrom27.5Hz_sma3nz_amean')]
        # the made-up speaker of happy words hums at 300 Hz: 12 log2(300 / 27.5) = 41.37 semitones
        assert manifest.samples[0].category == 'happy'
        assert pitch == pytest.approx(41.37, abs=0.1)


@needs_smile
def test_an_own_configuration_of_opensmile_is_told_by_its_file(tmp_path):
    import opensmile

    given = Path(opensmile.__file__).parent / 'core' / 'config' / 'emobase' / 'emobase.conf'
    recipe = recipe_named('opensmile-own-utt', model=str(given))
    assert (recipe.dimension, len(recipe.facts['sha256'])) == (988, 64)
    manifest = made_up_corpus(media=tmp_path / 'sound').where(dialogue='pair01_d1')
    assert extract(manifest, recipe, tmp_path).samples == len(manifest)
    with pytest.raises(WeightsError, match=r'--model FILE.conf'):
        recipe_named('opensmile-own-utt')
    with pytest.raises(WeightsError, match='leave --model out'):
        recipe_named('is09-utt', model=str(given))
    (tmp_path / 'bad.conf').write_text('nothing\n')
    with pytest.raises(WeightsError, match='openSMILE reads'):
        recipe_named('opensmile-own-utt', model=str(tmp_path / 'bad.conf'))
    with pytest.raises(UnknownNameError, match='is09'):
        recipe_named('is9-utt')
