"""The `openstack` command. A process of it takes a second, so most calls run in this one."""

import contextlib
import datetime
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from openstackclient import shell
from osc_lib.clientmanager import ClientCache, ClientManager

from support.people import unique
from support.servers import ADMIN_PASSWORD


class Failed(Exception):
    """A command that ended with an error, in its words."""


class OpenStack:
    """The command, as the user of one cloud in one clouds.yaml."""

    def __init__(self, clouds, cloud):
        self.clouds = clouds
        self.cloud = cloud

    def __call__(self, command, *more, **environment):
        """Runs a command, written as in a shell without quotes; `more` are arguments that have blanks.

        Answers what it shows, or None where it shows nothing. Raises `Failed`.
        """
        words = [*command.split(), *more]
        shows = not {"set", "delete", "add", "remove", "revoke"} & set(words[:3])
        # Clients are kept on the class, and would serve whoever comes next.
        for kept in vars(ClientManager).values():
            if isinstance(kept, ClientCache):
                kept._handle = None
        output, errors = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment(**environment).items():
                patch.setenv(name, value)
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
                code = shell.OpenStackShell().run([*words, "-f", "json"] if shows else words)
        if code != 0:
            raise Failed(errors.getvalue())
        return json.loads(output.getvalue()) if shows else None

    def process(self, command, *more, **environment):
        """Runs a command as a process of its own and answers what it printed. Raises `Failed`."""
        program = Path(sys.executable).with_name("openstack")
        ran = subprocess.run(
            [program, *command.split(), *more], capture_output=True, env=self.environment(**environment), text=True
        )
        if ran.returncode != 0:
            raise Failed(ran.stderr)
        return ran.stdout

    def environment(self, **changes):
        return {"OS_CLIENT_CONFIG_FILE": str(self.clouds), "OS_CLOUD": self.cloud, **changes}

    def cloud_with(self, directory, auth, **settings):
        """The same cloud for whoever `auth` logs in."""
        cloud = yaml.safe_load(self.clouds.read_text())["clouds"][self.cloud]
        cloud |= {"auth": {"auth_url": cloud["auth"]["auth_url"], **auth}, **settings}
        clouds = directory / "clouds.yaml"
        clouds.write_text(yaml.safe_dump({"clouds": {"own": cloud}}))
        return OpenStack(clouds, "own")


@pytest.fixture(scope="module")
def openstack(identity):
    """The command for the administrator, with the clouds.yaml that the server wrote."""
    return OpenStack(identity.directory / "clouds.yaml", identity.cloud)


@pytest.fixture
def person(new_person):
    return new_person("member")


@pytest.fixture
def own(openstack, person, tmp_path):
    """The command for a person who is member of a project."""
    auth = {"user_id": person.id, "password": person.password, "project_id": person.project_id}
    return openstack.cloud_with(tmp_path, auth)


def column(rows, name):
    return {row[name] for row in rows}


# What a newcomer does


def test_a_newcomer_gets_from_clouds_yaml_to_a_working_application_credential(openstack, identity, tmp_path):
    project, user, credential = unique("garden"), unique("gardener"), unique("mower")
    shown = openstack.process("--version")
    assert shown.startswith("openstack ")
    token = openstack.process("token issue -f value -c id").strip()
    assert token.startswith("gAAAA")
    assert "identity" in openstack.process("catalog list")
    assert project in openstack.process(f"project create {project} --description", "Where things grow")
    openstack.process(f"user create {user} --project {project} --password", "a long sentence")
    openstack.process(f"role add --user {user} --project {project} member")
    assert f"{user}@Default" in openstack.process(f"role assignment list --names --project {project}")

    auth = {
        "username": user,
        "password": "a long sentence",
        "project_name": project,
        "user_domain_name": "Default",
        "project_domain_name": "Default",
    }
    (tmp_path / "user").mkdir()
    gardener = openstack.cloud_with(tmp_path / "user", auth)
    made = json.loads(gardener.process(f"application credential create {credential} --role reader -f json"))
    auth = {"application_credential_id": made["ID"], "application_credential_secret": made["Secret"]}
    mower = openstack.cloud_with(tmp_path, auth, auth_type="v3applicationcredential")
    issued = json.loads(mower.process("token issue -f json"))
    assert issued["project_id"] == made["Project ID"]
    assert project in mower.process(f"project show {made['Project ID']}")

    gardener.process(f"application credential delete {credential}")
    with pytest.raises(Failed, match="HTTP 404" if identity.is_reference else "HTTP 401"):
        mower.process("token issue")
    openstack.process(f"token revoke {token}")
    openstack.process(f"project delete {project}")
    assert project not in openstack.process("project list")


