"""Runs cases on both servers, side by side, and compares the answers."""

import concurrent.futures
import json
import re
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .corpus import Case, Step
from .differences import Wanted
from .exchange import Answer, Server
from .normal import Aspects, Normaliser, same
from .world import World

_REFERENCE = re.compile(r"\$\{([^}]+)\}")
_ABSENT = "<absent>"


@dataclass(frozen=True)
class Request:
    """A step as it went out to one server."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None


@dataclass(frozen=True)
class Exchange:
    """One step on one server."""

    request: Request
    answer: Answer
    aspects: Aspects


@dataclass
class Verdict:
    """One step on both servers."""

    step: Step
    oracle: Exchange
    subject: Exchange
    differing: dict[str, tuple[Any, Any]]
    """Aspects that differ and are not wanted: the oracle's value and the subject's."""
    wanted: list[Wanted] = field(default_factory=list)


class Side:
    """One server during one file: its facts, what was saved, and the names of its ids."""

    def __init__(self, world: World):
        self._server = world.server
        self._facts = world.facts
        self._normaliser = Normaliser(world.server.base, world.addresses, world.facts)

    def play(self, case: Case) -> list[Exchange]:
        """Asks every step of a case, in order."""
        saved: dict[str, Any] = {}
        return [self._ask(step, saved) for step in case.steps]

    def _ask(self, step: Step, saved: dict[str, Any]) -> Exchange:
        if step.settle:
            time.sleep(1.05 - time.time() % 1)
        request = self._resolve(step, saved)
        self._normaliser.learn(request.path)
        for value in request.headers.values():
            self._normaliser.learn(value)
        if request.body is not None:
            self._normaliser.learn(request.body.decode("utf-8", "replace"))
        answer = self._server.send(request.method, request.path, request.headers, request.body)
        document = answer.json()
        for name, where in step.save.items():
            saved[name] = (
                _point(document, where) if where.startswith("/") else answer.header(where)
            )
        aspects = self._normaliser.answer(answer, step.mask, step.ignore)
        if step.ascending is not None:
            items = _point(document, step.ascending)
            ids = [_point(item, "/id") for item in items] if isinstance(items, list) else None
            aspects["ascending"] = ids is not None and ids == sorted(ids, key=str)
        return Exchange(request, answer, aspects)

    def _resolve(self, step: Step, saved: dict[str, Any]) -> Request:
        def resolve(value: Any) -> Any:
            match value:
                case str():
                    if whole := _REFERENCE.fullmatch(value):
                        return look_up(whole)
                    return _REFERENCE.sub(lambda match: str(look_up(match)), value)
                case dict():
                    return {resolve(key): resolve(item) for key, item in value.items()}
                case list():
                    return [resolve(item) for item in value]
            return value

        def look_up(match: re.Match[str]) -> Any:
            # What a server failed to answer is asked for all the same: its own reply says more
            # than a run that stops.
            found = saved.get(match[1], self._facts.get(match[1]))
            return f"unknown-{match[1]}" if found is None else found

        headers: dict[str, str] = {}
        if step.persona != "nobody":
            headers["X-Auth-Token"] = self._facts[f"{step.persona}.token"]
        body = None
        if step.json is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(resolve(step.json)).encode()
        elif step.form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urllib.parse.urlencode(resolve(step.form)).encode()
        elif step.body is not None:
            headers["Content-Type"] = "application/json"
            body = resolve(step.body).encode()
        for name, value in step.headers.items():
            if value is None:
                headers.pop(name, None)
            else:
                headers[name] = resolve(value)
        return Request(step.method, resolve(step.path), headers, body)


def run(
    file: str,
    cases: list[Case],
    worlds: tuple[World, World],
    wanted: list[Wanted],
    progress: Callable[[int], None],
) -> list[tuple[Case, list[Verdict]]]:
    """Plays a file's cases on the oracle's world and the subject's; `progress` is told of steps."""
    sides = [Side(world) for world in worlds]
    results = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for case in cases:
            oracle, subject = pool.map(lambda side: side.play(case), sides)
            verdicts = [
                _judge(file, case, step, *pair, wanted)
                for step, *pair in zip(case.steps, oracle, subject, strict=True)
            ]
            results.append((case, verdicts))
            progress(len(case.steps))
    return results


def _judge(
    file: str, case: Case, step: Step, oracle: Exchange, subject: Exchange, wanted: list[Wanted]
) -> Verdict:
    theirs, ours = oracle.aspects, subject.aspects
    # An oracle that fell over says nothing to compare with but that it did.
    compared = ["status"] if oracle.answer.status == 0 else list(theirs | ours)
    differing = {
        aspect: (theirs.get(aspect, _ABSENT), ours.get(aspect, _ABSENT))
        for aspect in compared
        if not same(theirs.get(aspect, _ABSENT), ours.get(aspect, _ABSENT))
    }
    verdict = Verdict(step, oracle, subject, differing)
    for entry in wanted:
        if excused := entry.excuse(file, case, step, verdict.differing):
            verdict.wanted.append(entry)
            for aspect in excused:
                del verdict.differing[aspect]
    return verdict


def _point(document: Any, pointer: str) -> Any:
    """The value at a JSON pointer (RFC 6901), or `None`."""
    for part in pointer.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        try:
            document = document[int(part)] if isinstance(document, list) else document[part]
        except (IndexError, KeyError, TypeError, ValueError):
            return None
    return document
