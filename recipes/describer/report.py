"""Scores of all answers that were kept, as `results/describer.json`; and from them the card, its page and tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from certainty import calibration, temperature
from data import SENTENCE, VOICE
from evaluate import difference, macro_difference, macro_f1, majority, recall, share
from page import RESULT, ROOT, page
from readers import words_of
from runs import FOLDS, VOICES

from affekt.description import Terciles, grounded, packaged_wordings, saved_notes
from affekt.files import folder_atomically
from affekt.labels import GOEMOTIONS
from affekt.runs import write_atomically
from examples import Clips, readings_of

MODELS = ROOT / 'affekt' / 'models'
WHOLE = 'voice and words'
CELLS = 4
STATED = ('pitch', 'loudness', 'tempo')
Score = dict[str, Any]


def write_report(clips: Mapping[str, Clips], out: Path) -> None:
    """Everything that was measured, and where the weights are there, what ships."""
    kept = {path.stem: json.loads(path.read_text()) for path in sorted((out / 'answers').glob('*.json'))}
    result: Score = {'folds': fold_scores(clips['ravdess'], kept)}
    result['clues'] = clue_scores(clips['ravdess'], kept)
    result |= final_scores(kept)
    result['certainty'] = certainty_scores(clips['ravdess'], kept)
    if stages := stage_scores(clips['ravdess'], out):
        result['stages'] = stages
    first = out / 'runs' / 'words-and-faces' / 'record.json'
    result['first_part'] = json.loads(first.read_text())
    result |= {name: kept[name] for name in ('share', 'familiar') if name in kept}
    written(result, out / 'small')


def write_words(measured: Mapping[str, Any]) -> None:
    """Results and what ships with the share of labels, the words and the limit of voices anew; all else stays.

    Args:
        measured: `share`, `words` and `familiar`, as `likely.tests` gives them.
    """
    result: Score = json.loads(RESULT.read_text())
    result.setdefault('goemotions_as_one_answer', result['goemotions'])
    result['goemotions'] = text_scores(measured['words'])
    rows, stated = measured['words']['logits'], result['certainty']['temperatures'][SENTENCE]
    result['certainty']['tested']['GoEmotions, held comments'] = calibration(
        rows, [stated] * len(rows), measured['words']['truth']
    )
    result |= {'share': measured['share'], 'familiar': measured['familiar']}
    written(result, MODELS / 'describer')


def written(result: Score, small: Path) -> None:
    """Results with their targets, and what ships where its weights are there."""
    result['targets'] = targets(result)
    RESULT.parent.mkdir(exist_ok=True)
    write_atomically(RESULT, (json.dumps(result, indent=1, default=float) + '\n').encode())
    if small.exists():
        ship(small, result)


# Folds of actors


def _gathered(voices: Clips, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Truth, speakers, and first labels by condition, over all folds."""
    columns: dict[str, list[Any]] = {'truth': [], 'speaker': []}
    valid: dict[str, list[bool]] = {}
    for fold in range(FOLDS):
        answers = kept[f'fold-{fold}']
        columns['truth'] += [voices.truth[n][0] for n in answers['tested']]
        columns['speaker'] += [str(voices.speaker[n]) for n in answers['tested']]
        for name in ('head', 'head of all others'):
            columns.setdefault(name, []).extend(answers[name])
        for name, given in answers['answers'].items():
            columns.setdefault(name, []).extend(labels[0] if labels else '' for labels in given['labels'])
            valid.setdefault(name, []).extend(given['valid'])
    return {**columns, 'valid': valid}


def fold_scores(voices: Clips, kept: Mapping[str, Any]) -> Score:
    """UAR of the first generated label on unheard actors, beside all that it has to be compared with."""
    rows = _gathered(voices, kept)
    truth, speaker = rows['truth'], rows['speaker']
    commonest = majority([each[0] for each in voices.truth], len(truth))
    systems = {
        'the describer, voice and words': rows[WHOLE], 'the describer, voice alone': rows['voice alone'],
        'the describer, words alone': rows['words alone'],
        "the describer, another clip's voice": rows["another clip's voice"], 'head of the voice': rows['head'],
        'head of the voice, two actors more': rows['head of all others'], 'always the commonest': commonest,
    }  # fmt: skip
    return {
        'clips': len(truth), 'actors': len(set(speaker)),
        'uar': {name: recall(truth, named, speaker) for name, named in systems.items()},
        'recall': {
            word: round(float(np.mean([n == word for n, t in zip(rows[WHOLE], truth, strict=True) if t == word])), 4)
            for word in VOICES
        },
        'valid': {name: share(hits, speaker) for name, hits in rows['valid'].items()},
        'valid_before_training': round(float(np.mean([kept[f'fold-{f}']['before']['valid'] for f in range(FOLDS)])), 4),
        'less_than_head': difference(truth, rows[WHOLE], rows['head'], speaker),
        'less_than_head_voice_alone': difference(truth, rows['voice alone'], rows['head'], speaker),
        'lost_when_shuffled': difference(truth, rows[WHOLE], rows["another clip's voice"], speaker),
        'same_label_as_head': share([a == b for a, b in zip(rows[WHOLE], rows['head'], strict=True)], speaker),
        'runs': [kept[f'fold-{fold}']['record'] for fold in range(FOLDS)],
    }  # fmt: skip


