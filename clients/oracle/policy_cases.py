"""Asks the reference oslo.policy what it decides, and writes its answers down for the tests of crates/policy.

    python clients/oracle/policy_cases.py

needs keystone==30.0.0 (which brings oslo.policy 6.0.1) in the running Python. It rewrites

    crates/policy/tests/cases.json           the language, on rules made up here
    crates/policy/tests/keystone_rules.json  Keystone's default rules, and who passes each of them

An answer is "allow", "deny", "scope" (the token has the wrong scope), or "error": the reference raises
something else there, which its clients see as a 500; we deny.
"""

import json
import logging
import pathlib
import tempfile
import warnings

from keystone.common import policies, utils
from oslo_config import cfg
from oslo_policy import policy

TESTS = pathlib.Path(__file__).parents[2] / "crates" / "policy" / "tests"

CREDENTIALS = {
    "nobody": {},
    "admin": {
        "user_id": "u-admin", "user_domain_id": "default", "system_scope": None, "domain_id": None,
        "project_id": "p1", "project_domain_id": "default", "roles": ["Admin", "member", "reader"],
        "is_admin_project": True, "service_user_id": None, "service_roles": [],
        "token": {
            "methods": ["password", "totp"],
            "user": {"id": "u-admin", "domain": {"id": "default", "name": "Default"}},
            "project": {"id": "p1", "domain": {"id": "default", "name": "Default"}},
            "roles": [{"id": "r1", "name": "admin"}, {"id": "r2", "name": "member"}],
        },
    },
    "member": {
        "user_id": "u1", "user_domain_id": "d1", "system_scope": None, "domain_id": None,
        "project_id": "p2", "project_domain_id": "d1", "roles": ["member", "reader"], "is_admin_project": False,
        "token": {
            "methods": ["password"],
            "user": {"id": "u1", "domain": {"id": "d1"}},
            "project": {"id": "p2", "domain": {"id": "d1"}},
            "roles": [{"id": "r2", "name": "member"}],
        },
    },
    "domain manager": {
        "user_id": "u2", "user_domain_id": "d1", "system_scope": None, "domain_id": "d1", "project_id": None,
        "project_domain_id": None, "roles": ["manager", "member", "reader"], "is_admin_project": True,
        "token": {"user": {"id": "u2", "domain": {"id": "d1"}}, "domain": {"id": "d1"}},
    },
    "domain admin": {
        "user_id": "u6", "user_domain_id": "d1", "system_scope": None, "domain_id": "d1", "project_id": None,
        "project_domain_id": None, "roles": ["admin"], "is_admin_project": True,
        "token": {"user": {"id": "u6", "domain": {"id": "d1"}}, "domain": {"id": "d1"}},
    },
    "system reader": {
        "user_id": "u3", "user_domain_id": "default", "system_scope": "all", "domain_id": None, "project_id": None,
        "project_domain_id": None, "roles": ["reader"], "is_admin_project": True,
        "token": {"user": {"id": "u3", "domain": {"id": "default"}}, "system": {"all": True}},
    },
    "system admin": {
        "user_id": "u7", "user_domain_id": "default", "system_scope": "all", "domain_id": None, "project_id": None,
        "project_domain_id": None, "roles": ["admin", "member", "reader"], "is_admin_project": True,
        "token": {"user": {"id": "u7", "domain": {"id": "default"}}, "system": {"all": True}},
    },
    "service": {
        "user_id": "u4", "user_domain_id": "default", "system_scope": None, "domain_id": None, "project_id": "p3",
        "project_domain_id": "default", "roles": ["service"], "is_admin_project": False,
        "token": {"user": {"id": "u4", "domain": {"id": "default"}}, "project": {"id": "p3", "domain": {"id": "default"}}},
    },
    "unscoped": {
        "user_id": "u5", "user_domain_id": "d1", "system_scope": None, "domain_id": None, "project_id": None,
        "project_domain_id": None, "roles": [], "is_admin_project": True,
        "token": {"user": {"id": "u5", "domain": {"id": "d1"}}},
    },
    "odd": {
        "user_id": 7, "flag": True, "off": False, "empty": "", "nothing": None, "ratio": 1.5, "large": 1e16,
        "small": 0.00001, "huge": 12345678901234567890, "minus": -3, "zero": 0.0,
        "text": "it's", "unicode": "Žluťoučký", "list": ["a", 1, None, True, ["b", "c"]],
        "object": {"k": "v", "n": [1, None, True, "it's"], "deep": {"x": 'say "hi"'}}, "void": {},
        "rows": [{"id": "x"}, {"id": "y"}, {"name": "z"}],
        "mixed": ["scalar", {"id": "x"}], "good-first": [{"id": "x"}, "scalar"],
        "roles": ["Straße", "KELVIN", "Σίσυφος", "two words"], "a-b": {"c-d": "dash"}, "_x1": "under",
        "system": "all", "1-2": "difference", "True": "shadowed", "None": {"a": "under None"}, "é": "accent",
        "dotted.key": "never found",
    },
    "text roles": {"roles": "admin"},
    "null roles": {"roles": None},
    "number among roles": {"roles": ["admin", 5]},
    "system key only": {"system": "all", "domain_id": "d1", "roles": ["admin"]},
    "system scope false": {"system_scope": False, "system": None, "domain_id": "d1", "roles": ["admin"]},
    "system scope text": {"system_scope": "all", "system": "other", "domain_id": "d1"},
    "domain zero": {"domain_id": 0, "roles": ["admin"]},
}

