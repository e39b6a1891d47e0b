"""Whether what answers at an address is PostgreSQL, asked before it knows anybody."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import Final

from hpo.waiting import Deadline

PORT: Final = 5432
# SSLRequest (Message Formats in PostgreSQL's manual): the length of the message, then its code.
_SSL_REQUEST: Final = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


def greets_as_postgres(host: str, port: int, seconds: float) -> bool:
    """Whether a server answers to PostgreSQL's first question as that does: with one letter, S or N.

    Raises:
        OSError: Nothing answers in time.
    """
    deadline = Deadline(seconds)
    with closing(socket.create_connection((host, port), seconds)) as connection:
        connection.settimeout(max(deadline.seconds_left, 0.1))
        connection.sendall(_SSL_REQUEST)
        answer = connection.recv(64)
    if not answer:
        raise ConnectionError("the connection was closed without an answer")
    # E: an error, as a server has it that cannot start anything for now.
    return answer in (b"S", b"N") or answer.startswith(b"E")
