"""Asks the reference what it maps assertions to, and writes its answers down for the tests of crates/model.

    python clients/oracle/mapping_cases.py

needs keystone==30.0.0 in the running Python. It rewrites crates/model/tests/data/mapping_cases.json.

An answer is {"ok": what came out}, or {"error": what kind, "class": the exception}. The kinds are

    rules      the rules do not meet their schema
    refused    a login ends with 401
    broken     the reference fails (500), or would as soon as it used what came out

Sets have no order in Python, and one may decide the order of groups: ids and names are sorted here.
"""

import json
import logging
import pathlib

import keystone.conf
from keystone import exception
from keystone.federation import utils

CASES = pathlib.Path(__file__).parents[2] / "crates" / "model" / "tests" / "data" / "mapping_cases.json"

NAME = {"type": "NAME"}
JOE = {"NAME": "joe"}
USER = {"user": {"name": "{0}"}}
MEMBER = [{"name": "member"}]


def ask(case):
    mapping = {"id": "mapping", "rules": case["rules"], "schema_version": case["schema_version"]}
    try:
        utils.validate_mapping_structure({"rules": case["rules"], "schema_version": case["schema_version"]})
    except exception.ValidationError:
        return {"error": "rules", "class": "ValidationError"}
    except Exception as error:
        return {"error": "rules", "class": type(error).__name__}
    try:
        # The rules are copied, for the processor writes into them.
        mapping["rules"] = json.loads(json.dumps(case["rules"]))
        made = utils.create_attribute_mapping_rules_processor(mapping).process(dict(case["assertion"]))
    except (exception.ValidationError, exception.SchemaValidationError) as error:
        kind = "refused" if type(error) is exception.ValidationError else "broken"
        return {"error": kind, "class": type(error).__name__}
    except Exception as error:
        return {"error": "broken", "class": type(error).__name__}
    if not usable(made):
        return {"error": "broken", "class": "later"}
    groups = [{"name": group["name"], "domain": group["domain"]} for group in made["group_names"]]
    made["group_names"] = sorted(groups, key=json.dumps)
    made["group_ids"] = sorted(made["group_ids"])
    return {"ok": json.loads(json.dumps(made))}


def usable(made):
    """Whether a login can go on with it: every group and project has what is read of it."""
    def text(value):
        return isinstance(value, str)

    def domain(value):
        return isinstance(value, dict) and all(map(text, value.values()))

    groups = made["group_names"]
    return all(map(text, made["group_ids"])) and all(
        isinstance(group, dict) and text(group.get("name")) and domain(group.get("domain")) for group in groups
    )


def case(note, local, remote, assertion, version="1.0"):
    local = local if isinstance(local, list) else [local]
    remote = remote if isinstance(remote, list) else [remote]
    return {
        "note": note, "schema_version": version, "rules": [{"local": local, "remote": remote}], "assertion": assertion,
    }


def rules(note, made, assertion=JOE, version="1.0"):
    return {"note": note, "schema_version": version, "rules": made, "assertion": assertion}