TARGETS = {
    "none": {},
    "u1": {"user_id": "u1", "target.user.id": "u1", "target.user.domain_id": "d1", "target.domain.id": "d1"},
    "roles": {"target.role.name": "manager", "target.role.domain_id": None, "target.role.id": "r1", "name": "ADMIN"},
    "nested": {
        "user_id": "u1",
        "target": {"user": {"id": "u1", "domain_id": "d1", "enabled": True, "options": {}}, "domain": {"id": "d1"}},
        "request_body": {"user": {"tags": ["a", "b"], "name": "x"}},
    },
    "odd": {
        "seven": 7, "seven text": "7", "yes": True, "no": False, "null": None, "none text": "None", "half": 1.5, "large": 1e16,
        "small": 0.00001, "huge": 12345678901234567890, "minus": -3, "zero": 0.0, "empty": "", "a": "a", "b": "b",
        "brackets()": "in brackets", "object": {"inner": {"k": "v"}}, "list": [1, None, True, "it's"], "quotes": ['a"b', "a'b\"c"],
        "lines": ["a\nb\tc\\d\re\u0001\u007f"], "percent": "100%", "lower": "straße", "kelvin": "\u212aelvin",
        "sigma": "ΣΊΣΥΦΟΣ", "true text": "True", "words": "two words", "accent": "Žluťoučký", "empty list": [], "dash": "dash",
    },
}

