"""What a run has to say: a table, the differences, and on demand a record of every answer."""

import difflib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .corpus import Case
from .differences import Wanted
from .run import Exchange, Verdict

_TOKEN_SHOWN = 12


class Progress:
    """A bar on a terminal; nothing elsewhere."""

    def __init__(self, total: int):
        self._total = total
        self._done = 0
        self._shown = sys.stderr.isatty()

    def advance(self, file: str, steps: int) -> None:
        """Tells that so many more requests were compared."""
        self._done += steps
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


class Report:
    """Collects the verdicts of all files."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, int, int, int, int]] = []
        self._problems: list[str] = []

    def add(self, file: str, results: list[tuple[Case, list[Verdict]]]) -> None:
        """Takes in one file's results."""
        verdicts = [verdict for _, of_case in results for verdict in of_case]
        differing = sum(bool(verdict.differing) for verdict in verdicts)
        wanted = sum(bool(verdict.wanted and not verdict.differing) for verdict in verdicts)
        equal = len(verdicts) - differing - wanted
        self._rows.append((file, len(verdicts), equal, wanted, differing))
        for case, of_case in results:
            for number, verdict in enumerate(of_case, 1):
                self._problems.extend(_problem(file, case, number, verdict))

    def add_idle(self, wanted: list[Wanted]) -> None:
        """Takes in the wanted differences after the run: those that did not occur are a fault."""
        for entry in wanted:
            if idle := entry.idle():
                self._problems.append(
                    f"{entry.file}: {entry.case}: {entry.request}\n"
                    f"  listed in differences.yaml, but no longer differs in {', '.join(idle)}"
                )

    @property
    def clean(self) -> bool:
        """Whether nothing differs but what is wanted."""
        return not self._problems

    def lines(self) -> Iterator[str]:
        """The differences, then the table."""
        for problem in self._problems:
            yield problem
            yield ""
        titles = ("file", "requests", "equal", "wanted", "different")
        total = ("all", *(sum(row[column] for row in self._rows) for column in range(1, 5)))
        width = max(len(row[0]) for row in [*self._rows, titles])
        for row in (titles, *self._rows, total):
            yield row[0].ljust(width) + "".join(str(cell).rjust(11) for cell in row[1:])


def record(path: Path, results: list[tuple[Case, list[Verdict]]]) -> None:
    """Writes a file's requests and the oracle's answers as they were, as text to read."""
    with open(path, "w", encoding="utf-8") as file:
        for case, verdicts in results:
            file.write(f"{'=' * 100}\n{case.name}\n")
            for verdict in verdicts:
                file.write(f"{'-' * 100}\n# {verdict.step.request}\n{_transcript(verdict.oracle)}")


def _transcript(exchange: Exchange) -> str:
    request, answer = exchange.request, exchange.answer
    lines = [f"{request.method} {request.path}"]
    lines += [f"{name}: {_shorten(value)}" for name, value in request.headers.items()]
    if request.body is not None:
        text = request.body.decode("utf-8", "replace")
        lines.append(text if len(text) < 5000 else f"{text[:200]}... ({len(text)} characters)")
    lines.append(f"=> {answer.status or 'connection closed without an answer'}")
    lines += [f"{name}: {_shorten(value)}" for name, value in answer.headers]
    if answer.text:
        lines += ["", answer.text.removesuffix("\n")]
        if answer.text.endswith("\n"):
            lines.append("(ends with a newline)")
    return "\n".join(lines) + "\n"


def _shorten(value: str) -> str:
    return f"{value[:_TOKEN_SHOWN]}..." if value.startswith("gAAAA") else value


def _problem(file: str, case: Case, number: int, verdict: Verdict) -> Iterator[str]:
    where = f"{file}: {case.name}: step {number}\n  {verdict.step.request}"
    expected, status = verdict.step.status, verdict.oracle.answer.status
    if expected is not None and expected != status:
        yield f"{where}\n  the corpus expects {expected}, the oracle answers {status}:\n" + (
            f"    {verdict.oracle.answer.text[:500]}"
        )
    if verdict.differing:
        parts = [
            _difference(aspect, *values).replace("\n", "\n  ")
            for aspect, values in verdict.differing.items()
        ]
        yield where + "\n  " + "\n  ".join(parts)


def _difference(aspect: str, oracle: Any, subject: Any) -> str:
    if isinstance(oracle, str | int | bool) and isinstance(subject, str | int | bool):
        return f"{aspect}: {oracle} | {subject}"
    changes = difflib.unified_diff(_written(oracle), _written(subject), lineterm="", n=1)
    body = [line for line in changes if not line.startswith(("---", "+++", "@@"))]
    return "\n".join([f"{aspect}: (- oracle, + subject)", *(f"  {line}" for line in body)])


def _written(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.splitlines()
    return json.dumps(value, indent=1, ensure_ascii=False).splitlines()
