"""Archstone and the reference allow the same people the same, by default and under operators' own policy files."""

import concurrent.futures
import contextlib
import itertools
import re
import subprocess
import time

import pytest
import yaml
from policies import requests
from policies.world import OPERATOR, PERSONAS, World

from support.servers import ADMIN_PASSWORD, REPOSITORY, under_test

PROVIDER = REPOSITORY / "clients" / "policies" / "provider.yaml"
# Rules in all the forms that oslo.policy reads; each operation gets one of them, in turn.
ODD = [
    "",
    "@",
    "!",
    None,
    [],
    [["role:admin"], ["role:reader", "system_scope:all"]],
    ["role:admin", "role:manager"],
    [["role:member"], []],
    "rule:missing or role:reader",
    "rule:missing",
    "not rule:missing",
    "not role:admin",
    "NOT role:admin AND NOT role:reader",
    "(role:admin or (role:reader and (not domain_id:None)))",
    "( role:ADMIN )",
    "role:admin and",
    "or role:admin",
    "role:admin role:reader",
    "(role:admin",
    "role:admin)",
    "not (not role:member)",
    "is_admin_project:True and not domain_id:None",
    "is_admin_project:False or is_admin:1 or is_admin:True",
    "None:%(target.nothing)s or role:reader",
    "project_id:None",
    "domain_id:None and project_id:None",
    "user_domain_id:%(domain_id)s or project_domain_id:default",
    "project_id:%(project_id)s or user_id:%(user_id)s",
    "token.user.domain.name:acme",
    "token.project.name:apollo or token.domain.name:acme",
    "token.roles.name:manager",
    "token.methods:application_credential",
    "token.is_domain:False",
    "system_scope:all",
    "system:all",
    "roles:admin",
    "user_id:%(target.user.id)s or role:%(target.role.name)s",
    "'acme':%(target.domain.name)s or \"apollo\":%(target.project.name)s",
    "True:%(target.user.enabled)s or True:%(target.project.enabled)s",
    "None:%(target.user.default_project_id)s or None:%(target.role.domain_id)s",
    "None:%(target.user.password_expires_at)s and role:reader",
    "'victim':%(target.user.description)s",
    "%(target.user.name)s:%(target.user.name)s",
    "project_id:%(target.project.parent_id)s",
    "role:admin%",
    "role:%(missing",
    "nothing",
    "nothing:at:all",
    "service_roles:service or service_user_id:None",
    "user:None or tenant:None",
    "password:x",
    "http_x:y",
    "rule:",
    "role:",
    ":",
    "'quoted text'",
    "rule:admin_required and rule:owner",
    "1:1 and 2.0:2.0 and -3:-3",
    "'a b':c",
]


# A reference is busy on one core.
PAIRS = 2
# Without a cache the reference spends most of its time on finding out, for each request, what a token is good for. Its
# only process has the cache to itself, so that nothing in it is out of date. And no data has to outlive a crash.
FAST = {"cache.backend": "dogpile.cache.memory_pickle", "database.sqlite_synchronous": "false"}


