"""The same people and things on a server, made through its API, and what a request of theirs answers."""

import itertools
import json
import re
import urllib.parse

from differential.exchange import Server

PASSWORD = "throwaway-Passw0rd"
# Passes every check: what the requests use up is made again by it, whatever the policy says.
OPERATOR = "the-operators-own-token"

# persona: (domain, role, where); the token is for the same place.
PERSONAS = {
    "system-admin": ("default", "admin", {"system": {"all": True}}),
    "system-reader": ("default", "reader", {"system": {"all": True}}),
    "domain-admin": ("acme", "admin", {"domain": {"id": "{acme}"}}),
    "domain-manager": ("acme", "manager", {"domain": {"id": "{acme}"}}),
    "domain-reader": ("acme", "reader", {"domain": {"id": "{acme}"}}),
    "project-admin": ("acme", "admin", {"project": {"id": "{apollo}"}}),
    "member": ("acme", "member", {"project": {"id": "{apollo}"}}),
    "reader": ("acme", "reader", {"project": {"id": "{apollo}"}}),
    "foreign-admin": ("other", "admin", {"project": {"id": "{elsewhere}"}}),
    "service": ("default", "service", {"project": {"id": "{apollo}"}}),
    "unscoped": ("acme", None, "unscoped"),
}

_REFERENCE = re.compile(r"\{([a-z0-9_. -]+)\}")

_MAPPING = {
    "schema_version": "1.0",
    "rules": [{"local": [{"user": {"name": "somebody"}}], "remote": [{"type": "REMOTE_USER"}]}],
}

# What a request may delete, and how it is made: `{new user}` is the id of one. A body's member names its kind.
_FRESH = {
    "user": ("POST", "/users", {"user": {"name": "{unique}", "domain_id": "{acme}", "description": "victim"}}),
    "group": ("POST", "/groups", {"group": {"name": "{unique}", "domain_id": "{acme}"}}),
    "project": ("POST", "/projects", {"project": {"name": "{unique}", "domain_id": "{acme}", "parent_id": "{apollo}"}}),
    "domain": ("POST", "/domains", {"domain": {"name": "{unique}", "enabled": False}}),
    "role": ("POST", "/roles", {"role": {"name": "{unique}"}}),
    "domain role": ("POST", "/roles", {"role": {"name": "{unique}", "domain_id": "{acme}"}}),
    "region": ("POST", "/regions", {"region": {}}),
    "service": ("POST", "/services", {"service": {"name": "{unique}", "type": "test"}}),
    "endpoint": (
        "POST",
        "/endpoints",
        {"endpoint": {"service_id": "{thing}", "interface": "admin", "url": "https://thing.example/"}},
    ),
    "tag": ("PUT", "/projects/{apollo}/tags/gone", None),
    "idp": ("PUT", "/OS-FEDERATION/identity_providers/gone", {"identity_provider": {"domain_id": "{acme}"}}),
    "protocol": (
        "PUT",
        "/OS-FEDERATION/identity_providers/corp/protocols/gone",
        {"protocol": {"mapping_id": "corp"}},
    ),
    "mapping": ("PUT", "/OS-FEDERATION/mappings/gone", {"mapping": _MAPPING}),
    "sp": (
        "PUT",
        "/OS-FEDERATION/service_providers/gone",
        {"service_provider": {"auth_url": "https://sp.example/", "sp_url": "https://sp.example/"}},
    ),
    "member": ("PUT", "/groups/{victims}/users/{outsider}", None),
    "implied": ("PUT", "/roles/{custom}/implies/{another}", None),
} | {
    f"grant {name}": ("PUT", path, None)
    for name, path in {
        "project user": "/projects/{apollo}/users/{victim}/roles/{custom}",
        "project group": "/projects/{apollo}/groups/{victims}/roles/{custom}",
        "domain user": "/domains/{acme}/users/{victim}/roles/{custom}",
        "domain group": "/domains/{acme}/groups/{victims}/roles/{custom}",
        "inherited user": "/OS-INHERIT/projects/{apollo}/users/{victim}/roles/{custom}/inherited_to_projects",
        "inherited group": "/OS-INHERIT/domains/{acme}/groups/{victims}/roles/{custom}/inherited_to_projects",
        "system user": "/system/users/{victim}/roles/{custom}",
        "system group": "/system/groups/{victims}/roles/{custom}",
    }.items()
}  # fmt: skip