def certainty_scores(voices: Clips, kept: Mapping[str, Any]) -> Score:
    """How far stated certainties are from how often the first label is true, on what no temperature was fitted on."""
    logits: list[list[float]] = []
    temperatures: list[float] = []
    tested: list[int] = []
    for fold in range(FOLDS):
        own, truth = kept[f'fold-{fold}'], [voices.truth[n] for n in kept[f'fold-{fold}']['chosen_by']]
        fitted = temperature(own['logits']['chosen_by'], truth)
        logits, tested = logits + own['logits']['tested'], tested + own['tested']
        temperatures += [fitted] * len(own['tested'])
    truth, speaker = [voices.truth[n] for n in tested], [str(voices.speaker[n]) for n in tested]
    scores: Score = {'RAVDESS, tested actors': calibration(logits, temperatures, truth, speaker)}
    ships = kept['certainty']['temperatures']
    if nemo := kept.get('final-nemo'):
        rows, truth = nemo['logits'], [(word,) for word in nemo['truth']]
        scores['nEMO, left out'] = calibration(rows, [ships[VOICE]] * len(rows), truth, nemo['speaker'])
    if texts := kept.get('held'):
        rows = texts['logits']
        scores['GoEmotions, held comments'] = calibration(rows, [ships[SENTENCE]] * len(rows), texts['truth'])
    return {**kept['certainty'], 'tested': scores, 'of_folds': sorted(set(temperatures))}


# Clues


def clue_scores(voices: Clips, kept: Mapping[str, Any]) -> Score:
    """Statements of grounded descriptions of unheard actors, read back and compared with what was measured.

    Truth by the terciles of the training actors is what the grammar writes from; by the terciles of the tested actors
    themselves it is another question: whether *high* is high among other people as well.
    """
    wordings = packaged_wordings()
    hits: dict[str, list[bool]] = {'by terciles of training': [], 'by terciles of the tested': [], 'drawn': []}
    rng = np.random.default_rng(4)
    speaker: list[str] = []
    for fold in range(FOLDS):
        answers = kept[f'fold-{fold}']
        tested = np.array(answers['tested'])
        terciles = Terciles({name: (low, high) for name, (low, high) in answers['terciles'].items()})
        readings = readings_of(voices, tested)
        own = Terciles.of(readings)
        labels = answers['answers'][WHOLE]['labels']
        for n, measured, words in zip(tested, readings, labels, strict=True):
            claims = wordings.claims(grounded(words, measured, terciles).text)
            for name in (name for name in claims if name in STATED):
                speaker.append(str(voices.speaker[n]))
                hits['by terciles of training'].append(claims[name] == {terciles.levels(measured)[name]})
                hits['by terciles of the tested'].append(claims[name] == {own.levels(measured)[name]})
                hits['drawn'].append(bool(rng.integers(3) == 0))
    return {'statements': len(speaker), **{name: share(each, speaker) for name, each in hits.items()}}


# Coarse and fine


def stage_scores(voices: Clips, out: Path) -> Score:
    """The 2x2 over complete folds, and what is claimed freely after coarse data; {} where it was not run."""
    complete = [sorted((out / 'answers' / f'stages-{fold}').glob('*.json')) for fold in range(FOLDS)]
    complete = [files for files in complete if len(files) == CELLS]
    if not complete:
        return {}
    cells: dict[str, list[str]] = {}
    truth: list[str] = []
    speaker: list[str] = []
    free: list[bool] = []
    steps = 0
    wordings = packaged_wordings()
    for files in complete:
        for path in files:
            cell = json.loads(path.read_text())
            cells.setdefault(path.stem, []).extend(each[0] if each else '' for each in cell['answers']['labels'])
            steps = sum(record['settings']['steps'] for record in cell['records'])
            if cell['free']:
                terciles = Terciles({name: (low, high) for name, (low, high) in cell['terciles'].items()})
                levels = [terciles.levels(each) for each in readings_of(voices, np.array(cell['free']['clips']))]
                for text, measured in zip(cell['free']['texts'], levels, strict=True):
                    free += [
                        levels_of == {measured[name]}
                        for name, levels_of in wordings.claims(text).items()
                        if name in STATED
                    ]
        truth += [voices.truth[n][0] for n in cell['tested']]
        speaker += [str(voices.speaker[n]) for n in cell['tested']]
    two_stages, fine_alone = cells['coarse-then-fine'], cells['fine-one-stage']
    return {
        'folds': len(complete), 'steps': steps, 'clips': len(truth),
        'uar': {name: recall(truth, named, speaker) for name, named in cells.items()},
        'coarse_then_fine_less_fine_alone': difference(truth, two_stages, fine_alone, speaker),
        'coarse_then_fine_less_mixed': difference(truth, two_stages, cells['coarse-and-fine-one-stage'], speaker),
        'mixed_less_fine_alone': difference(truth, cells['coarse-and-fine-one-stage'], fine_alone, speaker),
        'free_statements': len(free), 'free_statements_true': share(free) if free else None,
    }  # fmt: skip


