"""Prompts of a describer: kinds of input, questions, and the prompt form of a trunk's family.

A prompt is a sequence of parts: text, marks of the family, names of sources (for their soft tokens), and the spoken
words. Text is tokenized so that nothing in it counts as a mark, whatever a transcript contains; the answer is tokenized
separately, as it will be generated. If a prompt is too long, its words are shortened from the end, never the soft
tokens.

Source of the published wordings: github.com/zeroQiaoba/MERTools, MER2025_Track23; a model trained with them must be
asked with them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from affekt.errors import UnknownNameError, ValueRangeError, did_you_mean

if TYPE_CHECKING:
    from affekt.description.trunk import Vocabulary


@dataclass(frozen=True)
class Family:
    """Prompt form of a family of language models.

    Args:
        opening: text before the question, with marks as in the tokenizer.
        closing: text between the question and the answer.
        end: text after the answer, in training.
        stops: strings that end an answer, besides the trunk's end token.
        marks: strings that are single tokens of the vocabulary.
        begins: whether the prompt starts with the trunk's first token.
    """

    opening: str
    closing: str
    end: str
    stops: tuple[str, ...]
    marks: tuple[str, ...] = ()
    begins: bool = False


SYSTEM = 'You describe how a person comes across.'
FAMILIES: dict[str, Family] = {
    'vicuna-hash': Family('###Human: ', '###Assistant: ', '###', ('###',), begins=True),
    'chatml': Family(
        f'<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n', '<|im_end|>\n<|im_start|>assistant\n', '',
        ('<|im_end|>',), ('<|im_start|>', '<|im_end|>'),
    ),
    'llama3': Family(
        '<|start_header_id|>user<|end_header_id|>\n\n',
        '<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n', '<|eot_id|>', ('<|eot_id|>',),
        ('<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>'), begins=True,
    ),
    'gemma': Family(
        '<start_of_turn>user\n', '<end_of_turn>\n<start_of_turn>model\n', '<end_of_turn>', ('<end_of_turn>',),
        ('<start_of_turn>', '<end_of_turn>'), begins=True,
    ),
    'bare': Family('', '', '', ('<|im_end|>',), ('<|im_end|>',), begins=True),
}  # fmt: skip
"""Prompt forms by name; `vicuna-hash` is that of the published model, whatever its trunk; `bare` adds nothing around
the question, for small trunks that learn the form of an answer anyway."""


@dataclass(frozen=True)
class Block:
    """A source in a prompt: its introduction, and the text around its soft tokens."""

    source: str
    lead: str = ''


WORDS = 'words'
AROUND: dict[str, tuple[str, str]] = {
    'multi': ('The audio and video merged info is: <Multi>', '</Multi>. '),
    'multi_frame': ('The audio and video merged info is: <Multi>', '</Multi>. '),
    'voice': ('The audio content is as follows: <Audio>', '</Audio>. '),
    'frame': ('e uniformly sample raw frames from the video: <Video>', '</Video>. '),
    'face': ('e uniformly sample raw frames from the video and extract faces from these frames: <Video>', '</Video>. '),
    'image': ('The image content is as follows: <Image>', '</Image>. '),
    WORDS: ('The subtitle of this video is: <Subtitle>', '</Subtitle>. '),
}
"""Source to the text before and after its tokens; the sentences on frames begin with 'W' or the introduction."""
LONGEST_WORD = 40
"""Maximum characters of a word without a space."""
_LEADS_IN = ('face', 'frame')
REQUEST = 'Now, please answer my question based on all the provided information. '


@dataclass(frozen=True)
class Kind:
    """Contents of a prompt, in order.

    Args:
        blocks: the blocks of sources.
        words: whether the transcript follows them.
        opened: whether the family's opening comes first; three published kinds lack it.
        bare: leave out all text around soft tokens and before the question, for small trunks.
    """

    blocks: tuple[Block, ...]
    words: bool = True
    opened: bool = True
    bare: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, in order."""
        return tuple(block.source for block in self.blocks)


