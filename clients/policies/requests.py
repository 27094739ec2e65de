"""What everybody asks for: every operation, on what is there, on what is another's, and on what is not there."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Request:
    """A request with references such as `{apollo}` still in it."""

    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = dataclasses.field(default_factory=dict)

    def __str__(self):
        return " ".join(str(part) for part in (self.method, self.path, self.headers or "", self.body or "") if part)


def _get(*paths):
    return [Request("GET", path) for path in paths]


def _delete(*paths):
    return [Request("DELETE", path) for path in paths]


def _with(method, path, *bodies):
    return [Request(method, path, body) for body in bodies]


def _crud(collection, kind, there, others, new, changes):
    """Show, change and delete one of a collection."""
    return [
        *_get(*(f"{collection}/{{{name}}}" for name in [there, *others, "missing"])),
        *(
            Request("PATCH", f"{collection}/{{{name}}}", {kind: change})
            for name in [there, *others, "missing"]
            for change in changes[: None if name == there else 1]
        ),
        *_delete(f"{collection}/{{new {new}}}", f"{collection}/{{missing}}"),
    ]


_USERS = [
    *_get(
        "/users",
        "/users?domain_id={acme}",
        "/users?domain_id={other}",
        "/users?domain_id={missing}",
        "/users?domain_id={acme}&domain_id={other}",
        "/users?name=member",
        "/users?name=victim&domain_id={acme}",
        "/users?enabled=False",
        "/users?enabled=true",
        "/users?nonsense={acme}",
        "/users?name__contains=member",
    ),
    *_with(
        "POST",
        "/users",
        {"user": {"name": "{unique}"}},
        {"user": {"name": "{unique}", "domain_id": "{acme}"}},
        {"user": {"name": "{unique}", "domain_id": "{acme}", "enabled": False}},
        {"user": {"name": "{unique}", "domain_id": "{acme}", "description": "customer"}},
        {"user": {"name": "{unique}", "domain_id": "{other}"}},
        {"user": {"name": "{unique}", "domain_id": "{missing}"}},
    ),
    *_crud(
        "/users",
        "user",
        "victim",
        ["outsider", "member.user"],
        "user",
        [{"description": "again"}, {"default_project_id": None}],
    ),
    *_get(
        *(
            f"/users/{{{user}}}/{what}"
            for user in ("victim", "outsider", "member.user", "missing")
            for what in ("groups", "projects", "application_credentials", "access_rules")
        ),
        "/users/{victim}/groups?name=victims",
        "/users/{member.user}/application_credentials?name=hidden",
        "/users/{member.user}/access_rules?service=compute",
        "/users/{victim}/access_rules?service=compute",
        "/users/{member.user}/application_credentials/{own}",
        "/users/{victim}/application_credentials/{own}",
        "/users/{member.user}/application_credentials/{missing}",
        "/users/{missing}/application_credentials/{missing}",
        "/users/{member.user}/access_rules/{rule}",
        "/users/{victim}/access_rules/{rule}",
        "/users/{member.user}/access_rules/{missing}",
        "/users/{missing}/access_rules/{missing}",
    ),
    *_with(
        "POST",
        "/users/{member.user}/application_credentials",
        {"application_credential": {"name": "{unique}"}},
        {"application_credential": {"name": "{unique}", "unrestricted": True}},
    ),
    *_with("POST", "/users/{victim}/application_credentials", {"application_credential": {"name": "{unique}"}}),
    *_with("POST", "/users/{missing}/application_credentials", {"application_credential": {"name": "{unique}"}}),
    *_delete(
        "/users/{member.user}/application_credentials/{new application credential}",
        "/users/{victim}/application_credentials/{new application credential}",
        "/users/{member.user}/application_credentials/{missing}",
        "/users/{missing}/application_credentials/{missing}",
        "/users/{member.user}/access_rules/{missing}",
        "/users/{missing}/access_rules/{missing}",
        "/users/{new user}/tokens",
        "/users/{missing}/tokens",
    ),
]

_GROUPS = [
    *_get(
        "/groups",
        "/groups?domain_id={acme}",
        "/groups?domain_id={other}",
        "/groups?name=victims",
        "/groups/{victims}/users",
        "/groups/{victims}/users?name=member",
        "/groups/{outsiders}/users",
        "/groups/{missing}/users",
        "/groups/{victims}/users/{victim}",
        "/groups/{victims}/users/{member.user}",
        "/groups/{victims}/users/{missing}",
        "/groups/{outsiders}/users/{victim}",
        "/groups/{missing}/users/{victim}",
        "/groups/{missing}/users/{missing}",
    ),
    *_with(
        "POST",
        "/groups",
        {"group": {"name": "{unique}"}},
        {"group": {"name": "{unique}", "domain_id": "{acme}"}},
        {"group": {"name": "{unique}", "domain_id": "{other}"}},
        {"group": {"name": "{unique}", "domain_id": "{missing}"}},
    ),
    *_crud("/groups", "group", "victims", ["outsiders"], "group", [{"description": "again"}]),
    Request("PUT", "/groups/{victims}/users/{victim}"),
    Request("PUT", "/groups/{victims}/users/{missing}"),
    Request("PUT", "/groups/{missing}/users/{victim}"),
    Request("PUT", "/groups/{outsiders}/users/{outsider}"),
    *_delete(
        "/groups/{victims}/users/{outsider}?{new member}",
        "/groups/{victims}/users/{missing}",
        "/groups/{missing}/users/{victim}",
    ),
]

_PROJECTS = [
    *_get(
        "/projects",
        "/projects?domain_id={acme}",
        "/projects?domain_id={other}",
        "/projects?parent_id={apollo}",
        "/projects?parent_id={elsewhere}",
        "/projects?is_domain=true",
        "/projects?name=apollo",
        "/projects?enabled=false",
        "/projects/{acme}",
        "/projects/{child}?parents_as_ids",
    ),
    *_with(
        "POST",
        "/projects",
        {"project": {"name": "{unique}"}},
        {"project": {"name": "{unique}", "domain_id": "{acme}"}},
        {"project": {"name": "{unique}", "domain_id": "{other}"}},
        {"project": {"name": "{unique}", "domain_id": "{missing}"}},
        {"project": {"name": "{unique}", "domain_id": None}},
        {"project": {"name": "{unique}", "domain_id": "{acme}", "parent_id": "{apollo}"}},
        {"project": {"name": "{unique}", "is_domain": True}},
    ),
    *_crud(
        "/projects",
        "project",
        "apollo",
        ["child", "elsewhere"],
        "project",
        [{"description": "again"}, {"enabled": False, "id": "wrong"}],
    ),
    *_get(
        "/projects/{apollo}/tags",
        "/projects/{elsewhere}/tags",
        "/projects/{missing}/tags",
        "/projects/{apollo}/tags/kept",
        "/projects/{apollo}/tags/nowhere",
        "/projects/{missing}/tags/kept",
    ),
    Request("PUT", "/projects/{child}/tags", {"tags": ["one"]}),
    Request("PUT", "/projects/{missing}/tags", {"tags": ["one"]}),
    Request("PUT", "/projects/{apollo}/tags/{unique}"),
    Request("PUT", "/projects/{missing}/tags/billing"),
    *_delete(
        "/projects/{apollo}/tags/{new tag}",
        "/projects/{apollo}/tags/nowhere",
        "/projects/{missing}/tags/kept",
        "/projects/{child}/tags",
        "/projects/{missing}/tags",
    ),
]

_DOMAINS = [
    *_get("/domains", "/domains?name=acme", "/domains?enabled=true", "/domains?enabled=True", "/domains/{apollo}"),
    *_with(
        "POST",
        "/domains",
        {"domain": {"name": "{unique}"}},
        {"domain": {"name": "{unique}", "description": "request"}},
    ),
    *_crud("/domains", "domain", "acme", ["other"], "domain", [{"description": "again"}]),
    *_delete("/domains/{acme}"),
]

_CREDENTIALS = [
    *_get(
        "/credentials",
        "/credentials?user_id={member.user}",
        "/credentials?user_id={victim}",
        "/credentials?type=cert",
        "/credentials/{credential}",
        "/credentials/{missing}",
    ),
    *_with(
        "POST",
        "/credentials",
        {"credential": {"type": "cert", "blob": "{}", "user_id": "{victim}"}},
        {"credential": {"type": "cert", "blob": "{}", "user_id": "{member.user}"}},
        {"credential": {"type": "cert", "blob": "{}", "user_id": "{victim}", "project_id": "{apollo}"}},
        {"credential": {"type": "cert", "blob": "{}", "user_id": "{missing}"}},
    ),
    Request("PATCH", "/credentials/{credential}", {"credential": {"blob": "again"}}),
    Request("PATCH", "/credentials/{missing}", {"credential": {"blob": "again"}}),
    *_delete("/credentials/{new credential}", "/credentials/{missing}"),
]

_ROLES = [
    *_get("/roles", "/roles?name=member", "/roles?domain_id={acme}", "/roles?domain_id={other}", "/role_inferences"),
    *_with(
        "POST",
        "/roles",
        {"role": {"name": "{unique}"}},
        {"role": {"name": "{unique}", "domain_id": "{acme}"}},
        {"role": {"name": "{unique}", "domain_id": "{missing}"}},
    ),
    *_crud("/roles", "role", "custom", ["local", "role.reader"], "role", [{"description": "again"}]),
    *_delete("/roles/{new domain role}"),
    *_get(
        "/roles/{custom}/implies",
        "/roles/{role.member}/implies",
        "/roles/{missing}/implies",
        "/roles/{custom}/implies/{role.reader}",
        "/roles/{role.reader}/implies/{custom}",
        "/roles/{missing}/implies/{custom}",
        "/roles/{custom}/implies/{missing}",
    ),
    Request("HEAD", "/roles/{custom}/implies/{role.reader}"),
    Request("HEAD", "/roles/{missing}/implies/{role.reader}"),
    Request("PUT", "/roles/{custom}/implies/{missing}"),
    Request("PUT", "/roles/{local}/implies/{custom}"),
    *_delete("/roles/{custom}/implies/{another}?{new implied}", "/roles/{custom}/implies/{missing}"),
]

_ASSIGNMENTS = _get(
    "/role_assignments",
    "/role_assignments?scope.project.id={apollo}",
    "/role_assignments?scope.project.id={elsewhere}",
    "/role_assignments?scope.domain.id={acme}",
    "/role_assignments?scope.domain.id={other}",
    "/role_assignments?scope.system=all",
    "/role_assignments?scope.system",
    "/role_assignments?user.id={member.user}",
    "/role_assignments?user.id={domain-reader.user}&effective",
    "/role_assignments?group.id={victims}&role.id={role.member}",
    "/role_assignments?scope.OS-INHERIT:inherited_to=projects",
    "/role_assignments?scope.project.id={apollo}&include_subtree",
    "/role_assignments?scope.project.id={elsewhere}&include_subtree=1",
    "/role_assignments?scope.project.id={acme}&include_subtree",
    "/role_assignments?include_subtree",
    "/role_assignments?include_subtree&scope.domain.id={acme}",
)

# Where, whom, and what is made for a deletion; then somebody else's place, and somebody else.
_PLACES = [
    ("/projects/{%s}/users/{%s}", "", ("apollo", "victim", "project user"), ("elsewhere", "outsider")),
    ("/projects/{%s}/groups/{%s}", "", ("apollo", "victims", "project group"), ("elsewhere", "outsiders")),
    ("/domains/{%s}/users/{%s}", "", ("acme", "victim", "domain user"), ("other", "outsider")),
    ("/domains/{%s}/groups/{%s}", "", ("acme", "victims", "domain group"), ("other", "outsiders")),
    (
        "/OS-INHERIT/projects/{%s}/users/{%s}",
        "/inherited_to_projects",
        ("apollo", "victim", "inherited user"),
        ("elsewhere", "outsider"),
    ),
    (
        "/OS-INHERIT/domains/{%s}/groups/{%s}",
        "/inherited_to_projects",
        ("acme", "victims", "inherited group"),
        ("other", "outsiders"),
    ),
]


def _grants_at(path, end, at, other):
    place, actor, new = at
    foreign, stranger = other
    one = path + "/roles/{%s}" + end
    for method in ("GET", "PUT"):
        for place_, actor_, role in [
            (place, actor, "role.member"),
            (place, actor, "local"),
            (place, stranger, "role.member"),
            (foreign, actor, "role.member"),
            ("missing", actor, "role.member"),
            (place, "missing", "role.member"),
            (place, actor, "missing"),
        ]:
            # Only what nobody's token hangs on is given, and given once.
            yield Request(method, one % (place_, actor_, role))
    if "projects/{" not in path or not end:
        yield from _get(*((path + "/roles" + end) % where for where in [(place, actor), (foreign, actor)]))
        yield from _get((path + "/roles" + end) % ("missing", actor), (path + "/roles" + end) % (place, "missing"))
    yield from _delete(
        one % (place, actor, "custom") + "?{new grant " + new + "}",
        one % (place, actor, "another"),
        one % ("missing", actor, "custom"),
        one % (place, "missing", "custom"),
        one % (place, actor, "missing"),
    )


def _grants_on_the_system(kind, actor):
    one = "/system/" + kind + "s/{%s}/roles/{%s}"
    for method in ("GET", "PUT"):
        for who, role in [(actor, "role.member"), ("missing", "role.member"), (actor, "missing")]:
            yield Request(method, one % (who, role))
    yield from _get(f"/system/{kind}s/{{{actor}}}/roles", f"/system/{kind}s/{{missing}}/roles")
    yield from _delete(
        one % (actor, "custom") + "?{new grant system " + kind + "}",
        one % (actor, "another"),
        one % ("missing", "custom"),
        one % (actor, "missing"),
    )


_GRANTS = [
    *(request for place in _PLACES for request in _grants_at(*place)),
    *_grants_on_the_system("user", "victim"),
    *_grants_on_the_system("group", "victims"),
]

_CATALOG = [
    *_get("/regions", "/regions?parent_region_id=hidden"),
    *_with("POST", "/regions", {"region": {}}, {"region": {"description": "open"}}),
    Request("PUT", "/regions/{unique}", {"region": {"description": "open"}}),
    *_crud("/regions", "region", "north", [], "region", [{"description": "again"}]),
    *_get("/services", "/services?type=identity", "/services?name=thing"),
    *_with(
        "POST",
        "/services",
        {"service": {"type": "test"}},
        {"service": {"type": "test", "enabled": True}},
        {"service": {"type": "test", "enabled": False}},
    ),
    *_crud("/services", "service", "thing", [], "service", [{"description": "again"}, {"enabled": True}]),
    *_get("/endpoints", "/endpoints?interface=public", "/endpoints?service_id={thing}", "/endpoints?region_id=north"),
    *_with(
        "POST",
        "/endpoints",
        {"endpoint": {"service_id": "{thing}", "interface": "public", "url": "https://thing.example/"}},
        {"endpoint": {"service_id": "{thing}", "interface": "admin", "url": "https://thing.example/"}},
        {"endpoint": {"service_id": "{missing}", "interface": "public", "url": "https://thing.example/"}},
    ),
    *_crud("/endpoints", "endpoint", "way", [], "endpoint", [{"url": "https://thing.example/again"}]),
]

_MAPPING = {"rules": [{"local": [{"user": {"name": "x"}}], "remote": [{"type": "REMOTE_USER"}]}]}
_SP = {"auth_url": "https://sp.example/", "sp_url": "https://sp.example/"}
_IDPS = "/OS-FEDERATION/identity_providers"
_SPS = "/OS-FEDERATION/service_providers"
_FEDERATION = [
    *_get(
        *(
            f"/OS-FEDERATION/{collection}{what}"
            for collection in ("identity_providers", "service_providers", "mappings")
            for what in ("", "?id=corp", "?enabled=true", "/corp", "/{missing}")
        ),
        f"{_IDPS}/corp/protocols",
        f"{_IDPS}/{{missing}}/protocols",
        f"{_IDPS}/corp/protocols/saml2",
        f"{_IDPS}/corp/protocols/missing",
        f"{_IDPS}/{{missing}}/protocols/saml2",
        "/OS-FEDERATION/projects",
        "/OS-FEDERATION/domains",
        "/OS-FEDERATION/saml2/metadata",
    ),
    Request("PUT", f"{_IDPS}/{{unique}}", {"identity_provider": {}}),
    Request("PUT", f"{_IDPS}/{{unique}}", {"identity_provider": {"domain_id": "{acme}"}}),
    Request("PUT", f"{_IDPS}/{{unique}}", {"identity_provider": {"domain_id": "{missing}"}}),
    Request("PATCH", f"{_IDPS}/corp", {"identity_provider": {"description": "again"}}),
    Request("PATCH", f"{_IDPS}/{{missing}}", {"identity_provider": {"description": "again"}}),
    Request("PUT", f"{_IDPS}/corp/protocols/{{unique}}", {"protocol": {"mapping_id": "corp"}}),
    Request("PUT", f"{_IDPS}/{{missing}}/protocols/{{unique}}", {"protocol": {"mapping_id": "corp"}}),
    Request("PUT", f"{_IDPS}/corp/protocols/{{unique}}", {"protocol": {"mapping_id": "missing"}}),
    Request("PATCH", f"{_IDPS}/corp/protocols/saml2", {"protocol": {"mapping_id": "corp"}}),
    Request("PATCH", f"{_IDPS}/corp/protocols/missing", {"protocol": {"mapping_id": "corp"}}),
    Request("PUT", "/OS-FEDERATION/mappings/{unique}", {"mapping": _MAPPING}),
    Request("PATCH", "/OS-FEDERATION/mappings/corp", {"mapping": _MAPPING}),
    Request("PATCH", "/OS-FEDERATION/mappings/corp", {"mapping": _MAPPING | {"schema_version": "2.0"}}),
    Request("PATCH", "/OS-FEDERATION/mappings/{missing}", {"mapping": _MAPPING}),
    Request("PUT", f"{_SPS}/{{unique}}", {"service_provider": _SP}),
    Request("PUT", f"{_SPS}/{{unique}}", {"service_provider": _SP | {"description": "open"}}),
    Request("PATCH", f"{_SPS}/corp", {"service_provider": {"description": "again"}}),
    Request("PATCH", f"{_SPS}/{{missing}}", {"service_provider": {"description": "again"}}),
    *_delete(
        f"{_IDPS}/{{new idp}}",
        f"{_IDPS}/{{missing}}",
        f"{_IDPS}/corp/protocols/{{new protocol}}",
        f"{_IDPS}/corp/protocols/missing",
        "/OS-FEDERATION/mappings/{new mapping}",
        "/OS-FEDERATION/mappings/{missing}",
        f"{_SPS}/{{new sp}}",
        f"{_SPS}/{{missing}}",
    ),
]  # fmt: skip

_SUBJECT = {"X-Subject-Token": "{new token}"}
_NO_SUBJECT = {"X-Subject-Token": "no-token"}
_TOKENS = [
    *_get("/auth/projects", "/auth/domains", "/auth/system", "/auth/catalog", "/OS-REVOKE/events"),
    *(Request(method, "/auth/tokens", headers=_SUBJECT) for method in ("GET", "HEAD", "DELETE")),
    *(Request(method, "/auth/tokens", headers=_NO_SUBJECT) for method in ("GET", "HEAD", "DELETE")),
    *(Request(method, "/auth/tokens") for method in ("GET", "HEAD", "DELETE")),
]

ALL = _USERS + _GROUPS + _PROJECTS + _DOMAINS + _CREDENTIALS + _ROLES + _ASSIGNMENTS + _GRANTS + _CATALOG
ALL += _FEDERATION + _TOKENS

_FILTERS = {
    "/users": ("domain_id", "enabled", "name", "idp_id", "protocol_id", "unique_id", "password_expires_at"),
    "/groups": ("domain_id", "name"),
    "/groups/{victims}/users": ("domain_id", "enabled", "name", "password_expires_at"),
    "/users/{victim}/groups": ("name",),
    "/users/{victim}/projects": ("domain_id", "enabled", "name"),
    "/users/{member.user}/application_credentials": ("name",),
    "/projects": ("domain_id", "enabled", "name", "parent_id", "is_domain", "tags", "tags-any", "not-tags"),
    "/domains": ("name", "enabled"),
    "/credentials": ("user_id", "type"),
    "/roles": ("name", "domain_id"),
    "/role_assignments": (
        "user.id",
        "group.id",
        "role.id",
        "scope.project.id",
        "scope.domain.id",
        "scope.system",
        "scope.OS-INHERIT:inherited_to",
    ),
    "/regions": ("parent_region_id",),
    "/services": ("type", "name"),
    "/endpoints": ("interface", "service_id", "region_id"),
    "/OS-FEDERATION/identity_providers": ("id", "enabled"),
    "/OS-FEDERATION/service_providers": ("id", "enabled"),
}
_VALUES = ("", "%20", "true", "0", "null", "none", "a/b", "{acme}", "é", "x" * 300, "[]")
_ENDS = (
    "lt:2000-01-01T00:00:00Z",
    "neq:2000-01-01T00:00:00Z",
    "2000-01-01T00:00:00Z",
    "gt:2000-01-01",
    "gt:2000-01-01T00:00:00.5%2B01:00",
    "xx:2000-01-01T00:00:00Z",
    "x:2000-01-01T00:00:00Z",
    "less:2000-01-01T00:00:00Z",
    "LT:2000-01-01T00:00:00Z",
    "lt:",
    "lt:tomorrow",
    "xx:tomorrow",
    ":2000-01-01T00:00:00Z",
    "lt:2000-13-01T00:00:00Z",
)

FILTERS = [
    *(
        request
        for path, names in _FILTERS.items()
        for name in names
        for request in _get(
            *(f"{path}?{name}={value}" for value in _VALUES),
            f"{path}?{name}",
            f"{path}?{name}__contains=a",
            f"{path}?{name}__nonsense=a",
            f"{path}?{name}=corp&{name}=victims",
        )
    ),
    *(
        request
        for path in ("/users", "/groups/{victims}/users")
        for end in _ENDS
        for request in _get(f"{path}?password_expires_at={end}", f"{path}?password_expires_at__lt={end}")
    ),
    *_get(
        "/users?password_expires_at=lt:2000-01-01T00:00:00Z&password_expires_at=nonsense",
        "/users?limit=0",
        "/users?marker=nowhere",
        "/projects?limit=1&marker=nowhere",
    ),
]
