"""A page that loads nothing: what its policy allows, and how text, data and scripts get into it."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from affekt.pages import embed_file, embed_json, module_of, self_contained, whole_page


def digest_of(text: str) -> str:
    return 'sha256-' + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_the_policy_allows_the_one_style_and_the_one_script_and_nothing_else():
    text = b''.join(self_contained('title', ['<main></main>'], style='p { color: red }', script='let a = 1;')).decode()
    policy = re.search(r'Security-Policy" content="([^"]*)"', text)[1]
    rules = dict(rule.split(' ', 1) for rule in policy.split('; '))
    assert rules == {
        'default-src': "'none'", 'base-uri': "'none'", 'form-action': "'none'", 'img-src': 'data:',
        'style-src': f"'{digest_of('p { color: red }')}'", 'script-src': f"'{digest_of('let a = 1;')}'",
    }  # fmt: skip


def test_a_page_of_tables_has_its_own_style_and_script_by_the_same_rule():
    text = whole_page('Ranking of <a> & b', 'votes<1>.csv', '<p>body</p>')
    style, script = (re.search(rf'<{tag}[^>]*>(.*?)</{tag}>', text, re.DOTALL)[1] for tag in ('style', 'script'))
    assert digest_of(style) in text
    assert digest_of(script) in text
    assert script.endswith('begin(document);\n')
    assert '<title>Ranking of &lt;a&gt; &amp; b</title>' in text
    assert '<span class="file">votes&lt;1&gt;.csv</span>' in text


def test_a_title_is_one_line_of_text_that_a_file_can_hold():
    text = b''.join(self_contained('two\n lines \udcff', [], style='', script='')).decode()
    assert '<title>two lines ' in text


def test_scripts_become_one_module_without_imports_exports_and_comments():
    script = module_of('affekt.report', ('marks.js', 'series.js'))
    assert 'function h(' in script
    assert not re.search(r'^(import|export|\s*//)', script, re.MULTILINE)


@pytest.mark.parametrize(
    'text', ['</script>', '<!--', '&lt;', '\u2028\u2029', '{{data}}', '\\u003c', '"\'', '\x00', '😀']
)
def test_json_round_trips_any_text(text):
    embedded = embed_json({'text': text})
    assert json.loads(embedded) == {'text': text}
    assert not set('<>&\u2028\u2029') & set(embedded)


def test_nan_cannot_be_embedded():
    with pytest.raises(ValueError, match='not JSON compliant'):
        embed_json({'value': float('nan')})


@pytest.mark.parametrize('size', [0, 1, 2, 3 * 2**18, 3 * 2**18 + 1])
def test_pieces_of_a_file_join_without_padding_between(size, tmp_path):
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    (tmp_path / 'file').write_bytes(content)
    assert base64.b64decode(b''.join(embed_file(tmp_path / 'file')), validate=True) == content
