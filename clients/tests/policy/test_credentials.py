"""What policy rules see of a caller: Archstone beside the reference, by each key and every kind of token.

Both work on one database, with the same keys, settings and policy file. Each check stands as the rule
of one operation, and each token asks for that operation at both.
"""

import contextlib
import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from support.keystone_tokens import in_hours, tokens
from support.people import unique
from support.servers import Keystone, under_test
from support.shared_database import (
    Api,
    Somebody,
    in_order,
    listen,
    make_with_keystone,
    manage_archstone,
    secret,
    serve_with_keystone,
    write_configuration,
)

# Operations that every scope may ask for, and that ask for their rule before anything else.
OPERATIONS = {
    "identity:list_users": "/users",
    "identity:list_groups": "/groups",
    "identity:list_roles": "/roles",
    "identity:list_services": "/services",
    "identity:list_endpoints": "/endpoints",
    "identity:list_domains": "/domains",
    "identity:list_projects": "/projects",
    "identity:list_identity_providers": "/OS-FEDERATION/identity_providers",
    "identity:list_mappings": "/OS-FEDERATION/mappings",
    "identity:list_service_providers": "/OS-FEDERATION/service_providers",
}
# Tells which file both have read.
MARK = ("identity:list_role_inference_rules", "/role_inferences")

ADMIN_TOKEN = "the operator's own token"
UNCHECKED = ("nobody", "nonsense", "operator", "expired", "by EC2 keys", "with rules for others")
METHODS = "external,password,token,oauth1,mapped,application_credential,ec2credential,totp"


@pytest.fixture(scope="module", params=[None, "admin", "elsewhere"], ids=lambda name: f"admin project {name}")
def cloud(request, tmp_path_factory):
    """Both servers, with a project of the cloud's administrators or without."""
    directory = tmp_path_factory.mktemp("credentials") / "data"
    directory.mkdir()
    write_configuration(directory, f"sqlite:///{directory}/keystone.db")
    configuration = directory / "keystone.conf"
    settings = f"""
[DEFAULT]
admin_token = {ADMIN_TOKEN}

[auth]
methods = {METHODS}

[oslo_policy]
policy_file = {directory}/policy.yaml
"""
    if request.param:
        settings += f"""
[resource]
admin_project_name = {request.param}
admin_project_domain_name = Default
"""
    configuration.write_text(configuration.read_text() + settings)
    archstone, keystone = under_test()(directory), Keystone(directory)
    make_with_keystone(directory, keystone.plain_url)
    with contextlib.ExitStack() as stack:
        keystone.start(serve_with_keystone(keystone))
        stack.callback(keystone.stop)
        if archstone.is_reference:
            archstone.start(serve_with_keystone(archstone))
        else:
            manage_archstone(directory, "db_sync")
            listen(directory, archstone)
            archstone.start([*archstone.serve(), "--config-file", directory / "listen.conf"])
        stack.callback(archstone.stop)
        yield Cloud(directory, request.param, Api(keystone.plain_url), Api(archstone.plain_url))


