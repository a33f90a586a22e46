"""Downloads of files: limited to the expected size, without a long wait for no network or a slow server."""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, InvalidURL
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from affekt.http_calls import Call, Calls

SLOW_S, FEWEST_BYTES = 60.0, 1 << 16
"""A server has this many seconds to begin its answer, and again for each so many bytes of it."""


def downloaded(address: str, out: Path, size: int, progress: Callable[[int, int], None] | None = None) -> None:
    """Download at most `size` bytes from an address into a file.

    Args:
        address: an http or https address.
        out: path of the file to write.
        size: expected size in bytes.
        progress: called with the bytes so far and the bytes expected.

    Raises:
        OSError, HTTPException: the download failed, is too slow, or has more bytes than expected.
    """
    require_reachable(address)
    done = timed = 0
    slow = f'its server sent fewer than {FEWEST_BYTES:,} bytes in {SLOW_S:g} s'
    with Call(Calls(), SLOW_S) as call:
        try:
            with response_to(call, address) as response, out.open('wb') as file:
                while piece := response.read1(1 << 18):
                    file.write(piece)
                    done += len(piece)
                    if done > size:
                        raise OSError(f'more than the expected {size} bytes came')
                    if done - timed >= FEWEST_BYTES:
                        call.extend(SLOW_S)
                        timed = done
                    if progress:
                        progress(done, size)
        except urllib.error.URLError as error:
            is_slow = call.is_late or isinstance(error.reason, TimeoutError)
            raise OSError(slow if is_slow else str(error.reason)) from error
        except (InvalidURL, UnicodeError) as error:  # whose message may hold a password from the address
            raise OSError('its address is not one that can be asked') from error
        except (OSError, HTTPException) as error:
            if call.is_late or isinstance(error, TimeoutError):
                raise OSError(slow) from error
            raise
    if call.is_late:
        raise OSError(slow)


def response_to(call: Call, address: str) -> Any:
    """The response from an address, which may redirect to others on the web.

    Raises:
        URLError, OSError, HTTPException: there is none.
    """
    return call.opener(_WebRedirects()).open(address)


class _WebRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects to http and https alone; the library would follow one to an FTP server."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in ('http', 'https'):
            raise urllib.error.URLError('it redirects to an address that is not http or https')
        return super().redirect_request(req, fp, code, msg, headers, newurl)


REACHED_S = 2.0
"""Longest time in seconds for a server to accept a connection, including the name look-up."""
_unreachable: set[str] = set()
"""Servers that this process could not reach."""


def require_reachable(address: str) -> None:
    """Check that the server accepts connections: without a network, each look-up alone may take ten seconds.

    Raises:
        OSError: it does not. Behind a proxy nothing is checked, as the proxy connects.
    """
    parts = urlsplit(address)
    host, port = parts.hostname or '', parts.port or (443 if parts.scheme == 'https' else 80)
    if urllib.request.getproxies().get(parts.scheme) and not urllib.request.proxy_bypass(host):
        return
    if host in _unreachable:
        raise OSError(f'{host} cannot be reached')
    reached = threading.Event()

    def reach() -> None:
        with (
            contextlib.suppress(OSError, UnicodeError),
            socket.create_connection((host, port), timeout=REACHED_S),
        ):
            reached.set()
        ended.set()

    ended = threading.Event()
    threading.Thread(target=reach, daemon=True, name='reach').start()
    ended.wait(REACHED_S)
    if not reached.is_set():
        _unreachable.add(host)
        raise OSError(f'{host} cannot be reached')
