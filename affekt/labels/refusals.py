"""Detection of answers without content: refusals and nonsense.

    without_refusals('I am sorry, but I cannot judge that.') == ''

The text that remains without the refusing clauses may be an answer; where it names no feeling, the whole text is a
refusal (`is_refusal`). A clause ends where a sentence or a statement about somebody begins, so *I cannot see him, the
voice is angry* states a feeling; *whether*, *if*, *that* and *how* extend the refusal to what follows them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable

_LOOP_WORDS, _LOOP_SHARE = 12, 0.35
"""Minimum number of words, and largest share of distinct triples, of a text that repeats itself."""
_ODD_SHARE = 0.5
"""Share of unpronounceable words above which a text is nonsense."""


def is_nonsense(text: str) -> bool:
    """Whether a text repeats itself, or mostly consists of non-words.

    It does where less than half of its characters are letters, digits or punctuation of lists, more than a fifth are
    replacement characters, at most 35 % of the word triples are distinct in 12 words or more, all of 5 to 11 words are
    equal, one character makes up more than 70 % of 12 or more, or more than half of the words are unpronounceable.
    """
    characters = re.sub(r'\s', '', text)
    letter_count = sum(character.isalpha() for character in characters)
    list_characters = sum(character.isdigit() or character in '[]{}"\'.,:;-+/' for character in characters)
    if characters in ('[]', '{}'):
        return False
    if 2 * (
        letter_count + list_characters * (letter_count > 0 or any(character.isdigit() for character in characters))
    ) < len(characters) or not (letter_count or re.search(r'\d', characters)):
        return True
    if '\ufffd' in characters and 5 * characters.count('\ufffd') > len(characters):
        return True
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower())
    return _is_loop(words) or _is_loop(list(characters), longest_run=True) or _is_unspeakable(words)


def _is_loop(words: list[str], *, longest_run: bool = False) -> bool:
    """Whether a few words are repeated over and over; for letters, only one letter repeated endlessly."""
    if longest_run:
        return len(words) >= _LOOP_WORDS and Counter(words).most_common(1)[0][1] > 0.7 * len(words)
    if len(words) < _LOOP_WORDS:
        return len(words) >= 5 and len(set(words)) == 1
    triples = list(zip(words, words[1:], words[2:], strict=False))
    return len(set(triples)) <= _LOOP_SHARE * len(triples)


def _is_unspeakable(words: list[str]) -> bool:
    """Whether most Latin words have no vowel, a tripled letter, or five consonants in a row."""
    latin = [word for word in words if word.isascii() and word.isalpha()]
    if not latin or 2 * len(latin) < sum(word.isalpha() for word in words):
        return False
    odd = sum(
        bool(re.search(r"(.)\1\1|[bcdfghjklmnpqrstvwxz]{5}|^[^aeiouy']{3,}$|^[^aeiouyw']{2}$", word))
        and word not in ('mr', 'ms', 'dr', 'tv', 'vs', 'st', 'hmm', 'mm')
        for word in latin
    )
    return odd > _ODD_SHARE * len(latin)


_REFUSES = re.compile(
    r'^(?:'
    r"(?:(?:i|i'm|i am|we are|we're|my)\s+)?(?:(?:very|so|truly|deeply)\s+)?(?:sorry|apolog\w+)\b"
    r'(?!\s+(?:for|about)\s+(?:her|him|them|the|his|their|what)\b)|'
    r'(?:(?!.{0,80}\b(?:says?|said|asks?|tells?)\b)[^,]{0,80},\s*|(?:unfortunately,?\s+)?(?:without|from|based on|'
    r"given|with only)\b.{1,80}?\s|unfortunately\s+|(?:i'm|i am) afraid (?:that )?)?(?:i|we)"
    r"(?:'m|'re|\s+am|\s+are)?\s+(?:cannot|can't|can not|could not|couldn't|won't|will not|unable to|not able to|"
    r'do not have|'
    r"don't have|not allowed to|not permitted to|(?:must|have to) decline|decline to|do not know|don't know|"
    r'(?:would |do )?(?:rather|prefer) not)\b'
    r'(?!\s+(?:deny|doubt|ignore|rule out|exclude|help (?:but|\w+ing))\b|'
    r'[^,]{0,30}\swhy (?:he|she|they|his|her|the)\b)|'
    r"(?:(?:i'm|i am|we're|we are)\s+(?:(?:very|really|quite)\s+)?(?:not (?:sure|certain)|uncertain|unsure)|"
    r'not (?:sure|certain)(?:\s+(?:whether|if|what|how|which|who|about(?! (?:him|her|it|them)sel))\b|\W*$))|'
    r"(?:(?:i|we) have|there is|there's)\s+no (?:way|idea|means|basis|possibility)\s+"
    r'(?:to|of|for|whether|what|how|if|who|about)\b|'
    r"(?:the|this) (?:clip|video|audio|image|recording|sound|text|transcript)\s+(?:does not|doesn't|do not|don't)\s+"
    r'(?:allow|permit|let|give|provide|offer)\b|'
    r"(?:i'd|i would) (?:rather|prefer) not\b|"
    r"(?:unable to|cannot|can't|can not|could not|impossible to|not (?:possible|able) to)\s+(?:determine|tell|"
    r'say|judge|'
    r'identify|infer|assess|recogni[sz]e|describe|answer|comply|provide|process)\b|'
    r'not possible\W*$|no comment\b|i (?:refuse|decline)\b|(?:error|exception)\s*:|'
    r'je ne (?:peux|sais) pas|ich (?:kann|weiß) (?:das |dies |es )?(?:leider )?nicht|leider kann ich|non posso|'
    r'.{0,80}\bas an? (?:ai|artificial intelligence|(?:large |ai )?language model|text-based|virtual assistant)\b|'
    r"(?:[^,]{0,80},\s*)?it(?:'s| is| was| seems| remains) (?:not possible|impossible|difficult|hard|unclear|not clear|"
    r'not appropriate|inappropriate)\b(?!\s(?:for|on)\s(?:her|him|them|the)\b).{0,80}\b(?:to|whether|what|how|which)\b|'
    r"(?:i (?:think|believe|would say) (?:that )?it(?:'s| is) (?:not possible|impossible|hard|difficult)|hard|"
    r'difficult) to (?:say|tell|judge|know|determine)\b|'
    r"(?:there is|there's) nothing (?:that )?(?:i|we) can (?:say|tell|judge|know) (?:about|of|on|from)\b|"
    r'(?:unclear|not clear) (?:whether|if|what|how)\b|'
    r'.{0,200}\b(?:cannot|can not|could not) be (?:determined|inferred|judged|identified|recogni[sz]ed|described)\b|'
    r'.{0,80}\b(?:no|not enough|insufficient) (?:\w+ ){0,2}(?:information|evidence|context) (?:is|was|to)\b|'
    r'.{0,200}\b(?:against|violates?) (?:my|the|our) (?:guidelines|polic\w+|programming)\b|'
    r".{0,200}\b(?:isn't|is not) something (?:that )?i (?:can|could|am)\b|"
    r".{0,200}\bis something (?:that )?i (?:can't|cannot|could not|am not|won't)\b|"
    r'whether\b.{0,200}\b(?:cannot|impossible|unclear|unknown|uncertain|not clear|hard to|difficult to)\b|'
    r"(?:i|we)(?:'d| would)? need (?:\w+ ){0,2}(?:information|context|evidence|audio|sound|video|words|data)\b|"
    r'(?:nobody|no one) (?:can|could) (?:tell|say|know|judge)\b|'
    r"(?:i'm not|i am not|i don't feel|i do not feel) comfortable\b|"
    r'(?:很|非常|真的)?(?:抱歉|对不起|對不起)|.{0,40}(?:无法|無法|不能|难以)(?:判断|判斷|确定|確定|识别|識別|描述|提供|回答|分析|辨别)|'
    r'(?:我们?|我們)?(?:无法|無法|不能)(?:看|听|聽)|(?:我们?|我們)?(?:还|也|并|並)?(?:看不|听不|聽不|不知道|不确定|不確定|不清楚|很[难難](?![过過受堪]))|'
    r'作为(?:一个|一名)?\s?(?:人工智能|AI|语言模型)|'
    r'lo siento|no puedo|es tut mir leid|(?:je suis )?désolée?|mi dispiace|desculpe|sinto muito|'
    r'申し訳|すみません|죄송|извините|'
    r'к сожалению'
    r')',
    re.IGNORECASE | re.DOTALL,
)
"""Matched at the beginning of a clause, so that *she says I can't bear it* is no refusal."""
_OFFERS = re.compile(
    r'^(?:please|if you|could you|can you|would you|let me know|feel free|you (?:can|may|could)|'
    r"what i can|i can (?:help|assist|only)|i(?:'d| would) be (?:happy|glad)|happy to help|instead)\b|\?\W*$|^如果|^请",
    re.IGNORECASE,
)
_TURN = re.compile(
    r'[,;—–]?\s{1,9}(?=(?:but|however|though|although|yet|nevertheless)\b)|'
    r',\s{1,9}(?=so\b|and\s(?:he|she|they|his|her|their|the)\b)|[;；]\s{0,9}|[，,](?=(?:但|不过|不過|然而|可是|却|卻))',
    re.IGNORECASE,
)
"""A clause begins here, whatever comes before it."""
_VERBS = (
    r'(?:is|are|was|were|seems?|appears?|sounds?|looks?|feels?|shows?|suggests?|expresse?s?|conveys?|indicates?|'
    r"reveals?|betrays?|remains?|comes?|(?:cannot|can't|could not) be)"
)
_STATES = (
    r'(?:(?:perhaps|maybe|probably|possibly|still|then|instead|and)\s{1,9})?'
    r"(?:(?:(?:he|she|they|(?:the|his|her|their|this|an?)(?:\s[\w'’-]{1,30}){1,4})\s{1,9}(?:\w{1,20}ly\s)?"
    + _VERBS
    + r")|(?:he|she)['’]s|they['’]re|there(?:['’]s|\s(?:is|are|seems))|(?:it|this)\s(?:sounds|seems|looks|feels)|"
    r"i\s(?:hear|see|sense|think|believe|would say|can (?:tell|hear|see|say|sense))|i['’]d say)\b"
)
"""The beginning of a statement about somebody: *the voice is …*, *she seems …*, *I hear …*."""
_STATEMENT = re.compile(
    rf'(?:\s?[,:(—–]\s{{0,9}}|\s[-—–]\s|\s(?=and\s)|(?:(?<=\bai)|(?<=\bmodel)|(?<=\bassistant))\s)(?={_STATES})|'
    r"[,:]\s{1,9}(?=(?:i|we)\s(?:cannot|can't|could not|couldn't|do not|don't|am not)\b|"
    r"it(?:'s| is| was) (?:unclear|not clear|hard|difficult|impossible|not possible)\b)|"
    r'[，,：:](?=(?:他|她|从|從|声音|聲音|语气|語氣|语调|語調|表情|脸|臉|神情|这个?人|這個?人|说话|說話))',
    re.IGNORECASE,
)
"""A clause begins here unless an open question or a subordinate clause comes before it."""
_BEGINS = re.compile(_STATES, re.IGNORECASE)
_OPEN = re.compile(r'\b(?:whether|if|that|how|such as)\b|是否|还是|還是', re.IGNORECASE)
"""Words whose clause goes on behind a comma."""
_CONCESSION = re.compile(
    r'^\s{0,9}(?:(?:even\s)?though|although)\b(?:,(\s[^,]{1,80}),(?=\s(?:i|we)\b)|(\s(?:i|we)),(\s[^,]{1,80}),)?'
    r'(?:((?:(?!\b(?:whether|if|that|how|such as)\b(?!,))[^,]){1,200}),\s{1,9}|'
    rf'(.{{1,200}}?),\s{{1,9}}(?={_STATES}))',
    re.IGNORECASE,
)
"""The first clause of *Although, as an AI, I cannot see the face, anger is audible*, with its insertion between commas;
an open question (*whether he is sad, calm or bored*) ends where a statement begins."""
_FEELING_IN_CHINESE = re.compile(
    r'高兴|高興|开心|開心|快乐|快樂|愉快|喜悦|喜悅|兴奋|興奮|满意|滿意|轻松|輕鬆|欣慰|自豪|骄傲|驕傲|平静|平靜|冷静|冷靜|中性|中立|生气|生氣|愤怒|憤怒|'
    r'恼|惱|烦躁|煩躁|不满|不滿|悲伤|悲傷|难过|難過|伤心|傷心|沮丧|沮喪|失望|绝望|絕望|痛苦|委屈|无奈|無奈|孤独|孤獨|焦虑|焦慮|担心|擔心|担忧|擔憂|紧张|緊張|'
    r'害怕|恐惧|恐懼|惊|驚|厌恶|厭惡|尴尬|尷尬|羞|内疚|內疚|嫉妒|激动|激動|疑惑|困惑'
)
"""No word table reads Chinese prose, so feelings are looked for by these words."""
_AFTER_TURN = re.compile(r'^(?:but|however|though|although|yet|nevertheless|and|so)\b,?\s*', re.IGNORECASE)
_STOPS, _ENDS, _GOES_ON = '.!?。！？', '\ue001', '\ue002'
_SENTENCES = re.compile(rf'(?<=[{_STOPS}{_ENDS}])["”’)]*\s*|\n+')
_QUOTED = re.compile(r'"[^"\n]+"|“[^”\n]+”|「[^」\n]+」')
_MARKED = re.compile(f'\ue000([0-9]+)[{_ENDS}{_GOES_ON}]')
"""Stands for a quote while a text is divided: what is quoted is not the describer's own refusal or statement."""