class Cloud:
    """The two servers, and callers with tokens of every kind."""

    def __init__(self, directory, admin_project, keystone, archstone):
        self.directory, self.admin_project = directory, admin_project
        self.keystone, self.archstone = keystone, archstone
        self.tokens = self._tokens()

    def _tokens(self):
        keystone = self.keystone
        domain = keystone.create("/domains", "domain", name=unique("domain"))["id"]
        project = keystone.create("/projects", "project", name="admin", domain_id=domain)["id"]
        user = keystone.create("/users", "user", name="ada", domain_id=domain, password="secret")["id"]
        [role] = keystone.get("/roles?name=admin")["roles"]
        for place in (f"/projects/{project}", f"/domains/{domain}", "/system"):
            keystone.do("PUT", f"{place}/users/{user}/roles/{role['id']}")
        [home] = [project["id"] for project in keystone.get("/projects?name=admin&domain_id=default")["projects"]]
        self.ids = {"user": user, "domain": domain, "project": project, "role": role["id"], "home": home}
        ada = {"methods": ["password"], "password": {"user": {"id": user, "password": "secret"}}}

        def login(identity, scope=None):
            answer = keystone.login(identity, scope)
            assert answer.status == 201
            return answer.token

        on_project = login(ada, {"project": {"id": project}})
        somebody = Somebody.at(keystone)
        path = f"/users/{user}/application_credentials"
        rules = [{"service": "identity", "method": "GET", "path": "/v3/**"}]
        elsewhere = [{"service": "compute", "method": "GET", "path": "/v3/**"}]

        def application_credential(**fields):
            made = keystone.create(path, "application_credential", on_project, name=unique("app"), **fields)
            return login(secret(made))

        unscoped = login(ada, {"unscoped": {}})
        provider = unique("provider")
        keystone.do("PUT", f"/OS-FEDERATION/identity_providers/{provider}", {"identity_provider": {}})
        login_elsewhere = {
            "user_id": user,
            "methods": ["mapped"],
            "federated_group_ids": [],
            "identity_provider_id": provider,
            "protocol_id": "openid",
        }
        own = {"user_id": user, "project_id": project}
        minted = {
            "expired": own | {"class": "ProjectScopedPayload", "expires_at": in_hours(-1)},
            "by EC2 keys": own | {"class": "ProjectScopedPayload", "methods": ["ec2credential"]},
            "by two methods": own | {"class": "ProjectScopedPayload", "methods": ["password", "totp"]},
            "for a certificate": own
            | {"class": "Oauth2CredentialsScopedPayload", "methods": [], "thumbprint": "x" * 43 + "="},
            "federated": login_elsewhere | {"class": "FederatedUnscopedPayload"},
            "federated on project": login_elsewhere | {"class": "FederatedProjectScopedPayload", "project_id": project},
            "federated on domain": login_elsewhere | {"class": "FederatedDomainScopedPayload", "domain_id": domain},
        }
        return {
            "nobody": None,
            "nonsense": "nonsense",
            "operator": ADMIN_TOKEN,
            "administrator": keystone.token,
            "member": somebody.login(keystone).token,
            "project": on_project,
            "domain": login(ada, {"domain": {"id": domain}}),
            "system": login(ada, {"system": {"all": True}}),
            "unscoped": unscoped,
            "exchanged": login({"methods": ["token"], "token": {"id": unscoped}}, {"project": {"id": project}}),
            "application credential": application_credential(),
            "restricted credential": application_credential(roles=[{"name": "member"}]),
            "with access rules": application_credential(access_rules=rules, unrestricted=True),
            "with rules for others": application_credential(access_rules=elsewhere),
        } | dict(zip(minted, tokens(self.directory / "keystone.conf", list(minted.values())), strict=True))

    def set_policy(self, rules):
        """Writes the policy file, and returns once both servers go by it."""
        for mark, expected in (("!", 403), ("@", 200)):
            text = json.dumps(rules | {MARK[0]: mark}, indent=1)
            (self.directory / "policy.yaml").write_text(text)
            deadline = time.monotonic() + 60
            # The reference answers with several processes.
            for server in [self.archstone, *[self.keystone] * 6]:
                while self.ask(server, MARK[1], self.tokens["administrator"])[0] != expected:
                    assert time.monotonic() < deadline, "the policy file was not read again"
                    time.sleep(0.05)

    @staticmethod
    def ask(server, path, token):
        """The status of the answer, and what is wrong."""
        headers = {"X-Auth-Token": token} if token is not None else {}
        answer = requests.get(f"{server.url}/v3{path}", headers=headers, timeout=60)
        message = answer.json().get("error", {}).get("message") if answer.content else None
        return answer.status_code, message


def checks(ids):
    """Each key with the values that it may have for somebody."""
    values = {
        "user_id": [ids["user"], "None"],
        "user_domain_id": ["default", ids["domain"]],
        "system_scope": ["all", "None"],
        "system": ["all", "None"],
        "domain_id": ["default", ids["domain"], "None"],
        "project_id": [ids["project"], "None"],
        "project_domain_id": ["default", ids["domain"], "None"],
        "role": ["ADMIN", "member"],
        "roles": ["admin", "member", "None"],
        "is_admin_project": ["True", "False", "None"],
        "service_user_id": ["None"],
        "service_user_domain_id": ["None"],
        "service_project_id": ["None"],
        "service_project_domain_id": ["None"],
        "service_roles": ["None"],
        "token.user.id": [ids["user"]],
        "token.user.domain.name": ["Default"],
        "token.user.password_expires_at": ["None"],
        "token.user.OS-FEDERATION.protocol.id": ["openid"],
        "token.project.id": [ids["project"], "None"],
        "token.project.domain.id": [ids["domain"]],
        "token.domain.id": [ids["domain"], "None"],
        "token.system.all": ["True"],
        "token.is_domain": ["True", "False"],
        "token.is_admin_project": ["True", "False", "None"],
        "token.roles.name": ["admin", "member"],
        "token.methods": ["password", "token", "application_credential", "mapped", "totp"],
        "token.application_credential.restricted": ["True", "False"],
        "token.application_credential.access_rules.service": ["identity"],
        "token.oauth2_credential.x5t#S256": ["x" * 43 + "="],
    }
    return [f"{key}:{value}" for key, all_values in values.items() for value in all_values] + [
        # None of these is a key, though other services or older releases have them.
        " or ".join(f"{key}:{value}" for key in keys for value in ("None", "admin", "True", "False", *ids.values()))
        for keys in (
            ("is_admin", "is_domain", "tenant", "tenant_id", "project", "user", "domain"),
            ("project_name", "domain_name", "username", "user_name", "token.id", "auth_token"),
            ("trust_id", "trustor_id", "trustee_id", "group_ids", "is_delegated_auth", "token.trust_id"),
        )
    ]