_VOICE, _MULTI = Block('voice'), Block('multi')
_FACE, _FRAME = Block('face', 'Meanwhile, w'), Block('frame', 'Meanwhile, w')
KINDS: dict[str, Kind] = {
    'faceframe': Kind((_VOICE, _FRAME, Block('face', 'Additionally, w'))),
    'face': Kind((_VOICE, _FACE)),
    'frame': Kind((_VOICE, _FRAME)),
    'audioonly': Kind((_VOICE,), words=False),
    'textonly': Kind(()),
    'faceonly': Kind((Block('face'),), words=False),
    'frameonly': Kind((Block('frame'),), words=False),
    'image': Kind((Block('image'),), words=False),
    'audio_text': Kind((_VOICE,), opened=False),
    'face_text': Kind((Block('face'),), opened=False),
    'frame_text': Kind((Block('frame', 'w'),), opened=False),
    'multiface_text': Kind((_MULTI,)),
    'multiface_audio_face_text': Kind((_MULTI, _VOICE, _FACE)),
    'multiframe_audio_frame_text': Kind((Block('multi_frame'), _VOICE, _FRAME)),
    'multiface_audio_face_frame_text': Kind((_MULTI, _VOICE, _FACE, _FRAME)),
}
"""The fifteen published kinds of input by their published names."""


def kind_of(sources: Sequence[str], *, words: bool = True, bare: bool = False) -> Kind:
    """A custom kind of input: these sources in this order, then the transcript.

    Args:
        sources: names of the sources.
        words: whether the transcript follows them.
        bare: see `Kind`.
    """
    return Kind(tuple(Block(source) for source in sources), words, bare=bare)


@dataclass(frozen=True)
class Question:
    """A question and its answer, with {names} for values that differ between clips."""

    text: str
    answer: str


_VALENCE = (
    'Please identify the overall positive or negative emotional polarity of the main characters. '
    'The output should be a ﬂoating-point number ranging from {low} to {high}. '
    'Here, {low} indicates extremely negative emotions, 0 indicates neutral emotions, and {high} indicates extremely '
    'positive emotions. Please provide your judgment as a ﬂoating-point number.'
)
QUESTIONS: dict[str, Question] = {
    'description': Question(
        "Please infer the person's emotional state and provide your reasoning process.", '{description}'
    ),
    'labels': Question(
        'Please recognize all possible emotional states of the character.',
        "The character's emotional state is {labels}.",
    ),
    'one_label': Question(
        "Please recognize the character's most likely emotional state.", "The character's emotional state is {label}."
    ),
    'one_label_of': Question(
        "Please select the label that can best describe the person's emotional state from the provided candidate "
        'labels: {candidates}.',
        'The most likely label is {label}.',
    ),
    'valence': Question(_VALENCE, 'The valence score is {valence:.2f}.'),
    'sentiment': Question(
        "Please select the most likely sentiment label that can best describe the person's emotional state: positive, "
        'negative, neutral.',
        "The character's sentiment state is {sentiment}.",
    ),
    'preference': Question(
        'We provide two descriptions. a1: {a1} \t\t\t a2: {a2} Please select the one that best matches the video '
        'content.',
        'The best one is {preferred}.',
    ),
    'reward': Question(
        'We have provided a description: {description} \t\t\t Please evaluate and decide whether to accept or reject '
        'this description based on its alignment with the video content.',
        '{verdict} this sentence.',
    ),
    'labels_first': Question(
        'Which emotions does the person show, and what tells so? Name the emotions first.', '{labels}. {clues}'
    ),
}
"""The eight published types of question, and one of ours whose answers have the labels first."""
SAME = 'These two sentences describe the content of the video with the same accuracy.'
"""The published answer to `preference` if neither description is better."""


def question_of(name: str, **values: Any) -> str:
    """The text of a question of `QUESTIONS`.

    Raises:
        UnknownNameError: unknown question, or a missing value.
    """
    return _filled(_question_named(name).text, name, values)


def answer_of(name: str, **values: Any) -> str:
    """The right answer to a question of `QUESTIONS`, for training.

    Raises:
        UnknownNameError: see `question_of`.
    """
    return _filled(_question_named(name).answer, name, values)


def _question_named(name: str) -> Question:
    if name not in QUESTIONS:
        raise UnknownNameError(
            expected=f'a question among {", ".join(QUESTIONS)}', came=repr(name), todo=did_you_mean(name, QUESTIONS)
        )
    return QUESTIONS[name]


def _filled(template: str, name: str, values: Mapping[str, Any]) -> str:
    try:
        return template.format(**values)
    except KeyError as error:
        raise UnknownNameError(
            expected=f'a value of {error.args[0]} for the question {name}', came=', '.join(values) or 'none',
            todo='give it',
        ) from error  # fmt: skip


def family_named(name: str) -> Family:
    """A prompt form of `FAMILIES`.

    Raises:
        UnknownNameError: unknown prompt form.
    """
    if name not in FAMILIES:
        raise UnknownNameError(
            expected=f'a family among {", ".join(FAMILIES)}', came=repr(name), todo=did_you_mean(name, FAMILIES)
        )
    return FAMILIES[name]


@dataclass(frozen=True)
class Written:
    """A prompt before it is tokenized.

    Args:
        before: parts before the words: texts, literal marks, and sources as `Block`.
        words: the transcript; '' for none.
        after: text after the transcript.
        family: prompt form of the trunk.
        opened: whether the family's opening comes first.
    """

    before: tuple[str | Block, ...]
    words: str
    after: str
    family: Family
    opened: bool = True

    @property
    def text(self) -> str:
        """The prompt as text, with names of sources instead of their tokens."""
        parts = [part if isinstance(part, str) else f'<{part.source}>' for part in self.before]
        opening = self.family.opening if self.opened else ''
        return f'{opening}{"".join(parts)}{self.words}{self.after}{self.family.closing}'


def written(
    kind: Kind | str,
    question: str,
    family: Family,
    *,
    present: Collection[str],
    words: str = '',
    keep_empty_words: bool = False,
) -> Written:
    """The prompt for a clip; sources that the clip lacks are left out.

    Args:
        kind: the sources, or the name of a published kind.
        question: text of the question.
        family: prompt form of the trunk.
        present: names of the sources that the clip has.
        words: the transcript; '' for none.
        keep_empty_words: keep the sentence on the subtitle if there is no transcript, as published.

    Raises:
        UnknownNameError: unknown kind.
        ValueRangeError: nothing is left to describe.
    """
    if isinstance(kind, str):
        if kind not in KINDS:
            raise UnknownNameError(
                expected=f'a kind of input among {", ".join(KINDS)}', came=repr(kind), todo=did_you_mean(kind, KINDS)
            )
        kind = KINDS[kind]
    blocks = [block for block in kind.blocks if block.source in present]
    spoken = harmless(' '.join(words.split()), family) if kind.words else ''
    says_words = kind.words and (bool(spoken) or keep_empty_words)
    if not blocks and not spoken:
        raise ValueRangeError(
            expected=f'a clip with at least one of {", ".join((*kind.sources, *[WORDS] * kind.words))}',
            came='a clip with none of them', todo='leave it out, or choose another kind of input',
        )  # fmt: skip
    before: list[str | Block] = []
    for index, block in enumerate(blocks):
        lead, tail = _around(block, is_first=index == 0 and block is not kind.blocks[0])
        before += [block] if kind.bare else [lead, block, tail]
    asked_text = harmless(question, family)
    after = asked_text if kind.bare else f'{REQUEST}{asked_text} '
    if says_words:
        lead, tail = ('', '\n') if kind.bare else AROUND[WORDS]
        before.append(lead)
        after = f'{tail}{after}'
    return Written(tuple(before), spoken, after, family, kind.opened or bool(family.marks))


def _around(block: Block, *, is_first: bool) -> tuple[str, str]:
    """Text before and after a source's tokens; without *Meanwhile* if the sources before it are absent."""
    if block.source not in AROUND:
        return f'{block.source}: <{block.source}>', f'</{block.source}>. '
    lead, tail = AROUND[block.source]
    if block.source in _LEADS_IN:
        lead = ('W' if is_first or not block.lead else block.lead) + lead
    return lead, tail


def harmless(text: str, family: Family) -> str:
    """Text with the family's stops removed, since one would look like the end of a turn."""
    for stop in filter(None, family.stops):
        remainder = stop[0] if len(stop) > 1 and stop[0] == stop[-1] else ''  # shorter each time, so that the loop ends
        while stop in text:
            text = text.replace(stop, remainder)
    return text


