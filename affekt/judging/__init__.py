"""Models and people as judges of two descriptions of one clip.

Descriptions and a judge come in (`Judge`: a language model, a trained model, recorded verdicts, simple references);
each pair is judged in both orders, and verdicts that `affekt rank` reads come out, with wins, position bias, cost and
agreement with people. Read `judge.py` first, then `strategies.py` and `report.py`; `files.py` reads and writes files.
"""

from affekt.judging.agreement import Agreement, agreement_with_people, reference_agreements
from affekt.judging.answers import official_verdict, read_verdict
from affekt.judging.described import Described, read_described
from affekt.judging.files import judge_descriptions
from affekt.judging.judge import Answer, Judge, Judgement, Judgements, Verdict, judge_pairs
from affekt.judging.language_judge import LanguageModelJudge
from affekt.judging.plain_judges import (
    AlwaysLeft,
    Coin,
    FirstShown,
    LongerText,
    PairPredictor,
    PreferenceJudge,
    RecordedJudge,
    reference_judge,
)
from affekt.judging.report import JudgeReport, ModelUse, Price, report_on
from affekt.judging.strategies import Panel
from affekt.preference import DescribedPair

__all__ = [
    'Agreement',
    'AlwaysLeft',
    'Answer',
    'Coin',
    'Described',
    'DescribedPair',
    'FirstShown',
    'Judge',
    'JudgeReport',
    'Judgement',
    'Judgements',
    'LanguageModelJudge',
    'LongerText',
    'ModelUse',
    'PairPredictor',
    'Panel',
    'PreferenceJudge',
    'Price',
    'RecordedJudge',
    'Verdict',
    'agreement_with_people',
    'judge_descriptions',
    'judge_pairs',
    'official_verdict',
    'read_described',
    'read_verdict',
    'reference_agreements',
    'reference_judge',
    'report_on',
]