class World:
    """One server with its people and things."""

    def __init__(self, url, admin_password):
        self._server = Server(url)
        self._admin_password = admin_password
        self._numbers = itertools.count(1)
        self._fresh = {}
        self._kept = {"credential": [], "application credential": []}
        self.tokens = {"nobody": None}
        self.facts = {"missing": "0123456789abcdef0123456789abcdef"}

    def build(self, spares):
        """Makes everything while the default policy is in force; `spares` of what only its owner can make."""
        facts = self.facts
        self._log_in("cloud-admin", "default", "admin", {"project": {"name": "admin", "domain": {"id": "default"}}})
        for role in self._make("GET", "/roles")["roles"]:
            facts[f"role.{role['name']}"] = role["id"]
        self._create("acme", "/domains", {"domain": {"name": "acme"}})
        self._create("other", "/domains", {"domain": {"name": "other"}})
        self._create("apollo", "/projects", {"project": {"name": "apollo", "domain_id": "{acme}", "tags": ["kept"]}})
        self._create("child", "/projects", {"project": {"name": "child", "domain_id": "{acme}", "parent_id": "{apollo}"}})
        self._create("elsewhere", "/projects", {"project": {"name": "elsewhere", "domain_id": "{other}"}})
        self._create("custom", "/roles", {"role": {"name": "custom"}})
        self._create("another", "/roles", {"role": {"name": "another"}})
        self._create("local", "/roles", {"role": {"name": "local", "domain_id": "{acme}"}})
        self._create("victims", "/groups", {"group": {"name": "victims", "domain_id": "{acme}"}})
        self._create("outsiders", "/groups", {"group": {"name": "outsiders", "domain_id": "{other}"}})
        for name, domain in (("victim", "{acme}"), ("outsider", "{other}")):
            user = {"name": name, "domain_id": domain, "password": PASSWORD, "description": name}
            self._create(name, "/users", {"user": user})
        self._make("PUT", "/groups/{victims}/users/{victim}")
        self._make("PUT", "/projects/{apollo}/users/{victim}/roles/{role.member}")
        self._make("PUT", "/projects/{apollo}/groups/{victims}/roles/{role.member}")
        self._make("PUT", "/domains/{acme}/users/{victim}/roles/{role.member}")
        self._make("PUT", "/domains/{acme}/groups/{victims}/roles/{role.member}")
        self._make("PUT", "/system/users/{victim}/roles/{role.member}")
        self._make("PUT", "/system/groups/{victims}/roles/{role.member}")
        self._make("PUT", "/OS-INHERIT/domains/{acme}/users/{victim}/roles/{role.member}/inherited_to_projects")
        self._make("PUT", "/roles/{custom}/implies/{role.reader}")
        self._create("north", "/regions", {"region": {"id": "north"}})
        self._create("thing", "/services", {"service": {"name": "thing", "type": "thing"}})
        endpoint = {"service_id": "{thing}", "interface": "public", "url": "https://thing.example/", "region_id": "north"}
        self._create("way", "/endpoints", {"endpoint": endpoint})
        self._make("PUT", "/OS-FEDERATION/identity_providers/corp", {"identity_provider": {"domain_id": "{acme}"}})
        self._make("PUT", "/OS-FEDERATION/mappings/corp", {"mapping": _MAPPING})
        self._make("PUT", "/OS-FEDERATION/identity_providers/corp/protocols/saml2", {"protocol": {"mapping_id": "corp"}})
        provider = {"auth_url": "https://sp.example/", "sp_url": "https://sp.example/"}
        self._make("PUT", "/OS-FEDERATION/service_providers/corp", {"service_provider": provider})
        for persona, (domain, role, scope) in PERSONAS.items():
            domain = facts.get(domain, domain)
            user = {"name": persona, "domain_id": domain, "password": PASSWORD, "email": f"{persona}@example.org"}
            self._create(f"{persona}.user", "/users", {"user": user})
            if role:
                [(kind, at)] = scope.items()
                place = "system" if kind == "system" else f"{kind}s/{at['id']}"
                self._make("PUT", f"/{place}/users/{{{persona}.user}}/roles/{{role.{role}}}")
            self._log_in(persona, domain, persona, scope)
        facts["cloud-admin.user"] = self._make("GET", "/users?name=admin")["users"][0]["id"]
        self._own_things(spares)

    def _own_things(self, spares):
        credential = {"type": "cert", "blob": "{}", "user_id": "{victim}", "project_id": "{apollo}"}
        self._create("credential", "/credentials", {"credential": credential})
        for _ in range(spares):
            body = {"credential": credential | {"user_id": "{member.user}"}}
            self._kept["credential"].append(self._make("POST", "/credentials", body)["credential"]["id"])
        path = "/users/{member.user}/application_credentials"
        rules = [{"service": "compute", "method": "GET", "path": "/v2.1/servers"}]

        def make(body):
            return self._make("POST", path, {"application_credential": body}, as_="member")["application_credential"]

        for number in range(spares):
            self._kept["application credential"].append(make({"name": f"spare-{number}"})["id"])
        own = make({"name": "own", "secret": PASSWORD})
        self.facts["own"] = own["id"]
        ruled = make({"name": "ruled", "access_rules": rules})
        self.facts["rule"] = ruled["access_rules"][0]["id"]
        identity = {
            "methods": ["application_credential"],
            "application_credential": {"id": own["id"], "secret": PASSWORD},
        }
        self._token("application-credential", {"auth": {"identity": identity}})

    def ask(self, persona, request):
        """The status of the answer, and of a list how long it is."""
        headers = {"Content-Type": "application/json"}
        if token := self.tokens[persona]:
            headers["X-Auth-Token"] = token
        consumed = []
        path = self._resolve(request.path, consumed)
        for name, value in request.headers.items():
            headers[name] = self._resolve(value, consumed)
        body = None if request.body is None else self._resolve(request.body, consumed)
        answer = self._send(request.method, path, headers, body)
        if request.method == "DELETE" and answer.status < 300:
            for name in consumed:
                self._fresh.pop(name, None)
        document = answer.json() if answer.status == 200 else None
        lists = [value for value in (document or {}).values() if isinstance(value, list)]
        return answer.status, len(lists[0]) if lists else None

    def _resolve(self, value, consumed):
        if isinstance(value, dict):
            return {key: self._resolve(item, consumed) for key, item in value.items()}
        if isinstance(value, list):
            return [self._resolve(item, consumed) for item in value]
        if not isinstance(value, str):
            return value
        return _REFERENCE.sub(lambda found: self._fact(found[1], consumed), value)

    def _fact(self, name, consumed):
        if name == "unique":
            return f"unique-{next(self._numbers)}"
        if not name.startswith("new "):
            return self.facts[name]
        consumed.append(name)
        if name not in self._fresh:
            self._fresh[name] = self._renew(name.removeprefix("new "))
        return self._fresh[name]

    def _renew(self, kind):
        if kind in self._kept:
            return self._kept[kind].pop()
        if kind == "token":
            return self._victims_token()
        method, path, body = _FRESH[kind]
        made = self._make(method, path, body, as_=OPERATOR)
        if kind in ("idp", "protocol", "mapping", "sp", "tag"):
            return "gone"
        return next(iter(made.values()))["id"] if method == "POST" else "granted"

    def _victims_token(self):
        user = {"id": self.facts["victim"], "password": PASSWORD}
        auth = {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": "unscoped"}
        answer = self._send("POST", "/auth/tokens", {"Content-Type": "application/json"}, {"auth": auth})
        return answer.header("X-Subject-Token")

    def _create(self, fact, path, body):
        [document] = self._make("POST", path, body).values()
        self.facts[fact] = document["id"]

    def _make(self, method, path, body=None, as_="cloud-admin"):
        headers = {"Content-Type": "application/json", "X-Auth-Token": self.tokens.get(as_, as_)}
        path, body = self._resolve(path, []), self._resolve(body, [])
        answer = self._send(method, path, headers, body)
        if answer.status not in (200, 201, 204):
            raise RuntimeError(f"{self._server.base}: {method} {path} answered {answer.status} {answer.text}")
        return answer.json()

    def _log_in(self, persona, domain, name, scope):
        password = self._admin_password if persona == "cloud-admin" else PASSWORD
        user = {"name": name, "domain": {"id": domain}, "password": password}
        identity = {"methods": ["password"], "password": {"user": user}}
        self._token(persona, {"auth": {"identity": identity, "scope": self._resolve(scope, [])}})

    def _token(self, persona, body):
        answer = self._send("POST", "/auth/tokens", {"Content-Type": "application/json"}, body)
        if answer.status != 201:
            raise RuntimeError(f"{self._server.base}: {persona} cannot log in: {answer.status} {answer.text}")
        self.tokens[persona] = answer.header("X-Subject-Token")

    def _send(self, method, path, headers, body):
        path = "/v3" + urllib.parse.quote(path, safe="/?&=%:")
        return self._server.send(method, path, headers, None if body is None else json.dumps(body).encode())
