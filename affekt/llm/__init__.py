"""Language models behind one interface, and extraction of labels from descriptions.

The input is messages (text, images, audio, video) or a table of descriptions; the output is answers, each requested
once and stored, or a table of labels. A language model is optional: `LexiconExtractor` reads labels by a word table.
Read `chat.py` first, then `endpoint.py` (a server; `lasting.py`: whether it fails on media for good), `forms.py`
(media formats of each server), `probe.py` (whether media reach the model), `local.py` (a model in this process;
`gguf_models.py` converts its file to open fast), `replay.py` (the cache of answers) and `extraction.py` (descriptions
to labels).
"""

from affekt.llm.chat import Chat, Reply, Request
from affekt.llm.clips import LEFT_OUT_BY, ClipLimits, clip_parts, picture_part, sound_part
from affekt.llm.descriptions import DESCRIPTION_COLUMNS, extract, read_descriptions
from affekt.llm.endpoint import Endpoint
from affekt.llm.extraction import Extraction, LabelExtractor, LanguageModelExtractor, LexiconExtractor
from affekt.llm.forms import (
    DEFAULT_SERVER,
    MEDIA,
    SERVERS,
    MediaForm,
    Part,
    form_of,
    media_of,
    medium_of,
    parts_of,
    without_media,
)
from affekt.llm.gguf_models import UnknownModelError, opened_gguf
from affekt.llm.local import LocalModel
from affekt.llm.opening import OpenedModel, opened_network, unopened
from affekt.llm.probe import PROBES, ProbeResult, SoundUse, probe, require_answering, require_media, sound_use
from affekt.llm.quoting import quoted_object
from affekt.llm.replay import NobodyToAsk, RememberingChat, ReplayCache
from affekt.llm.workers import in_order

__all__ = [
    'DEFAULT_SERVER',
    'DESCRIPTION_COLUMNS',
    'LEFT_OUT_BY',
    'MEDIA',
    'PROBES',
    'SERVERS',
    'Chat',
    'ClipLimits',
    'Endpoint',
    'Extraction',
    'LabelExtractor',
    'LanguageModelExtractor',
    'LexiconExtractor',
    'LocalModel',
    'MediaForm',
    'NobodyToAsk',
    'OpenedModel',
    'Part',
    'ProbeResult',
    'RememberingChat',
    'ReplayCache',
    'Reply',
    'Request',
    'SoundUse',
    'UnknownModelError',
    'clip_parts',
    'extract',
    'form_of',
    'in_order',
    'media_of',
    'medium_of',
    'opened_gguf',
    'opened_network',
    'parts_of',
    'picture_part',
    'probe',
    'quoted_object',
    'read_descriptions',
    'require_answering',
    'require_media',
    'sound_part',
    'sound_use',
    'unopened',
    'without_media',
]
