"""One request and its answer, over a connection that stays open."""

import http.client
import json
import select
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

_TIMEOUT_SECONDS = 60
_GRACE_SECONDS = 0.2


@dataclass(frozen=True)
class Answer:
    """What a server answered. Status 0: it closed the connection without a word."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    text: str = ""

    def header(self, name: str) -> str | None:
        """The value of a header, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """The body as JSON, or `None` when it is not."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None


class Server:
    """One of the two servers, spoken to as a client that sends exactly what it is told to."""

    def __init__(self, base: str):
        """`base`: scheme, host and port, without a path."""
        self.base = base.rstrip("/")
        self._url = urllib.parse.urlsplit(self.base)
        self._connection: http.client.HTTPConnection | None = None
        self._keeps_alive: bool | None = None

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        """Sends one request. The path goes out as it stands, neither merged nor quoted."""
        if self._connection is not None and self._closed_within(0):
            self._close()
        connection = self._open()
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        except (http.client.HTTPException, OSError):
            self._close()
            return Answer(0)
        if self._keeps_alive is None:
            # Some servers close a connection without having said so.
            self._keeps_alive = not response.will_close and not self._closed_within(_GRACE_SECONDS)
        # Who refuses a body unread may leave the rest of it in the way of the next request.
        unread = response.status == http.client.REQUEST_ENTITY_TOO_LARGE
        if response.will_close or unread or not self._keeps_alive:
            self._close()
        return Answer(response.status, response.getheaders(), text)

    def _closed_within(self, seconds: float) -> bool:
        # An idle connection has nothing to say, except that it was closed.
        return bool(select.select([self._connection.sock], [], [], seconds)[0])

    def _open(self) -> http.client.HTTPConnection:
        if self._connection is None:
            secure = self._url.scheme == "https"
            kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
            self._connection = kind(self._url.netloc, timeout=_TIMEOUT_SECONDS)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