# Rule texts, each asked about (credentials, target) pairs.
LANGUAGE = [
    # constants
    ("@", [("nobody", "none")]),
    ("!", [("admin", "none")]),
    ("", [("nobody", "none")]),
    (" ", [("admin", "none")]),
    ([], [("nobody", "none")]),
    (None, [("nobody", "none")]),
    ("not @", [("admin", "none")]),
    ("not !", [("nobody", "none")]),
    ("@ and !", [("admin", "none")]),
    ("! or @", [("nobody", "none")]),
    ("@@", [("nobody", "none")]),
    ("!!", [("nobody", "none")]),
    ("not !!", [("nobody", "none")]),
    # roles
    ("role:admin", [("admin", "none"), ("member", "none"), ("nobody", "none"), ("text roles", "none"), ("null roles", "none"),
                    ("number among roles", "none")]),
    ("role:ADMIN", [("admin", "none"), ("member", "none")]),
    ("Role:admin", [("admin", "none")]),
    ("role:a", [("admin", "none")]),
    ("role:", [("admin", "none"), ("unscoped", "none")]),
    ("role:%(target.role.name)s", [("domain manager", "roles"), ("member", "roles"), ("domain manager", "none")]),
    ("role:%(name)s", [("admin", "roles")]),
    ("role:%(lower)s", [("odd", "odd")]),
    ("role:%(kelvin)s", [("odd", "odd")]),
    ("role:%(sigma)s", [("odd", "odd")]),
    ("role:kelvin", [("odd", "none")]),
    ("role:STRASSE", [("odd", "none")]),
    ("not role:admin", [("admin", "none"), ("member", "none"), ("nobody", "none"), ("null roles", "none")]),
    ("role:admin:x", [("admin", "none")]),
    # operators
    ("role:admin or role:member", [("admin", "none"), ("member", "none"), ("service", "none")]),
    ("role:admin and role:member", [("admin", "none"), ("member", "none")]),
    ("role:admin AND role:member", [("admin", "none"), ("member", "none")]),
    ("role:x Or role:member", [("member", "none")]),
    ("NOT role:admin", [("member", "none"), ("admin", "none")]),
    ("not not role:admin", [("member", "none"), ("admin", "none")]),
    ("not not not role:admin", [("member", "none"), ("admin", "none")]),
    ("role:x or role:y and role:z", [("admin", "none")]),
    ("role:member or role:x and role:y", [("member", "none")]),
    ("role:x and role:y or role:member", [("member", "none")]),
    ("role:x and (role:y or role:member)", [("member", "none")]),
    ("role:member and role:reader and role:admin", [("member", "none"), ("admin", "none")]),
    ("role:x or role:y or role:reader", [("member", "none"), ("service", "none")]),
    ("role:x or role:member and role:reader and role:admin or role:service", [("member", "none"), ("admin", "none"), ("service", "none")]),
    ("role:x or (role:member and role:reader) and role:admin", [("member", "none"), ("admin", "none")]),
    ("not role:admin and role:member", [("member", "none"), ("admin", "none")]),
    ("not (role:admin and role:member)", [("member", "none"), ("admin", "none")]),
    ("role:member and not role:admin", [("member", "none"), ("admin", "none")]),
    ("role:service or not role:admin", [("member", "none"), ("admin", "none")]),
    ("role:service or not role:admin and role:member", [("member", "none"), ("admin", "none"), ("unscoped", "none")]),
    ("(role:admin)", [("admin", "none"), ("member", "none")]),
    ("((((role:admin))))", [("admin", "none"), ("member", "none")]),
    ("( role:admin )", [("admin", "none")]),
    ("(role:admin or role:member)and role:reader", [("admin", "none")]),
    ("(role:x or role:member) and (role:reader or role:y)", [("member", "none"), ("admin", "none"), ("service", "none")]),
    ("not(role:admin)", [("member", "none"), ("admin", "none")]),
    ("role:admin\nor\trole:member", [("member", "none")]),
    ("role:admin\u00a0or\u2003role:member\u001cor role:x", [("member", "none")]),
    ("  role:admin  ", [("admin", "none")]),
    # what cannot be read
    ("role:admin role:member", [("admin", "none")]),
    ("role:admin or", [("admin", "none")]),
    ("or role:admin", [("admin", "none")]),
    ("role:admin and and role:member", [("admin", "none")]),
    ("role:admin or or role:member", [("admin", "none")]),
    ("not", [("admin", "none")]),
    ("and", [("admin", "none")]),
    ("not not", [("admin", "none")]),
    ("role:admin not", [("admin", "none")]),
    ("role:admin not role:x", [("admin", "none")]),
    ("(role:admin", [("admin", "none")]),
    ("role:admin)", [("admin", "none")]),
    ("()", [("admin", "none")]),
    ("(", [("admin", "none")]),
    (")", [("admin", "none")]),
    ("(or)", [("admin", "none")]),
    ("role:admin or ()", [("admin", "none")]),
    ("(role:admin) (role:admin)", [("admin", "none")]),
    ("not (role:x", [("admin", "none")]),
    ("admin", [("admin", "none")]),
    ("not admin", [("admin", "none")]),
    ("admin or role:admin", [("admin", "none"), ("member", "none")]),
    ("role:admin and admin", [("admin", "none")]),
    ("'admin'", [("admin", "none")]),
    ("'admin' or role:admin", [("admin", "none")]),
    ("not 'admin'", [("admin", "none")]),
    ("('admin')", [("admin", "none")]),
    ("not ('admin')", [("admin", "none")]),
    ("'a':'a'", [("admin", "none")]),
    ("\"a\":%(a)s", [("odd", "odd")]),
    ("not 'a':'a'", [("admin", "none")]),
    ("role:admin or user_id:%(x", [("admin", "none")]),
    ("user_id:%(x)", [("admin", "none")]),
    # references
    ("rule:open", [("nobody", "none")]),
    ("rule:closed", [("admin", "none")]),
    ("rule:undefined", [("admin", "none")]),
    ("not rule:undefined", [("member", "none")]),
    ("rule:undefined or role:admin", [("admin", "none")]),
    ("rule:chain", [("admin", "none"), ("member", "none")]),
    ("not rule:chain", [("admin", "none"), ("member", "none")]),
    ("rule:itself", [("admin", "none")]),
    ("rule:itself or role:admin", [("admin", "none"), ("member", "none")]),
    ("role:admin or rule:itself", [("admin", "none"), ("member", "none")]),
    ("not rule:itself", [("member", "none")]),
    ("rule:ping", [("admin", "none"), ("member", "none"), ("service", "none")]),
    ("rule:broken", [("admin", "none")]),
    ("not rule:broken", [("admin", "none")]),
    ("rule:Open", [("nobody", "none")]),
    ("rule:", [("nobody", "none")]),
    ("rule:%(name)s", [("nobody", "odd")]),
    ("rule:open:x", [("nobody", "none")]),
    # credentials
    ("user_id:%(user_id)s", [("member", "u1"), ("admin", "u1"), ("member", "none"), ("nobody", "u1"), ("member", "nested")]),
    ("user_id:%(target.user.id)s", [("member", "u1"), ("admin", "u1"), ("member", "nested")]),
    ("user_id:u1", [("member", "none"), ("admin", "none")]),
    ("user_id:", [("member", "none")]),
    ("empty:", [("odd", "none")]),
    ("empty:%(empty)s", [("odd", "odd")]),
    ("user_id:%(target.user.id)s%(target.user.id)s", [("member", "u1")]),
    ("user_id:u%(seven)s", [("member", "odd")]),
    ("user_id:%%", [("member", "none")]),
    ("text:%(a)s%%", [("odd", "odd")]),
    ("system_scope:all", [("system reader", "none"), ("admin", "none")]),
    ("system:all", [("system reader", "none"), ("admin", "none"), ("system key only", "none"), ("odd", "none"), ("system scope text", "none")]),
    ("system:other", [("system scope text", "none")]),
    ("system_scope:None", [("admin", "none"), ("system reader", "none")]),
    ("domain_id:None", [("admin", "none")]),
    ("domain_id:%(target.user.domain_id)s", [("domain manager", "u1"), ("admin", "u1"), ("domain manager", "nested")]),
    ("is_admin:1", [("admin", "none")]),
    ("is_admin_project:True", [("admin", "none"), ("member", "none")]),
    ("is_admin_project:true", [("admin", "none")]),
    ("is_admin_project:1", [("admin", "none")]),
    ("is_admin_project:False", [("member", "none")]),
    ("token.project.domain.id:%(target.domain.id)s", [("member", "u1"), ("admin", "u1"), ("domain manager", "u1"), ("nobody", "u1")]),
    ("token.domain.id:%(target.domain.id)s", [("domain manager", "u1"), ("member", "u1"), ("member", "nested")]),
    ("token.project.domain.name:Default", [("admin", "none"), ("member", "none")]),
    ("token.roles.name:member", [("admin", "none"), ("member", "none"), ("service", "none")]),
    ("token.roles.id:%(target.role.id)s", [("admin", "roles"), ("member", "roles")]),
    ("token.methods:password", [("admin", "none"), ("member", "none"), ("service", "none")]),
    ("token.methods:totp", [("admin", "none"), ("member", "none")]),
    ("token.system.all:True", [("system reader", "none"), ("admin", "none")]),
    ("roles:member", [("admin", "none"), ("member", "none")]),
    ("roles:admin", [("admin", "none")]),
    ("roles:MEMBER", [("member", "none")]),
    ("user_id:7", [("odd", "none")]),
    ("user_id:%(seven)s", [("odd", "odd")]),
    ("user_id:%(seven text)s", [("odd", "odd")]),
    (["user_id:%(seven text)s"], [("odd", "odd")]),
    ("flag:True", [("odd", "none")]),
    ("flag:%(yes)s", [("odd", "odd")]),
    ("off:%(no)s", [("odd", "odd")]),
    ("nothing:None", [("odd", "none")]),
    ("nothing:%(null)s", [("odd", "odd")]),
    (["nothing:%(none text)s"], [("odd", "odd")]),
    ("nothing:null", [("odd", "none")]),
    ("ratio:1.5", [("odd", "none")]),
    ("ratio:%(half)s", [("odd", "odd")]),
    ("large:1e+16", [("odd", "none")]),
    ("large:%(large)s", [("odd", "odd")]),
    ("small:1e-05", [("odd", "none")]),
    ("small:%(small)s", [("odd", "odd")]),
    ("huge:12345678901234567890", [("odd", "none")]),
    ("huge:%(huge)s", [("odd", "odd")]),
    ("minus:-3", [("odd", "none")]),
    ("zero:0.0", [("odd", "none")]),
    ("zero:0", [("odd", "none")]),
    ("text:it's", [("odd", "none")]),
    ("unicode:%(accent)s", [("odd", "odd")]),
    ("é:accent", [("odd", "none")]),
    ("list:a", [("odd", "none")]),
    ("list:1", [("odd", "none")]),
    ("list:None", [("odd", "none")]),
    ("list:b", [("odd", "none")]),
    (["list:['b', 'c']"], [("odd", "none")]),
    ("rows.id:x", [("odd", "none")]),
    ("rows.id:y", [("odd", "none")]),
    ("rows.id:z", [("odd", "none")]),
    ("rows.name:z", [("odd", "none")]),
    ("rows:x", [("odd", "none")]),
    ("mixed.id:x", [("odd", "none")]),
    ("good-first.id:x", [("odd", "none")]),
    ("good-first.id:y", [("odd", "none")]),
    ("object.k:v", [("odd", "none")]),
    ("object.k.x:v", [("odd", "none")]),
    ("object.missing:v", [("odd", "none")]),
    ("void:{}", [("odd", "none")]),
    (["object.n:it's"], [("odd", "none")]),
    (["object.deep:{'x': 'say \"hi\"'}"], [("odd", "none")]),
    ("nothing.x:1", [("odd", "none")]),
    ("not nothing.x:1", [("odd", "none")]),
    ("nothing.x:1 or @", [("odd", "none")]),
    ("@ or nothing.x:1", [("odd", "none")]),
    ("user_id.x:1", [("odd", "none"), ("member", "none"), ("nobody", "none")]),
    ("a-b.c-d:%(dash)s", [("odd", "odd")]),
    ("_x1:under", [("odd", "none")]),
    ("1-2:difference", [("odd", "none")]),
    ("None.a:x", [("odd", "none")]),
    (["None.a:under None"], [("odd", "none")]),
    ("dotted.key:x", [("odd", "none")]),
    # targets
    ("'a':%(object.inner.k)s", [("odd", "odd")]),
    ("'v':%(object.inner.k)s", [("odd", "odd")]),
    ("'x':%(object.inner)s", [("odd", "odd")]),
    ("not 'x':%(object.inner)s", [("odd", "odd")]),
    ("'x':%(request_body.user.name)s", [("nobody", "nested")]),
    ("True:%(target.user.enabled)s", [("nobody", "nested")]),
    ("not 'x':%(target.user.options)s", [("nobody", "nested")]),
    (["user_id:%(brackets())s"], [("odd", "odd")]),
    # literals
    ("'manager':%(target.role.name)s", [("nobody", "roles"), ("nobody", "none")]),
    ("'Manager':%(target.role.name)s", [("nobody", "roles")]),
    ("\"manager\":%(target.role.name)s", [("nobody", "roles")]),
    ("'manager':manager", [("nobody", "none")]),
    ("'':%(empty)s", [("nobody", "odd")]),
    ("None:%(target.role.domain_id)s", [("nobody", "roles"), ("nobody", "none")]),
    ("'None':%(target.role.domain_id)s", [("nobody", "roles")]),
    ("not None:%(target.role.domain_id)s", [("nobody", "roles"), ("nobody", "none")]),
    ("True:%(yes)s", [("nobody", "odd")]),
    ("True:%(true text)s", [("nobody", "odd")]),
    (["True:%(true text)s"], [("nobody", "odd")]),
    ("True:True", [("odd", "none")]),
    ("True:shadowed", [("odd", "none")]),
    ("true:%(yes)s", [("nobody", "odd")]),
    ("False:%(no)s", [("nobody", "odd")]),
    ("None:%(null)s", [("nobody", "odd")]),
    ("7:%(seven)s", [("nobody", "odd")]),
    ("+7:%(seven)s", [("nobody", "odd")]),
    ("07:%(seven)s", [("nobody", "odd")]),
    ("7.0:%(seven)s", [("nobody", "odd")]),
    ("-3:%(minus)s", [("nobody", "odd")]),
    ("1.5:%(half)s", [("nobody", "odd")]),
    ("15e-1:%(half)s", [("nobody", "odd")]),
    (".5:0.5", [("nobody", "none")]),
    ("5.:5.0", [("nobody", "none")]),
    ("00:0", [("nobody", "none")]),
    ("-0:0", [("nobody", "none")]),
    ("-0.0:-0.0", [("nobody", "none")]),
    ("1e400:inf", [("nobody", "none")]),
    ("1e16:%(large)s", [("nobody", "odd")]),
    ("12345678901234567890:%(huge)s", [("nobody", "odd")]),
    ("'two:%(a)s", [("nobody", "odd")]),
    (["'two words':%(words)s"], [("nobody", "odd")]),
    (["\"[1, None, True, \\\"it's\\\"]\":%(list)s"], [("nobody", "odd")]),
    (["\"[1, None, True, \":%(list)s"], [("nobody", "odd")]),
    ("'[]':%(empty list)s", [("nobody", "odd")]),
    (["'[]':%(empty list)s"], [("nobody", "odd")]),
    # left sides Python cannot read, and where the error comes out
    (":x", [("nobody", "none")]),
    (":%(missing)s", [("nobody", "none")]),
    ("not :%(missing)s", [("nobody", "none")]),
    ("class:x", [("nobody", "none")]),
    ("not class:x", [("nobody", "none")]),
    ("class:x or @", [("nobody", "none")]),
    ("@ or class:x", [("nobody", "none")]),
    ("class:%(missing)s or @", [("nobody", "none")]),
    ("a..b:x", [("nobody", "none")]),
    (".a:x", [("nobody", "none")]),
    ("a.:x", [("nobody", "none")]),
    ("a.b.True:x", [("nobody", "none")]),
    ("a$b:x", [("nobody", "none")]),
    ("1a:x", [("nobody", "none")]),
    ("rule.x:open", [("nobody", "none")]),
    (["user id:x"], [("nobody", "none")]),
    # formatting
    ("user_id:%", [("member", "none")]),
    ("user_id:100%", [("member", "none")]),
    ("user_id:%(user_id", [("member", "u1")]),
    ("user_id:%(missing)s%", [("member", "none")]),
    ("user_id:%(user_id)s%", [("member", "u1")]),
    ("not user_id:%(missing)s%(", [("member", "none")]),
    ("user_id:%(user_id)y", [("member", "u1")]),
    ("user_id:%(missing)y", [("member", "none")]),
    ("role:%", [("member", "none")]),
    ("role:%(missing)s%", [("member", "none")]),
    # the list form
    ([[]], [("nobody", "none"), ("admin", "none")]),
    (["role:admin"], [("admin", "none"), ("member", "none")]),
    ([["role:admin"]], [("admin", "none"), ("member", "none")]),
    ([["role:admin", "role:member"]], [("admin", "none"), ("member", "none")]),
    ([["role:admin"], ["role:member"]], [("admin", "none"), ("member", "none"), ("service", "none")]),
    ([["role:member", "user_id:%(user_id)s"], "role:admin"], [("member", "u1"), ("admin", "u1"), ("domain manager", "u1")]),
    ([["role:admin"], []], [("member", "none")]),
    (["role:admin or role:member"], [("admin", "none"), ("member", "none")]),
    (["role:two words"], [("odd", "none")]),
    (["role:%(words)s"], [("odd", "odd")]),
    (["@"], [("nobody", "none")]),
    (["!"], [("admin", "none")]),
    ([["@", "!"]], [("admin", "none")]),
    (["not role:admin"], [("member", "none")]),
    (["(role:admin)"], [("admin", "none")]),
    (["admin"], [("admin", "none")]),
    ([""], [("admin", "none")]),
    ([["", "@"]], [("admin", "none")]),
    ([[["role:admin"]]], [("admin", "none")]),
    ([[5, "@"], ["@"]], [("nobody", "none")]),
    ([[5]], [("admin", "none")]),
    ([None, "@"], [("nobody", "none")]),
    ([["rule:chain"]], [("admin", "none"), ("member", "none")]),
]

