"""Prints config_cases.json: odd configurations and what oslo.config makes of them.

Run with the Python of an environment that holds keystone:

    python clients/oracle/config_cases.py > crates/config/tests/data/config_cases.json

Each case is a tree of files, command-line arguments and an environment. `expect` holds the value
of each option asked for, `{"refused": true}` for one that cannot be read, or is `"syntax"` or
`"missing"` when the files themselves are refused.
"""

import contextlib
import io
import json
import logging
import os
import pathlib
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

import keystone.conf  # noqa: E402
from keystone.common import sql  # noqa: E402
from oslo_config import cfg  # noqa: E402

CONF = keystone.conf.CONF


def case(name, files, ask, args=None, environment=None):
    """A case; `files` is the text of `a.conf`, or texts by path below the home folder."""
    if isinstance(files, str):
        files = {"a.conf": files}
    if args is None:
        args = ["--config-file", "a.conf"]
    return {
        "name": name,
        "files": files,
        "args": args,
        "environment": environment or {},
        "ask": ask if isinstance(ask, list) else [ask],
    }


def one(name, option, text, **others):
    """A case that sets one option, `section.name`, to a text."""
    section, option_name = option.split(".")
    return case(name, f"[{section}]\n{option_name} = {text}\n", option, **others)


REGEX = "security_compliance.password_regex"
LIMIT = "token.expiration"
OPTIONAL = "DEFAULT.list_limit"
LIST = "auth.methods"
REPEATED = "federation.trusted_dashboard"
FLOAT = "cache.socket_timeout"
BOOLEAN = "DEFAULT.insecure_debug"
URI = "DEFAULT.public_endpoint"