def test_a_newcomer_who_errs_is_told(openstack, tmp_path):
    with pytest.raises(Failed, match="The request you have made requires authentication.*HTTP 401"):
        openstack.process("token issue", OS_PASSWORD="wrong")
    with pytest.raises(Failed, match="(?i)no project found for nothing"):
        openstack.process("project show nothing")
    auth = {"username": "admin", "password": ADMIN_PASSWORD, "user_domain_id": "default"}
    distrustful = openstack.cloud_with(tmp_path, auth, cacert=None)
    with pytest.raises(Failed, match="CERTIFICATE_VERIFY_FAILED"):
        distrustful.process("token issue")


# Discovery and tokens


def test_the_version_is_shown(openstack, identity):
    [version] = openstack("versions show --service identity")
    assert version["Version"] == "3.14"
    assert version["Status"] == "CURRENT"
    assert version["Endpoint"] == f"{identity.url}/v3/"


def test_the_catalog_is_shown(openstack, identity):
    [service] = [entry for entry in openstack("catalog list") if entry["Type"] == "identity"]
    assert column(service["Endpoints"], "interface") == {"public", "internal", "admin"}
    shown = openstack("catalog show identity")
    assert column(shown["endpoints"], "url") == {f"{identity.url}/v3"}


def test_a_token_is_issued_and_revoked(openstack, own, person):
    issued = own("token issue")
    assert (issued["user_id"], issued["project_id"]) == (person.id, person.project_id)
    assert issued["expires"].endswith("+0000")
    seen = person.admin.get("/auth/tokens", headers={"X-Subject-Token": issued["id"]})
    assert seen.json()["token"]["user"]["id"] == person.id
    own(f"token revoke {issued['id']}")
    with pytest.raises(Failed, match="Failed to validate token"):
        openstack(f"token revoke {issued['id']}")


def test_a_token_of_the_system_is_issued(openstack, tmp_path):
    auth = {"username": "admin", "password": ADMIN_PASSWORD, "user_domain_id": "default", "system_scope": "all"}
    system = openstack.cloud_with(tmp_path, auth)
    assert "project_id" not in system("token issue")
    assert "admin" in column(system("role list"), "Name")


# Domains, projects, users, groups


def test_domains(openstack):
    name = unique("domain")
    made = openstack(f"domain create {name} --description", "A domain of tests")
    assert (made["name"], made["enabled"], made["description"]) == (name, True, "A domain of tests")
    assert openstack(f"domain create {name} --or-show")["id"] == made["id"]
    assert name in column(openstack("domain list"), "Name")
    with pytest.raises(
        Failed, match="409.*it is not permitted to have two projects acting as domains with the same name"
    ):
        openstack(f"domain create {name}")
    with pytest.raises(Failed, match="Cannot delete a domain that is enabled, please disable it first"):
        openstack(f"domain delete {name}")
    openstack(f"domain set {name} --disable --description other")
    shown = openstack(f"domain show {made['id']}")
    assert (shown["enabled"], shown["description"]) == (False, "other")
    openstack(f"domain delete {name}")
    with pytest.raises(Failed, match="(?i)no domain found"):
        openstack(f"domain show {name}")


def test_projects_with_tags_and_a_parent(openstack):
    parent, child = unique("parent"), unique("child")
    above = openstack(f"project create {parent} --tag red --tag blue --property color=green")
    assert set(above["tags"]) == {"red", "blue"}
    assert above["domain_id"] == above["parent_id"] == "default"
    below = openstack(f"project create {child} --parent {parent} --disable")
    assert (below["parent_id"], below["enabled"]) == (above["id"], False)

    assert column(openstack("project list --tags red,blue"), "Name") == {parent}
    assert parent in column(openstack("project list --tags-any red,white"), "Name")
    assert parent not in column(openstack("project list --not-tags red,blue"), "Name")
    assert column(openstack(f"project list --parent {parent}"), "Name") == {child}
    shown = openstack(f"project show {parent} --children")
    assert shown["color"] == "green"
    assert below["id"] in shown["subtree"]
    assert above["id"] in openstack(f"project show {child} --parents")["parents"]

    openstack(f"project set {parent} --tag white --name {parent}-renamed --property color=black")
    openstack(f"project set {parent}-renamed --remove-tag red")
    shown = openstack(f"project show {parent}-renamed")
    assert (set(shown["tags"]), shown["color"]) == ({"blue", "white"}, "black")
    openstack(f"project set {parent}-renamed --clear-tags")
    assert openstack(f"project show {above['id']}")["tags"] == []
    with pytest.raises(Failed, match="not a leaf in the hierarchy"):
        openstack(f"project delete {parent}-renamed")
    openstack(f"project delete {child} {parent}-renamed")
    assert not {parent, child} & column(openstack("project list"), "Name")