# The rules those texts may refer to.
COMMON = {
    "open": "@",
    "closed": "!",
    "chain": "rule:chain2",
    "chain2": "rule:chain3 and @",
    "chain3": "role:admin",
    "itself": "rule:itself",
    "ping": "role:admin or rule:pong",
    "pong": "role:member or rule:ping",
    "broken": "role:admin or",
}


def default(name, check, scopes=None, deprecated=None, formerly=None):
    old = {"name": formerly or name, "check": deprecated} if deprecated is not None else None
    return {"name": name, "check": check, "scopes": scopes, "deprecated": old}


DEFAULTS = [
    default("admin_required", "role:admin"),
    default("get", "rule:admin_required or user_id:%(user_id)s", ["project"]),
    default("system", "role:reader", ["system"]),
    default("domain", "@", ["domain"]),
    default("every", "@", ["system", "domain", "project"]),
    default("old", "role:admin", ["system", "project"], "role:member"),
    default("same", "role:admin", None, "role:admin"),
    default("renamed", "role:admin", None, "role:member", "former"),
    default("renamed2", "role:manager", None, "role:member", "former"),
    default("lost", "rule:nowhere"),
]

EVERYONE = ["admin", "member", "domain manager", "domain admin", "system reader", "system admin", "service", "unscoped",
            "system key only", "system scope false", "domain zero", "nobody"]

# Whole files over the defaults above: (title, options, file, rules to ask about).
FILES = [
    ("no file", {}, None, ["admin_required", "get", "system", "domain", "every", "old", "same", "renamed", "lost", "unheard of"]),
    ("old defaults honoured", {"enforce_new_defaults": False}, None, ["old", "same", "renamed", "renamed2", "get", "former"]),
    ("an override keeps the scope", {}, '"system": "@"\n"get": "role:service"\n', ["system", "get", "every"]),
    ("an override reaches the rules that refer to it", {}, "admin_required: role:member\n", ["get", "admin_required"]),
    ("an override beats the old default", {"enforce_new_defaults": False}, "old: role:reader\n", ["old"]),
    ("the old name is overridden", {}, "former: role:service\n", ["renamed", "renamed2", "former"]),
    ("the old name is overridden with what it was", {}, "former: role:member\n", ["renamed", "renamed2"]),
    ("the old name is overridden with what it was, old defaults honoured", {"enforce_new_defaults": False}, "former: role:member\n",
     ["renamed", "renamed2"]),
    ("the old name points at the new", {}, 'former: "rule:renamed"\n', ["renamed", "renamed2"]),
    ("both names are overridden", {}, "former: role:service\nrenamed: role:reader\n", ["renamed", "renamed2"]),
    ("a default rule", {}, "default: role:service\n", ["unheard of", "lost", "get"]),
    ("a default rule that is undefined itself", {}, "default: rule:nowhere\n", ["unheard of", "lost"]),
    ("another name for the default rule", {"default_rule": "fallback"}, "default: '@'\nfallback: role:member\n", ["unheard of", "lost"]),
    ("a default rule that is not there", {"default_rule": "fallback"}, "default: '@'\n", ["unheard of", "lost"]),
    ("a rule of the operator's own has no scope", {}, "mine: role:admin\n", ["mine"]),
    ("JSON", {}, '{"get": "role:member", "every": [["role:admin"], ["role:service", "@"]], "system": []}', ["get", "every", "system"]),
    ("JSON that ends in a comma", {}, '{"get": "@",}', ["get"]),
    ("empty", {}, "", ["get"]),
    ("only comments", {}, "# nothing\n", ["get"]),
    ("an empty list", {}, "[]", ["get"]),
    ("an empty object", {}, "{}", ["get"]),
    ("a byte order mark", {}, "\ufeffget: '!'\n", ["get"]),
    ("twice the same key", {}, "get: '@'\nget: '!'\n", ["get"]),
    ("twice the same key, the other way", {}, "get: '!'\nget: '@'\n", ["get"]),
    ("null is open to all", {}, "get:\nsystem: ~\nold: null\n", ["get", "system", "old"]),
    ("an exclamation mark without quotes is null", {}, "get: !\n", ["get"]),
    ("a quoted exclamation mark", {}, "get: '!'\n", ["get"]),
    ("an empty text", {}, "get: ''\n", ["get"]),
    ("a space", {}, "get: ' '\n", ["get"]),
    ("anchors", {}, "get: &who role:member\nevery: *who\n", ["get", "every"]),
    ("a merge key", {}, "<<: {get: role:member, every: '!'}\nevery: '@'\n", ["get", "every"]),
    ("a block", {}, "get: |\n  role:member\n  or role:service\n", ["get"]),
    ("a folded block", {}, "get: >-\n  role:member\n  or role:service\n", ["get"]),
    ("a list in blocks", {}, "get:\n- role:member\n- - role:service\n  - '@'\n", ["get"]),
    ("a comment behind a rule", {}, "get: role:member # or role:service\n", ["get"]),
    ("a rule that cannot be read", {}, "get: role:member or\n", ["get", "every"]),
    ("a quoted no", {}, "get: 'no'\n", ["get"]),
    ("a tag", {}, "get: !!str role:member\n", ["get"]),
]

# Files the reference cannot load; neither may we.
UNLOADABLE = [
    ("a list", "- get\n"),
    ("a text", "get"),
    ("true", "true"),
    ("broken YAML", "get: 'role:member\n"),
    ("two values in one line", "get: role:member: x\n"),
    ("an at sign without quotes", "get: @\n"),
    ("two documents", "get: '@'\n---\nget: '!'\n"),
    ("an unknown anchor", "get: *who\n"),
    ("a number", "get: 5\n"),
    ("a true", "get: true\n"),
    ("a number in a list", "get: [5]\n"),
    ("a true in a list", "get: [true]\n"),
]


def enforcer(defaults, options, file):
    """An Enforcer as a service would make it; `file` is the text of the policy file or None."""
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    made = policy.Enforcer(conf)
    conf.set_override("enforce_new_defaults", options.get("enforce_new_defaults", True), "oslo_policy")
    made.default_rule = options.get("default_rule", "default")
    made.rules.default_rule = made.default_rule
    made.suppress_deprecation_warnings = True
    for rule in defaults:
        old = rule["deprecated"] and policy.DeprecatedRule(
            rule["deprecated"]["name"], rule["deprecated"]["check"], deprecated_reason="test", deprecated_since="test"
        )
        made.register_default(policy.RuleDefault(rule["name"], rule["check"], deprecated_rule=old, scope_types=rule["scopes"]))
    if file is not None:
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as written:
            written.write(file)
            written.flush()
            conf.set_override("policy_file", written.name, "oslo_policy")
            made.policy_file = written.name
            made.load_rules()
            made.use_conf = False
    else:
        conf.set_override("policy_file", "/nonexistent/policy.yaml", "oslo_policy")
        made.policy_file = "/nonexistent/policy.yaml"
        made.load_rules()
    return made


