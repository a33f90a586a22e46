"""Language models behind one interface, and what is read out of descriptions with or without one.

In come messages (text, pictures, sound) or a table of descriptions; out go answers, each asked for once and kept, or a
table of labels. Nothing here needs a language model: `LexiconExtractor` reads labels by a list of words. Read `chat.py`
first, then `endpoint.py` (a server), `local.py` (a model in this process; `gguf_models.py` makes its file quick to
open), `replay.py` (the memory of answers) and `extraction.py` (descriptions to labels).
"""

from affekt.llm.chat import Chat, Reply, Request
from affekt.llm.clips import ClipLimits, Part, clip_parts
from affekt.llm.descriptions import DESCRIPTION_COLUMNS, extract, read_descriptions
from affekt.llm.endpoint import Endpoint
from affekt.llm.extraction import Extraction, LabelExtractor, LanguageModelExtractor, LexiconExtractor
from affekt.llm.gguf_models import UnknownModelError, opened_gguf
from affekt.llm.local import LocalModel
from affekt.llm.opening import OpenedModel, opened_network, unopened
from affekt.llm.replay import NobodyToAsk, RememberingChat, ReplayCache
from affekt.llm.workers import in_order

__all__ = [
    'DESCRIPTION_COLUMNS',
    'Chat',
    'ClipLimits',
    'Endpoint',
    'Extraction',
    'LabelExtractor',
    'LanguageModelExtractor',
    'LexiconExtractor',
    'LocalModel',
    'NobodyToAsk',
    'OpenedModel',
    'Part',
    'RememberingChat',
    'ReplayCache',
    'Reply',
    'Request',
    'UnknownModelError',
    'clip_parts',
    'extract',
    'in_order',
    'opened_gguf',
    'opened_network',
    'read_descriptions',
    'unopened',
]