@dataclass(frozen=True)
class Pieces:
    """A tokenized prompt and answer.

    Args:
        prompt: runs of token ids, and names of sources in place of their soft tokens.
        answer: token ids; empty for generation.
        cut: number of characters cut from the transcript because the prompt was too long.
        weights: weight of each of the answer's tokens in the loss; empty for 1 each.
        has_words: whether any of the transcript is in the prompt.
    """

    prompt: tuple[tuple[int, ...] | str, ...]
    answer: tuple[int, ...] = ()
    cut: int = 0
    weights: tuple[float, ...] = ()
    has_words: bool = True

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources in the prompt, in order."""
        return tuple(piece for piece in self.prompt if isinstance(piece, str))


def tokenized(
    prompt: Written,
    vocabulary: Vocabulary,
    tokens: Mapping[str, int],
    *,
    answer: str | None = None,
    longest: int = 1024,
    begins: bool = True,
) -> Pieces:
    """A prompt as token ids and sources, with its transcript shortened if it is too long, and the answer separately.

    Args:
        prompt: the prompt, from `written`.
        vocabulary: the trunk's tokens.
        tokens: source to its number of soft tokens.
        answer: the right answer for training, to which the trunk's end token is added; None for generation.
        longest: maximum tokens of the prompt, soft ones included, and of the answer.
        begins: start with the trunk's first token, if its family has one.

    Raises:
        ValueRangeError: the prompt is too long even without its words, or the answer is too long.
    """
    words = prompt.words
    while True:
        pieces = _pieces(prompt, words, vocabulary, begins=begins)
        excess = sum(tokens[piece] if isinstance(piece, str) else len(piece) for piece in pieces) - longest
        if excess <= 0:
            break
        if not words:
            raise ValueRangeError(
                expected=f'a prompt of at most {longest:,} tokens', came=f'{longest + excess:,} without any words',
                todo='ask a shorter question, or raise the limit',
            )  # fmt: skip
        words = _shortened(words, excess, vocabulary)
    cut, has_words = len(prompt.words) - len(words), bool(words)
    if answer is None:
        return Pieces(pieces, cut=cut, has_words=has_words)
    family = prompt.family
    if family.end in family.marks:
        answer_ids = (*vocabulary.numbers(harmless(answer, family)), *vocabulary.numbers(family.end, family.marks))
    else:  # an end in text joins the answer's last token if the vocabulary has both as one
        answer_ids = vocabulary.numbers(harmless(answer, family) + family.end)
    answer_ids = (*answer_ids, vocabulary.end) if not answer_ids or answer_ids[-1] != vocabulary.end else answer_ids
    if len(answer_ids) > longest:
        raise ValueRangeError(
            expected=f'an answer of at most {longest:,} tokens', came=f'{len(answer_ids):,}', todo='shorten it'
        )
    return Pieces(pieces, answer_ids, cut, has_words=has_words)


def _shortened(words: str, excess: int, vocabulary: Vocabulary) -> str:
    """The words without at least the last `excess` tokens, cut at a space, or within a word of over 40 characters."""
    vocabulary.tokenizer.encode_special_tokens = True
    offsets = vocabulary.tokenizer.encode(words, add_special_tokens=False).offsets
    end = offsets[-excess][0] if excess < len(offsets) else 0
    shorter = words[: min(end, len(words) - 1)]
    shortened, space, last_word = shorter.rpartition(' ')
    return shortened if space and len(last_word) <= LONGEST_WORD else shorter  # Chinese and others have no spaces


def _pieces(prompt: Written, words: str, vocabulary: Vocabulary, *, begins: bool) -> tuple[tuple[int, ...] | str, ...]:
    """Token ids and sources of a prompt; adjacent texts are tokenized as one, since a token may span their border."""
    family = prompt.family
    runs: list[str | Block] = ['']
    parts = [*prompt.before, words, prompt.after]
    opening, closing = (
        _split_after_marks(family.opening if prompt.opened else '', family.marks),
        _split_before_marks(family.closing, family.marks),
    )
    parts = [opening[1], *parts, closing[0]]
    for part in parts:
        if isinstance(part, str) and isinstance(runs[-1], str):
            runs[-1] += part
        else:
            runs.append(part)
    first = vocabulary.numbers(opening[0], family.marks)
    if begins and family.begins and vocabulary.first is not None:
        first = (vocabulary.first, *first)
    pieces: list[tuple[int, ...] | str] = [first]
    for run in runs:
        piece = run.source if isinstance(run, Block) else vocabulary.numbers(run)
        if isinstance(piece, tuple) and isinstance(pieces[-1], tuple):
            pieces[-1] += piece
        elif piece:
            pieces.append(piece)
    last = vocabulary.numbers(closing[1], family.marks)
    if last and isinstance(pieces[-1], tuple):
        pieces[-1] += last
    return tuple(piece for piece in pieces if piece)


def _split_after_marks(text: str, marks: Sequence[str]) -> tuple[str, str]:
    """The text up to and including its last mark, and the text after it."""
    ends = [text.rfind(mark) + len(mark) for mark in marks if mark in text]
    return text[: max(ends, default=0)], text[max(ends, default=0) :]


def _split_before_marks(text: str, marks: Sequence[str]) -> tuple[str, str]:
    """The text before its first mark, and the text from it on."""
    begins = [text.find(mark) for mark in marks if mark in text]
    first = min(begins, default=len(text))
    return text[:first], text[first:]
