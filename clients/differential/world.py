"""The world both servers are given before the first case, made through the API itself.

    domain acme        projects apollo and artemis (member, reader and manager belong to apollo)
    domain default     project admin (made by the bootstrap), project service

Each persona is a user with a token. Facts are named as the corpus uses them: `${acme}`,
`${apollo}`, `${role.reader}`, `${reader.user}`, `${reader.name}`, `${reader.token}`, `${password}`, `${text.64}`.
"""

import json
import urllib.parse
from typing import Any

from .exchange import Answer, Server

PASSWORD = "throwaway-Passw0rd"

# Texts of these many characters: `${text.64}`.
LENGTHS = (64, 65, 225, 226, 255, 256, 120_000)

# persona: (domain, role, on what); "-" for none. The role's target is also the token's scope.
PERSONAS = {
    "system-admin": ("default", "admin", "system"),
    "system-reader": ("default", "reader", "system"),
    "domain-admin": ("acme", "admin", "domain acme"),
    "domain-manager": ("acme", "manager", "domain acme"),
    "domain-reader": ("acme", "reader", "domain acme"),
    "project-admin": ("acme", "admin", "project apollo"),
    "manager": ("acme", "manager", "project apollo"),
    "member": ("acme", "member", "project apollo"),
    "reader": ("acme", "reader", "project apollo"),
    "service": ("default", "service", "project service"),
    "stranger": ("acme", "-", "-"),
}


class World:
    """The facts of the world on one server."""

    def __init__(self, server: Server, admin_password: str):
        self.server = server
        self.addresses: set[str] = set()
        """Where else the server says it is: scheme, host and port of the endpoints in its catalog."""
        self.facts: dict[str, Any] = {
            "base": server.base,
            "password": PASSWORD,
            "admin.name": "admin",
            "admin.password": admin_password,
        }
        self.facts |= {f"text.{length}": "a" * length for length in LENGTHS}

    def build(self) -> None:
        """Creates everything; raises `RuntimeError` at the first answer that is not a success."""
        self._log_in("admin", "default", "admin", {"project": _named("admin", "default")})
        facts = self.facts
        for role in self._ask("GET", "/v3/roles")["roles"]:
            facts[f"role.{role['name']}"] = role["id"]
        facts["default"] = "default"
        self._create("acme", "domain", {"name": "acme"})
        self._create("apollo", "project", {"name": "apollo", "domain_id": facts["acme"]})
        self._create("artemis", "project", {"name": "artemis", "domain_id": facts["acme"]})
        self._create("service", "project", {"name": "service", "domain_id": "default"})
        for persona, (domain, role, target) in PERSONAS.items():
            self._create(
                f"{persona}.user",
                "user",
                {"name": persona, "domain_id": facts[domain], "password": PASSWORD},
            )
            facts[f"{persona}.name"] = persona
            self._grant(facts[f"{persona}.user"], role, target)
            self._log_in(persona, facts[domain], persona, self._scope(target))

    def _create(self, fact: str, kind: str, attributes: dict[str, Any]) -> None:
        self.facts[fact] = self._ask("POST", f"/v3/{kind}s", {kind: attributes})[kind]["id"]

    def _grant(self, user: str, role: str, target: str) -> None:
        if role == "-":
            return
        kind, _, name = target.partition(" ")
        where = "system" if kind == "system" else f"{kind}s/{self.facts[name]}"
        self._ask("PUT", f"/v3/{where}/users/{user}/roles/{self.facts[f'role.{role}']}")

    def _scope(self, target: str) -> Any:
        kind, _, name = target.partition(" ")
        if kind == "system":
            return {"system": {"all": True}}
        return {kind: {"id": self.facts[name]}} if name else "unscoped"

    def _log_in(self, persona: str, domain: str, name: str, scope: Any) -> None:
        password = self.facts.setdefault(f"{persona}.password", PASSWORD)
        user = {"name": name, "domain": {"id": domain}, "password": password}
        identity = {"methods": ["password"], "password": {"user": user}}
        answer = self._answer(
            "POST", "/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}}
        )
        token = answer.json()["token"]
        self.facts[f"{persona}.token"] = answer.header("X-Subject-Token")
        self.facts[f"{persona}.user"] = token["user"]["id"]
        for service in token.get("catalog", []):
            for endpoint in service["endpoints"]:
                url = urllib.parse.urlsplit(endpoint["url"])
                self.addresses.add(f"{url.scheme}://{url.netloc}")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        return self._answer(method, path, body).json()

    def _answer(self, method: str, path: str, body: Any = None) -> Answer:
        headers = {"Content-Type": "application/json"}
        if token := self.facts.get("admin.token"):
            headers["X-Auth-Token"] = token
        answer = self.server.send(
            method, path, headers, None if body is None else json.dumps(body).encode()
        )
        if answer.status not in (200, 201, 204):
            raise RuntimeError(
                f"{self.server.base}: {method} {path} answered {answer.status} {answer.text}"
            )
        return answer


def _named(name: str, domain: str) -> dict[str, Any]:
    return {"name": name, "domain": {"id": domain}}
