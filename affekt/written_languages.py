"""Character probabilities of written languages, by which `text_encoding` weighs readings of the same bytes.

A language is a distribution over single characters, built from a few facts: which letters are frequent, and which
national character set divides the rest into common and rare. ASCII characters have the same probability in all of
them, so that a file of mostly English lines is recognised by its other lines.

Sources: letter frequencies from textbooks of cryptanalysis, rounded to ranks; the most frequent Chinese
characters counted in the transcripts of MER2023 and CH-SIMS; the rows of GB 2312, Big5, JIS X 0208 and KS X 1001.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

ASCII = math.log(0.01)
"""Log probability of an ASCII character, in every language."""
UNEXPECTED = math.log(1e-8)
"""Log probability of a character that the language does not use."""
UPPER = 0.04
"""Probability of a capital relative to its lower-case letter."""
MARKS = '“”‘’–—…«»„·•€£°©®™№\xa0¿¡‹›´§×½¼²³ªº¹\ufeff\u200b\u200e\u200f\u3000'
WIDE_MARKS = '，。？！、：；（）《》「」『』—…·～“”‘’【】〈〉・ー　'
SET_IN_MARKS = re.compile(r'(?<=[^\W\d_])[“”‘–—…«»„•€£°©®™№¿¡‹›´§×½¼²³ªº¹‚ƒ†‡ˆ‰˜¸¨¯¬±µ¶](?=[^\W\d_])')
"""Marks between two letters: rare in text, and frequent where bytes are misread."""


CONTRACTED = re.compile(r'(?:(?<=[a-z])|(?<!\w)I)’(?=[a-z])')
"""The apostrophe of *it’s* and *I’m*, as word processors write it."""
ODD = math.log(1e-3)
"""Log probability of a sequence that no language has within a word: a mark, or a capital after a lower-case letter."""
MIXED = math.log(1e-5)
"""Log probability of an ASCII letter beside one of another alphabet."""
JOINED = math.log(0.02)
"""Log probability of a Latin letter beside a character of Chinese, Japanese or Korean."""
SHOUTED = math.log(1e-3)
"""Log probability of a word in capitals."""


def _without_shouting(text: str) -> tuple[str, int]:
    """The text with words in capitals outside ASCII in lower case, and the number of these words."""
    capital_words = [
        word for word in re.findall(r'(?<!\w)[^\W\d_a-z]{2,}(?!\w)', text) if word.isupper() and not word.isascii()
    ]
    for word in set(capital_words):
        text = re.sub(rf'(?<!\w){word}(?!\w)', word.lower(), text)
    return text, len(capital_words)


def _capitals_inside(text: str) -> int:
    """Number of capitals outside ASCII that follow a lower-case letter."""
    return sum(letter >= '\x80' and letter.isupper() and before.islower() for before, letter in pairwise(text))


@dataclass(frozen=True)
class Language:
    """A written language as a distribution over characters."""

    name: str
    letters: str
    """Letters outside ASCII, the most frequent first."""
    share: float
    """Share of these letters among all characters."""
    words: str = ''
    """Frequent ASCII words, which distinguish languages of the Latin script."""
    rest: Callable[[str], float] | None = None
    """Probability of a character outside `letters`; None if there are no other characters."""
    is_alphabet: bool = True
    """Whether words in this script never continue in Latin letters."""

    @property
    def is_latin(self) -> bool:
        """Whether most of its letters are ASCII."""
        return bool(self.words)

    @cached_property
    def _probabilities(self) -> dict[str, float]:
        decay = 0.12 if len(self.letters) < 80 else 4.0 / len(self.letters)
        weights = {letter: math.exp(-decay * rank) for rank, letter in enumerate(self.letters)}
        for letter, weight in list(weights.items()):
            if len(letter.upper()) == 1:
                weights.setdefault(letter.upper(), UPPER * weight)
        total = sum(weights.values())
        marks = WIDE_MARKS if self.rest else MARKS
        log_probabilities = {mark: math.log((0.08 if self.rest else 0.04) / len(marks)) for mark in marks}
        return log_probabilities | {letter: math.log(self.share * weight / total) for letter, weight in weights.items()}

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(self.words.split())

    def log_probability(self, text: str) -> float:
        """Natural logarithm of the probability of a text: of its characters, with penalties for unusual neighbours."""
        text, shouted = _without_shouting(text)
        total = sum(count * self._log_probability_of(letter) for letter, count in Counter(text).items())
        total += SHOUTED * shouted + ODD * (len(SET_IN_MARKS.findall(text)) + _capitals_inside(text))
        if not self.is_latin:
            total += (MIXED if self.is_alphabet else JOINED) * len(self._joined.findall(text))
        return total

    @cached_property
    def _joined(self) -> re.Pattern[str]:
        """Matches an ASCII letter beside a letter of this script."""
        script = re.escape(self.letters + self.letters.upper()) if self.is_alphabet else '\u2e80-\ud7ff\ue000-\uf8ff'
        return re.compile(f'[A-Za-z](?=[{script}])|[{script}](?=[A-Za-z])')

    def log_words(self, text: str) -> float:
        """Log likelihood gained by frequent words of the language; a contraction counts as one."""
        frequent = sum(word in self._words for word in re.findall(r'(?<!\w)[a-z]+(?!\w)', text.lower()))
        return math.log(15.0) * (frequent + len(CONTRACTED.findall(text)))

    def unexpected(self, text: str) -> int:
        """Number of characters that the language does not use."""
        return sum(count for letter, count in Counter(text).items() if self._log_probability_of(letter) <= UNEXPECTED)

    def _log_probability_of(self, letter: str) -> float:
        if letter < '\x80':
            return ASCII
        if (log_probability := self._probabilities.get(letter)) is not None:
            return log_probability
        return max(UNEXPECTED, math.log(self.rest(letter))) if self.rest else UNEXPECTED


def _by_row(codec: str, common: range, share: float, rare: float) -> Callable[[str], float]:
    """A function that gives the probability of a character by its row in a national character set.

    Args:
        codec: two-byte encoding whose first byte is the row.
        common: rows of characters in daily use.
        share: probability of all common characters together.
        rare: probability of all other characters of the set together.
    """

    def probability(letter: str) -> float:
        try:
            code = letter.encode(codec)
        except UnicodeEncodeError:
            return 0.002 / 30_000 if '\u3400' <= letter <= '\u9fff' else 1e-8
        if len(code) != 2:
            return 1e-8
        return share / (94 * len(common)) if code[0] in common else rare / 4000

    return probability


_SIMPLIFIED = (
    '我是的不了你一这么就个有们人好他在要那说啊来没都什会能想也子还得去天大可到吗以看给为上事跟家心吧过小时下道别呢对怎真多知样自她儿着生让出后很'
    '意现老里回话把点呀做觉情当经己定年然起太最再行打实和开候如只所吃但问明妈之成地前钱学您干果才谁两爸走手师见次面女找感死发听喜演用些从三该关身'
    '长信嘛哪本告爱又十孩力谢像公分帮应正气因哭理方笑快乐兴难过'
)
_TRADITIONAL = (
    '我是的不了你一這麼就個有們人好他在要那說啊來沒都什會能想也子還得去天大可到嗎以看給為上事跟家心吧過小時下道別呢對怎真多知樣自她兒著生讓出後很'
    '意現老裡回話把點呀做覺情當經己定年然起太最再行打實和開候如只所吃但問明媽之成地前錢學您幹果才誰兩爸走手師見次面女找感死發聽喜演用些從三該關身'
    '長信嘛哪本告愛又十孩力謝像公分幫應正氣因哭理方笑快樂興難過妳'
)
_KANA = (
    'のいたにしてとるなはをかがれですまらんこりうもっあくだよきえけどさみそせちおつねわろめじばやひほむ'
    'ンスルーイトラリアクドシレタコッジマフグメテプロカキサニナバオムパハウエモチツセビソデブケポホノゃゅょャュョごずげぜぶべぎびへふゆ'
    '人今日私何事時言見思行来年大出本気中自分前方後手間子生上下者会話目知家心聞食愛楽嬉悲怖笑泣怒当全然'
)
_HANGUL = (
    '이다는에의하가고을로기지도은한사아어그리나시자서대있해보라를들니요네거면것게만여말일오안우주정수인부스전무너내제장없왜했습까구세야당와마알조같'
    '때저분과예좋됐었겠싫랑괜찮정미친생각진짜울웃화슬픈행복쁘뻐'
)

_WORDS = {
    'English': (
        'the you to and it that of is in what we this for on do no have my be not are he she they was his her with '
        'but all if so just like about know your can get here there out up go yes don'
    ),
    'French': (
        'je de le la et pas tu les vous est que un il ne nous qui mais dans pour une sur non en suis es sont avec '
        'pourquoi ai elle on ce se si au du des tout bien fait oui merci quand comment moi toi lui cette mon ma '
        'mes notre votre par plus ou aux elles ils sans donc alors rien jamais toujours heureux'
    ),
    'Spanish': (
        'que de no la el en es un por me lo se te los una con para mi si las bien yo muy estoy del al su sus todo '
        'esta este eso ser hay nada pero cuando como quien donde porque gracias tiene quiero ese ella nos ya vamos '
        'hola'
    ),
    'Portuguese': (
        'que o de a eu um para se me uma em do com da os por isso bem sim mas estou muito as na no nos mais quando '
        'como quem onde porque obrigado tem quero ele ela ser tudo nada aqui eles foi minha meu seu'
    ),
    'Italian': (
        'che non di la il un sono per mi si ma una cosa lo ti ho con da ha bene come se sei della alla nel al dei '
        'gli le in su tutto niente quando dove grazie questo questa siamo anche solo molto tuo mio suo fatto parli '
        'vita'
    ),
    'German': (
        'ich das du ist nicht sie die und es der wir was zu er ein in mir mit ja wie den auf mich dass sich des '
        'eine einen aber wenn dann auch noch nur schon hier sind bin hast habe haben kann aus bei nach von vor um '
        'dem am im als warum wo danke bitte heute sehr'
    ),
    'Dutch': (
        'ik je het de dat is een niet en wat van we in ze op te hij zijn er maar me met die heb hebt hem haar ook '
        'nog dan als bij naar voor om uit wel geen hier daar waarom goed dit deze ben bent zo hoe kan moet wil '
        'gezegd'
    ),
    'Swedish': (
        'jag det du att och en i inte vi som den vad av med har ett om dig kan han ska var hur men nu bara mitt '
        'din till hon oss mot vill eller sedan alla mycket tack bra detta denna'
    ),
    'Danish': (
        'jeg det er du ikke at en og har vi til hvad mig den for de der kan med han hvor af men nu kun min din hun '
        'os mod vil eller alle meget tak godt dette denne fra skal blev'
    ),
    'Finnish': (
        'on ei ja se en mit olen ole sen mutta nyt kun hyvin jos niin oli ovat kuin mukaan hei kiitos miksi sinun '
        'minun ette emme tai joka vain'
    ),
    'Icelandic': 'er ekki og en hann var um til af sem vera svo bara',
    'Polish': (
        'nie to w na co z jest do tak jak mnie za ja ale tego o ty bardzo sobie po mam jestem by od jego jej czy '
        'ten ta te dla przez nas was kiedy gdzie dlaczego dobrze wszystko nic ich bo mi ci oraz lub pod nad przy'
    ),
    'Czech': (
        'to se je na ne co v jsem ale ty si jak tak do pro za mi jsi tu jo by kde moc jen nebo tady proto jako kdo '
        'kdy od dobre vsechno nic nebyl ke po sem jste jsme byl'
    ),
    'Slovak': (
        'to sa je na nie som si ako v ale ty tak ste do pre za mi by keby len kde ja ma mu aby alebo tu iba od kto '
        'kedy dobre nic nebol vo ku sme bol'
    ),
    'Hungarian': (
        'a az nem hogy ez egy is van de ha csak meg mi most mit volt el nekem vagyok igen ki itt ott hol mert '
        'nagyon minden semmi te egyik lesz vagy azt ezt sem ne'
    ),
    'Croatian': (
        'je da se to u ne na sam si ja nije za ti smo su kako ali ovo sve mi bi od do iz samo tko gdje kada zato '
        'dobro nema ima nego ili koji jer'
    ),
    'Slovenian': (
        'je da se to ne v na si sem in kaj za bi pa so tako kako ali sva me ti mi od do iz vse samo kdo kje kdaj '
        'zato dobro nima ima ki ker kot'
    ),
    'Romanian': (
        'nu de ce a un pe la am e ai cu mai o este sunt din foarte asta pentru bine te ne el ea noi voi cum unde '
        'cine nimic tot are avem fost iar sau fi dar'
    ),
    'Turkish': (
        'bir bu ne ve mi de o ben da var evet sen iyi ama benim yok bana mu seni ile daha gibi ya hem her kim '
        'neden nerede tamam hadi bunu onu'
    ),
    'Lithuanian': 'ir ne kad tai kas yra to su man ar bet labai mes jis jau kaip',
    'Latvian': 'un ir es ne to ka tu kas par no man uz vai bet',
    'Estonian': 'on ei ja ma see sa et mis oma aga kui me ta nii',
}
"""Frequent words within ASCII."""

LANGUAGES = {
    language.name: language
    for language in (
        Language('simplified Chinese', _SIMPLIFIED, 0.6, rest=_by_row('gb2312', range(0xB0, 0xD8), 0.3, 0.01),
                 is_alphabet=False),
        Language('traditional Chinese', _TRADITIONAL, 0.6, rest=_by_row('big5', range(0xA4, 0xC7), 0.3, 0.01),
                 is_alphabet=False),
        Language('Japanese', _KANA, 0.7, rest=_by_row('euc_jp', range(0xB0, 0xD0), 0.2, 0.005), is_alphabet=False),
        Language('Korean', _HANGUL, 0.6, rest=_by_row('euc_kr', range(0xB0, 0xC9), 0.35, 0.002), is_alphabet=False),
        Language('Russian', 'оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё', 0.85),
        Language('Ukrainian', 'оанитівреслкдмупязьбгчхйшжєїюцщфґ', 0.85),
        Language('Bulgarian', 'аиоентрсвлкдпмзгяъубчщжхцшйюфь', 0.85),
        Language('Serbian', 'аиоенрсјтукдвпмлзгбчшцњхжљћђфџ', 0.85),
        Language('Greek', 'αοιετσνηυρπκμλςάόίέδγήωώθχύφβξζψΐϊΰϋ', 0.85),
        Language('Hebrew', 'יוהלאתרבמשנעםדקחפכגטןצסזךףץ', 0.85),
        Language('Arabic', 'اليمنتهروبعدةفكحقسىجشأإطخصضغذزءآئظؤث،؟؛َُِّْ', 0.85),
        Language('Persian', 'اینردهمتبوسشلکفگخزقعجحپآچصطغژضظئثذ،؟؛\u200c', 0.85),
        Language('Thai', 'านรกอเงม่ย้ลวดทตสิีบปคัไะจหแใโํพผชขถซศณฉภธษญ็ฟ์ืูุำฐฏฝฤฮฎฬฑๆ', 0.85),
        Language('English', 'éèçêïñöüàâôá', 0.002, _WORDS['English']),
        Language('French', 'éèàêçùâîôûœëïü', 0.05, _WORDS['French']),
        Language('Spanish', 'óáéíñú¿¡ü', 0.05, _WORDS['Spanish']),
        Language('Portuguese', 'ãáéçíêóúõâôà', 0.05, _WORDS['Portuguese']),
        Language('Italian', 'èàùòìéí', 0.03, _WORDS['Italian']),
        Language('German', 'üäöß', 0.03, _WORDS['German']),
        Language('Dutch', 'éëïèóü', 0.005, _WORDS['Dutch']),
        Language('Swedish', 'äåöé', 0.06, _WORDS['Swedish']),
        Language('Danish', 'øåæé', 0.05, _WORDS['Danish']),
        Language('Finnish', 'äöå', 0.07, _WORDS['Finnish']),
        Language('Icelandic', 'ðáíþéóúæöý', 0.12, _WORDS['Icelandic']),
        Language('Polish', 'łęąóśżćźń', 0.07, _WORDS['Polish']),
        Language('Czech', 'íáéěřčýžšůúóďťň', 0.13, _WORDS['Czech']),
        Language('Slovak', 'áíčéžýúšľťôňďóäĺŕ', 0.11, _WORDS['Slovak']),
        Language('Hungarian', 'áéöóőüíúű', 0.13, _WORDS['Hungarian']),
        Language('Croatian', 'čšžćđ', 0.03, _WORDS['Croatian']),
        Language('Slovenian', 'čšž', 0.03, _WORDS['Slovenian']),
        Language('Romanian', 'ăîâşţșț', 0.06, _WORDS['Romanian']),
        Language('Turkish', 'ışüğçöİâîû', 0.12, _WORDS['Turkish']),
        Language('Lithuanian', 'ėšųįžūąčę', 0.07, _WORDS['Lithuanian']),
        Language('Latvian', 'āīēšūžņļģčķ', 0.1, _WORDS['Latvian']),
        Language('Estonian', 'äõöüšž', 0.05, _WORDS['Estonian']),
    )
}  # fmt: skip
