from __future__ import annotations

import json
import re
import struct
import time

import numpy as np
import pytest

from affekt.errors import LLMError, StorageError
from affekt.llm import UnknownModelError, opened_gguf, opened_network
from affekt.llm.gguf_header import GGUFHeader

gguf = pytest.importorskip('gguf', reason='the package gguf is absent')

WIDTH, BETWEEN, HEADS, KV_HEADS, LAYERS, TOKENS = 32, 64, 4, 2, 2, 262
SETTINGS = {
    'context_length': 128, 'embedding_length': WIDTH, 'feed_forward_length': BETWEEN, 'block_count': LAYERS,
    'attention.head_count': HEADS, 'attention.head_count_kv': KV_HEADS,
}  # fmt: skip
SHAPES = {
    'attn_norm': (WIDTH,), 'ffn_norm': (WIDTH,), 'attn_q': (WIDTH, WIDTH), 'attn_k': (WIDTH // 2, WIDTH),
    'attn_v': (WIDTH // 2, WIDTH), 'attn_output': (WIDTH, WIDTH), 'ffn_gate': (BETWEEN, WIDTH),
    'ffn_up': (BETWEEN, WIDTH), 'ffn_down': (WIDTH, BETWEEN),
}  # fmt: skip


def tokens() -> tuple[list[str], list[list[str]]]:
    """Bytes, two merges, and marks."""
    from tokenizers.pre_tokenizers import ByteLevel

    marks = ['<|endoftext|>', '<|im_start|>', '<|im_end|>', '<|note|>']
    return [*marks, *sorted(ByteLevel.alphabet()), 'sa', 'sad'], [['s', 'a'], ['sa', 'd']]


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows as llama's converter writes queries and keys: the halves of each head alternate."""
    rows = np.concatenate(
        [np.stack([head[: len(head) // 2], head[len(head) // 2 :]], 1).reshape(-1) for head in
         np.split(np.arange(len(weight)), heads)]
    )  # fmt: skip
    return weight[rows]


def write(
    path, architecture='llama', *, packed=True, form='smollm', more=(), left_out=(), settings=()
) -> dict[str, np.ndarray]:
    """A tiny model; gives the weights as transformers should have them, by GGUF's names."""
    rng = np.random.default_rng(4)
    writer = gguf.GGUFWriter(path, architecture)
    for name, value in SETTINGS.items():
        writer.add_uint32(f'{architecture}.{name}', value)
    writer.add_float32(f'{architecture}.attention.layer_norm_rms_epsilon', 1e-5)
    writer.add_float32(f'{architecture}.rope.freq_base', 5000.0)
    for name, value in dict(settings).items():
        writer.add_string(f'{architecture}.{name}', value)
    texts, merges = tokens()
    writer.add_tokenizer_model('gpt2')
    writer.add_tokenizer_pre(form)
    writer.add_token_list(texts)
    writer.add_token_types([3, 3, 3, 4] + [1] * (len(texts) - 4))
    writer.add_token_merges([' '.join(pair) for pair in merges])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m['content'] }}<|im_end|>{% endfor %}")
    shapes = {'token_embd.weight': (TOKENS, WIDTH), 'output_norm.weight': (WIDTH,)}
    for layer in range(LAYERS):
        shapes |= {f'blk.{layer}.{name}.weight': shape for name, shape in SHAPES.items()}
        if architecture == 'qwen2':
            shapes |= {f'blk.{layer}.attn_{x}.bias': SHAPES[f'attn_{x}'][:1] for x in 'qkv'}
    weights = {}
    for name, shape in shapes.items():
        value = rng.normal(size=shape).astype(np.float32)
        sort = gguf.GGMLQuantizationType.Q8_0 if packed and len(shape) == 2 else gguf.GGMLQuantizationType.F32
        if sort == gguf.GGMLQuantizationType.Q8_0:  # the nearest value that the packing has
            value = gguf.quants.dequantize(gguf.quants.quantize(value, sort), sort)
        weights[name] = value
        heads = {'attn_q': HEADS, 'attn_k': KV_HEADS}.get(name.split('.')[-2])
        stored = interleaved(value, heads) if architecture == 'llama' and heads else value
        if name not in left_out:
            raw = gguf.quants.quantize(stored, sort) if sort == gguf.GGMLQuantizationType.Q8_0 else stored
            writer.add_tensor(name, raw, raw_dtype=sort)
    for name in more:
        writer.add_tensor(name, np.ones(3, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights


OURS = {
    'token_embd': 'model.embed_tokens', 'output_norm': 'model.norm', 'attn_norm': 'input_layernorm',
    'ffn_norm': 'post_attention_layernorm', 'attn_q': 'self_attn.q_proj', 'attn_k': 'self_attn.k_proj',
    'attn_v': 'self_attn.v_proj', 'attn_output': 'self_attn.o_proj', 'ffn_gate': 'mlp.gate_proj',
    'ffn_up': 'mlp.up_proj', 'ffn_down': 'mlp.down_proj',
}  # fmt: skip


def ours(name: str) -> str:
    *block, part, ending = name.split('.')
    return f'{f"model.layers.{block[1]}." if block else ""}{OURS[part]}.{ending}'


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv('AFFEKT_CACHE', str(tmp_path_factory.mktemp('cache')))


@pytest.mark.parametrize('architecture', ['llama', 'qwen2'])
@pytest.mark.parametrize('packed', [True, False])
def test_every_weight_is_where_transformers_has_it(tmp_path, architecture, packed):
    weights = write(tmp_path / 'tiny.gguf', architecture, packed=packed)
    safetensors = pytest.importorskip('safetensors.numpy', reason='safetensors is absent')
    stored = safetensors.load_file(opened_gguf(tmp_path / 'tiny.gguf') / 'model.safetensors')
    assert set(stored) == {ours(name) for name in weights}
    for name, weight in weights.items():
        np.testing.assert_array_equal(stored[ours(name)], weight, err_msg=name)


def test_packed_values_lie_in_rows_so_that_few_are_unpacked_at_a_time(tmp_path):
    write(tmp_path / 'tiny.gguf')
    tensors = {tensor.name: tensor for tensor in GGUFHeader(tmp_path / 'tiny.gguf').tensors}
    assert tensors['token_embd.weight'].content.shape == (TOKENS, WIDTH // 32 * 34)  # Q8_0: 34 bytes for 32 values
    assert tensors['output_norm.weight'].content.shape == (1, 4 * WIDTH)


def test_rows_of_queries_are_put_back_as_the_worked_example_says():
    # a head of width 4: rows 0 1 2 3 of the model lie as 0 2 1 3 in the file
    assert interleaved(np.arange(8), 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_the_folder_is_made_once_and_again_for_another_file(tmp_path):
    path = tmp_path / 'tiny.gguf'
    write(path)
    folder = opened_gguf(path)
    stamp = (folder / 'model.safetensors').stat().st_mtime_ns
    assert opened_gguf(path) == folder
    assert (folder / 'model.safetensors').stat().st_mtime_ns == stamp
    write(path, packed=False)
    assert opened_gguf(path) != folder


def test_a_cache_that_cannot_be_made_is_one_clear_error(tmp_path, monkeypatch):
    write(tmp_path / 'tiny.gguf')
    (tmp_path / 'cache').write_text('a file')
    monkeypatch.setenv('AFFEKT_CACHE', str(tmp_path / 'cache'))
    with pytest.raises(StorageError, match='cache'):
        opened_gguf(tmp_path / 'tiny.gguf')


def test_settings_are_those_of_the_file(tmp_path):
    write(tmp_path / 'tiny.gguf')
    settings = json.loads((opened_gguf(tmp_path / 'tiny.gguf') / 'config.json').read_text())
    assert settings['architectures'] == ['LlamaForCausalLM']
    assert (settings['hidden_size'], settings['num_key_value_heads'], settings['vocab_size']) == (32, 2, TOKENS)
    assert (settings['rope_theta'], settings['rms_norm_eps'], settings['head_dim']) == (5000.0, 1e-5, 8)
    assert settings['tie_word_embeddings'] is True
    assert (settings['bos_token_id'], settings['eos_token_id'], settings['pad_token_id']) == (1, 2, 2)


def test_words_are_merged_and_marks_stand_for_themselves(tmp_path):
    from tokenizers import Tokenizer

    write(tmp_path / 'tiny.gguf')
    tokenizer = Tokenizer.from_file(str(opened_gguf(tmp_path / 'tiny.gguf') / 'tokenizer.json'))
    assert tokenizer.encode('sad<|im_end|>12<|note|>').tokens == ['sad', '<|im_end|>', '1', '2', '<|note|>']
    text = 'Ça va? 日本語 — “quoted”\n\n  two  spaces ½ 🙂'
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert tokenizer.decode(tokenizer.encode('<|im_start|>sad<|note|>').ids) == 'sad<|note|>'


def test_it_says_what_the_network_of_transformers_says(tmp_path):
    """The forward pass by hand: one layer's queries turn with positions only where their rows are in order."""
    torch = pytest.importorskip('torch', reason='torch is absent')
    transformers = pytest.importorskip('transformers', reason='transformers is absent')
    weights = write(tmp_path / 'tiny.gguf')
    network = transformers.AutoModelForCausalLM.from_pretrained(opened_gguf(tmp_path / 'tiny.gguf')).eval()
    with torch.no_grad():
        logits = network(torch.tensor([[7, 9, 11]])).logits[0].double().numpy()
    np.testing.assert_allclose(logits, forward(weights, [7, 9, 11]), atol=1e-3)


def forward(weights: dict[str, np.ndarray], numbers: list[int]) -> np.ndarray:
    """A plain llama in float64, from the weights by GGUF's names."""
    weights = {name: value.astype(np.float64) for name, value in weights.items()}
    tokens = weights['token_embd.weight'][numbers]
    width = WIDTH // HEADS
    angles = np.arange(len(numbers))[:, None] * 5000.0 ** (-2 * np.arange(width // 2) / width)

    def norm(values, weight):
        return values / np.sqrt((values**2).mean(1, keepdims=True) + 1e-5) * weight

    def turned(values):
        first, second = np.split(values.reshape(len(numbers), -1, width), 2, axis=2)
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=2)

    for layer in range(LAYERS):
        part = {name.split('.')[2]: value for name, value in weights.items() if name.startswith(f'blk.{layer}.')}
        normal = norm(tokens, part['attn_norm'])
        queries, keys = turned(normal @ part['attn_q'].T), turned(normal @ part['attn_k'].T)
        values = (normal @ part['attn_v'].T).reshape(len(numbers), KV_HEADS, width)
        keys, values = (np.repeat(each, HEADS // KV_HEADS, axis=1) for each in (keys, values))
        scores = np.einsum('thd,shd->hts', queries, keys) / np.sqrt(width)
        scores = np.where(np.tril(np.ones((len(numbers),) * 2))[None] > 0, scores, -np.inf)
        shares = np.exp(scores - scores.max(2, keepdims=True))
        shares /= shares.sum(2, keepdims=True)
        tokens = tokens + np.einsum('hts,shd->thd', shares, values).reshape(len(numbers), -1) @ part['attn_output'].T
        normal = norm(tokens, part['ffn_norm'])
        gate = normal @ part['ffn_gate'].T
        tokens = tokens + (gate / (1 + np.exp(-gate)) * (normal @ part['ffn_up'].T)) @ part['ffn_down'].T
    return norm(tokens, weights['output_norm.weight']) @ weights['token_embd.weight'].T


@pytest.mark.parametrize(
    ('how', 'match'),
    [
        ({'architecture': 'mamba'}, "architecture 'mamba'"),
        ({'form': 'tekken'}, 'splits words as tekken'),
        ({'more': ('rope_freqs.weight',)}, r'rope_freqs\.weight'),
        ({'settings': {'rope.scaling.type': 'yarn'}}, 'scaled by yarn'),
    ],
)
def test_a_model_that_it_does_not_know_is_told_apart_from_a_damaged_one(tmp_path, how, match):
    write(tmp_path / 'other.gguf', **how)
    with pytest.raises(UnknownModelError, match=match):
        opened_gguf(tmp_path / 'other.gguf')


def test_a_file_that_lacks_a_tensor_is_refused_by_name(tmp_path):
    write(tmp_path / 'less.gguf', left_out=('blk.1.ffn_up.weight',))
    with pytest.raises(LLMError, match=r'model\.layers\.1\.mlp\.up_proj\.weight'):
        opened_gguf(tmp_path / 'less.gguf')


@pytest.mark.parametrize('share', [0.0, 0.0005, 0.05, 0.5, 0.99])
def test_a_cut_file_is_refused_and_leaves_no_folder(tmp_path, share):
    write(tmp_path / 'whole.gguf')
    content = (tmp_path / 'whole.gguf').read_bytes()
    (tmp_path / 'cut.gguf').write_bytes(content[: int(len(content) * share)])
    with pytest.raises(LLMError, match=r'cut\.gguf'):
        opened_gguf(tmp_path / 'cut.gguf')


@pytest.mark.parametrize('name', ['embedding_length', 'attention.head_count', 'context_length', 'feed_forward_length'])
def test_a_file_that_lacks_a_setting_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.delitem(SETTINGS, name)
    write(tmp_path / 'less.gguf')
    with pytest.raises(LLMError, match=r'less\.gguf'):
        opened_gguf(tmp_path / 'less.gguf')


@pytest.mark.parametrize('name', ['model.safetensors', 'model.pth', 'model'])
def test_a_file_of_another_kind_is_not_taken_for_a_name_on_a_hub(tmp_path, name):
    (tmp_path / name).write_bytes(b'weights')
    with pytest.raises(LLMError, match=rf'got the file .*{name}'):
        opened_network(tmp_path / name)


def test_a_file_that_is_no_gguf_is_refused(tmp_path):
    (tmp_path / 'page.gguf').write_text('<html>not found</html>' * 20)
    with pytest.raises(LLMError, match=r'page\.gguf'):
        opened_gguf(tmp_path / 'page.gguf')


def _text(text: bytes) -> bytes:
    return struct.pack('<Q', len(text)) + text


def _file(*settings: bytes, tensors: int = 0, settings_count: int | None = None) -> bytes:
    count = len(settings) if settings_count is None else settings_count
    return b'GGUF' + struct.pack('<IQQ', 3, tensors, count) + b''.join(settings)


LIES = {
    'endless list': (_file(_text(b'a') + struct.pack('<IIQ', 9, 0, 1 << 40)), '1,099,511,627,776 elements'),
    'endless texts': (_file(_text(b'a') + struct.pack('<IIQ', 9, 8, 1 << 40)), '1,099,511,627,776 elements'),
    'lists within lists': (_file(_text(b'a') + struct.pack('<IIQ', 9, 9, 1 << 40)), 'a list of the type 9'),
    'many elements': (
        _file(_text(b'a') + struct.pack('<IIQ', 9, 0, 1_100_000) + bytes(1_100_000)),
        'lists of more elements than',
    ),
    'endless text': (_file(struct.pack('<Q', 1 << 60) + bytes(16)), '1,152,921,504,606,846,976 bytes announced'),
    'endless settings': (_file(settings_count=1 << 60), 'settings announced'),
    'endless tensors': (_file(tensors=1 << 60), 'tensors announced'),
    'a setting twice': (_file(*[_text(b'a') + struct.pack('<IB', 0, 1)] * 2), "the setting 'a' twice"),
    'unknown type': (_file(_text(b'a') + struct.pack('<I', 77)), 'unknown type 77'),
    'other byte order': (b'GGUF' + struct.pack('>IQQ', 3, 0, 0), 'lowest byte first'),
    'many sides': (_file(tensors=1) + _text(b't') + struct.pack('<I', 1 << 30) + bytes(64), '1,073,741,824 sides'),
    'large tensor': (
        _file(tensors=1) + _text(b't') + struct.pack('<IQQIQ', 2, 1 << 32, 1 << 32, 0, 0) + bytes(64),
        'does not lie in the file',
    ),
    'tensors that overlap': (
        _file(tensors=2)
        + b''.join(_text(each) + struct.pack('<IQIQ', 1, 16, 0, 0) for each in (b'a', b'b'))
        + bytes(99),
        "the tensors 'a' and 'b' overlap",
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', LIES)
def test_a_header_that_lies_is_refused_before_anything_is_allocated(tmp_path, name):
    content, came = LIES[name]
    (tmp_path / 'lies.gguf').write_bytes(content)
    begun = time.process_time()
    with pytest.raises(LLMError, match=re.escape(came)):
        opened_gguf(tmp_path / 'lies.gguf')
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ('name', 'value', 'came'),
    [
        ('block_count', 4_000_000_000, '4,000,000,000 layers in'), ('block_count', 1, 'unknown tensors'),
        ('embedding_length', 4_000_000_000, 'where settings say'), ('attention.head_count', 3, 'where settings say'),
        ('attention.head_count_kv', 4, 'where settings say'), ('feed_forward_length', 1, 'where settings say'),
        ('context_length', 0, 'context_length is 0'),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_the_tensors_are_refused(tmp_path, monkeypatch, name, value, came):
    monkeypatch.setitem(SETTINGS, name, value)
    write(tmp_path / 'lies.gguf')
    with pytest.raises(LLMError, match=came):
        opened_gguf(tmp_path / 'lies.gguf')


def test_weights_that_are_no_numbers_are_refused_without_a_warning(tmp_path, recwarn):
    write(tmp_path / 'whole.gguf')
    content = bytearray((tmp_path / 'whole.gguf').read_bytes())
    content[-34:-32] = np.float16(np.nan).tobytes()  # the scale of the last block
    (tmp_path / 'nan.gguf').write_bytes(content)
    with pytest.raises(LLMError, match='nan or infinity'):
        opened_gguf(tmp_path / 'nan.gguf')
    assert not recwarn.list
