"""Web server for the pages of affekt: access control, connection limits, and the app that they protect.

Routes and files of a page go in; `guarded_app` makes an app of them that refuses requests from other sites, with
unknown hosts or of unlimited size, and answers deliberate errors as JSON; `serve_until_stopped` runs it, `served` runs
it beside other work. `stream_page` shows a stream while it is analyzed. Read `app.py` first, then `guard.py`,
`server.py`, `connections.py` and `live_page.py`. Only serving needs FastAPI and uvicorn.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from affekt.moved_names import moved
from affekt.serve.guard import App, Guard, Tokens
from affekt.serve.server import (
    LOOPBACK,
    hosts_of,
    listen,
    name_of,
    require_serving_parts,
    serve_until_stopped,
    served,
    write_private,
)

if TYPE_CHECKING:
    from affekt.serve.app import StaticFile, StrictBody, guarded_app, needs, static_files
    from affekt.serve.connections import PatientProtocol
    from affekt.serve.live_page import LiveFeed, stream_page
else:
    _NEED_THE_EXTRA = {
        'PatientProtocol': 'affekt.serve.connections',
        **dict.fromkeys(('LiveFeed', 'stream_page'), 'affekt.serve.live_page'),
        **dict.fromkeys(('StaticFile', 'StrictBody', 'guarded_app', 'needs', 'static_files'), 'affekt.serve.app'),
    }

    def __getattr__(name: str) -> Any:
        if name in _NEED_THE_EXTRA:
            return getattr(import_module(_NEED_THE_EXTRA[name]), name)
        return moved(__name__)(name)


__all__ = [
    'LOOPBACK',
    'App',
    'Guard',
    'LiveFeed',
    'PatientProtocol',
    'StaticFile',
    'StrictBody',
    'Tokens',
    'guarded_app',
    'hosts_of',
    'listen',
    'name_of',
    'needs',
    'require_serving_parts',
    'serve_until_stopped',
    'served',
    'static_files',
    'stream_page',
    'write_private',
]