def conditions():
    seen = {"NAME": "joe", "KIND": "staff;guest", "MAIL": "joe@example.com"}
    for note, condition in {
        "any, one of two": {"any_one_of": ["guest", "admin"]},
        "any, none": {"any_one_of": ["admin"]},
        "any, nothing listed": {"any_one_of": []},
        "any, part of a value": {"any_one_of": ["gues"]},
        "any, other case": {"any_one_of": ["Staff"]},
        "any, numbers and nulls listed": {"any_one_of": [1, None, True, "staff"]},
        "any, only numbers listed": {"any_one_of": [1, None]},
        "any, a list listed": {"any_one_of": [["staff"]]},
        "any, an object listed": {"any_one_of": ["staff", {}]},
        "any, regex false": {"any_one_of": ["sta.*"], "regex": False},
        "none, listed": {"not_any_of": ["guest"]},
        "none, not listed": {"not_any_of": ["admin"]},
        "none, nothing listed": {"not_any_of": []},
        "none, pattern": {"not_any_of": ["^st"], "regex": True},
        "none, pattern that is nowhere": {"not_any_of": ["^x"], "regex": True},
        "none, an object listed": {"not_any_of": [{}]},
        "two tests": {"any_one_of": ["staff"], "not_any_of": ["x"]},
        "regex alone": {"regex": True},
        "regex as text": {"any_one_of": ["staff"], "regex": "yes"},
        "listed as text": {"any_one_of": "staff"},
        "unknown test": {"all_of": ["staff"]},
    }.items():
        yield case(note, USER, [NAME, {"type": "KIND", **condition}], seen)
    for note, condition in {
        "whitelist, one": {"whitelist": ["guest"]},
        "whitelist, none": {"whitelist": ["admin"]},
        "whitelist, nothing listed": {"whitelist": []},
        "whitelist, pattern": {"whitelist": ["^g", "zz"], "regex": True},
        "whitelist, pattern for all": {"whitelist": ["."], "regex": True},
        "whitelist, bad pattern": {"whitelist": ["("], "regex": True},
        "blacklist, one": {"blacklist": ["guest"]},
        "blacklist, all": {"blacklist": ["guest", "staff"]},
        "blacklist, nothing listed": {"blacklist": []},
        "blacklist, pattern": {"blacklist": ["ue"], "regex": True},
        "blacklist, number as pattern": {"blacklist": [1], "regex": True},
        "blacklist, a list listed": {"blacklist": [[]]},
    }.items():
        local = {"user": {"name": "{0}"}, "groups": "{1}", "domain": {"id": "d"}}
        yield case(note, local, [NAME, {"type": "KIND", **condition}], seen)
    twice = {"NAME": "joe", "KIND": "a;a"}
    for test, listed in (("whitelist", "a"), ("blacklist", "b")):
        local = {"user": {"name": "{0} {1}"}}
        yield case(f"{test}, a value twice", local, [NAME, {"type": "KIND", test: [listed]}], twice)
        condition = {"type": "KIND", test: [listed], "regex": True}
        yield case(f"{test}, a value twice, pattern", local, [NAME, condition], twice)
    yield case("a value twice", {"user": {"name": "{0} {1}"}}, [NAME, {"type": "KIND"}], twice)
    yield case("tests fill no place", {"user": {"name": "{1}"}}, [
        NAME, {"type": "KIND", "any_one_of": ["staff"]}, {"type": "KIND", "not_any_of": ["x"]}, {"type": "MAIL"},
    ], seen)
    yield case("only tests", {"user": {"name": "x"}}, {"type": "KIND", "any_one_of": ["staff"]}, seen)
    yield case("only tests, and a place", USER, {"type": "KIND", "any_one_of": ["staff"]}, seen)
    yield case("absent before broken", USER, [{"type": "NO"}, {"type": "KIND", "any_one_of": ["("], "regex": True}], seen)
    yield case("broken before absent", USER, [{"type": "KIND", "any_one_of": ["("], "regex": True}, {"type": "NO"}], seen)
    yield case("a match before a bad pattern", USER, [NAME, {"type": "MAIL", "any_one_of": ["joe", "("], "regex": True}], seen)
    yield case("the name of an attribute counts whole", USER, {"type": "name"}, JOE)
    yield case("no conditions", USER, [], JOE)
    yield case("a condition without type", USER, [{"any_one_of": ["x"]}], JOE)