def answers_of_both(cloud, asked, holders):
    """For each check and each holder of a token, how both servers answer."""
    questions = [
        (check, holder, server, path)
        for ((_, path), check), holder in itertools.product(asked, holders)
        for server in (cloud.keystone, cloud.archstone)
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda it: cloud.ask(it[2], it[3], cloud.tokens[it[1]]), questions))
    pairs = zip(questions[::2], answers[::2], answers[1::2], strict=True)
    return [(check, holder, *both) for (check, holder, _, _), *both in pairs]


def test_every_key_has_the_value_of_the_reference(cloud):
    wanted = checks(cloud.ids)
    if cloud.admin_project:
        # With an administrators' project, these alone have other values than without.
        wanted = [check for check in wanted if "is_admin_project" in check]
    differences = []
    for start in range(0, len(wanted), len(OPERATIONS)):
        asked = list(zip(OPERATIONS.items(), wanted[start:], strict=False))
        cloud.set_policy({rule: check for (rule, _), check in asked})
        # Who is nobody, or everybody, is so whatever the check.
        holders = [holder for holder in cloud.tokens if start == 0 or holder not in UNCHECKED]
        found = answers_of_both(cloud, asked, holders)
        differences += [answers for answers in found if answers[2] != answers[3]]
    assert not differences, "\n".join(map(str, differences))


def test_token_bodies_are_those_of_the_reference(cloud):
    asked = {"OpenStack-Identity-Access-Rules": "1.0"}
    for holder, token in cloud.tokens.items():
        if token in (None, ADMIN_TOKEN):
            continue
        bodies = []
        for server in (cloud.keystone, cloud.archstone):
            answer = server.call("GET", "/auth/tokens?nocatalog", **asked, **{"X-Subject-Token": token})
            body = answer.json()
            bodies.append((answer.status_code, in_order(body)))
        assert bodies[0] == bodies[1], holder


def test_who_is_no_administrator_of_the_cloud_is_told_apart(cloud):
    """With the rule of an operator who uses `is_admin_project`, as in Keystone's own samples."""
    rule = "role:admin and is_admin_project:True"
    cloud.set_policy({"identity:list_users": rule})
    named = cloud.admin_project
    expected = {
        # The project admin of the domain Default.
        "administrator": 403 if named == "elsewhere" else 200,
        # A project of the same name in another domain.
        "project": 403 if named else 200,
        "application credential": 403 if named else 200,
        "federated on project": 403 if named else 200,
        "domain": 403,
        "federated on domain": 403,
        "unscoped": 403,
        "member": 403,
        "operator": 200,
    }
    for server in (cloud.keystone, cloud.archstone):
        found = {holder: cloud.ask(server, "/users", cloud.tokens[holder])[0] for holder in expected}
        assert found == expected


def test_headers_of_the_client_are_no_credentials(cloud):
    """The reference believes those of a service (`X-Service-Roles` without any token): Archstone does not."""
    if under_test().is_reference:
        pytest.skip("Keystone believes them")
    forged = {
        "is_admin_project:True": {"X-Is-Admin-Project": "True"},
        "service_roles:service": {"X-Service-Roles": "service"},
        "service_user_id:x": {"X-Service-User-Id": "x"},
        "service_project_id:x": {"X-Service-Project-Id": "x"},
        "role:owner": {"X-Roles": "owner", "X-Role": "owner"},
        "project_id:x": {"X-Project-Id": "x", "X-Tenant-Id": "x"},
        "domain_id:x": {"X-Domain-Id": "x"},
        "user_id:x": {"X-User-Id": "x"},
        "system_scope:all": {"OpenStack-System-Scope": "all"},
    }
    asked = list(zip(OPERATIONS.items(), forged.items(), strict=False))
    cloud.set_policy({rule: check for (rule, _), (check, _) in asked})
    for (_, path), (check, headers) in asked:
        answer = cloud.archstone.call("GET", path, token=cloud.tokens["domain"], **headers)
        assert answer.status_code == 403, check