def test_users(openstack):
    name, domain = unique("user"), unique("domain")
    openstack(f"domain create {domain}")
    made = openstack(
        f"user create {name} --domain {domain} --email {name}@example.org --password secret --description", "A tester"
    )
    assert (made["name"], made["enabled"], made["email"]) == (name, True, f"{name}@example.org")
    assert made["password_expires_at"] is None
    assert "password" not in made
    assert openstack(f"user create {name} --domain {domain} --or-show")["id"] == made["id"]
    assert column(openstack(f"user list --domain {domain}"), "Name") == {name}
    [row] = openstack(f"user list --domain {domain} --long")
    assert row["Email"] == f"{name}@example.org"
    openstack(f"user set {name} --domain {domain} --disable --email other@example.org --name {name}-renamed")
    shown = openstack(f"user show {name}-renamed --domain {domain}")
    assert (shown["id"], shown["enabled"], shown["email"]) == (made["id"], False, "other@example.org")
    openstack(f"user delete {name}-renamed --domain {domain}")
    with pytest.raises(Failed, match=f"(?i)no user found for {name}"):
        openstack(f"user show {name}-renamed --domain {domain}")


def test_passwords(openstack, own, person):
    own("user password set --password second --original-password", person.password)
    with pytest.raises(Failed, match="HTTP 401"):
        own("token issue")
    assert own("token issue", OS_PASSWORD="second")["user_id"] == person.id
    openstack(f"user set {person.id} --password third")
    with pytest.raises(Failed, match="HTTP 401"):
        own("token issue", OS_PASSWORD="second")
    assert own("token issue", OS_PASSWORD="third")["user_id"] == person.id
    with pytest.raises(Failed, match="401.*The request you have made requires authentication"):
        own("user password set --password fourth --original-password wrong", OS_PASSWORD="third")


def test_groups_and_their_members(openstack, person):
    name = unique("group")
    made = openstack(f"group create {name} --description", "A group of tests")
    assert (made["name"], made["description"], made["domain_id"]) == (name, "A group of tests", "default")
    openstack(f"group add user {name} {person.name}")
    assert f"{person.name} in group {name}" in openstack.process(f"group contains user {name} {person.name}")
    assert column(openstack(f"user list --group {name}"), "Name") == {person.name}
    assert column(openstack(f"group list --user {person.name}"), "Name") == {name}
    openstack(f"group remove user {name} {person.name}")
    assert openstack(f"user list --group {name}") == []
    openstack(f"group set {name} --name {name}-renamed --description other")
    assert openstack(f"group show {name}-renamed")["description"] == "other"
    openstack(f"group delete {name}-renamed")
    assert f"{name}-renamed" not in column(openstack("group list"), "Name")


# Roles


def test_roles(openstack):
    name, domain = unique("role"), unique("domain")
    openstack(f"domain create {domain}")
    made = openstack(f"role create {name} --description", "A role of tests")
    assert (made["name"], made["domain_id"], made["description"]) == (name, None, "A role of tests")
    openstack(f"role create {name} --domain {domain}")
    assert name in column(openstack("role list"), "Name")
    assert column(openstack(f"role list --domain {domain}"), "Name") == {name}
    openstack(f"role set {name} --name {name}-renamed")
    assert openstack(f"role show {name}-renamed")["id"] == made["id"]
    with pytest.raises(Failed, match='Set resource option "immutable" to false first'):
        openstack("role delete admin")
    openstack(f"role delete {name}-renamed")
    openstack(f"role delete {name} --domain {domain}")
    assert openstack(f"role list --domain {domain}") == []


def test_implied_roles(openstack, person):
    prior, implied = unique("prior"), unique("implied")
    openstack(f"role create {prior}")
    openstack(f"role create {implied}")
    openstack(f"implied role create {prior} --implied-role {implied}")
    pairs = {(row["Prior Role Name"], row["Implied Role Name"]) for row in openstack("implied role list")}
    assert {("admin", "manager"), ("manager", "member"), ("member", "reader"), (prior, implied)} <= pairs
    openstack(f"role add --user {person.id} --project {person.project_id} {prior}")
    effective = openstack(f"role assignment list --user {person.id} --effective --names")
    assert column(effective, "Role") == {prior, implied, "member", "reader"}
    openstack(f"implied role delete {prior} --implied-role {implied}")
    effective = openstack(f"role assignment list --user {person.id} --effective --names")
    assert column(effective, "Role") == {prior, "member", "reader"}