def patterns():
    for note, pattern, value in [
        ("unanchored", "o", "joe"), ("end", "joe$", "joe"), ("end before a newline", "joe$", "joe\n"),
        ("very end", r"joe\Z", "joe\n"), ("start", "^oe", "joe"), ("case", "JOE", "joe"), ("flag", "(?i)JOE", "joe"),
        ("flag for a part", "(?i:J)oe", "Joe"), ("flag late", "j(?i)OE", "joe"), ("any character", "j.e", "j\ne"),
        ("any character with s", "(?s)j.e", "j\ne"), ("several lines", "(?m)^b$", "a\nb\nc"), ("one line", "^b$", "a\nb"),
        ("bracket in a class", "[[]", "["), ("signs in a class", "[a&&b]+$", "&&"), ("dash in a class", "^[a-]+$", "a-a"),
        ("range of signs", "^[+--]$", ","), ("bracket first", "^[]]$", "]"), ("not bracket", "^[^]]$", "a"),
        ("literal braces", "a{b}", "a{b}"), ("open repetition", "^a{,2}$", "aa"), ("repetition", "^a{2}$", "aaa"),
        ("repetition or nothing", "^a{,}$", "aaa"), ("brace at the end", "a{", "a{"), ("escaped signs", r"\@\-\/\_\<", "@-/_<"),
        ("word", r"^\w+$", "größe_1²"), ("word, ASCII", r"(?a)^\w+$", "größe"), ("no word", r"\W", "größe"),
        ("digits", r"^\d+$", "٣4"), ("digits, ASCII", r"(?a)^\d+$", "٣4"), ("white space", r"a\sb", "a\u00a0b"),
        ("odd white space", r"a\sb", "a\x1cb"), ("look ahead", r"joe(?=@)", "joe@x"), ("look behind", r"(?<=@)x", "joe@x"),
        ("not behind", r"(?<!@)x", "joe@x"), ("reference", r"^(.)\1$", "aa"), ("named", r"^(?P<c>.)(?P=c)$", "ab"),
        ("comment", "jo(?#x)e", "joe"), ("if", r"^(a)?(?(1)b|c)$", "ab"), ("atomic", r"^(?>a+)a$", "aaa"),
        ("possessive", r"^a++$", "aaa"), ("octal", r"\101", "A"), ("hexadecimal", r"\x41\u0042", "AB"),
        ("property", r"\p{L}", "a"), ("foreign escape", r"\K", "a"), ("foreign group", "(?<n>a)", "a"), ("not closed", "(a", "a"),
        ("class not closed", "[a", "a"), ("nothing to repeat", "*a", "a"), ("bad range", "[b-a]", "a"), ("range of a set", r"[\w-z]", "a"),
        ("ends in a backslash", "a\\", "a"), ("empty", "", "joe"), ("alternatives", "^(joe|jane)$", "jane"), ("boundary", r"\bjoe\b", "a joe b"),
        ("lazy", "^j.*?e$", "joe"), ("x flag", "(?x) j o e # name", "joe"), ("turned off", "(?i)(?-i:j)OE", "joe"),
    ]:
        # Only what one needs to match: a `;` in it would be two values.
        yield case(f"pattern: {note}", USER, [NAME, {"type": "V", "any_one_of": [pattern], "regex": True}], {"NAME": "joe", "V": value})


def templates():
    seen = {"A": "joe", "B": "x;it's", "C": "größe\n"}
    remote = [{"type": "A"}, {"type": "B"}, {"type": "C"}]
    for template in [
        "{0}", "{0} {0}", "{1}", "{2}", "{}", "{} {}", "{}{0}", "{0}{}", "{3}", "{{0}}", "{{{0}}}", "{", "}", "{0", "0}", "}}", "{{",
        "{0!r}", "{1!r}", "{2!r}", "{2!a}", "{1!s}", "{0!x}", "{0!}", "{0!r:>7}", "{0:10}|", "{0:>10}", "{0:^10}|", "{0:*^9}", "{0:.2}",
        "{0:6.2}|", "{0:06}", "{0:<06}|", "{0:=6}", "{0:+}", "{0:d}", "{0:s}", "{0:,}", "{0:.}", "{1:5}", "{1:}", "{1[0]}", "{1[1]}",
        "{1[2]}", "{1[-1]}", "{1[x]}", "{0[0]}", "{0[1][0]}", "{name}", "{ 0}", "{-1}", "{0:{0}}", "{0:{1[0]}>6}", "{0:{0:{0}}}", "{00}",
        "", "plain", "{0:\u00e9>6}", "{0:{{>6}", "{0:{}}",
    ]:
        yield case(f"template {template}", {"user": {"name": template}}, remote, seen)
    yield case("templates everywhere", {
        "user": {"id": "{0}", "name": "n {0}", "email": "{0}@x", "domain": {"id": "{0}", "name": "{0}"}},
        "group": {"name": "{0}", "domain": {"id": "{0}"}},
    }, NAME, JOE)
    yield case("one that fails later", {"user": {"name": "{0}", "email": "{9}"}}, NAME, JOE)
    yield case("a rule that does not apply may be wrong", {"user": {"name": "{9}"}}, {"type": "NO"}, JOE)