def ask(made, rule, credentials, target):
    try:
        # Credentials are copied, for the reference adds to them.
        allowed = made.enforce(rule, utils.flatten_dict(target), dict(credentials), do_raise=True)
        return "allow" if allowed else "deny"
    except policy.PolicyNotAuthorized:
        return "deny"
    except policy.InvalidScope:
        return "scope"
    except Exception:
        return "error"


def language():
    for text, questions in LANGUAGE:
        file = json.dumps({**COMMON, "asked": text})
        made = enforcer([], {}, file)
        for credentials, target in questions:
            yield {"rule": text, "credentials": credentials, "target": target,
                   "expected": ask(made, "asked", CREDENTIALS[credentials], TARGETS[target])}


def files():
    for title, options, file, rules in FILES:
        made = enforcer(DEFAULTS, options, file)
        yield {
            "title": title, "options": options, "file": file,
            "expected": {
                rule: {who: ask(made, rule, CREDENTIALS[who], TARGETS["u1"]) for who in EVERYONE} for rule in rules
            },
        }


def unloadable():
    for title, file in UNLOADABLE:
        try:
            enforcer(DEFAULTS, {}, file)
        except Exception:
            yield {"title": title, "file": file}
        else:
            raise SystemExit(f"the reference loads {title!r}")


