"""The report as a file: what is in it, what can never get into it, and how large it may grow."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html.parser
import json
import re

import numpy as np
import pyarrow as pa
import pytest
from made_up import made_up

from affekt.analysis.assemble import assemble
from affekt.analysis.observations import Observed, conform
from affekt.analysis.records import ModelUse, Source, Stretch
from affekt.analysis.settings import AnalysisSettings
from affekt.media import Recording
from affekt.media.writing import write_video
from affekt.pages import asset, embed_json, module_of, style_of
from affekt.report import report as report_module
from affekt.report.cards import model_entry
from affekt.report.payload import report_payload, summary
from affekt.report.report import SCRIPTS, render_report, report_page
from affekt.report.series_grid import MAX_BINS, drawn, frame_series, raster

NO_MEDIA = {'kind': 'none', 'mime': '', 'sound': False, 'note': ''}
HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)">\u2028{{script}}'


class Elements(html.parser.HTMLParser):
    """Every start tag with its attributes, and what script and style elements hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.held: list[str] = []
        self.is_open = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.held.append('')
        self.is_open = True

    def handle_endtag(self, tag: str) -> None:
        self.is_open = False

    def handle_data(self, data: str) -> None:
        if self.is_open:
            self.held[-1] += data

    def named(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [
            (attributes, held) for (name, attributes), held in zip(self.tags, self.held, strict=True) if name == tag
        ]


def rendered(tmp_path, **content) -> str:
    return render_report(made_up(**content), tmp_path / 'report.html').read_text(encoding='utf-8')


def data_of(text: str) -> dict:
    (found,) = [held for attributes, held in Elements(text).named('script') if attributes.get('id') == 'analysis']
    return json.loads(found)


# ---- one file that loads nothing


def test_the_report_names_no_address_that_could_be_loaded(tmp_path):
    text = rendered(tmp_path)
    # The one address in it is the name of the SVG namespace, which browsers never fetch.
    assert set(re.findall(r'(?:https?:|wss?:)?//[\w.-]+\.\w+', text)) <= {'http://www.w3.org'}
    loads = [(tag, a) for tag, a in Elements(text).tags if a.get('src') or tag in ('iframe', 'object', 'embed', 'base')]
    assert loads == []
    assert [a['href'] for tag, a in Elements(text).tags if tag == 'link'] == ['data:,']


def test_the_policy_allows_only_the_one_script_and_the_one_style(tmp_path):
    elements = Elements(rendered(tmp_path))
    (policy,) = [a['content'] for a, _ in elements.named('meta') if a.get('http-equiv') == 'Content-Security-Policy']
    rules = dict(rule.split(' ', 1) for rule in policy.split('; '))
    (style,) = [held for _, held in elements.named('style')]
    (script,) = [held for attributes, held in elements.named('script') if attributes.get('type') == 'module']
    for rule, content in (('style-src', style), ('script-src', script)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert rules['default-src'] == "'none'"
    assert (rules['img-src'], rules['media-src']) == ('data: blob:', 'blob:')
    assert 'unsafe' not in policy


def test_the_script_never_writes_markup():
    script = module_of('affekt.report', SCRIPTS)
    for way in ('innerHTML', 'outerHTML', 'insertAdjacentHTML', 'document.write', 'eval(', 'new Function', 'fetch('):
        assert way not in script
    assert 'import ' not in script
    assert 'export ' not in script


def test_names_at_the_top_of_the_script_files_are_unique():
    script = module_of('affekt.report', SCRIPTS)
    names = re.findall(
        r'^(?:export )?(?:async )?(?:const|let|function|class) (\w+)', '\n'.join(_unindented()), re.MULTILINE
    )
    assert len(names) == len(set(names))
    assert len(script) > 10_000


def _unindented() -> list[str]:
    return [asset('affekt.report', name) for name in SCRIPTS]


def test_every_script_file_of_the_package_is_in_the_page():
    from importlib.resources import files

    found = {entry.name for entry in files('affekt.report').iterdir() if entry.name.endswith('.js')}
    assert found == set(SCRIPTS)


# ---- hostile input


def test_markup_in_names_words_and_labels_stays_data(tmp_path):
    clean, hostile = (Elements(rendered(tmp_path, hostile=text)) for text in ('', HOSTILE))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in clean.tags]
    text = rendered(tmp_path, hostile=HOSTILE)
    content = data_of(text)
    assert content['source']['name'] == f'family dinner{HOSTILE}.mp4'
    assert content['people'][0]['name'] == f'person 1{HOSTILE}'
    assert HOSTILE in content['people'][0]['utterances'][0]['text']
    assert '\u2028' not in text


def test_placeholders_inside_data_are_not_filled():
    text = b''.join(report_page('{{script}}', '{{data}}', {'text': '{{policy}}'}, None)).decode()
    assert '<title>{{script}}</title>' in text
    assert '"{{policy}}"' in text


def test_media_come_out_as_they_went_in(tmp_path):
    media = bytes(range(256)) * 4000  # larger than one piece, and no multiple of three
    (tmp_path / 'media').write_bytes(media)
    text = b''.join(report_page('title', 'summary', {}, tmp_path / 'media')).decode()
    (held,) = [held for attributes, held in Elements(text).named('script') if attributes.get('id') == 'media']
    assert base64.b64decode(held, validate=True) == media


def test_a_report_that_fails_leaves_the_old_one_whole(tmp_path, monkeypatch):
    path = render_report(made_up(), tmp_path / 'report.html')
    before = path.read_bytes()
    monkeypatch.setattr(report_module, 'embed_json', lambda payload: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        render_report(made_up(), path)
    assert [entry.name for entry in tmp_path.iterdir()] == ['report.html']
    assert path.read_bytes() == before


# ---- size


def test_half_an_hour_of_three_people_stays_below_three_megabytes():
    embedded = embed_json(report_payload(made_up(1800.0, 3, keep_frames=False), NO_MEDIA))
    assert len(embedded.encode()) < 3_000_000


def test_script_and_style_stay_small():
    assert (
        len(module_of('affekt.report', SCRIPTS).encode()) + len(style_of('affekt.report', 'report.css').encode())
        < 88_000
    )


def test_longer_recordings_take_longer_bins():
    starts = np.arange(0.0, 4 * MAX_BINS, 1.0)
    content = drawn(frame_series('person 1', starts, np.full((len(starts), 7), 1 / 7), 1.0), 4.0 * MAX_BINS)
    # 14,400 steps of one second into at most 3,600 bins: four seconds each.
    assert (content['step'], len(content['c'])) == (4.0, MAX_BINS)


# ---- what is missing


@pytest.mark.parametrize(
    ('content', 'says'),
    [
        ({'people': 0}, 'No face was found and no speech was heard'),
        ({'people': 0, 'kind': 'audio'}, 'No speech was heard in this recording'),
        ({'people': 0, 'kind': 'image', 'duration_s': 0.0}, 'No face was found in this image'),
    ],
)
def test_an_empty_analysis_says_why_it_is_empty(content, says):
    payload = report_payload(made_up(**content), NO_MEDIA)
    assert payload['people'] == payload['coverage'] == []
    assert payload['empty'].startswith(says)
    assert 'not “neutral”' in payload['empty']


@pytest.mark.parametrize(
    ('content', 'read'),
    [({'sees': False}, ['voice', 'words']), ({'hears': False}, ['face']), ({'reads': False}, ['face', 'voice'])],
)
def test_absent_sources_are_absent_not_zero(content, read):
    payload = report_payload(made_up(**content), NO_MEDIA)
    assert payload['readFrom'] == read
    assert payload['heard'] is ('voice' in read)
    assert payload['worded'] is ('words' in read)
    assert all(('face' in person['series']) is ('face' in read) for person in payload['people'])


def test_without_frames_no_picture_is_embedded(tmp_path):
    text = rendered(tmp_path, keep_frames=False)
    assert 'image/jpeg' not in text
    payload = data_of(text)
    assert payload['media']['note'] == 'Images were not kept. Outlines show where faces were.'
    assert all(person['thumb'] is None for person in payload['people'])
    assert all(moment['still'] is None for moment in payload['moments'])
    assert payload['people'][0]['boxes'] is not None


def test_an_unreadable_recording_leaves_a_report_that_says_so(tmp_path):
    broken = tmp_path / 'broken.mp4'
    broken.write_bytes(b'not a video')
    payload = data_of(render_report(made_up(), tmp_path / 'report.html', broken).read_text(encoding='utf-8'))
    assert payload['media']['kind'] == 'none'
    assert 'could not be copied' in payload['media']['note']


def test_a_long_recording_that_browsers_play_is_put_inside_whole(tmp_path):
    # half an hour is shown at 240 rows where it must be made smaller; these 300 are not decoded at all
    video = write_video(tmp_path / 'a.mp4', [np.zeros((300, 64, 3), np.uint8)] * 3, 10)
    inside = report_module.embed(made_up(1800.0, 1), video, tmp_path)
    assert inside.content.read_bytes() == video.read_bytes()


def test_a_playable_file_that_is_too_large_is_made_smaller(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (4, 300, 64, 3), dtype=np.uint8)
    video = write_video(tmp_path / 'a.mp4', noise, 10)
    monkeypatch.setattr(report_module, 'MAX_MEDIA_BYTES', video.stat().st_size - 1)
    inside = report_module.embed(made_up(1800.0, 1), video, tmp_path)
    assert inside.kind == 'video'
    assert Recording.open(inside.content).video.height == 240


def test_a_gap_is_none_and_an_abstention_is_named():
    payload = report_payload(made_up(20.0, 1), NO_MEDIA)
    fused = payload['people'][0]['series']['fused']
    # made_up leaves out seconds 11 and 12 of 20, and abstains in the seventh step.
    assert [i for i, c in enumerate(fused['c']) if c is None] == [11, 12]
    assert fused['x'][6] == 1 + payload['reasons'].index('contradiction')
    assert fused['p'][0][6] is None
    assert fused['v'][6] is not None


# ---- numbers


def test_raster_weights_values_by_the_time_they_share_with_a_bin():
    starts, ends, values = np.array([0.0, 0.5]), np.array([0.5, 2.0]), np.array([1.0, 0.0])
    # First second: half of it at 1, half at 0. Second second: 0. Third: nothing.
    assert raster(starts, ends, values, 1.0, 3) == pytest.approx([0.5, 0.0, np.nan], nan_ok=True)


def test_frames_that_were_not_evaluated_leave_gaps():
    shares = np.full((4, 7), 1 / 7)
    shares[2] = np.nan
    content = drawn(frame_series('person 1', np.arange(4.0), shares, 1.0), 4.0)
    assert content['c'] == [14, 14, None, 14]


def test_a_still_image_is_one_bin():
    payload = report_payload(made_up(0.0, 1, 'image'), NO_MEDIA)
    assert payload['source']['duration'] == 0
    assert len(payload['people'][0]['series']['fused']['c']) == 1


def test_coverage_counts_seconds_and_abstentions():
    payload = report_payload(made_up(20.0, 1), NO_MEDIA)
    (face,) = [row for row in payload['coverage'] if row['source'] == 'face']
    (fused,) = [row for row in payload['coverage'] if row['source'] == 'fused']
    assert (face['seconds'], face['share'], face['abstained']) == (18.0, 0.9, 0.0)
    assert fused['abstained'] == pytest.approx(1 / 18, abs=1e-4)


def test_who_is_unclear_throughout_has_no_words_in_the_report():
    whole = made_up(people=1)
    assert [label['word'] for label in report_payload(whole, NO_MEDIA)['labels'] if label['whole']]
    unclear = dataclasses.replace(whole.people[0], course=(Stretch(0.0, 6.0, 'unclear', None, reason='unsure'),))
    payload = report_payload(dataclasses.replace(whole, people=(unclear,)), NO_MEDIA)
    assert not [label for label in payload['labels'] if label['whole']]
    assert payload['people'][0]['course'] == ['unclear']


def test_a_voice_that_names_no_emotion_abstains_in_the_table_of_coverage():
    turn = {'start_s': [0.0], 'end_s': [3.0], 'arousal': [0.3], 'arousal_sd': [0.3], 'abstains_because': ['unsure']}
    observed = Observed(Source('x', 'audio', 4.0, '00'), turns=conform(pa.table(turn), 'turns'))
    rows = report_payload(assemble(observed, AnalysisSettings()), NO_MEDIA)['coverage']
    assert {row['source']: (row['seconds'], row['abstained']) for row in rows} == {
        'voice': (3.0, 1.0),
        'fused': (3.0, 1.0),
    }


def test_the_summary_names_people_and_their_words():
    assert summary(made_up(people=1)) == 'Person 1 comes across as amused (62 % sure) and perhaps at ease.'
    assert summary(made_up(people=0)) == 'In this recording nobody is seen or heard.'


# ---- model cards


def test_a_card_becomes_rows_of_text_and_a_curve():
    card = {
        'task': 'seven categories', 'commercial_ok': False, 'labels': ['a', 'b'],
        'metrics': {'accuracy': {'value': 0.672, 'low': 0.657, 'high': 0.687}, 'majority': 0.25},
        'calibration': {'reliability': [{'confidence': 0.9, 'accuracy': 0.8}, {'confidence': 0.4, 'accuracy': 0.5}]},
    }  # fmt: skip
    entry = model_entry(ModelUse('net', 'faces', 'research', '00', card))
    assert entry['facts'] == [
        ['task', 'seven categories'],
        ['commercial ok', 'no'],
        ['metrics, accuracy', '0.672 (0.657 to 0.687)'],
        ['metrics, majority', '0.25'],
    ]
    assert entry['reliability'] == [[0.4, 0.5], [0.9, 0.8]]
    assert entry['score'] == 'accuracy 0.672 (0.657 to 0.687)'
    empty = {'n': 0, 'stated': None, 'right': None}
    card = {'calibration': {'bins': [empty, {'n': 9, 'stated': 0.7, 'right': 0.6}]}}
    assert model_entry(ModelUse('net', 'faces', 'research', '00', card))['reliability'] == [[0.7, 0.6]]


def score_of(card):
    return model_entry(ModelUse('net', 'faces', 'research', '00', card))['score']


def test_test_data_go_before_validation_data():
    card = {'validation': {'balanced_accuracy': 0.7}, 'test': {'accuracy': 0.6, 'calibration': {'ece_after': 0.02}}}
    assert score_of(card) == 'test: accuracy 0.6, calibration error 0.02'


def test_a_baseline_is_never_taken_for_the_score_of_the_model():
    card = {
        'metrics': {
            'baselines': {'always neutral': {'balanced_accuracy': 0.143}},
            'near': {'balanced_accuracy': 0.58, 'calibration': {'ece_after': 0.04}},
            'far': {'ece_after': 0.2},
        },
        'published': {'accuracy': 0.73},
    }
    assert score_of(card) == 'near: balanced accuracy 0.58, calibration error 0.04'
    assert score_of({'published': {'accuracy': 0.73}}) == ''


def test_a_third_party_file_has_no_facts():
    assert model_entry(ModelUse('file', 'faces', 'MIT', '00'))['facts'] == []


# ---- colours


def _luminance(hex_colour: str) -> float:
    parts = [int(hex_colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, two: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize('theme', [':root {', ':root[data-theme="dark"] {'])
def test_inks_reach_the_contrast_of_small_text_on_every_ground(theme):
    block = asset('affekt.report', 'report.css').split(theme, 1)[1].split('}', 1)[0]
    inks = dict(re.findall(r'--([\w-]+): (#[0-9a-f]{6})', block))
    for ink in ('ink', 'soft', 'faint'):
        for ground in ('paper', 'surface', 'wash'):
            assert _contrast(inks[ink], inks[ground]) >= 4.5, (ink, ground)
    # Graphics need 3:1 against their ground (WCAG 1.4.11): both ends of the valence scale, and the arousal line's ink.
    for mark in ('low', 'high', 'faint'):
        assert _contrast(inks[mark], inks['wash']) >= 3.0, mark


def test_loudness_is_kept_for_sound_and_left_out_for_video():
    voice = pa.table({'time_s': [0.05, 0.15, 0.35], 'loudness_db': [-10.0, -32.5, float('nan')]})
    for kind, expected in (('audio', [100, 50, 0, 0, 0, 0]), ('video', None)):
        analysis = made_up(0.5, 1, kind)
        analysis = dataclasses.replace(analysis, tables={**analysis.tables, 'voice': voice})
        loudness = report_payload(analysis, NO_MEDIA)['loudness']
        # -10 dB is full height, -55 dB none, -32.5 dB half; one value per tenth of a second.
        assert (loudness and loudness['values']) == expected


def test_a_voice_without_a_face_is_no_person_of_the_page():
    analysis = made_up(people=2)
    voice = dataclasses.replace(analysis.people[1], name='voice', seen_s=0.0, thumbnail_jpeg=None)
    seen = dataclasses.replace(analysis, people=(analysis.people[0], voice))
    told = report_payload(seen, NO_MEDIA)['people']
    assert [(one['title'], one['is_person']) for one in told] == [
        (told[0]['title'], True),
        ('A voice, face unknown', False),
    ]
    speakers = tuple(dataclasses.replace(person, seen_s=0.0) for person in seen.people)
    heard = dataclasses.replace(seen, people=speakers)
    assert report_payload(heard, NO_MEDIA)['people'][-1]['title'] == 'Unknown speaker'