def groups():
    local = {"user": {"name": "{0}"}, "groups": "{1}", "domain": {"name": "D"}}
    remote = [NAME, {"type": "G"}]
    for value in [
        "a", "a;b", "a;", ";", "", "it's;b", "['a']", "['a', 'b']", "[a]", "[]", "[1]", "['a', ['b']]", "('a',)", "('a')", "{'a'}", "[\"a\"]",
        " ['a']", "['a'] ", "['a'", "[r'a\\n']", "['a\\x41']", "['a' 'b']", "[b'a']", "[None]", "5", "'a'", "a b;c d", "größe;ärger",
        "['a',]", "[,]", "# a", "['a'] # b", "JSON:{}",
    ]:
        yield case(f"groups {value!r}", local, remote, {"NAME": "joe", "G": value})
    for value in [
        'JSON:{"name":"g","domain":{"name":"D"}}', 'JSON:{"name":"g","domain":{"id":"D"}};JSON:{"name":"h","domain":{"name":"E"}}',
        'JSON:{"name":"g"}', 'JSON:{"domain":{"name":"D"}}', 'JSON:{"name":7,"domain":{"name":"D"}}', 'JSON:{"name":"g","domain":"D"}',
        'JSON:{"name":"g","domain":{}}', 'JSON:{"name":"g","domain":{"name":"D"},"more":1}', "name", "name;other", "username", "name-in-domain",
        "JSON:name", 'JSON:"name"', 'JSON:["name"]', 'JSON:["name","domain"]', "JSON:7 name", 'JSON:JSON:{"name":"g","domain":{"name":"D"}}',
        "['name']", "[1, 'name']", 'JSON: {"name": "g", "domain": {"id": "x"}}', '{"name":"g","domain":{"name":"D"}}',
        'JSON:{"name":"g","domain":null}',
    ]:
        yield case(f"groups by name {value!r}", local, remote, {"NAME": "joe", "G": value})
        yield case(f"group ids {value!r}", {"group_ids": "{1}"}, remote, {"NAME": "joe", "G": value})
    yield case("groups without a domain", {**USER, "groups": "{1}"}, remote, {"NAME": "joe", "G": "a"})
    yield case("groups without a domain, one more entry has it", [{"groups": "{1}"}, {"domain": {"id": "d"}}], remote, {"NAME": "joe", "G": "a"})
    yield case("groups, a domain that says nothing", {"groups": "{1}", "domain": {}}, remote, {"NAME": "joe", "G": "a"})
    for value in ["a", "a;b", "a;a", "['a']", "[1]", "[[]]", ""]:
        yield case(f"group ids {value!r} and one more", [{"group_ids": "{1}"}, {"group": {"id": "a"}}], remote, {"NAME": "joe", "G": value})
    yield case("groups one by one", [
        {"group": {"name": "a", "domain": {"name": "D"}}}, {"group": {"name": "b", "domain": {"id": "D"}}},
        {"group": {"name": "a", "domain": {"id": "D"}}}, {"group": {"name": "a", "domain": {"id": "E"}}}, {"group": {"id": "i"}},
    ], NAME, JOE)
    yield case("a group with an empty domain", {"group": {"name": "a", "domain": {}}}, NAME, JOE)
    yield case("a group with an empty domain name", [
        {"group": {"name": "a", "domain": {"name": "", "id": "i"}}}, {"group": {"name": "b", "domain": {"name": "i"}}},
    ], NAME, JOE)
    yield case("a group with all", {"group": {"id": "i", "name": "a", "domain": {"id": "d"}}}, NAME, JOE)
    yield case("a group without domain", {"group": {"name": "a"}}, NAME, JOE)
    yield case("a group without anything", {"group": {}}, NAME, JOE)


