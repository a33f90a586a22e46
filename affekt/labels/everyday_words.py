"""Words that word tables list as emotions but that descriptions of a scene mostly use in another sense.

Word tables are wide, so that every label is covered: the published ones have 7,356 forms, including *facial*, *person*
and *see*, the table `affekt` more than 16,000, including *home* (from homely) and *would* (from willing). Three lists
define how prose uses such words.

- `EVERYDAY`: never a label in prose. Signs of emotion (*frowns*, *laughs*, *tears*) are included: they are the
  evidence, and a description names the emotion too.
- `IN_STATE_ONLY`: a label only as a person's state (*feels down*, *is content*) or before a noun of expression (*a cold
  tone*), never elsewhere (*looks down*, *the content of*).
- `NOT_BEFORE`: a label except before these words (*interest rate*, *kind of*).

Chosen on descriptions of the even half (see `measurements/extraction.py`, which reports the odd half) and from frequent
words of online comments in a table; a word that names an emotion in most of its uses is in no list, even where leaving
it out would raise a score.
"""

from __future__ import annotations

from collections.abc import Mapping


def words_of(text: str) -> frozenset[str]:
    """The words of a text, separated by spaces."""
    return frozenset(text.split())


def _verb_forms(stems: str) -> frozenset[str]:
    """Each verb with its -s, -ed and -ing forms by the regular rules, single and doubled consonants alike."""
    forms: set[str] = set()
    for stem in stems.split():
        short = stem.removesuffix('e')
        end = 'es' if stem.endswith(('s', 'sh', 'ch', 'x', 'o')) else 's'
        forms |= {stem, stem + end, short + 'ed', short + 'ing', stem + stem[-1] + 'ed', stem + stem[-1] + 'ing'}
        if stem.endswith('y'):
            forms |= {stem[:-1] + 'ies', stem[:-1] + 'ied'}
    return frozenset(forms)


_SAYING_AND_SEEING = _verb_forms("""
    accompany analyze announce ask associate base believe challenge claim clarify communicate concentrate
    confirm consider contain contemplate convey defend define describe detect determine direct discern discuss
    emphasize engage evaluate explain express feature forget guess hear highlight identify imagine imply include
    indicate infer inform interpret investigate involve judge lead link listen mean memorize mention note notice
    observe perceive plan portray present protect react realise realize recall receive recognize record reflect
    regard relate remember remind represent request respond reveal say see show signify speak speculate state
    strengthen study suggest support talk tell test think understand watch witness
""")
_DOING = _verb_forms("""
    accomplish act affect answer appear approach ask attract avoid begin belong break bring call carry cast
    change chat clear close come control cover create cross cut decide depend deserve distance drive drop effect
    emphasise end escape exist expect experience express face feel fix flow focus follow form gain gather gaze
    gesture get give go greet grip ground happen have help hold ignore improve increase influence intensify
    interact join jump keep lean learn leave let lie lift like link live look lose lower maintain make match
    miss move need nod offer open order part participate pass pause pay perform place play point prepare press
    pretend produce progress provide pull pursue push put raise rely remain remove repeat resolve rest retire
    return run rush save search separate set shake share sit sleep spare spend stand start stick stop take tap
    target throw tilt touch treat trigger try turn use value view wait walk want wave wear win wind wish work
""")
_NOUNS = words_of("""
    account activities activity advice analysis animation art artist artists attachment attention attitude
    background bar bars behavior behaviour benefit benefits bit body boss boundaries brightness brother brothers
    business center centre character characters claim clue clues collection color colors colour comic comics
    communication companies company concentration condition consideration corner court creativity crisis current
    debate decision decisions declaration description detail details difficulties difficulty direction director
    dominance drama driver drivers ear edge effort emergency emotion emotional emotionally emotions emphasis
    engagement environment evaluation evaluations event evil example exception existence experience experiences
    expert experts explanation expression expressions eye eyes face faces facial fact father feature feeling
    feelings figure flag flags force friend friends genius gentleman ground hand head health heat hero heroes
    home homes human humanity humans illness image importance impression industry influence information injuries
    injury inquiry insight interaction introspection investigation invitation involvement judge kid kids
    knowledge lack lady light lights link links lips logic loss luck man master meaning member members
    membership memories memory message mind minds minor minority mistake mistakes monster mood moods mother
    mouth movement movements music neighbor neighbors nose number nurse object objective observation
    observations opening opinion opponent opponents order originality part participation party pause people
    person personality personally persons place player players plays point position potential power presence
    principle process professional proper quality question questions recognition recommendation reflection
    relationship representation representative resolution response responsibility role root scene security self
    sentence sentiment separation setback setting sex shield side silence sister sisters skill skills sleep
    society sound spirit sport sports spot star statement statements stimulation strength student students
    subtitle success suggestion suggestions sun sup supporter supporters talent tax taxes territory thing
    thought thoughts time tone treasure use usefulness value video viewpoint voice wear weight whole wind woman
    word words work
""")
_QUALITIES = words_of("""
    able accepted alive animated available aware back beautiful best better bound bright brilliant careful
    carefully casual certain certainly chief clear clearly closed closely closer colorful colourful common
    complete completely complex conversational current difficult directed directly distant distorted dramatic
    dry dynamic easier easily easy effective effectively empty essential essentially evident exaggerated
    excellent exclusive experienced expert extreme extremely fair fairly false familiar far fast final fine firm
    fixed focused formal frankly frequent front full further general genuine genuinely given gone good great
    harsh heated heavily here honestly important inability incredibly independent inexperienced informative
    informed intense intensely intensified intimate involved just less likely living long longer loose lost
    lower lowered luckily main major meaningful mildly minded monotonous moving natural naturally negative new
    nice normal normally noticeable observed obvious odd official old open opening ordinary original originally
    own personal personally physical popular positive possible potentially powerful practical practically
    present presented previous private professional proper purposely quick quickly quiet quietly rather ready
    real realistic reasonable reasonably related relevant remote remotely representative resting rich right safe
    safely seen separate sharp sharper significant significantly slight slightly slow small smart social soft
    softer softly special stable steady straight strangely strong stronger strongly sudden suddenly sure surely
    surprisingly tight tightly together true unable unclear uncontrollable understood unfocused unlikely unusual
    upright usual usually valuable vibrant whatever wide wise worth would
""")
_LITTLE_WORDS = words_of("""
    actively against as attentively be by drove engaging felt for forcefully gave gone heard hopefully in
    including it lacked lacking lacks left like likes long low lying made might more most no not of off on open
    or out over please regarding regardless saw seeing seriously so steam stresses that the this to too took up
    well went what will with wore
""")

_PHRASES = frozenset(
    phrase.replace('_', ' ')
    for phrase in words_of("""
    at_home break_down breaking_down emotional_expression emotional_expressions emotional_fluctuations
    emotional_outburst emotional_reactions emotional_state expressing_feelings fast_paced finger_pointing
    good_time head_shaking intense_emotion intense_emotions look_down look_up looked_down looked_up looking_down
    looking_up looks_down looks_up paying_attention raised_eyebrows show_up shows_up strong_emotion
    strong_emotions turned_on
""")
)
_SIGNS = _verb_forms("""
    cry frown laugh scream shout sigh smile sob stutter tear tremble twitch yell
""") | words_of('laughter tearful teary fidgeting')

IN_STATE_ONLY = words_of("""
    absent active alone bad bitter blue cold comfortable content cool dead down free hard heavy high hot hurt
    kind light lost mean moved negative neutral patient pleasant poor positive powerful safe sick small sore
    still torn touched uncomfortable understanding unpleasant warm weak wrong
""")
_FEELINGS = frozenset({'determined'})
"""Words of the lists above that name an emotion in most descriptions."""
EVERYDAY = (
    (_SAYING_AND_SEEING | _DOING | _NOUNS | _QUALITIES | _LITTLE_WORDS | _PHRASES | _SIGNS) - IN_STATE_ONLY - _FEELINGS
)

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
