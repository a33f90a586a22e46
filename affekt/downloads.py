"""Downloads of files, limited to the expected size; without a network or from a slow server they fail soon."""

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
"""A server has SLOW_S seconds to begin its response, and again for each FEWEST_BYTES bytes of it."""


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
    received = received_at_deadline = 0
    too_slow = f'its server sent fewer than {FEWEST_BYTES:,} bytes in {SLOW_S:g} s'
    with Call(Calls(), SLOW_S) as call:
        try:
            with response_to(call, address) as response, out.open('wb') as file:
                while block := response.read1(1 << 18):
                    file.write(block)
                    received += len(block)
                    if received > size:
                        raise OSError(f'more than the expected {size} bytes')
                    if received - received_at_deadline >= FEWEST_BYTES:
                        call.extend(SLOW_S)
                        received_at_deadline = received
                    if progress:
                        progress(received, size)
        except urllib.error.URLError as error:
            is_slow = call.is_late or isinstance(error.reason, TimeoutError)
            raise OSError(too_slow if is_slow else str(error.reason)) from error
        except (InvalidURL, UnicodeError) as error:  # whose message may hold a password from the address
            raise OSError('its address is invalid') from error
        except (OSError, HTTPException) as error:
            if call.is_late or isinstance(error, TimeoutError):
                raise OSError(too_slow) from error
            raise
    if call.is_late:
        raise OSError(too_slow)


def response_to(call: Call, address: str) -> Any:
    """The response from an address, which may redirect to others on the web.

    Raises:
        URLError, OSError, HTTPException: the server cannot be reached or reports an error, or redirects elsewhere.
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
    connected = threading.Event()

    def connect() -> None:
        with (
            contextlib.suppress(OSError, UnicodeError),
            socket.create_connection((host, port), timeout=REACHED_S),
        ):
            connected.set()
        ended.set()

    ended = threading.Event()
    threading.Thread(target=connect, daemon=True, name='reach').start()
    ended.wait(REACHED_S)
    if not connected.is_set():
        _unreachable.add(host)
        raise OSError(f'{host} cannot be reached')