PERSONAS = ["admin", "member", "domain manager", "domain admin", "system reader", "system admin", "service", "unscoped"]

# What a handler could say of the thing acted on: of the member's own, of the same domain, of another one.
KINDS = ["user", "project", "group", "domain", "credential", "trust", "token", "limit", "application_credential", "endpoint"]


def things(owner, project, domain, role):
    target = {"user_id": owner, "project_id": project, "domain_id": domain}
    for kind in KINDS:
        identifier = {"user": owner, "project": project, "domain": domain}.get(kind, f"{kind}-1")
        target.update({
            f"target.{kind}.id": identifier, f"target.{kind}.user_id": owner, f"target.{kind}.project_id": project,
            f"target.{kind}.domain_id": domain, f"target.{kind}.domain.id": domain, f"target.{kind}.user.domain.id": domain,
        })
    target.update({
        "target.trust.trustor_user_id": owner, "target.trust.trustee_user_id": "u2", "target.role.name": role,
        "target.role.domain_id": None, "target.prior_role.domain_id": None, "target.implied_role.domain_id": domain,
        "target.limit.project_id": project, "target.project.parent_id": domain,
    })
    return target


THINGS = {
    "own": things("u1", "p2", "d1", "member"),
    "same domain": things("u9", "p9", "d1", "admin"),
    "other domain": things("u8", "p8", "d8", "manager"),
    "nothing": {},
}


def keystone():
    declared = [
        {
            "name": rule.name, "check": rule.check_str, "scopes": rule.scope_types,
            "deprecated": rule.deprecated_rule
            and {"name": rule.deprecated_rule.name, "check": rule.deprecated_rule.check_str},
        }
        for rule in policies.list_rules()
    ]
    strict = enforcer(declared, {}, None)
    lenient = enforcer(declared, {"enforce_new_defaults": False}, None)
    for rule in declared:
        for key, made in (("expected", strict), ("expected_with_old_defaults", lenient)):
            rule[key] = {
                thing: "".join(ask(made, rule["name"], CREDENTIALS[who], target)[0] for who in PERSONAS)
                for thing, target in THINGS.items()
            }
    return declared


def write(name, document):
    """Writes a list per line, so that a change is seen as a change of lines."""
    lines = ["{"]
    for index, (key, value) in enumerate(document.items()):
        comma = "," if index + 1 < len(document) else ""
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        rows = [(json.dumps(k, ensure_ascii=True) + ": " if isinstance(value, dict) else "") + json.dumps(row) for k, row in pairs]
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        lines.append(f"  {json.dumps(key)}: {opening}")
        lines.append(",\n".join("    " + row for row in rows))
        lines.append(f"  {closing}{comma}")
    lines.append("}")
    (TESTS / name).write_text("\n".join(lines) + "\n")


def main():
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    write("cases.json", {
        "credentials": CREDENTIALS, "targets": TARGETS, "common": COMMON, "language": list(language()),
        "defaults": DEFAULTS, "files": list(files()), "unloadable": list(unloadable()),
    })
    write("keystone_rules.json", {
        "personas": PERSONAS, "things": THINGS, "credentials": {who: CREDENTIALS[who] for who in PERSONAS}, "rules": keystone(),
    })


if __name__ == "__main__":
    main()