CASES = [
    case("nothing at all", "", [LIMIT, LIST, URI, "database.connection", "cache.enabled"]),
    case("comments only", "# a\n; b\n\n", LIMIT),
    # Lines
    case("a colon assigns", "[token]\nexpiration: 5\n", LIMIT),
    case("the first of = and : assigns", "[token]\nprovider = a:b\n[ldap]\nurl: a=b\n",
         ["token.provider", "ldap.url"]),
    case("no spaces around =", "[token]\nexpiration=5", LIMIT),
    case("many spaces around =", "[token]\nexpiration \t =  \t 5 \t \n", LIMIT),
    case("carriage returns", "[token]\r\nexpiration = 5\r\n[auth]\r\nmethods = a,\r\n b\r\n",
         [LIMIT, LIST]),
    case("lone carriage returns", "[token]\rexpiration = 5\r", LIMIT),
    case("a no-break space is stripped", "[token]\nexpiration =\u00a05\u00a0\n", LIMIT),
    case("a unit separator is stripped", "[token]\nexpiration = 5\x1f\n", LIMIT),
    case("a comment at the end belongs to the value",
         f"[security_compliance]\npassword_regex = a # b ; c\n", REGEX),
    case("a comment sign begins a value", "[security_compliance]\npassword_regex = #a\n", REGEX),
    case("an indented first line", " [token]\nexpiration = 5\n", LIMIT),
    case("a value continues", "[auth]\nmethods = password,\n  token,\n\tmapped\n", LIST),
    case("a continued text keeps its line breaks",
         "[security_compliance]\npassword_regex = a\n    b  \n", REGEX),
    case("an indented comment continues", "[security_compliance]\npassword_regex = a\n # b\n",
         REGEX),
    case("a comment ends a value", "[auth]\nmethods = password,\n# x\ntoken = x\n", LIST),
    case("a continuation after a comment", "[auth]\nmethods = password,\n# x\n token\n", LIST),
    case("a continuation after a blank line", "[auth]\nmethods = password,\n\n token\n", LIST),
    case("a continuation after white space", "[auth]\nmethods = password,\n  \n token\n", LIST),
    case("a continuation after a section", "[auth]\n methods = password\n", LIST),
    case("a value that begins on the next line", "[auth]\nmethods =\n  password,\n  token\n", LIST),
    case("no assignment", "[token]\nexpiration\n", LIMIT),
    case("no name", "[token]\n= 5\n", LIMIT),
    case("no section", "expiration = 5\n[token]\n", LIMIT),
    case("a section without end", "[token\nexpiration = 5\n", LIMIT),
    case("a comment after a section", "[token] # x\nexpiration = 5\n", LIMIT),
    case("an empty section name", "[]\nexpiration = 5\n", LIMIT),
    case("a byte order mark", "\ufeff[token]\nexpiration = 5\n", LIMIT),
    # Sections and names
    case("sections in another case", "[TOKEN]\nexpiration = 5\n", LIMIT),
    case("a lower-case default section", "[default]\ninsecure_debug = true\n", BOOLEAN),
    case("spaces within brackets", "[ token ]\nexpiration = 5\n", LIMIT),
    case("a name in another case", "[token]\nExpiration = 5\n", LIMIT),
    case("a section twice", "[token]\nexpiration = 5\n[auth]\n[token]\nexpiration = 6\n", LIMIT),
    case("a section twice in two cases", "[Token]\nexpiration = 5\n[token]\nexpiration = 6\n[TOKEN]\n"
         "expiration = 7\n", LIMIT),
    case("an option twice", "[token]\nexpiration = 5\nexpiration = 6\n", LIMIT),
    case("a bad value that a later one replaces", "[token]\nexpiration = x\nexpiration = 6\n", LIMIT),
    case("DEFAULT is not inherited", "[DEFAULT]\nexpiration = 5\n", LIMIT),
    case("an equals sign in brackets", "[a=b]\nx = y\n[token]\nexpiration = 5\n", LIMIT),
    # Quotes
    one("double quotes", REGEX, '" a "'),
    one("single quotes", REGEX, "' a '"),
    one("quotes within quotes", REGEX, "'\"a\"'"),
    one("unequal quotes", REGEX, "\"a'"),
    one("a lone quote", REGEX, '"'),
    one("an empty pair of quotes", REGEX, '""'),
    one("quotes of list items", LIST, '"a","b"'),
    case("quotes over two lines", '[security_compliance]\npassword_regex = "a\n b"\n', REGEX),
    one("a quoted number", LIMIT, '" 5 "'),
    # Numbers
    one("a sign", LIMIT, "+5"),
    one("minus zero", LIMIT, "-0"),
    one("below the least", LIMIT, "-1"),
    one("underscores", LIMIT, "1_000"),
    one("two underscores", LIMIT, "1__0"),
    one("an underscore at the end", LIMIT, "10_"),
    one("a hexadecimal number", LIMIT, "0x10"),
    one("a fraction for an integer", LIMIT, "5.0"),
    one("a unit", LIMIT, "5s"),
    one("an empty integer", OPTIONAL, ""),
    one("above the greatest", "identity.max_password_length", "4097"),
    one("a fraction", FLOAT, ".5"),
    one("an exponent", FLOAT, "1e3"),
    one("an empty fraction", FLOAT, ""),
    one("no number", FLOAT, "much"),
    one("below the least fraction", "oslo_policy.remote_timeout", "-0.5"),
    # Booleans
    one("yes", BOOLEAN, "Yes"),
    one("on", BOOLEAN, "ON"),
    one("1", BOOLEAN, "1"),
    one("off", BOOLEAN, "off"),
    one("no yes or no", BOOLEAN, "maybe"),
    one("an empty boolean", BOOLEAN, ""),
    one("a quoted boolean with spaces", BOOLEAN, '" true "'),
    # Lists and repeated options
    one("an empty list", LIST, ""),
    one("commas only", LIST, ", ,,"),
    one("an empty item", LIST, "a,,b"),
    one("commas at the end", LIST, "a,b,,"),
    one("brackets", LIST, "[a, b]"),
    one("a list of choices", "security_compliance.report_invalid_password_hash", "event"),
    one("a list without its choice", "security_compliance.report_invalid_password_hash", "event,x"),
    case("a repeated option", "[federation]\ntrusted_dashboard = a\ntrusted_dashboard = b,c\n",
         REPEATED),
    case("a repeated option in two files",
         {"a.conf": "[federation]\ntrusted_dashboard = a\n",
          "b.conf": "[federation]\ntrusted_dashboard = b\ntrusted_dashboard = c\n"},
         REPEATED, args=["--config-file", "a.conf", "--config-file", "b.conf"]),
    # Choices and URIs
    one("a choice", "resource.project_name_url_safe", "new"),
    one("a choice in another case", "resource.project_name_url_safe", "New"),
    one("an empty choice", "DEFAULT.rate_limit_except_level", ""),
    one("a URI", URI, "https://keystone.example:5000/v3"),
    one("a URI with a user", URI, "http://u:p@h"),
    one("a URI with an IPv6 address", URI, "http://[::1]:5000"),
    one("a URI with a zone", URI, "http://[fe80::1%25eth0]/"),
    one("a URI with spaces in its path", URI, "http://h/a b"),
    one("a URI with an empty port", URI, "http://h:"),
    one("a URI without scheme", URI, "//h/"),
    one("a URI without host", URI, "http:///a"),
    one("a URI with a bad port", URI, "http://h:x/"),
    one("a URI with a bad address", URI, "http://300.1.1.1/"),
    one("a URI with a bad host", URI, "http://a b/"),
    one("a URI with a bad scheme", URI, "1a://h"),
    one("a URI with an open bracket", URI, "http://[::1"),
    one("a path as a URI", URI, "/v3"),
    one("an empty URI", URI, ""),
    # References
    case("a reference", "[token]\nprovider = $revoke_by_id\n", "token.provider"),
    case("a reference to DEFAULT", "[token]\nprovider = $max_token_size\n", "token.provider"),
    case("the section is stronger than DEFAULT", "[DEFAULT]\nlist_limit = 1\n[identity]\n"
         "list_limit = 2\ndriver = $list_limit\n", "identity.driver"),
    case("a reference in braces", "[token]\nprovider = a${revoke_by_id}b\n", "token.provider"),
    case("a reference to another section", "[token]\nprovider = ${identity.driver}$identity.driver\n",
         "token.provider"),
    case("a reference to a reference", "[token]\nexpiration = 7\ncache_time = $expiration\n[receipt]\n"
         "expiration = ${token.cache_time}\n", ["receipt.expiration", "token.cache_time"]),
    case("a reference to a list", "[token]\nprovider = ${assignment.prohibited_implied_role}\n",
         "token.provider"),
    case("a reference to what is unset", "[token]\nprovider = a${ldap.user}b\n", "token.provider"),
    case("a reference to a fraction", "[token]\nprovider = ${cache.socket_timeout}\n",
         "token.provider"),
    case("a reference to a value that is refused", "[token]\nexpiration = x\nprovider = $expiration\n",
         "token.provider"),
    one("a reference to nothing known", "token.provider", "$nothing"),
    one("a reference to no known section", "token.provider", "${nothing.x}"),
    one("a reference to a section", "token.provider", "$identity"),
    one("a reference to itself", "token.provider", "x$provider"),
    case("references in a circle", "[token]\nprovider = ${identity.driver}\n[identity]\n"
         "driver = ${token.provider}\n", "token.provider"),
    one("two dollars", "token.provider", "a$$b"),
    one("a backslash and a dollar", "token.provider", r"a\$driver"),
    one("two backslashes and a dollar", "token.provider", r"a\\$b"),
    one("a dollar alone", "token.provider", "a$ b$"),
    one("a dollar and a digit", "token.provider", "a$5"),
    one("open braces", "token.provider", "${driver"),
    one("spaces in braces", "token.provider", "${ driver }"),
    one("a dot after a reference", "token.provider", "$revoke_by_id."),
    case("a dollar in a database's password",
         "[database]\nconnection = mysql+pymysql://u:p$$w@h/k?charset=utf8\n", "database.connection"),
    # Former names
    case("a former name", "[DEFAULT]\nlogfile = x\n", "DEFAULT.log_file"),
    case("a former section", "[assignment]\ncaching = false\n", "resource.caching"),
    case("the present name is stronger", "[resource]\ncaching = true\n[assignment]\ncaching = false\n",
         "resource.caching"),
    case("a former name with a hyphen", "[DEFAULT]\nlog-config = x\n", "DEFAULT.log_config_append"),
    case("a former name in a stronger file",
         {"a.conf": "[DEFAULT]\nlog_file = a\n", "b.conf": "[DEFAULT]\nlogfile = b\n"},
         "DEFAULT.log_file", args=["--config-file", "a.conf", "--config-file", "b.conf"]),
    case("two former names", "[cache]\nredis_username = r\nmemcache_username = m\n",
         "cache.username"),
    # Files and folders
    case("a later file is stronger",
         {"a.conf": "[token]\nexpiration = 1\nprovider = a\n", "b.conf": "[token]\nexpiration = 2\n"},
         [LIMIT, "token.provider"], args=["--config-file", "a.conf", "--config-file", "b.conf"]),
    case("a later file is stronger in another case",
         {"a.conf": "[token]\nexpiration = 1\n", "b.conf": "[TOKEN]\nexpiration = 2\n"},
         LIMIT, args=["--config-file", "b.conf", "--config-file", "a.conf"]),
    case("a folder after a file",
         {"a.conf": "[token]\nexpiration = 1\n", "d/x.conf": "[token]\nexpiration = 2\n"},
         LIMIT, args=["--config-file", "a.conf", "--config-dir", "d"]),
    case("a folder before a file",
         {"a.conf": "[token]\nexpiration = 1\n", "d/x.conf": "[token]\nexpiration = 2\n"},
         LIMIT, args=["--config-dir", "d", "--config-file", "a.conf"]),
    case("the files of a folder in order",
         {"d/b.conf": "[token]\nexpiration = 2\n", "d/a.conf": "[token]\nexpiration = 1\n",
          "d/B.conf": "[token]\nexpiration = 3\n", "d/z.txt": "not read", "d/.z.conf": "not read"},
         LIMIT, args=["--config-dir", "d"]),
    case("files that are found",
         {".keystone/keystone.conf": "[token]\nexpiration = 1\n",
          "keystone.conf": "[token]\nexpiration = 2\n"},
         LIMIT, args=[]),
    case("a file of the program's own",
         {"keystone.conf": "[token]\nexpiration = 1\nprovider = a\n",
          ".keystone/archstone.conf": "[token]\nexpiration = 2\n"},
         [LIMIT, "token.provider"], args=[]),
    case("a folder that is found",
         {"keystone.conf": "[token]\nexpiration = 1\n",
          "keystone.conf.d/a.conf": "[token]\nexpiration = 2\n"},
         LIMIT, args=[]),
    case("a file that is named is stronger than a folder that is found",
         {"a.conf": "[token]\nexpiration = 1\n",
          "keystone.conf.d/a.conf": "[token]\nexpiration = 2\nprovider = a\n"},
         [LIMIT, "token.provider"], args=["--config-file", "a.conf"]),
    case("a folder that is named leaves files to be found",
         {"keystone.conf": "[token]\nexpiration = 1\nprovider = a\n",
          "keystone.conf.d/a.conf": "[token]\nprovider = b\n",
          "d/a.conf": "[token]\nexpiration = 2\n"},
         [LIMIT, "token.provider"], args=["--config-dir", "d"]),
    case("a file that is not there", {}, LIMIT, args=["--config-file", "a.conf"]),
    case("a folder that is not there", {}, LIMIT, args=["--config-dir", "d"]),
    # The environment
    case("the environment is stronger than files", "[token]\nexpiration = 1\n", LIMIT,
         environment={"OS_TOKEN__EXPIRATION": "2"}),
    case("the environment alone", "", [BOOLEAN, LIST],
         environment={"OS_DEFAULT__INSECURE_DEBUG": "yes", "OS_AUTH__METHODS": "a,b"}),
    case("a reference in the environment", "[token]\nexpiration = 7\n", "token.cache_time",
         environment={"OS_TOKEN__CACHE_TIME": "$expiration"}),
    case("a bad value in the environment", "", LIMIT, environment={"OS_TOKEN__EXPIRATION": "x"}),
    case("an empty variable", "[token]\nprovider = a\n", "token.provider",
         environment={"OS_TOKEN__PROVIDER": ""}),
    case("the environment knows no former names", "", "resource.caching",
         environment={"OS_ASSIGNMENT__CACHING": "false"}),
    case("a variable in lower case", "", LIMIT, environment={"os_token__expiration": "2"}),
    case("quotes in the environment are kept", "", "token.provider",
         environment={"OS_TOKEN__PROVIDER": '"a"'}),
]