def merging():
    both = [NAME]
    for version in ("1.0", "2.0", "3.0"):
        yield rules("the first user counts", [
            {"local": [{"user": {"name": "a {0}"}}], "remote": both},
            {"local": [{"user": {"name": "b {0}", "email": "m"}}, {"group": {"id": "g"}}], "remote": both},
        ], version=version)
        yield rules("an empty user does not count", [
            {"local": [{"user": {}}, {"user": {"name": "b"}}], "remote": both},
        ], version=version)
        yield rules("a user of a domain only counts", [
            {"local": [{"user": {"domain": {"id": "d"}}}, {"user": {"name": "b"}}], "remote": both},
        ], version=version)
        yield case("nothing said", [], NAME, JOE, version)
        yield case("an empty entry", {}, NAME, JOE, version)
        yield case("only a domain", {"domain": {"id": "d"}}, NAME, JOE, version)
        yield case("local", {"user": {"name": "{0}", "type": "local"}, "domain": {"id": "d"}}, NAME, JOE, version)
        yield case("ephemeral", {"user": {"name": "{0}", "type": "ephemeral"}}, NAME, JOE, version)
        yield case("another kind", {"user": {"name": "{0}", "type": "{0}"}}, NAME, JOE, version)
        yield case("an empty domain of the user", {"user": {"name": "{0}", "domain": {}}, "domain": {"id": "d"}}, NAME, JOE, version)
        yield case("the domain of the last entry", [
            {**USER, "domain": {"id": "first"}}, {"group": {"id": "g"}, "domain": {"id": "last"}},
        ], NAME, JOE, version)
        yield case("the last entry has no domain", [{**USER, "domain": {"id": "first"}}, {"group": {"id": "g"}}], NAME, JOE, version)
        yield case("projects", {**USER, "projects": [{"name": "P {0}", "roles": MEMBER}, {"name": "Q", "roles": []}]}, NAME, JOE, version)
        yield case("the last projects count", [
            {"projects": [{"name": "P", "roles": MEMBER}]}, {"projects": [{"name": "Q", "roles": MEMBER}]}, USER,
        ], NAME, JOE, version)
        yield case("no projects at last", [{"projects": [{"name": "P", "roles": MEMBER}]}, {"projects": []}], NAME, JOE, version)
        yield case("projects and a domain", {
            "domain": {"name": "D"}, "projects": [{"name": "P", "roles": MEMBER}],
        }, NAME, JOE, version)
        yield case("projects with a domain", {
            "domain": {"name": "D"},
            "projects": [{"name": "P", "roles": MEMBER, "domain": {"id": "{0}"}}, {"name": "Q", "roles": MEMBER, "domain": {}}],
        }, NAME, JOE, version)
        yield case("projects from the assertion", {"projects_json": "{1}"}, [NAME, {"type": "P"}], {"NAME": "joe", "P": "[]"}, version)
        yield case("projects as a text", {"projects": "{1}"}, [NAME, {"type": "P"}], {"NAME": "joe", "P": "[]"}, version)
        yield case("projects without roles", {"projects": [{"name": "P"}]}, NAME, JOE, version)
        yield case("projects with odd roles", {"projects": [{"name": "P", "roles": ["member"]}]}, NAME, JOE, version)
        yield case("projects with more", {"projects": [{"name": "P", "roles": [], "x": 1}]}, NAME, JOE, version)
    yield rules("no rule", [])
    yield rules("no list", {})
    yield rules("a rule that is none", ["rule"])
    yield rules("an entry that is none", [{"local": ["x"], "remote": [NAME]}])
    yield rules("an entry that is a number", [{"local": [7], "remote": [NAME]}])
    yield rules("a rule with more", [{"local": [USER], "remote": [NAME], "note": "x"}])
    yield rules("a rule without local", [{"remote": [NAME]}])
    yield rules("a rule without remote", [{"local": [USER]}])
    yield case("an entry with more", {"user": {"name": "x"}, "role": "y"}, NAME, JOE)
    yield case("a user that is a list", {"user": ["x"]}, NAME, JOE)
    yield case("a name that is a number", {"user": {"name": 7}}, NAME, JOE)
    yield case("a domain that is a text", {"domain": "d"}, NAME, JOE)
    yield case("groups that are a list", {"groups": ["a"], "domain": {"id": "d"}}, NAME, JOE)


