"""One request and its answer, over a connection that stays open."""

import http.client
import json
import select
import time
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

_TIMEOUT_SECONDS = 60


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

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        """Sends one request. The path goes out as it stands, neither merged nor quoted."""
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
        except (http.client.HTTPException, ConnectionError):
            self.close()
            return Answer(0)
        # Who refuses a body unread may leave the rest of it in the way of the next request.
        if response.will_close or response.status == http.client.REQUEST_ENTITY_TOO_LARGE:
            self.close()
        return Answer(response.status, response.getheaders(), text)

    def wait_until_up(self, seconds: float) -> None:
        """Returns once the server answers; raises `TimeoutError` when it does not in time."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if self.send("GET", "/v3", {}, None).status == 200:
                    return
            except OSError:
                self.close()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.base} does not answer")
            time.sleep(0.1)

    def close(self) -> None:
        """Closes the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> http.client.HTTPConnection:
        # An idle connection has nothing to say, except that the server has closed it.
        if self._connection is not None and self._connection.sock is not None:
            if select.select([self._connection.sock], [], [], 0)[0]:
                self.close()
        if self._connection is None:
            kind = (
                http.client.HTTPSConnection
                if self._url.scheme == "https"
                else http.client.HTTPConnection
            )
            self._connection = kind(self._url.netloc, timeout=_TIMEOUT_SECONDS)
        return self._connection
