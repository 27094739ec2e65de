"""Asks Keystone what it says about requests, most of them wrong in some way.

Run with the Python of a virtual environment that has keystone==30.0.0:

    python clients/oracle/schema_cases.py > crates/web/tests/data/schema_cases.json

A number as argument asks for that many cases for each schema instead of the usual ones; other
numbers draw other cases.
"""

import copy
import importlib
import json
import random
import sys
import urllib.parse

import keystone.conf
from keystone import exception
from keystone.api.validation import validators
from keystone.common import validation
from keystone.federation import utils as federation_utils
from request_schemas import BRIEF, MAPPING, VERBOSE
from werkzeug.wrappers import Request

# What is put where it does not belong.
ODDITIES = [
    None,
    True,
    False,
    0,
    1,
    -1,
    -2,
    2147483648,
    1.0,
    -5.0,
    1.5,
    1e16,
    1e-7,
    123456789012345678,
    "",
    " ",
    "\x1c",
    "a\n",
    "default",
    "true",
    "True",
    "1",
    "2",
    "0123456789abcdef0123456789ABCDEF",
    "{urn:uuid:01234567-89ab-cdef-0123-456789abcdef}",
    "naïve café 日本語 🔑",
    "it's",
    'say "yes"',
    "it's \"both\"",
    "back\\slash\ttab\nline\rreturn\0null\x7f",
    "\x85\xa0\xad\u200b\u2028\ufeff\ue000\U000e0001\u0301combining",
    "x" * 64,
    "x" * 65,
    "x" * 255,
    "x" * 300,
    "ü" * 226,
    "many words of different lengths " * 9,
    "lines\nof text\r\nin several\x0bways " * 5,
    "http://127.0.0.1:5000/v3",
    "not a url",
    [],
    [None],
    ["a", "a"],
    ["a", "b"],
    ["a,b", "c/d"],
    [1, True],
    [1, 1.0],
    [{"a": 1, "b": 2}, {"b": 2, "a": 1}],
    [[]],
    [["password"], ["password"]],
    ["tag%d" % number for number in range(81)],
    {},
    {"id": "default"},
    {"id": ""},
    {"id": 7, "name": None},
    {"name": "x" * 80, "domain": {"name": "y" * 80, "id": [1, "two", None, {"three": 3.0}]}},
    {"": {"'": ['"', {"\n": "\t"}]}},
    {"deep": {"deep": {"deep": {"deep": {"deep": ["end " * 12, {"of": "it " * 20}]}}}}},
]

EXTRAS = ["", "extra", "group", "group.id", "id", "it's", "secret", "user.id", "ümlaut"]

# What the samples made from a schema alone get wrong.
SAMPLES = {
    "assignment.role_assignments_index_request_query": {
        "effective": "",
        "include_subtree": "",
        "scope.project.id": "abc",
        "user.id": "abc",
    },
    "catalog.endpoint_group_create_request_body": {
        "endpoint_group": {"name": "g", "filters": {"interface": "public"}, "description": "d"}
    },
    "limit.limits_create_request_body": {
        "limits": [
            {
                "service_id": "0123456789abcdef0123456789abcdef",
                "resource_name": "volume",
                "resource_limit": 10,
                "project_id": "abc",
            }
        ]
    },
    "oauth1.consumer_update": {"description": "d"},
    "oauth1.request_token_authorize": [{"id": "abc"}, {"name": "member"}],
}
# Cases by hand, for what chance rarely meets. Text is a query.
WRITTEN = {
    "assignment.role_assignments_index_request_query": [
        "include_subtree",
        "include_subtree=1&scope.project.id=a_b",
        "user.id=a&group.id=b",
        "user.id=a&user.id=c&group.id=b",
        "effective&group=it%27s",
        "group.id=",
        "effective&user.id=a&scope.OS-INHERIT%3Ainherited_to=projects",
    ],
    "auth.token_issue": [
        {},
        {"identity": {}},
        {"identity": {"methods": "password"}},
        {"identity": {"methods": ["password", 7]}},
        {"identity": {"methods": ["token"], "token": {}}},
        {"identity": {"methods": ["password"], "password": {"user": {"id": 1, "name": 2}}}},
        {"identity": {"methods": ["password"], "password": {"user": {"domain": "default"}}}},
        {"identity": {"methods": ["password"]}, "scope": "unscoped"},
        {"identity": {"methods": ["password"]}, "scope": ["unscoped"]},
        {"identity": {"methods": ["password"]}, "scope": {"system": {"all": None}}},
        {"identity": {"methods": ["password"]}, "scope": {"system": {"all": "true"}}},
    ],
    "credential.create_request_body": [
        {"credential": {"type": "ec2", "blob": "{}", "user_id": "abc"}},
        {"credential": {"type": "cert", "blob": "{}"}},
        {"credential": {"blob": {"access": "a", "secret": "s"}}},
    ],
    "identity.password_change": [
        {},
        {"password": "new"},
        {"original_password": "old", "password": None},
        {"original_password": "many words " * 20, "password": "x" * 100, "extra": 1},
    ],
    "limit.limit_update_request_body": [{"limit": {"resource_limit": -2.0}}],
    "resource.project_tags_update": [["tag"] * 2, ["tag%d" % number for number in range(81)], {}],
    "trust.trust_create_request_body": [{}, {"trust": {"remaining_uses": 0}}],
}
MAPPING_SAMPLE = {
    "rules": [
        {
            "local": [
                {"user": {"name": "{0}", "domain": {"id": "default"}, "type": "local"}},
                {"group": {"name": "g", "domain": {"name": "d"}}},
                {"projects": [{"name": "p", "roles": [{"name": "member"}]}]},
            ],
            "remote": [
                {"type": "REMOTE_USER"},
                {"type": "A", "any_one_of": ["b"], "regex": False},
                {"type": "A", "whitelist": ["b"]},
            ],
        }
    ]
}