def projects_json():
    remote = [NAME, {"type": "P"}]
    for value in [
        "[]", '[{"name":"P","roles":[]}]', '[{"name":"P","roles":[{"name":"member"}]}]',
        '[{"name":"P","roles":[{"name":"member"}],"domain":{"name":"D"}}]', '[{"name":"P","roles":[],"domain":{}}]',
        '[{"name":"P","roles":[],"domain":null}]', '[{"name":"P"}]', '[{"name":"P","roles":["member"]}]', '[{"name":7,"roles":[]}]',
        '[{"name":"P","roles":[{"name":"m","id":"x"}]}]', '[{"name":"P","roles":[],"x":1}]', '{"name":"P","roles":[]}', "7", "null",
        '["P"]', "no json", "", '[{"name":"P;Q","roles":[]}]', ";", '"x"', '[["P",[]]]', '[{"name":"P","roles":[["member"]]}]',
    ]:
        yield case(f"projects {value}", {**USER, "projects_json": "{1}", "domain": {"id": "d"}}, remote, {"NAME": "joe", "P": value}, "3.0")
    seen = {"NAME": "joe", "P": '[{"name":"P","roles":[]}]'}
    for place in ["{1}", "1", "{1", "1}", "{1} and more", "{2}", "{0}", "x", "", "{x}", " 1", "{{1}}", "{1!r}", "-1", "{01}"]:
        yield case(f"place {place!r}", {**USER, "projects_json": place}, remote, seen, "3.0")
    yield case("both kinds of projects", {
        "projects": [{"name": "Q", "roles": MEMBER}], "projects_json": "{1}", "domain": {"id": "d"},
    }, remote, seen, "3.0")
    yield case("a whitelist that leaves nothing", {"projects_json": "{0}"}, {"type": "P", "whitelist": ["x"]}, seen, "3.0")


def assertions():
    yield case("an empty value is a value", USER, NAME, {"NAME": ""})
    yield case("a blank is a value", USER, NAME, {"NAME": " "})
    yield case("values are not trimmed", USER, NAME, {"NAME": "a; b"})
    yield case("what is no text is not said", USER, NAME, {"NAME": 7})
    yield case("null is not said", USER, NAME, {"NAME": None})
    yield case("a list is not said", USER, NAME, {"NAME": ["joe"]})
    yield case("nothing is said", USER, NAME, {})
    yield case("a quote in a value", {"user": {"name": "{0}"}}, NAME, {"NAME": "o'brien"})
    yield case("both quotes in values", {"user": {"name": "{0}"}}, NAME, {"NAME": "a'b\"c;d\"e"})
    yield case("odd characters in values", {"user": {"name": "{0}"}}, NAME, {"NAME": "a\\b;\t\x01\x7f;\u00ad\u200b;\ud83d\ude00\u0301".encode("utf-16", "surrogatepass").decode("utf-16")})
    yield case("a version that there is not", USER, NAME, JOE, "4.0")


def main():
    logging.disable(logging.CRITICAL)
    keystone.conf.configure()
    made = [
        found
        for kind in (conditions, patterns, templates, groups, merging, projects_json, assertions)
        for found in kind()
    ]
    for found in made:
        found["result"] = ask(found)
    lines = ",\n".join(json.dumps(found) for found in made)
    CASES.write_text(f"[\n{lines}\n]\n")
    kinds = [found["result"].get("error", "ok") for found in made]
    print(len(made), {kind: kinds.count(kind) for kind in sorted(set(kinds))})


if __name__ == "__main__":
    main()
