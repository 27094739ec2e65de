"""The corpus: what is asked of both servers.

A file holds cases, a case holds steps, and a step is one request:

    - case: a project is created and found again
      steps:
        - admin POST /v3/projects -> 201:
            json: {project: {name: apollo}}
            save: {project: /project/id}
        - reader|stranger|nobody GET /v3/projects/${project} -> 403|403|401

The first word is the persona that asks (`world.py`); several, joined by `|`, ask one after the
other. `-> 201` is the status the oracle is known to answer (`-> 200|403`: to each persona its own;
0: it closes the connection without a word); this keeps the corpus honest about what it tests. A
step may have

    json, form, body   the request's body: a JSON document, form fields, or text as it stands
    headers            more headers, or others (`null` removes one)
    save               name: where; a JSON pointer into the answer, or the name of a header
    mask               JSON pointers (`*` for each item) of values that may differ
    ignore             JSON pointers of values that one server alone may answer
    ascending          JSON pointer of a list whose items must be ordered by id
    settle             true: first wait for the next full second (revocations count in seconds)

`${name}` stands for a saved value, or for a fact of the world (`${apollo}`, `${reader.user}`).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "corpus"

_STEP_KEYS = {"json", "form", "body", "headers", "save", "mask", "ignore", "ascending", "settle"}


@dataclass(frozen=True)
class Step:
    """One request, its references still unresolved."""

    persona: str
    method: str
    path: str
    status: int | None = None
    json: Any = None
    form: dict[str, Any] | None = None
    body: str | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    save: dict[str, str] = field(default_factory=dict)
    mask: list[str] = field(default_factory=list)
    ignore: list[str] = field(default_factory=list)
    ascending: str | None = None
    settle: bool = False

    @property
    def request(self) -> str:
        """The line that names the step in reports and in `differences.yaml`."""
        return f"{self.persona} {self.method} {self.path}"


@dataclass(frozen=True)
class Case:
    """Steps that share saved values."""

    name: str
    steps: list[Step]


def load(name: str) -> list[Case]:
    """The cases of one file, `name` without its `.yaml`."""
    with open(FOLDER / f"{name}.yaml", encoding="utf-8") as file:
        document = yaml.load(file, Loader=_Loader)
    cases = [_case(name, entry) for entry in document]
    names = [case.name for case in cases]
    for duplicate in {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{name}.yaml has two cases named {duplicate!r}")
    return cases


def files() -> list[str]:
    """The names of the files of the corpus that both servers must answer alike."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def later() -> list[str]:
    """Those that ask for what Archstone does not have yet; they are played only on request."""
    return sorted(f"later/{path.stem}" for path in FOLDER.glob("later/*.yaml"))


def _case(file: str, entry: dict[str, Any]) -> Case:
    if set(entry) != {"case", "steps"}:
        raise ValueError(f"{file}.yaml: a case has `case` and `steps`, not {sorted(entry)}")
    try:
        return Case(entry["case"], [step for line in entry["steps"] for step in _steps(line)])
    except ValueError as error:
        raise ValueError(f"{file}.yaml, {entry['case']}: {error}") from error


def _steps(entry: str | dict[str, Any]) -> list[Step]:
    if isinstance(entry, str):
        line, rest = entry, {}
    else:
        ((line, rest),) = entry.items()
    if unknown := set(rest) - _STEP_KEYS:
        raise ValueError(f"{line}: unknown keys {sorted(unknown)}")
    request, _, answer = line.partition(" -> ")
    names, method, path = request.split(" ")
    personas = names.split("|")
    statuses = [int(status) for status in answer.split("|")] if answer else [None]
    if len(statuses) == 1:
        statuses *= len(personas)
    return [
        Step(persona, method, path, status, **rest)
        for persona, status in zip(personas, statuses, strict=True)
    ]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML as JSON means it: a time is text, and so are `no` and `on`."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if not tag.endswith(":timestamp") and (not tag.endswith(":bool") or first in "tTfF")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
