from __future__ import annotations

import math
import shutil

import numpy as np
import pytest

from affekt.errors import UnknownNameError, WeightsError
from affekt.labels import EKMAN, GOEMOTIONS
from affekt.metrics import multilabel_macro_f1, pearson
from affekt.text import TextEmotion, Utterance
from affekt.text.emotion import MODEL, AttentiveHead, evidence_bits
from affekt.weights import PACKAGED

PLAIN = {
    "I'm so happy to see you again!": ('happiness', 1),
    'I am terrified of what comes next.': ('fear', -1),
    'How dare you speak to me like that, you liar!': ('anger', -1),
    'My grandmother died last night and I cannot stop crying.': ('sadness', -1),
    'That smell is disgusting, get it away from me.': ('disgust', -1),
    'Wow, I did not expect that at all!': ('surprise', 0),
    'The meeting is on Tuesday at ten.': ('neutral', 0),
}


def test_plain_sentences_are_read_as_anyone_would(reader):
    readings = reader.read(list(PLAIN))
    assert [reading.category for reading in readings] == [category for category, _ in PLAIN.values()]
    for reading, (_, sign) in zip(readings, PLAIN.values(), strict=True):
        assert sign == 0 or math.copysign(1, reading.valence) == sign
    calm, angry = reader.read(['I feel calm and at peace by the quiet lake.', 'I hate you! Get out, get out!'])
    assert angry.arousal > calm.arousal


def test_plain_sentences_in_writing_are_read_as_before(reader):
    readings = reader.read(list(PLAIN), register='written')
    assert [reading.category for reading in readings] == [category for category, _ in PLAIN.values()]
    assert all(math.isnan(reading.evidence) and not reading.abstains for reading in readings)
    with pytest.raises(UnknownNameError, match='spoken'):
        reader.read(['Hello.'], register='spoken')


@pytest.mark.parametrize('text', [
    'Yeah.', 'Okay, come on.', 'No.', 'The meeting starts at ten.', 'Kids are talking by the door.',
    'Dogs are sitting by the door.', 'It is on the second floor.',
])  # fmt: skip
def test_plain_wording_is_abstained_from_and_weak_evidence(reader, text):
    (reading,) = reader.read([text])
    assert reading.reason == 'unsure'
    assert reading.evidence < reader.least_evidence
    # what the words themselves say: no category becomes more than three times as likely, none vanishes
    ratio = reading.ekman / reader.prior
    assert 0.2 < ratio.min() < ratio.max() < 3.0
    assert abs(reading.valence) < 0.2


@pytest.mark.parametrize(
    'text', ['I am so happy for you!', 'I lost my job and I feel terrible.', 'I hate you, get out!']
)
def test_telling_words_are_no_plain_wording(reader, text):
    (reading,) = reader.read([text])
    assert not reading.abstains
    assert reading.evidence > reader.least_evidence


def test_evidence_is_the_divergence_from_the_prior_in_bits():
    # all on one of four equal categories: log2(4) = 2; half on each of two: 0.5 log2(2) + 0.5 log2(2) = 1
    prior = np.full(4, 0.25)
    bits = evidence_bits(np.array([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], prior]), prior)
    np.testing.assert_allclose(bits, [2.0, 1.0, 0.0], atol=1e-9)


def test_spoken_lines_score_better_than_keywords_and_the_prior_on_a_left_out_corpus():
    import json

    found = json.loads((PACKAGED / 'textual_emotion.json').read_text())['metrics']['dialogue']['IEMOCAP']['rows']
    model = found['this model']
    assert model['macro_f1_low'] > found['keywords of affekt’s word table']['macro_f1']
    assert model['log_loss'] < min(
        row['log_loss'] for name, row in found.items() if 'prior' in name or 'shares' in name
    )
    assert model['log_loss'] < found['its register for written text']['log_loss']


def test_the_first_lines_of_iemocap_score_near_the_card(reader, shared_data):
    import csv

    from affekt.metrics import macro_f1
    from affekt.npz import read_npz

    folder = shared_data / 'merbench' / 'iemocap-process'
    if not folder.is_dir():
        pytest.skip('merbench is absent')
    with (folder / 'transcription-engchi-polish.csv').open(encoding='utf-8', newline='') as file:
        lines = {row['name']: row['english'] for row in csv.DictReader(file)}
    classes = ('happiness', 'sadness', 'neutral', 'anger', 'happiness')
    labels = read_npz(folder / 'label_6way.npz')['whole_corpus']
    names = [name for name in labels if int(labels[name]['emo']) < 5 and lines.get(name, '').strip()][::14]
    truth = [classes[int(labels[name]['emo'])] for name in names]
    places = [EKMAN.index(name) for name in sorted(set(classes))]
    shares = np.stack([reading.ekman for reading in reader.read([lines[name] for name in names])])[:, places]
    answer = [sorted(set(classes))[k] for k in shares.argmax(axis=1)]
    # the card: 0.40 on all 5,584, keywords 0.26
    assert macro_f1(truth, answer) > 0.34


def test_a_reading_holds_probabilities_in_the_shared_orders(reader):
    (reading,) = reader.read(['Thank you so much, I love it!'])
    assert tuple(reading.labels) == GOEMOTIONS
    assert all(0.0 <= value <= 1.0 for value in reading.labels.values())
    assert {'gratitude', 'love'} <= set(reading.present)
    assert [reading.labels[name] for name in reading.present] == sorted(
        (reading.labels[name] for name in reading.present), reverse=True
    )
    assert reading.ekman.shape == (7,)
    assert reading.ekman.sum() == pytest.approx(1.0, abs=1e-9)
    assert reading.confidence == pytest.approx(reading.ekman.max(), abs=1e-12)
    assert all(-1.0 <= value <= 1.0 for value in (reading.valence, reading.arousal, reading.dominance))