# What ships, on other corpora


def final_scores(kept: Mapping[str, Any]) -> Score:
    """What ships, on the test part of each corpus but RAVDESS, whose folds are scored apart."""
    scores: Score = {'choice': kept['choice']}
    if texts := kept.get('held'):
        scores['goemotions'] = text_scores(texts)
    if voices := kept.get('final-nemo'):
        truth, speaker = voices['truth'], voices['speaker']
        named = {name: [each[0] if each else '' for each in voices[name]['labels']]
                 for name in ('voice alone', "another clip's voice")}  # fmt: skip
        scores['nemo'] = {
            'clips': len(truth), 'speakers': len(set(speaker)), 'valid': share(voices['voice alone']['valid'], speaker),
            'uar': {
                'the describer': recall(truth, named['voice alone'], speaker),
                "the describer, another clip's voice": recall(truth, named["another clip's voice"], speaker),
                'head of the voice': recall(truth, voices['head'], speaker),
                'always the commonest': recall(truth, majority(truth, len(truth)), speaker),
            },
            'less_than_head': difference(truth, named['voice alone'], voices['head'], speaker),
        }  # fmt: skip
    if faces := kept.get('final-fer2013'):
        named_faces = [each[0] if each else '' for each in faces['labels']]
        scores['fer2013'] = {
            'stills': len(faces['truth']), 'valid': share(faces['valid']),
            'uar': {
                'the describer': recall(faces['truth'], named_faces),
                'network of expressions': recall(faces['truth'], faces['network']),
                'always the commonest': recall(faces['truth'], majority(faces['learnt'], len(faces['truth']))),
            },
            'less_than_network': difference(faces['truth'], named_faces, faces['network']),
        }  # fmt: skip
    for name in ('meld', 'emobank'):
        if lines := kept.get(f'final-{name}'):
            given = [each[0] if each else '' for each in lines['labels']]
            scores[f'sentiment_{name}'] = {
                'lines': len(given),
                'valid': share(lines['valid']),
                'uar': {
                    'the describer': recall(lines['truth'], given),
                    'always the commonest': recall(lines['truth'], majority(lines['learnt'], len(given))),
                },
            }
    return scores


def text_scores(texts: Mapping[str, Any]) -> Score:
    """Labels of comments beside those of the head of text."""
    true_of, words = texts['truth'], words_of(GOEMOTIONS)
    neutral = [['neutral']] * len(true_of)
    systems = (('the describer', 'labels'), ('the describer, one greedy answer', 'greedy'), ('head of text', 'head'))
    return {
        'comments': len(true_of), 'least': texts['least'], 'valid': share(texts['valid']),
        'macro_f1': {
            'the describer': macro_f1(true_of, texts['labels'], words),
            'the describer, one greedy answer': macro_f1(true_of, texts['greedy'], words),
            'head of text, nearest label where it gives none': macro_f1(true_of, texts['head'], words),
            'head of text': macro_f1(true_of, texts['head, or none'], words),
            'always neutral': macro_f1(true_of, neutral, words),
        },
        'labels_a_comment': {
            name: round(float(np.mean([len(each) for each in texts[key]])), 3) for name, key in systems
        },
        'first_is_true': {
            name: share([bool(named) and named[0] in true for named, true in zip(texts[key], true_of, strict=True)])
            for name, key in systems
        },
        'less_than_head': macro_difference(true_of, texts['labels'], texts['head, or none'], words),
        'more_than_one_greedy_answer': macro_difference(true_of, texts['labels'], texts['greedy'], words),
        'less_than_head_that_always_names': macro_difference(true_of, texts['labels'], texts['head'], words),
    }  # fmt: skip