@pytest.mark.parametrize("actor", ["user", "group"])
@pytest.mark.parametrize("target", ["project", "domain", "system"])
def test_roles_are_assigned_to_each_actor_on_each_target(openstack, actor, target):
    who, where = unique(actor), "all" if target == "system" else unique(target)
    openstack(f"{actor} create {who}")
    if target != "system":
        openstack(f"{target} create {where}")
    openstack(f"role add --{actor} {who} --{target} {where} reader")
    [row] = openstack(f"role assignment list --{actor} {who} --names")
    assert row.pop(target.capitalize()) == (f"{where}@Default" if target == "project" else where)
    assert row.pop(actor.capitalize()) == f"{who}@Default"
    assert (row.pop("Role"), row.pop("Inherited")) == ("reader", False)
    assert set(row.values()) == {""}
    # Once more changes nothing.
    openstack(f"role add --{actor} {who} --{target} {where} reader")
    assert len(openstack(f"role assignment list --{target} {where} --{actor} {who}")) == 1
    openstack(f"role remove --{actor} {who} --{target} {where} reader")
    assert openstack(f"role assignment list --{actor} {who}") == []


def test_assignments_are_inherited_by_the_projects_below(openstack):
    user, domain, parent, child = (unique(word) for word in ("user", "domain", "parent", "child"))
    openstack(f"domain create {domain}")
    user = openstack(f"user create {user} --domain {domain}")["id"]
    parent = openstack(f"project create {parent} --domain {domain}")["id"]
    child = openstack(f"project create {child} --domain {domain} --parent {parent}")["id"]
    openstack(f"role add --user {user} --domain {domain} --inherited reader")
    openstack(f"role add --user {user} --project {parent} --inherited member")
    rows = openstack(f"role assignment list --user {user}")
    assert column(rows, "Inherited") == {True}
    assert len(openstack(f"role assignment list --user {user} --inherited")) == 2
    effective = {(row["Role"], row["Project"]) for row in openstack(f"role assignment list --user {user} --effective")}
    reader, member = (openstack(f"role show {name}")["id"] for name in ("reader", "member"))
    assert effective == {(reader, parent), (reader, child), (member, child)}
    openstack(f"role remove --user {user} --project {parent} --inherited member")
    assert len(openstack(f"role assignment list --user {user}")) == 1


def test_effective_assignments_are_those_of_the_members(openstack, person):
    group, project = unique("group"), unique("project")
    openstack(f"group create {group}")
    openstack(f"group add user {group} {person.name}")
    project = openstack(f"project create {project}")["id"]
    openstack(f"role add --group {group} --project {project} member")
    [direct] = openstack(f"role assignment list --project {project} --names")
    assert direct["Group"] == f"{group}@Default"
    effective = openstack(f"role assignment list --project {project} --effective --names")
    assert {(row["User"], row["Role"]) for row in effective} == {
        (f"{person.name}@Default", "member"),
        (f"{person.name}@Default", "reader"),
    }


def test_the_own_assignments_are_listed(openstack):
    rows = openstack("role assignment list --auth-user --auth-project --names")
    assert [(row["User"], row["Project"], row["Role"]) for row in rows] == [("admin@Default", "admin@Default", "admin")]


# The catalog


def test_regions(openstack):
    parent, child = unique("region"), unique("region")
    assert openstack(f"region create {parent} --description north")["description"] == "north"
    openstack(f"region create {child} --parent-region {parent}")
    assert column(openstack(f"region list --parent-region {parent}"), "Region") == {child}
    openstack(f"region set {child} --description south")
    shown = openstack(f"region show {child}")
    assert (shown["parent_region"], shown["description"]) == (parent, "south")
    with pytest.raises(Failed, match="409.*Duplicate ID"):
        openstack(f"region create {parent}")
    openstack(f"region delete {parent}")
    assert not {parent, child} & column(openstack("region list"), "Region")


def test_services(openstack):
    name = unique("service")
    made = openstack(f"service create {name}-type --name {name} --description", "A service of tests")
    assert (made["type"], made["name"], made["enabled"]) == (f"{name}-type", name, True)
    assert name in column(openstack("service list"), "Name")
    openstack(f"service set {name} --disable --type {name}-other --description other")
    shown = openstack(f"service show {name}")
    assert (shown["enabled"], shown["type"], shown["description"]) == (False, f"{name}-other", "other")
    openstack(f"service delete {name}")
    with pytest.raises(Failed, match="(?i)no service"):
        openstack(f"service show {name}")