@pytest.mark.parametrize('text', ['', '   ', '...', '♪', '?!'])
def test_no_words_are_missing_not_neutral(reader, text):
    (reading,) = reader.read([text])
    assert reading.reason == 'no words'
    assert reading.abstains
    assert reading.category == ''
    assert reading.labels == {}
    assert np.isnan([*reading.ekman, reading.valence, reading.arousal, reading.dominance, reading.confidence]).all()


def test_other_languages_are_read_but_abstained_from(reader):
    readings = reader.read(['Ich bin heute wirklich sehr traurig.', 'Ja!', 'Das ist doch nicht dein Ernst, oder?'])
    assert [reading.reason for reading in readings] == ['not English'] * 3
    assert np.isfinite(readings[0].valence)


def test_a_text_is_read_the_same_alone_and_in_any_company(reader):
    texts = [
        *PLAIN,
        'A rather long sentence that goes on and on, so that it does not share its length with any other.',
    ] * 5
    together = reader.read(texts)
    for at in (0, 7, 20):
        (alone,) = reader.read([texts[at]])
        assert max(abs(alone.labels[name] - together[at].labels[name]) for name in GOEMOTIONS) < 1e-5
        np.testing.assert_allclose(alone.ekman, together[at].ekman, atol=1e-5)


def test_utterances_and_strings_are_read_alike_and_none_give_none(reader):
    utterance = Utterance(0.0, 1.0, 'Anna', 'What a wonderful day!')
    assert reader.read([utterance])[0].labels == reader.read([utterance.text])[0].labels
    assert reader.read([]) == []


def test_a_head_is_its_mean_part_plus_what_its_attention_finds():
    # two pieces (1, 0) and (0, 3); scores 0 and ln 3, so weights 1/4 and 3/4; values 4 and 6
    head = AttentiveHead(
        whole=np.array([[2.0, 4.0]], np.float32),
        query=np.array([[0.0, np.log(3.0) / 3]], np.float32),
        value=np.array([[4.0, 2.0]], np.float32),
        bias=np.array([0.5], np.float32),
    )
    # mean (0.5, 1.5): 2 * 0.5 + 4 * 1.5 = 7; attention 4 / 4 + 6 * 3 / 4 = 5.5; bias 0.5
    assert head(np.array([[[1.0, 0.0], [0.0, 3.0]]], np.float32))[0, 0] == pytest.approx(13.0, abs=1e-5)


def test_damaged_or_missing_heads_are_named(encoder, tmp_path):
    with pytest.raises(WeightsError, match='heads of textual emotion'):
        TextEmotion(encoder, tmp_path / 'absent.npz')
    broken = tmp_path / 'broken.npz'
    shutil.copy(PACKAGED / MODEL, broken)
    broken.write_bytes(broken.read_bytes()[:5000])
    with pytest.raises(WeightsError):
        TextEmotion(encoder, broken)
    with np.load(PACKAGED / MODEL) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(tmp_path / 'short.npz', **{**arrays, 'bias': arrays['bias'][:5]})
    with pytest.raises(WeightsError, match='bias'):
        TextEmotion(encoder, tmp_path / 'short.npz')
    np.savez(tmp_path / 'pickled.npz', **{**arrays, 'bias': np.array([object()])})
    with pytest.raises(WeightsError):
        TextEmotion(encoder, tmp_path / 'pickled.npz')


def test_the_first_test_comments_of_goemotions_score_near_the_card(reader, shared_data):
    lines = (shared_data / 'goemotions' / 'original' / 'test.tsv').read_text('utf-8').split('\n')[:250]
    truth = np.zeros((250, 28), bool)
    for row, line in enumerate(lines):
        truth[row, [int(label) for label in line.split('\t')[1].split(',')]] = True
    readings = reader.read([line.split('\t')[0] for line in lines])
    found = np.array([[name in reading.present for name in GOEMOTIONS] for reading in readings])
    # the card's macro-F1 is near 0.51 on all 5,427; 250 comments hold few of the rare labels
    frequent = truth.sum(axis=0) >= 10
    assert multilabel_macro_f1(truth[:, frequent], found[:, frequent]) > 0.45


def test_valence_follows_the_readers_of_emobank(reader, shared_data):
    import csv

    with (shared_data / 'emobank' / 'corpus' / 'emobank.csv').open(encoding='utf-8', newline='') as file:
        rows = [row for row in csv.DictReader(file) if row['split'] == 'test'][:150]
    readings = reader.read([row['text'] for row in rows])
    read = [at for at, reading in enumerate(readings) if reading.reason != 'no words']
    truth = [float(rows[at]['V']) for at in read]
    assert pearson(truth, [readings[at].valence for at in read]) > 0.55


def test_the_card_describes_the_file(reader):
    import hashlib
    import json

    card = json.loads((PACKAGED / 'textual_emotion.json').read_text())
    raw = (PACKAGED / MODEL).read_bytes()
    assert card['sha256'] == hashlib.sha256(raw).hexdigest()
    assert len(raw) < 3_000_000
    assert card['labels'] == {'labels': list(GOEMOTIONS), 'categories': list(EKMAN)}
    assert card['commercial_ok'] is True
    assert card['sha256'] in (PACKAGED / 'textual_emotion.md').read_text()
