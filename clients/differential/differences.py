"""The wanted differences: where Archstone answers otherwise than Keystone on purpose.

An entry of `differences.yaml` names requests and what Archstone answers to them:

    - reason: A limit that is not a number is the client's error, not ours.
      file: projects
      case: "*limit*"                # optional, `*` matches anything
      request: admin GET */projects* # optional, likewise
      status: 400                    # or `body`, `form`, `header NAME`: the aspect's value
      any: [body, form]              # aspects that then may have any value

It excuses exactly these aspects. An entry that excuses nothing in a run fails the run, which keeps
the list true.
"""

import fnmatch
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .corpus import Case, Step

PATH = Path(__file__).parent / "differences.yaml"


@dataclass
class Wanted:
    """One entry of the list."""

    reason: str
    file: str
    case: str
    request: str
    values: dict[str, Any]
    """Aspect to the subject's normalised value."""
    any: list[str]
    seen: set[str] = field(default_factory=set)
    """The aspects excused so far."""

    def concerns(self, file: str, case: Case, step: Step) -> bool:
        """Whether the entry speaks of this step."""
        return (
            file == self.file
            and fnmatch.fnmatchcase(case.name, self.case)
            and fnmatch.fnmatchcase(step.request, self.request)
        )

    def excuses(self, differing: dict[str, tuple[Any, Any]]) -> list[str]:
        """The aspects the entry excuses: none unless each value it states is the subject's."""
        stated = [
            aspect
            for aspect, value in self.values.items()
            if aspect in differing and differing[aspect][1] == value
        ]
        if not stated:
            return []
        excused = stated + [aspect for aspect in self.any if aspect in differing]
        self.seen.update(excused)
        return excused

    def idle(self) -> list[str]:
        """The stated aspects that no longer differ anywhere."""
        return [aspect for aspect in self.values if aspect not in self.seen]


def load(files: list[str]) -> list[Wanted]:
    """The wanted differences of these files of the corpus."""
    with open(PATH, encoding="utf-8") as file:
        entries = yaml.safe_load(file) or []
    return [
        Wanted(
            reason=entry.pop("reason"),
            file=entry.pop("file"),
            case=entry.pop("case", "*"),
            request=entry.pop("request", "*"),
            any=entry.pop("any", []),
            values=entry,
        )
        for entry in entries
        if entry["file"] in files
    ]