def test_endpoints(openstack, identity):
    name, region = unique("service"), unique("region")
    openstack(f"service create {name}-type --name {name}")
    openstack(f"region create {region}")
    url = "https://service.example/$(project_id)s"
    made = openstack(f"endpoint create {name} public {url} --region {region}")
    assert (made["interface"], made["url"], made["region_id"]) == ("public", url, region)
    openstack(f"endpoint create {name} internal http://inside.example --region {region}")
    assert len(openstack(f"endpoint list --service {name}")) == 2
    [row] = openstack(f"endpoint list --service {name} --interface public --region {region}")
    assert row["ID"] == made["id"]
    [entry] = [entry for entry in openstack("catalog list") if entry["Name"] == name]
    project = openstack("project show admin")["id"]
    assert f"https://service.example/{project}" in column(entry["Endpoints"], "url")
    with pytest.raises(Failed, match="associated endpoints"):
        openstack(f"region delete {region}")
    openstack(f"endpoint set {made['id']} --disable --url https://moved.example")
    shown = openstack(f"endpoint show {made['id']}")
    assert (shown["enabled"], shown["url"], shown["service_name"]) == (False, "https://moved.example", name)
    openstack(f"endpoint delete {made['id']}")
    openstack(f"service delete {name}")
    assert openstack(f"endpoint list --region {region}") == []


# Credentials


def test_credentials(openstack, person):
    data = '{"access": "a", "secret": "b"}'
    made = openstack(f"credential create --type cert {person.name}", data)
    assert (made["type"], made["blob"], made["user_id"]) == ("cert", data, person.id)
    [row] = openstack(f"credential list --user {person.name}")
    assert (row["ID"], row["Data"]) == (made["id"], data)
    # The command insists on --type, and the server on its absence.
    with pytest.raises(Failed, match=r"Additional properties are not allowed \('type' was unexpected\)"):
        openstack(f"credential set {made['id']} --user {person.name} --type cert --data other")
    assert openstack(f"credential show {made['id']}")["blob"] == data
    openstack(f"credential delete {made['id']}")
    assert openstack(f"credential list --user {person.name}") == []


def test_application_credentials(openstack, own, person):
    openstack(f"role add --user {person.id} --project {person.project_id} manager")
    name = unique("credential")
    plain = own(f"application credential create {name}")
    assert (plain["Name"], plain["Unrestricted"], plain["Expires At"]) == (name, False, None)
    assert len(plain["Secret"]) == 86
    with pytest.raises(Failed, match="409.*Duplicate entry"):
        own(f"application credential create {name}")

    expires = (datetime.datetime.now() + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S")
    words = "--role reader --role member --secret chosen --unrestricted"
    full = own(f"application credential create {name}-full {words} --expiration {expires} --description", "All of it")
    assert (full["Secret"], full["Unrestricted"], full["Description"]) == ("chosen", True, "All of it")
    assert full["Expires At"] == f"{expires}.000000"
    shown = own(f"application credential show {name}-full")
    assert column(shown["Roles"], "name") == {"reader", "member"}
    assert "Secret" not in shown
    assert column(own("application credential list"), "Name") == {name, f"{name}-full"}

    with pytest.raises(Failed, match="unassigned role"):
        admin = openstack("role show admin")["id"]
        own(f"application credential create {name}-more --role {admin}")
    own(f"application credential delete {name} {name}-full")
    assert own("application credential list") == []


def test_access_rules(own):
    rules = [
        {"service": "compute", "method": "GET", "path": "/v2.1/servers"},
        {"service": "image", "method": "POST", "path": "/v2/images/*"},
    ]
    name = unique("credential")
    made = own(f"application credential create {name} --access-rules", json.dumps(rules))
    assert column(made["Access Rules"], "path") == column(rules, "path")
    listed = own("access rule list")
    assert column(listed, "Path") == column(rules, "path")
    rule = listed[0]["ID"]
    shown = own(f"access rule show {rule}")
    assert shown["Path"] == listed[0]["Path"]
    again = own(f"application credential create {name}-again --access-rules", json.dumps([{"id": rule}]))
    assert column(again["Access Rules"], "id") == {rule}
    with pytest.raises(Failed, match="1 of 1 access rules failed to delete"):
        own(f"access rule delete {rule}")
    own(f"application credential delete {name} {name}-again")
    own(f"access rule delete {rule}")
    assert rule not in column(own("access rule list"), "ID")
