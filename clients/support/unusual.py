"""Texts and numbers that a database may refuse, put everywhere where a client can say something."""

import base64
import itertools
import json
import urllib.parse
import uuid

import requests

TEXTS = {
    "four bytes": "\U0001f600",
    "NUL": "a\0b",
    "half a pair": "\ud800",
    "control": "\u0001",
    "backslash": "\\",
    "wild": "%_",
    "noncharacter": "\uffff",
    "65 long": "x" * 65,
    "300 long": "y" * 300,
    "accent": "\u00e9\u0301",
}
NUMBERS = {"31 bits": 2**31, "32 bits": 2**32, "63 bits": 2**63, "64 bits": 2**64, "negative": -1}


def quoted(text):
    """A text within a path or a query. Half a pair cannot stand there: its bytes, which are no UTF-8, do."""
    return urllib.parse.quote(text.encode("utf-8", "surrogatepass"), safe="")


class Sweep:
    """Asks one server; `answers` has the status of each request by what was asked."""

    def __init__(self, url, password, user="admin"):
        self.url = url
        self.session = requests.Session()
        self.prefix, self.numbers = uuid.uuid4().hex[:8], itertools.count()
        self.answers = {}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        user = {"name": user, "domain": {"id": "default"}, "password": password}
        identity = {"methods": ["password"], "password": {"user": user}}
        answer = self._send("POST", "/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}})
        answer.raise_for_status()
        self.session.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]
        self.admin = answer.json()["token"]["user"]["id"]
        self.project = answer.json()["token"]["project"]["id"]

    def _send(self, method, path, body=None, **options):
        if body is not None:
            options["data"] = json.dumps(body)
            options["headers"] = {"Content-Type": "application/json", **options.get("headers", {})}
        request = requests.Request(method, self.url, **options)
        prepared = self.session.prepare_request(request)
        # The path as it stands.
        prepared.url = self.url + path
        try:
            return self.session.send(prepared, timeout=60, allow_redirects=False)
        except requests.ConnectionError:
            # The reference breaks off where a server would say 500.
            answer = requests.Response()
            answer.status_code = 500
            return answer

    def ask(self, what, method, path, body=None, **options):
        """Sends a request and notes what came of it."""
        self.answers[what] = self._send(method, path, body, **options).status_code

    def make(self, kind, **attributes):
        """Adds something that must be there, and gives its id."""
        answer = self._send("POST", f"/v3/{kind}s", {kind: attributes})
        answer.raise_for_status()
        return answer.json()[kind]["id"]

    def name(self):
        """A name that nobody has."""
        return f"{self.prefix}-{next(self.numbers)}"

    def run(self):
        """Asks everything."""
        self.documents()
        self.paths()
        self.filters()
        self.logins()
        return self.answers

    def documents(self):
        """Each attribute of each document, new and changed."""
        region = self.make("region")
        service = self.make("service", type="t", name="t")
        user = self.make("user", name=self.name(), password="correct horse")
        credentials = f"/v3/users/{self.admin}/application_credentials"
        federation = "/v3/OS-FEDERATION"
        rules = [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "X"}]}]
        self._send("PUT", f"{federation}/identity_providers/known", {"identity_provider": {}})
        self._send("PUT", f"{federation}/mappings/known", {"mapping": {"rules": rules}})
        endpoint = {"interface": "public", "service_id": service, "region_id": region, "url": "http://x"}
        for kind, path, base, texts in [
            ("domain", "/v3/domains", {}, ["name", "description", "extra", "tags", "explicit_domain_id"]),
            ("project", "/v3/projects", {}, ["name", "description", "extra", "tags", "domain_id", "parent_id"]),
            (
                "user",
                "/v3/users",
                {},
                ["name", "description", "extra", "email", "domain_id", "default_project_id", "password", "rules"],
            ),
            ("group", "/v3/groups", {}, ["name", "description", "extra", "domain_id"]),
            ("role", "/v3/roles", {}, ["name", "description", "extra", "domain_id"]),
            ("region", "/v3/regions", {}, ["id", "description", "extra", "parent_region_id"]),
            ("service", "/v3/services", {"type": "t"}, ["name", "type", "description", "extra"]),
            ("endpoint", "/v3/endpoints", endpoint, ["url", "region_id", "region", "service_id", "name", "extra"]),
            (
                "credential",
                "/v3/credentials",
                {"type": "x", "blob": "b", "user_id": user},
                ["type", "blob", "user_id", "project_id", "extra"],
            ),
            ("application_credential", credentials, {}, ["name", "description", "secret", "roles", "access_rules"]),
            (
                "identity_provider",
                f"{federation}/identity_providers",
                {},
                ["description", "domain_id", "remote_ids"],
            ),
            ("mapping", f"{federation}/mappings", {"rules": rules}, ["rules", "schema_version"]),
            (
                "protocol",
                f"{federation}/identity_providers/known/protocols",
                {"mapping_id": "known"},
                ["mapping_id", "remote_id_attribute"],
            ),
            (
                "service_provider",
                f"{federation}/service_providers",
                {"auth_url": "https://a", "sp_url": "https://s"},
                ["auth_url", "sp_url", "description", "relay_state_prefix"],
            ),
        ]:
            method = "PUT" if path.startswith(federation) else "POST"
            known = self._known(kind, method, path, base)
            for attribute, (called, text) in itertools.product(texts, TEXTS.items()):
                self._document(kind, method, path, known, base, attribute, called, self._value(attribute, text))
        for called, number in NUMBERS.items():
            self._document(
                "identity_provider",
                "PUT",
                f"{federation}/identity_providers",
                f"{federation}/identity_providers/known",
                {},
                "authorization_ttl",
                called,
                number,
            )
            for kind in ("user", "project", "credential"):
                body = {"name": self.name(), "extra": number}
                if kind == "credential":
                    body |= {"type": "x", "blob": "b", "user_id": user}
                self.ask(f"new {kind}: a number of {called}", "POST", f"/v3/{kind}s", {kind: body})

    def _known(self, kind, method, path, base):
        """The path of one that can be changed."""
        if method == "PUT":
            self._send("PUT", f"{path}/changed", {kind: base})
            return f"{path}/changed"
        if kind == "application_credential":
            return None
        return f"{path}/{self.make(kind, **({'name': self.name()} | base))}"

    def _document(self, kind, method, path, known, base, attribute, called, value):
        body = {kind: base | {"name": self.name()} | {attribute: value}}
        if attribute == "name" and isinstance(value, str):
            # With something of its own, so that none is in the way of another.
            body[kind]["name"] = value + self.name()
        if attribute in ("rules",) and kind == "user":
            del body[kind]["rules"]
            body[kind]["options"] = {"multi_factor_auth_rules": value}
        if attribute == "extra":
            body[kind][f"key {value}"] = value
        if path.startswith("/v3/OS-FEDERATION"):
            del body[kind]["name"]
        target = f"{path}/{self.name()}" if method == "PUT" else path
        self.ask(f"new {kind}: {attribute} {called}", method, target, body)
        if known:
            change = {kind: body[kind] if kind in ("mapping", "protocol") else {attribute: value}}
            if "options" in body[kind]:
                change = {kind: {"options": body[kind]["options"]}}
            if attribute == "extra":
                change[kind] = {f"key {value}": value}
            self.ask(f"changed {kind}: {attribute} {called}", "PATCH", known, change)

    def _value(self, attribute, text):
        match attribute:
            case "tags" | "remote_ids":
                return [text]
            case "roles":
                return [{"name": text}]
            case "access_rules":
                return [{"service": text, "path": f"/{text}", "method": "GET"}]
            case "rules":
                return [{"local": [{"user": {"name": text}}], "remote": [{"type": text}]}]
        return text

    def paths(self):
        """Each part of each path."""
        user, project = self.make("user", name=self.name()), self.make("project", name=self.name())
        group, role = self.make("group", name=self.name()), self.make("role", name=self.name())
        other = self.make("role", name=self.name())
        federation = "/v3/OS-FEDERATION"
        for called, text in TEXTS.items():
            odd = quoted(text)
            for kind in (
                "domain project user group role region service endpoint credential"
            ).split():
                path = f"/v3/{kind}s/{odd}"
                for method in ("GET", "DELETE"):
                    self.ask(f"{method} {kind} {called}", method, path)
                body = {"blob": "b"} if kind == "credential" else {"description": "d"}
                self.ask(f"PATCH {kind} {called}", "PATCH", path, {kind: body})
            for kind, body in [
                ("identity_provider", {"enabled": True}),
                ("mapping", {"rules": [{"local": [{"user": {"name": "x"}}], "remote": [{"type": "X"}]}]}),
                ("service_provider", {"auth_url": "https://a", "sp_url": "https://s"}),
            ]:
                path = f"{federation}/{kind}s/{odd}"
                for method in ("GET", "PUT", "PATCH", "DELETE"):
                    self.ask(f"{method} {kind} {called}", method, path, {kind: body} if method[0] == "P" else None)
            protocol = {"protocol": {"mapping_id": "known"}}
            for path in (f"known/protocols/{odd}", f"{odd}/protocols/known"):
                for method in ("GET", "PUT", "PATCH", "DELETE"):
                    what = f"{method} {path.replace(odd, called)}"
                    path_ = f"{federation}/identity_providers/{path}"
                    self.ask(what, method, path_, protocol if method[0] == "P" else None)
            self.ask(f"PUT region {called}", "PUT", f"/v3/regions/{odd}", {"region": {}})
            for path in [
                f"/v3/projects/{odd}/users/{user}/roles/{role}",
                f"/v3/projects/{project}/users/{odd}/roles/{role}",
                f"/v3/projects/{project}/users/{user}/roles/{odd}",
                f"/v3/projects/{project}/groups/{odd}/roles/{role}",
                f"/v3/domains/{odd}/users/{user}/roles/{role}",
                f"/v3/OS-INHERIT/domains/default/users/{odd}/roles/{role}/inherited_to_projects",
                f"/v3/system/users/{odd}/roles/{role}",
                f"/v3/system/users/{user}/roles/{odd}",
                f"/v3/groups/{group}/users/{odd}",
                f"/v3/groups/{odd}/users/{user}",
                f"/v3/roles/{other}/implies/{odd}",
                f"/v3/roles/{odd}/implies/{other}",
                f"/v3/projects/{odd}/tags/t",
                f"/v3/projects/{project}/tags/{odd}",
            ]:
                what = path.replace(odd, called)
                for known in (user, project, group, role, other):
                    what = what.replace(known, "known")
                for method in ("GET", "PUT", "DELETE"):
                    self.ask(f"{method} {what}", method, path)
            for path in [
                f"/v3/projects/{odd}/users/{user}/roles",
                f"/v3/users/{odd}/groups",
                f"/v3/users/{odd}/projects",
                f"/v3/groups/{odd}/users",
                f"/v3/projects/{odd}/tags",
                f"/v3/users/{odd}/application_credentials",
                f"/v3/users/{self.admin}/application_credentials/{odd}",
                f"/v3/users/{odd}/access_rules",
                f"/v3/users/{self.admin}/access_rules/{odd}",
                f"{federation}/identity_providers/{odd}/protocols/mapped/auth",
                f"{federation}/identity_providers/known/protocols/{odd}/auth",
                f"/v3/auth/OS-FEDERATION/websso/{odd}?origin=x",
            ]:
                what = path.replace(odd, called).replace(user, "known").replace(self.admin, "admin")
                self.ask(f"GET {what}", "GET", path)
            for path, body in [
                (f"/v3/projects/{odd}/tags", {"tags": ["t"]}),
                (f"/v3/projects/{project}/tags", {"tags": [text]}),
            ]:
                self.ask(f"PUT tags {called} {path.endswith(f'{project}/tags')}", "PUT", path, body)
            body = {"user": {"original_password": text, "password": text + "x"}}
            self.ask(f"password of {called}", "POST", f"/v3/users/{odd}/password", body)
            self.ask(f"password {called}", "POST", f"/v3/users/{user}/password", body)

    def filters(self):
        """Each filter of each list."""
        comparators = ["", "__contains", "__icontains", "__startswith", "__istartswith", "__iendswith", "__endswith"]
        for called, text in TEXTS.items():
            odd = quoted(text)
            for path, names in [
                ("domains", ["name"]),
                ("projects", ["name", "domain_id", "parent_id", "tags", "tags-any", "not-tags", "not-tags-any"]),
                ("users", ["name", "domain_id", "idp_id", "protocol_id", "unique_id", "password_expires_at"]),
                ("groups", ["name", "domain_id"]),
                ("roles", ["name", "domain_id"]),
                ("regions", ["parent_region_id"]),
                ("services", ["name", "type"]),
                ("endpoints", ["interface", "service_id", "region_id"]),
                ("credentials", ["user_id", "type"]),
                (f"users/{self.admin}/application_credentials", ["name"]),
                (f"users/{self.admin}/access_rules", ["service", "path", "method"]),
                (
                    "role_assignments",
                    ["user.id", "group.id", "role.id", "scope.project.id", "scope.domain.id", "scope.system"],
                ),
                ("OS-FEDERATION/identity_providers", ["id"]),
                ("OS-FEDERATION/service_providers", ["id"]),
            ]:
                for name in [*names, "marker"]:
                    for comparator in comparators if name in ("name", "type", "id", "service") else [""]:
                        what = f"GET {path.replace(self.admin, 'admin')}?{name}{comparator} {called}"
                        self.ask(what, "GET", f"/v3/{path}?{name}{comparator}={odd}")
            self.ask(f"assignments of {called}", "GET", f"/v3/role_assignments?effective&user.id={odd}")
            tree = f"/v3/role_assignments?include_subtree&scope.project.id={odd}"
            self.ask(f"assignments below {called}", "GET", tree)

    def logins(self):
        """Each name in a login and in its scope, by whoever comes along."""
        plain, self.session = self.session, requests.Session()
        ours = {"id": self.admin, "password": "wrong"}
        for called, text in TEXTS.items():
            for what, user, scope in [
                ("user name", {"name": text, "domain": {"id": "default"}, "password": "x"}, None),
                ("user id", {"id": text, "password": "x"}, None),
                ("user's domain", {"name": "admin", "domain": {"name": text}, "password": "x"}, None),
                ("user's domain id", {"name": "admin", "domain": {"id": text}, "password": "x"}, None),
                ("password", {"id": self.admin, "password": text}, None),
                ("project", ours, {"project": {"id": text}}),
                ("project name", ours, {"project": {"name": text, "domain": {"id": "default"}}}),
                ("domain", ours, {"domain": {"id": text}}),
            ]:
                identity = {"methods": ["password"], "password": {"user": user}}
                auth = {"identity": identity} | ({"scope": scope} if scope else {})
                self.ask(f"login: {what} {called}", "POST", "/v3/auth/tokens", {"auth": auth})
            for proof in [
                {"id": text, "secret": "x"},
                {"name": text, "user": {"id": self.admin}, "secret": "x"},
                {"name": "x", "user": {"name": text, "domain": {"id": "default"}}, "secret": "x"},
            ]:
                methods = ["application_credential"]
                identity = {"methods": methods, "application_credential": proof}
                what = f"login: application credential {sorted(proof)} {called}"
                self.ask(what, "POST", "/v3/auth/tokens", {"auth": {"identity": identity}})
            identity = {"methods": ["token"], "token": {"id": text}}
            self.ask(f"login: token {called}", "POST", "/v3/auth/tokens", {"auth": {"identity": identity}})
            pair = base64.b64encode(f"{text}:x".encode("utf-8", "surrogatepass")).decode()
            headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/x-www-form-urlencoded"}
            form = {"data": "grant_type=client_credentials", "headers": headers}
            self.ask(f"login: client {called}", "POST", "/v3/OS-OAUTH2/token", **form)
        self.session = plain
        for called, text in TEXTS.items():
            identity = {"methods": ["token"], "token": {"id": plain.headers["X-Auth-Token"]}}
            for scope in [
                {"project": {"id": text}},
                {"project": {"name": text, "domain": {"id": "default"}}},
                {"project": {"name": "admin", "domain": {"name": text}}},
                {"domain": {"id": text}},
                {"domain": {"name": text}},
            ]:
                auth = {"auth": {"identity": identity, "scope": scope}}
                what = json.dumps(scope).replace(json.dumps(text), called)
                self.ask(f"scope: {what}", "POST", "/v3/auth/tokens", auth)
