"""The wanted differences: where Archstone answers otherwise than Keystone on purpose.

An entry of `differences.yaml` says what differs, why, and at which requests:

    - reason: To tell an unknown client from a wrong secret is to help who guesses.
      status: [404, 401]                        # the oracle's value, and the subject's
      header www-authenticate: [<absent>, 'Keystone uri="http://<host>/v3"']
      any: [body]                               # aspects that then may have any value
      requests:                                 # file: case: request; `*` matches anything
        - "oauth2: requests that are refused: nobody POST /v3/OS-OAUTH2/token"

It excuses exactly these aspects, where all the stated values occur together. A request of the list
at which nothing was excused fails the run, which keeps the list true.
"""

import fnmatch
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .corpus import Case, Step

PATH = Path(__file__).parent / "differences.yaml"


@dataclass
class Wanted:
    """An entry of the list, at one of its requests."""

    reason: str
    where: str
    """The pattern as it is listed."""
    values: dict[str, tuple[Any, Any]]
    """Aspect to the normalised values: the oracle's and the subject's."""
    any: list[str]
    occurred: bool = False

    @property
    def file(self) -> str:
        """The file of the corpus that has the request."""
        return self.where.partition(": ")[0]

    def excuse(
        self, file: str, case: Case, step: Step, differing: dict[str, tuple[Any, Any]]
    ) -> set[str]:
        """The aspects that are excused among those that differ."""
        if not fnmatch.fnmatchcase(f"{file}: {case.name}: {step.request}", self.where):
            return set()
        if any(differing.get(aspect) != values for aspect, values in self.values.items()):
            return set()
        self.occurred = True
        return self.values.keys() | (differing.keys() & set(self.any))


def load() -> list[Wanted]:
    """The wanted differences."""
    with open(PATH, encoding="utf-8") as file:
        entries = yaml.safe_load(file) or []
    wanted = []
    for entry in entries:
        reason, requests = entry.pop("reason"), entry.pop("requests")
        free = entry.pop("any", [])
        values = {aspect: (oracle, subject) for aspect, (oracle, subject) in entry.items()}
        wanted += [Wanted(reason, where, values, free) for where in requests]
    return wanted
