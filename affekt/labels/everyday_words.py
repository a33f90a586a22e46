"""Words that word tables hold as emotions and that a description of a scene mostly uses for something else.

Word tables are wide: the published ones know 7,356 forms, among them *facial*, *person*, *see* and *content*. Three
lists say what prose does with such words.

- `EVERYDAY`: never a label in prose.
- `IN_STATE_ONLY`: a label only as somebody's state (*feels down*, *is content*) or before a noun of showing (*a cold
  tone*), never elsewhere (*looks down*, *the content of*).
- `NOT_BEFORE`: a label except before these words (*interest rate*, *kind of*).

Chosen on descriptions of the even half (see `benchmarks/extraction.py`, which reports the odd half) and from frequent
words of online comments that a table holds; a word that names a feeling in most of its uses is on no list, even where
leaving it out would raise a score.
"""

from __future__ import annotations

from collections.abc import Mapping


def words_of(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


def _verb_forms(stems: str) -> frozenset[str]:
    """A verb with -s, -ed and -ing, by the common rules of spelling."""
    found: set[str] = set()
    for stem in stems.split():
        short = stem.removesuffix('e')
        end = 'es' if stem.endswith(('s', 'sh', 'ch', 'x', 'o')) else 's'
        found |= {stem, stem + end, short + 'ed', short + 'ing', stem + stem[-1] + 'ed', stem + stem[-1] + 'ing'}
        if stem.endswith('y'):
            found |= {stem[:-1] + 'ies', stem[:-1] + 'ied'}
    return frozenset(found)


_SAYING_AND_SEEING = _verb_forms("""
    analyze associate base believe challenge concentrate consider contain contemplate defend define describe
    detect determine direct discern discuss emphasize engage evaluate express feature forget highlight identify
    imagine imply include indicate infer inform interpret investigate involve judge lead link mean mention note
    notice observe perceive plan portray present protect react realize recall receive recognize record reflect
    regard relate remember represent respond reveal say see show signify speak state strengthen suggest support
    talk tell test think understand watch witness
""")
_DOING = _verb_forms("""
    accomplish act affect answer appear approach ask avoid begin belong break bring call carry cast change clear
    close come cover create cut decide depend distance drive drop effect emphasise end escape exist expect
    express face fix focus follow form gather gaze gesture get give go ground happen have help hold ignore
    increase influence interact keep leave let lift like link live look lose lower maintain make miss move need
    nod open participate pass pay perform place play point press produce pull push put raise rely remain remove
    rest return run rush separate set shake sit sleep spend stand start stop take tap target throw tilt touch
    treat try turn use value view walk want work
""")
_NOUNS = words_of("""
    art artist artists attachment attention attitude background bar bars behavior behaviour benefit bit body
    brightness center centre character characters clue clues collection color colors colour concentration
    condition consideration corner creativity current description detail details direction dominance driver ear
    edge emotion emotional emotionally emotions engagement environment evaluation evaluations event example
    exception expert experts expression eye eyes face faces facial fact feature feeling feelings figure force
    genius gentleman ground hand head heat hero heroes illness image importance impression influence information
    insight interaction introspection investigation involvement judge knowledge lack lady light lights link
    links lips loss man meaning member members membership message mind minds minor minority mistake mistakes
    mood moods mouth music observation observations opening opinion opponent originality part participation
    party people person personality personally persons place plays point position process quality question
    questions recognition reflection relationship representation representative response responsibility role
    root scene self sentence sentiment separation setback setting shield side silence sleep sound spirit spot
    star stimulation subtitle success sun sup supporter supporters talent thing thought thoughts time tone
    treasure use usefulness value video viewpoint voice weight woman word words work
""")
_QUALITIES = words_of("""
    able accepted animated available bright brilliant careful carefully casual certain certainly clear clearly
    closed closely colorful colourful common complete completely conversational current directed directly
    distant distorted dramatic dynamic effective effectively empty essential essentially evident expert familiar
    far fast fixed focused formal frequent front full further general gone harsh heated here honestly important
    independent informative informed intense intensely intimate involved less likely living long loose lost
    lower lowered main major meaningful minded moving natural naturally negative new normal normally noticeable
    observed obvious odd official old open opening ordinary original originally own personal personally physical
    positive possible powerful practical practically present presented previous private quick quickly quiet
    quietly rather realistic related relevant remote remotely representative resting rich right safe safely seen
    separate sharp sharper significant significantly slight slightly slow small smart soft softer softly special
    stable steady strong stronger strongly sudden suddenly tight tightly true unclear uncontrollable unfocused
    unusual usual valuable vibrant wide worth
""")
_LITTLE_WORDS = words_of("""
    actively as attentively be by engaging for forcefully gone hopefully in including it lacked lacking lacks
    left like likes low made might more most no not of off on open or out over please regarding regardless saw
    seeing seriously so stresses that the this to too took up well went what will with
""")

IN_STATE_ONLY = words_of("""
    absent active alone bad bitter blue cold comfortable content cool dead down free hard heavy high hot hurt
    kind light lost mean moved negative pleasant poor positive powerful safe sick small sore still torn touched
    uncomfortable understanding unpleasant warm weak wrong
""")
_FEELINGS = frozenset({'determined'})
EVERYDAY = (_SAYING_AND_SEEING | _DOING | _NOUNS | _QUALITIES | _LITTLE_WORDS) - IN_STATE_ONLY - _FEELINGS

NOT_BEFORE: Mapping[str, frozenset[str]] = {
    'interest': frozenset({'rate', 'rates', 'group', 'groups'}),
    'interests': frozenset({'of'}),
    'kind': frozenset({'of'}),
    'content': frozenset({'of', 'is', 'reads', 'says'}),
    'question': frozenset({'mark', 'marks', 'is'}),
    'questioning': frozenset({'about'}),
    'care': frozenset({'of'}),
    'surprise': frozenset({'party', 'visit'}),
    'concern': frozenset({'for'}),
}