def ask(option):
    section, name = option.split(".")
    try:
        group = None if section == "DEFAULT" else section
        return CONF._get(name, group)
    except (cfg.Error, AttributeError, ValueError, RecursionError):
        return {"refused": True}


def run(test, home):
    for path, text in test["files"].items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_bytes(text.encode())
    os.environ.clear()
    os.environ.update(test["environment"], HOME=str(home))
    os.chdir(home)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            CONF(test["args"], project="keystone", prog="archstone")
    except cfg.ConfigFileParseError:
        return "syntax"
    except (cfg.ConfigFilesNotFoundError, cfg.ConfigDirNotFoundError):
        return "missing"
    return {option: ask(option) for option in test["ask"]}


def main():
    keystone.conf.configure()
    sql.initialize()
    keystone.conf.set_config_defaults()
    names = [test["name"] for test in CASES]
    assert len(names) == len(set(names)), "names of cases are unique"
    results = []
    for test in CASES:
        with tempfile.TemporaryDirectory() as home:
            expect = run(test, pathlib.Path(home))
            os.chdir("/")
        results.append({**{k: v for k, v in test.items() if k != "ask"}, "expect": expect})
    json.dump(results, sys.stdout, indent=1, ensure_ascii=True)
    print()


if __name__ == "__main__":
    sys.exit(main())