def is_refusal(text: str, has_labels: Callable[[str], bool]) -> bool:
    """Whether a text refuses and names no feeling apart from that.

    Args:
        text: an answer.
        has_labels: whether a word table finds labels in a text.
    """
    stated = without_refusals(text)
    return stated != text and not has_labels(stated) and not _FEELING_IN_CHINESE.search(stated)


def without_refusals(text: str) -> str:
    """The text without refusing clauses and without offers; unchanged where nothing refuses."""
    plain = re.sub(r'[ \t]{2,}', ' ', _MARKED.sub(' ', text))
    quotes = _QUOTED.findall(plain)
    numbers = iter(range(len(quotes)))
    marked = _QUOTED.sub(lambda quote: f'\ue000{next(numbers)}{_ENDS if quote[0][-2] in _STOPS else _GOES_ON}', plain)
    lines = (_CONCESSION.sub(r'\1\2\3\4\5\n', sentence) for sentence in _SENTENCES.split(marked))
    parts = [part for line in lines for clause in line.split('\n') for part in _clauses(clause)]
    are_refusals = [_refuses(part) for part in parts]
    if not any(are_refusals):
        return text
    remaining = (
        _AFTER_TURN.sub('', part).strip()
        for part, is_refusing in zip(parts, are_refusals, strict=True)
        if not is_refusing
    )
    stated = ' '.join(
        part if part[-1] in _STOPS + _ENDS else f'{part}.' for part in remaining if part and not _OFFERS.search(part)
    )
    return _MARKED.sub(lambda mark: quotes[int(mark[1])], stated)


def _refuses(part: str) -> bool:
    return bool(_REFUSES.match(_AFTER_TURN.sub('', _MARKED.sub('', part[:400]).strip()).replace('’', "'")))


def _clauses(sentence: str) -> Iterable[str]:
    """Clauses of which each may refuse by itself."""
    for part in _TURN.split(sentence):
        clause = ''
        for piece, boundary in _pieces(part):
            if clause and ((_refuses(clause) and not _OPEN.search(clause)) or _BEGINS.match(clause[:400].strip())):
                yield clause
                clause = ''
            clause += piece if not clause else boundary + piece
        if clause.strip():
            yield clause


def _pieces(part: str) -> Iterable[tuple[str, str]]:
    """Pieces between possible beginnings of statements, each with the boundary before it."""
    end, boundary = 0, ''
    for match in _STATEMENT.finditer(part):
        yield part[end : match.start()], boundary
        end, boundary = match.end(), match.group()
    yield part[end:], boundary
