"""What a run has to say: a table, the differences, and on demand a record of every answer."""

import difflib
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .corpus import Case
from .run import Exchange, Verdict

_TOKEN_SHOWN = 12
_BODY_SHOWN = 5000


class Progress:
    """A bar on a terminal; nothing elsewhere."""

    def __init__(self, total: int):
        self._total = total
        self._done = 0
        self._shown = sys.stderr.isatty()

    def advance(self, file: str, requests: int) -> None:
        """Tells that so many more requests were compared."""
        self._done += requests
        if self._shown:
            width = max(10, min(40, shutil.get_terminal_size().columns - 40))
            filled = width * self._done // self._total
            bar = "█" * filled + "·" * (width - filled)
            sys.stderr.write(f"\r\x1b[K{bar} {self._done}/{self._total} {file}")
            sys.stderr.flush()

    def close(self) -> None:
        """Removes the bar."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")


@dataclass(frozen=True)
class Result:
    """What came of one file of the corpus."""

    file: str
    played: list[tuple[Case, list[Verdict]]]

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Requests: all, equal, different as wanted, and different."""
        verdicts = [verdict for _, of_case in self.played for verdict in of_case]
        different = sum(bool(verdict.differing) for verdict in verdicts)
        wanted = sum(bool(verdict.wanted and not verdict.differing) for verdict in verdicts)
        return len(verdicts), len(verdicts) - wanted - different, wanted, different

    def problems(self) -> list[str]:
        """The differences, each with its case and request."""
        return [
            problem
            for case, verdicts in self.played
            for number, verdict in enumerate(verdicts, 1)
            for problem in _problems(self.file, case, number, verdict)
        ]

    def record(self, folder: Path) -> None:
        """Writes the requests and the oracle's answers as they were, as text to read."""
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / f"{self.file}.txt", "w", encoding="utf-8") as file:
            for case, verdicts in self.played:
                file.write(f"{'=' * 100}\n{case.name}\n")
                for verdict in verdicts:
                    file.write(f"{'-' * 100}\n# {verdict.step.request}\n{_transcript(verdict.oracle)}")


def table(results: list[Result]) -> Iterator[str]:
    """One line for each file, and one for all."""
    titles = ("file", "requests", "equal", "wanted", "different")
    rows = [(result.file, *result.counts) for result in results]
    total = ("all", *(sum(column) for column in zip(*(row[1:] for row in rows), strict=True)))
    width = max(len(row[0]) for row in [*rows, titles])
    for name, *numbers in (titles, *rows, total):
        yield name.ljust(width) + "".join(str(number).rjust(11) for number in numbers)


def _transcript(exchange: Exchange) -> str:
    request, answer = exchange.request, exchange.answer
    lines = [f"{request.method} {request.path}"]
    lines += [f"{name}: {_shorten(value)}" for name, value in request.headers.items()]
    if request.body is not None:
        text = request.body.decode("utf-8", "replace")
        lines.append(text if len(text) < _BODY_SHOWN else f"{text[:200]}... ({len(text)} characters)")
    lines.append(f"=> {answer.status or 'connection closed without an answer'}")
    lines += [f"{name}: {_shorten(value)}" for name, value in answer.headers]
    if answer.text:
        lines += ["", answer.text.removesuffix("\n")]
        if answer.text.endswith("\n"):
            lines.append("(ends with a newline)")
    return "\n".join(lines) + "\n"


def _shorten(value: str) -> str:
    return f"{value[:_TOKEN_SHOWN]}..." if value.startswith("gAAAA") else value


def _problems(file: str, case: Case, number: int, verdict: Verdict) -> Iterator[str]:
    where = f"{file}: {case.name}: step {number}\n  {verdict.step.request}"
    expected, answer = verdict.step.status, verdict.oracle.answer
    if expected is not None and expected != answer.status:
        yield (
            f"{where}\n  the corpus expects {expected} of the oracle, which answers {answer.status}:"
            f"\n    {answer.text[:500]}"
        )
    if verdict.differing:
        parts = [
            _difference(aspect, *values).replace("\n", "\n  ")
            for aspect, values in verdict.differing.items()
        ]
        yield "\n  ".join([where, *parts])


def _difference(aspect: str, oracle: Any, subject: Any) -> str:
    if isinstance(oracle, str | int) and isinstance(subject, str | int):
        return f"{aspect}: {oracle} | {subject}"
    changes = difflib.unified_diff(_written(oracle), _written(subject), lineterm="", n=1)
    body = [line for line in changes if not line.startswith(("---", "+++", "@@"))]
    return "\n".join([f"{aspect}: (- oracle, + subject)", *(f"  {line}" for line in body)])


def _written(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.splitlines()
    return json.dumps(value, indent=1, ensure_ascii=False).splitlines()
