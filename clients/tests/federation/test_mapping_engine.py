"""`archstone mapping_engine` against `keystone-manage mapping_engine`: the same files, the same output."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.servers import archstone_binary

KEYSTONE_MANAGE = Path(sys.executable).with_name("keystone-manage")

RULES = [
    {
        "local": [
            {"user": {"name": "Größe {0}", "email": "{1}"}, "groups": "{2}", "domain": {"name": "D"}},
        ],
        "remote": [{"type": "NAME"}, {"type": "MAIL"}, {"type": "GROUPS", "blacklist": ["none"]}],
    },
    {"local": [{"group_ids": "{0}"}], "remote": [{"type": "IDS", "whitelist": ["^a"], "regex": True}]},
]


def both(directory, rules, assertion, *options):
    """The two outcomes of one command line; keystone-manage's without its log, which stands in between."""
    (directory / "rules.json").write_text(json.dumps(rules), encoding="utf-8")
    (directory / "input").write_text(assertion, encoding="utf-8")
    arguments = ["mapping_engine", "--rules", "rules.json", "--input", "input", *options]
    ours, theirs = (
        subprocess.run([program, *arguments], cwd=directory, capture_output=True, text=True)
        for program in (archstone_binary(), KEYSTONE_MANAGE)
    )
    theirs.stdout = re.sub(r"^\d{4}-\d\d-\d\d .*\n", "", theirs.stdout, flags=re.MULTILINE)
    return ours, theirs


@pytest.mark.parametrize(
    "rules, assertion, options",
    [
        (RULES, "NAME: joe\nMAIL: a:b@example.com\n\n GROUPS : one;none \n", []),
        ({"rules": RULES}, "NAME: joe;jane\nMAIL:\nGROUPS: it's\nIDS: b;ab", []),
        ({"rules": RULES, "schema_version": "1.0"}, "IDS: a1;b", ["--engine-debug"]),
        (RULES, "ASDF_NAME: x\nIDS: a1\nASDF_IDS: a2", ["--prefix", "IDS"]),
        (RULES, "IDS: a1", ["--mapping-schema-version", "1.0"]),
    ],
)
def test_both_print_the_same(tmp_path, rules, assertion, options):
    ours, theirs = both(tmp_path, rules, assertion, *options)
    assert theirs.returncode == 0, theirs.stderr
    assert (ours.stdout, ours.returncode) == (theirs.stdout, 0), ours.stderr


@pytest.mark.parametrize(
    "rules, assertion, options",
    [
        (RULES, "NAME: joe", []),
        (RULES, "NAME", []),
        ([], "NAME: joe", []),
        ([{"local": [{"user": {"name": "{1}"}}], "remote": [{"type": "NAME"}]}], "NAME: joe", []),
        (RULES, "IDS: a1", ["--mapping-schema-version", "9.0"]),
    ],
)
def test_both_fail_alike(tmp_path, rules, assertion, options):
    ours, theirs = both(tmp_path, rules, assertion, *options)
    assert theirs.returncode == 1
    assert (ours.stdout, ours.returncode) == ("", 1)


def test_the_explanation_follows_the_result(tmp_path):
    ours, theirs = both(tmp_path, RULES, "IDS: a1;b")
    assert ours.stdout == theirs.stdout
    explained = subprocess.run(
        [archstone_binary(), "mapping_engine", "--rules", "rules.json", "--input", "input", "--explain"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout
    tree = explained.removeprefix(ours.stdout)
    assert tree.splitlines()[0] == "Rule 1 does not apply"
    assert '└─ gives {"group_ids":"a1"}' in tree
