"""Where the page listens, and how it is reached there."""

from __future__ import annotations

import errno
import ipaddress
import socket

from hcga.errors import InputError

LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]


def listen(host: str, port: int) -> socket.socket:
    """Listen at a host's first address, rather one of the old kind (IPv4) than of the new.

    Parameters
    ----------
    host : str
        A name or an address of this machine.
    port : int
        0 takes a free one.

    Raises
    ------
    InputError
        There is no such host, it is not this machine, or the port is taken.
    """
    try:
        family = min(found[0] for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        return socket.create_server((host, port), family=family)
    except (socket.gaierror, UnicodeError) as error:
        raise InputError(
            f"--host {host}: no such host ({error}); leave it out to listen to this machine only"
        ) from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"--port {port}: taken by another program; give another, or 0 for a free one") from None
        raise InputError(
            f"--host {host} --port {port}: cannot listen there ({error.strerror}); give an address of this machine and "
            "a port above 1023"
        ) from None


def address_of(listener: socket.socket, host: str) -> str:
    """The address to open in a browser on this machine."""
    name, port = listener.getsockname()[:2]
    shown = "localhost" if ipaddress.ip_address(name).is_unspecified else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/"


def is_private(listener: socket.socket) -> bool:
    """Whether this machine alone can reach it."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback
