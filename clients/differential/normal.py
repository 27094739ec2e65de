"""Answers with ids, times and addresses replaced by what they stand for.

Two servers that behave alike then give equal text. An id becomes the fact or saved name it is
known by, else a number in the order of first appearance; a time near now becomes its distance from
now and its textual form; any other time is data and stays. Lists whose order has no meaning are
sorted.
"""

import datetime
import json
import re
import urllib.parse
from collections.abc import Sequence
from typing import Any

from .exchange import Answer

_ID = re.compile(
    r"(?<![0-9A-Za-z_-])("
    r"gAAAA[0-9A-Za-z_-]{90,}={0,2}"  # a Fernet token, or a receipt
    r"|[0-9A-Za-z_-]{86}(?![0-9A-Za-z_-])"  # a generated secret
    r"|[0-9a-f]{64}|[0-9a-f]{32}"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r")(?![0-9A-Za-z_-])"
)
_AUDIT_ID = re.compile(r"[0-9A-Za-z_-]{22}")
_AUDIT_ID_FIELDS = {"audit_id", "audit_chain_id"}
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?")
_REQUEST_ID = re.compile(r"req-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

_NEAR = datetime.timedelta(days=2)
_ROUND_MINUTES = 10

# Headers of the transport, not of the service.
_TRANSPORT = {"connection", "date", "keep-alive", "server", "transfer-encoding"}
_UNORDERED_TEXTS = {"methods", "tags"}
_UNORDERED_HEADERS = {"allow"}


Aspects = dict[str, Any]
"""An answer reduced to what must be equal: status, body, form of the body, and each header."""


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal as JSON has it, which tells 1, 1.0 and true apart."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


class Normaliser:
    """Knows the ids of one server; one per file, for ids live as long as the file."""

    def __init__(
        self, base: str, addresses: set[str], facts: dict[str, Any], now: datetime.datetime | None = None
    ):
        """`base` is where we ask the server, `addresses` is where it says it is, `now` is in UTC and
        without a zone.
        """
        self._base = base
        self._addresses = [address for address in addresses if address != base]
        self._host = urllib.parse.urlsplit(base).netloc
        self._names: dict[str, str] = {}
        self._now = now or datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        for name, value in facts.items():
            if isinstance(value, str) and _ID.fullmatch(value):
                self._names.setdefault(value, f"<{name}>")

    def learn(self, value: Any) -> None:
        """Gives the ids in a request's text their names before they are answered."""
        self._text(value)

    def answer(self, answer: Answer, mask: list[str], ignore: Sequence[str] = ()) -> Aspects:
        """The answer's aspects, without the values that the JSON pointers name: `mask` still says
        that they are there, `ignore` does not.
        """
        aspects: Aspects = {"status": answer.status}
        document = answer.json()
        for name, value in answer.headers:
            name = name.lower()
            if name not in _TRANSPORT:
                value = self._header(name, value, answer.text)
                before = aspects.get(f"header {name}")
                aspects[f"header {name}"] = f"{before} and {value}" if before else value
        if document is None:
            aspects["body"] = self._text(answer.text)
        else:
            for pointer in mask:
                _replace(document, pointer.split("/")[1:], "<masked>")
            for pointer in ignore:
                _replace(document, pointer.split("/")[1:], None)
            aspects["body"] = self._value(document)
            aspects["form"] = _form(answer.text)
        return aspects

    def _header(self, name: str, value: str, text: str) -> str:
        if name == "content-length":
            # Lengths differ with the length of the address; it is enough that they are true.
            return "of the body" if int(value) == len(text.encode()) else "present"
        if name == "x-openstack-request-id":
            return "<request id>" if _REQUEST_ID.fullmatch(value) else value
        if name == "x-subject-token":
            # A token's length tells its kind, so that a payload of another shape is noticed.
            return f"{self._text(value)}, {len(value)} characters"
        if name in _UNORDERED_HEADERS:
            value = ", ".join(sorted(part.strip() for part in value.split(",")))
        return self._text(value)

    def _value(self, value: Any, key: str = "") -> Any:
        match value:
            case str() if key in _AUDIT_ID_FIELDS:
                return self._number(value, _AUDIT_ID)
            case str():
                return self._text(value)
            case dict():
                return {
                    self._text(name): self._value(value[name], name)
                    for name in sorted(value, key=lambda name: _rank(name, value[name]))
                }
            case list() if key == "audit_ids":
                return [self._number(item, _AUDIT_ID) for item in value]
            case list() if key == "required_auth_methods":
                # Each is a set to the reference, and comes in any order.
                return [sorted(methods) for methods in value]
            case list():
                # Sorted by what is known of them; only then do unknown ids get their numbers.
                if key in _UNORDERED_TEXTS or any(isinstance(item, dict) for item in value):
                    value = sorted(value, key=self._known)
                return [self._value(item) for item in value]
        return value

    def _known(self, value: Any) -> str:
        match value:
            case dict():
                items = [
                    f"{name}: {self._names.get(value[name], '<id>') if name in _AUDIT_ID_FIELDS else self._known(value[name])}"
                    for name in sorted(value)
                ]
                return "{" + ", ".join(items) + "}"
            case list():
                items = [self._known(item) for item in value]
                if any(isinstance(item, dict) for item in value):
                    items.sort()
                return "[" + ", ".join(items) + "]"
        text = _ID.sub(lambda match: self._names.get(match[0], "<id>"), json.dumps(value))
        return self._time(self._place(text))

    def _text(self, text: str) -> str:
        text = _ID.sub(lambda match: self._number(match[0], _ID), text)
        return self._time(self._place(text))

    def _number(self, value: Any, pattern: re.Pattern[str]) -> Any:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            return value
        return self._names.setdefault(value, f"<id {len(self._names)}>")

    def _place(self, text: str) -> str:
        for address in self._addresses:
            text = text.replace(address, self._base)
        return text.replace(self._host, "<host>")

    def _time(self, text: str) -> str:
        return _TIME.sub(self._when, text)

    def _when(self, match: re.Match[str]) -> str:
        try:
            away = datetime.datetime.fromisoformat(match[1]) - self._now
        except ValueError:
            return match[0]
        if abs(away) > _NEAR:
            return match[0]
        minutes = round(away.total_seconds() / 60 / _ROUND_MINUTES) * _ROUND_MINUTES
        fraction = match[2] or ""
        if fraction.strip(".0"):
            fraction = "." + "f" * (len(fraction) - 1)
        return f"<now {minutes:+} min {fraction}{match[3] or ''}>"


def _rank(name: str, value: Any) -> tuple[bool, bool, str]:
    """Numbers are given to an object's own id first, and to its lists last."""
    return (isinstance(value, (dict, list)), name != "id", name)


def _replace(value: Any, path: list[str], by: str | None) -> None:
    """Puts a text where a JSON pointer leads; without one, takes away what is there."""
    head, rest = path[0], path[1:]
    if isinstance(value, list):
        keys = range(len(value)) if head == "*" else [int(head)] if int(head) < len(value) else []
    elif isinstance(value, dict):
        keys = list(value) if head == "*" else [head] if head in value else []
    else:
        return
    for key in keys:
        if rest:
            _replace(value[key], rest, by)
        elif by is None:
            del value[key]
        else:
            value[key] = by


def _form(text: str) -> str:
    """How the JSON is written: separators, escapes, order of keys, and the last newline."""
    document = json.loads(text)
    end = "newline at the end" if text.endswith("\n") else "no newline at the end"
    for separators, spacing in (((", ", ": "), "spaced"), ((",", ":"), "compact")):
        for escaped in (True, False):
            written = json.dumps(document, separators=separators, ensure_ascii=escaped)
            if written == text.removesuffix("\n"):
                words = [spacing if json.dumps(document) != _compact(document) else "either"]
                if not text.isascii() or "\\u" in text:
                    words.append("escaped" if escaped else "not escaped")
                if isinstance(document, dict) and "error" in document:
                    in_order = json.dumps(document, sort_keys=True) == json.dumps(document)
                    words.append("sorted" if in_order else "unsorted")
                return ", ".join([*words, end])
    return "irregular"


def _compact(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"))