def targets(result: Score) -> dict[str, Score]:
    """What was asked of the small describer, and whether it is so: by the value, and by the end of its interval."""
    folds = result['folds']
    rows = {
        'answers of valid form, at least 0.99': (folds['valid'][WHOLE], 0.99),
        'UAR less that of the head of the voice, at least -0.03': (folds['less_than_head'], -0.03),
        "UAR lost with another clip's voice, at least 0.15": (folds['lost_when_shuffled'], 0.15),
        'statements on pitch, loudness and tempo that are true, at least 0.9': (
            result['clues']['by terciles of training'], 0.9,
        ),
    }  # fmt: skip
    if 'goemotions' in result:
        rows['macro-F1 on GoEmotions less that of the head of text, at least -0.05'] = (
            result['goemotions']['less_than_head'], -0.05,
        )  # fmt: skip
    return {
        name: {**score, 'reached': bool(score['value'] >= least), 'reached_by_interval': bool(score['low'] >= least)}
        for name, (score, least) in rows.items()
    }


def reaches(result: Score) -> bool:
    """Whether every target is reached by the whole of its interval: what users get unasked has to be sure."""
    rows = result['targets']
    return len(rows) == 5 and all(row['reached_by_interval'] for row in rows.values())


# The folder that ships, and its card


def ship(small: Path, result: Score) -> None:
    """The weights with notes on what they reach, and the card beside them."""
    folder = MODELS / 'describer'
    content = json.loads((small / 'describer.json').read_text())
    content['notes']['reaches_targets'] = reaches(result)
    content['notes']['likely_labels'] = {SENTENCE: result['share']['least']}
    content['notes']['certain_within'] = {VOICE: result['familiar']['limit']}
    with folder_atomically(folder) as staging:
        (staging / 'describer.safetensors').write_bytes((small / 'describer.safetensors').read_bytes())
        (staging / 'describer.json').write_text(json.dumps(content, ensure_ascii=False, indent=2) + '\n')
    saved_notes(folder)
    files = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    card = {
        'name': 'describer',
        'task': 'labels of how a person comes across, in words, from voice, face and words: adapters and readers for '
        'SmolLM2-135M-Instruct',
        'data': f'RAVDESS speech (fold {result["choice"]["fold"] + 1} of {FOLDS}: 14 of 24 actors, English), '
        'GoEmotions, MELD and EmoBank as text, FER2013 (stills of PublicTest); nEMO was left out. Voices with '
        'emotional words, and faces with voices, were put together from different people',
        'licence': 'CC BY-NC-SA 4.0, as RAVDESS; FER2013 is for research alone; the trunk, which is not contained, '
        'is Apache-2.0',
        'commercial_ok': False, 'trunk': content['trunk'], 'sources': content['notes']['recipes'],
        'limits': list(LIMITS), 'metrics': result, 'recipe': 'recipes/describer/train.py', 'files': files,
        'bytes': sum(path.stat().st_size for path in folder.iterdir()),
        'sha256': hashlib.sha256(''.join(files.values()).encode()).hexdigest(),
    }  # fmt: skip
    write_atomically(MODELS / 'describer.json', (json.dumps(card, indent=1, default=float) + '\n').encode())
    write_atomically(MODELS / 'describer.md', page(card).encode())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


LIMITS: Sequence[str] = (
    'It names what each source shows, one after the other; how a voice, a face and words go together in life it has '
    'never seen, since no labelled clip with all three was at hand.',
    'The readers start as linear heads and the texts are taught by the head of text: it is not better than those heads '
    'and is not meant to be. What it adds is one model that answers in words, whatever a clip has.',
    'Within 5 points of the head of text it is by the value, also beside the head with its nearest label where it '
    'gives none, and not by the whole interval (both above). So `affekt describe` takes it only where it is asked to, '
    'with `--model small`.',
    'A second question, *Sentiment*, was only ever asked of words alone. With a voice or a face beside them the answer '
    'was not measured.',
    'Certainty is that of the first label alone, and of voices and words: for a face without a voice none is given, '
    'since no stills were left to fit a temperature on, and none for a voice that is unlike those of RAVDESS, where it '
    'would be far too high (see nEMO, none of whose voices gets one).',
    'Labels by their shares are for words alone; how they would do beside a voice or a face was not measured.',
    'Words are perceived through the outputs of the head of text; the language model does not read them itself.',
    'Clues are written by a grammar from measured readings; low and high are by thirds of RAVDESS, whatever the sex '
    'of the person. Free writing of a model of this size invents clues, and is not offered.',
    'Acted English voices of one studio; other voices are read worse (nEMO above, where all eight words may be said).',
    'Faces were learnt from stills of 48 x 48 pixels; on video it was not measured.',
    'Read it as how a person comes across. Not for decisions about a person. Not for commercial use.',
)
"""What has to be known before it is used."""