def sample(schema):
    """A value that has everything the schema knows."""
    kind = schema.get("type", "string")
    if isinstance(kind, list):
        kind = kind[0]
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "object":
        fields = list(schema.get("properties", {}).items())[: schema.get("maxProperties")]
        return {name: sample(each) for name, each in fields}
    if kind == "array":
        return [sample(schema.get("items", {}))]
    if kind == "string":
        if schema.get("format") == "uuid":
            return "0123456789abcdef0123456789abcdef"
        pattern = schema.get("pattern", "")
        return "http://[::1]/" if ":" in pattern else "/abc" if pattern[1:2] == "/" else "abc"
    return {"boolean": True, "integer": 5, "null": None}[kind]


def places(value, path=()):
    """All paths into a value, itself included."""
    yield path
    if isinstance(value, dict):
        children = value.items()
    else:
        children = enumerate(value if isinstance(value, list) else ())
    for key, child in children:
        yield from places(child, (*path, key))


def spoil(value, rng):
    """Changes one place of a value."""
    path = rng.choice(list(places(value))[1:] or [()])
    oddity = copy.deepcopy(rng.choice(ODDITIES))
    if not path:
        return oddity
    inside = value
    for key in path[:-1]:
        inside = inside[key]
    way = rng.randrange(8)
    if way == 0:
        del inside[path[-1]]
    elif way == 1 and isinstance(inside, dict):
        inside[rng.choice(EXTRAS)] = oddity
    elif way == 2 and isinstance(inside, dict):
        # Two extras, of which Keystone sorts the names.
        inside["zz"] = inside["aa"] = oddity
    elif way == 3 and isinstance(inside, list):
        inside.append(copy.deepcopy(inside[path[-1]]))
    else:
        inside[path[-1]] = oddity
    return value


def told(check, *arguments):
    try:
        check(*arguments)
    except exception.ValidationError as error:
        return str(error)
    return None


def query_of(value, rng):
    """A query string that says about the same, now and then with a repeated key."""
    pairs = value.items() if isinstance(value, dict) else [("name", value)]
    pairs = [
        (key, each if isinstance(each, str) else json.dumps(each)) for key, each in pairs
    ]
    if pairs and rng.randrange(6) == 0:
        pairs.append((rng.choice(pairs)[0], "again"))
    return urllib.parse.urlencode(pairs)


def cases(name, schema, check, count):
    rng = random.Random(f"{name} {count}")
    good = SAMPLES.get(name, MAPPING_SAMPLE if name in MAPPING else sample(schema))
    is_query = name.endswith("_query")
    for number in range(count):
        value = copy.deepcopy(good)
        for _ in range(min(number, 1 + rng.randrange(3))):
            value = spoil(value, rng)
            if name in MAPPING and not isinstance(value, dict):
                value = {"rules": value}
        case = {"schema": name}
        if is_query:
            case["query"] = query_of(value, rng)
            value = Request.from_values(query_string=case["query"]).args
        else:
            if name in MAPPING:
                value["schema_version"] = name.removeprefix("federation.mapping_")
            # The check must see what a reader of the case sees.
            case["value"] = value = json.loads(json.dumps(value))
        case["error"] = told(check, schema, value)
        yield case
    for written in WRITTEN.get(name, []):
        if is_query:
            value = Request.from_values(query_string=written).args
            yield {"schema": name, "query": written, "error": told(check, schema, value)}
        else:
            yield {"schema": name, "value": written, "error": told(check, schema, written)}


def everything(count):
    for module, names in BRIEF.items():
        for name in names:
            schema = getattr(importlib.import_module(f"keystone.{module}.schema"), name)

            def check(schema, value):
                validators._SchemaValidator(schema, is_body=True).validate(value)

            yield from cases(f"{module}.{name}", schema, check, count)
    for module, names in VERBOSE.items():
        for name in names:
            schema = getattr(importlib.import_module(f"keystone.{module}.schema"), name)
            yield from cases(f"{module}.{name}", schema, validation.lazy_validate, count)
    for name, schema in MAPPING.items():

        def check(schema, value):
            federation_utils.validate_mapping_structure(value)

        yield from cases(name, schema, check, count)


if __name__ == "__main__":
    keystone.conf.configure()
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    lines = ",\n".join(json.dumps(case) for case in everything(wanted))
    sys.stdout.write(f"[\n{lines}\n]\n")