@contextlib.contextmanager
def reference(directory, policy):
    """The URL of a fresh Keystone with this policy file."""
    script = REPOSITORY / "scripts" / "oracle"
    start = [script, "start", directory, "--admin-password", ADMIN_PASSWORD, "--processes", "1"]
    for name, value in (settings(policy) | FAST).items():
        start += ["--set", f"{name}={value}"]
    try:
        yield subprocess.run(start, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    finally:
        subprocess.run([script, "stop", directory], check=True)


@contextlib.contextmanager
def archstone(directory, policy):
    """The URL of a fresh Archstone with this policy file."""
    server = under_test()(directory).start()
    server.stop()
    with open(directory / "keystone.conf", "a", encoding="utf-8") as configuration:
        configuration.write("\n[identity]\npassword_hash_rounds = 4\n")
        for name, value in settings(policy).items():
            section, option = name.split(".")
            configuration.write(f"[{section}]\n{option} = {value}\n")
    server.start()
    try:
        yield server.plain_url
    finally:
        server.stop()


def settings(policy):
    return {"oslo_policy.policy_file": policy, "DEFAULT.admin_token": OPERATOR}


class Pair:
    """Both servers, with the same people and the same policy file."""

    def __init__(self, policy, oracle, subject):
        self._policy = policy
        self._worlds = [World(url, ADMIN_PASSWORD) for url in (oracle, subject)]
        at_once(lambda world: world.build(spares=45), self._worlds)

    def differences(self, rules, people, asked):
        """What the two answer otherwise under these rules, but for what is wanted: a line for each."""
        self._enforce(rules)
        asked = [(persona, request) for request in asked for persona in people]
        answers = at_once(lambda world: [world.ask(persona, request) for persona, request in asked], self._worlds)
        found = []
        for (persona, request), oracle, subject in zip(asked, *answers, strict=True):
            if oracle != subject and not is_wanted(request, oracle, subject):
                found.append(f"{persona}: {request}: {oracle}, here {subject}")
        return found

    def _enforce(self, rules):
        """Puts a file with these rules in place, once both have noticed that there is another one."""
        probe = requests.Request("GET", "/regions")
        for text, status in (('"identity:list_regions": "!"', 403), (rules, 200)):
            new = self._policy.with_suffix(".new")
            new.write_text(text)
            new.replace(self._policy)
            deadline = time.monotonic() + 60
            while any(world.ask("cloud-admin", probe)[0] != status for world in self._worlds):
                assert time.monotonic() < deadline, "the policy file is not read again"
                time.sleep(0.1)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Pairs of servers that know nothing of each other, so that they can be asked at the same time."""
    with contextlib.ExitStack() as stack:
        directories = [tmp_path_factory.mktemp("policy") for _ in range(PAIRS)]
        yield at_once(lambda directory: stack.enter_context(pair(directory)), directories)


@contextlib.contextmanager
def pair(directory):
    policy = directory / "policy.yaml"
    policy.write_text("{}")
    other = reference if under_test().is_reference else archstone
    with reference(directory / "oracle", policy) as oracle, other(directory / "subject", policy) as subject:
        yield Pair(policy, oracle, subject)


def at_once(act, things):
    """What `act` answers for each of them, all in threads of their own."""
    with concurrent.futures.ThreadPoolExecutor(len(things)) as pool:
        return list(pool.map(act, things))


def is_wanted(request, oracle, subject):
    """Whether an answer differs on purpose. Status 0: the reference closes the connection."""
    failed = oracle[0] in (0, 500)
    both_list = oracle[0] == subject[0] == 200
    return (
        # At some rules that make no sense the reference fails, and who asks is not let in either.
        (failed and subject[0] == 403)
        # It looks up the root of a tree before it asks who asks, and fails when that is not there.
        or (failed and "include_subtree" in request.path and subject[0] in (401, 404))
        # Of a repeated filter the reference asks for all values, which is for nothing; here the first counts, as it
        # does to the policy of both.
        or ("&domain_id=" in request.path and both_list)
        # It fails at some names of groups of a user and of application credentials.
        or (failed and subject[0] == 200 and "/users/{" in request.path and "?name" in request.path)
        # It compares also what is no name by `__contains`, and breaks where one of the values is null (400).
        or ("__contains=" in request.path and oracle[0] in (200, 400) and subject[0] == 200)
        # It lists users of identity providers alone when anything stands behind the name of such a filter.
        or ("_id__nonsense=" in request.path and both_list)
    )


def odd_rules():
    """An odd rule for each operation."""
    sample = (REPOSITORY / "deploy" / "policy.yaml.sample").read_text()
    names = re.findall(r'^#"(identity:[^"]+)"', sample, re.MULTILINE)
    rules = dict(zip(names, itertools.cycle(ODD), strict=False))
    # By this one it shows that the file is in force.
    del rules["identity:list_regions"]
    return yaml.safe_dump(rules)


EVERYBODY = ["cloud-admin", *PERSONAS, "application-credential"]
# What the defaults allow others, the differential test asks.
SOME = ["cloud-admin", "domain-manager", "member", "system-reader", "nobody"]


# The odd rules meet every third request: there are three times as many of them as forms of rules.
@pytest.mark.parametrize(
    ("rules", "people", "asked"),
    [
        pytest.param("{}", SOME, requests.ALL, id="defaults"),
        pytest.param(PROVIDER.read_text(), EVERYBODY, requests.ALL, id="provider"),
        pytest.param(odd_rules(), [*SOME, "domain-admin"], requests.ALL[::3], id="odd"),
        pytest.param("{}", ["cloud-admin", "domain-manager"], requests.FILTERS, id="filters"),
    ],
)
def test_both_allow_the_same(pairs, rules, people, asked):
    # Each pair is asked everything, by some of the people.
    shares = [(pair, people[number :: len(pairs)]) for number, pair in enumerate(pairs)]
    found = at_once(lambda share: share[0].differences(rules, share[1], asked), shares)
    differences = list(itertools.chain(*found))
    assert not differences, "\n".join(differences)
