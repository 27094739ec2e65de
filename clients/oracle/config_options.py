"""Prints options.tsv: every option that Keystone and the libraries it loads register.

Run with the Python of an environment that holds keystone:

    python clients/oracle/config_options.py > crates/config/src/options/options.tsv

Columns: section, option, kind, default, min, max, choices, former names, flags. A default is
written as it would stand in keystone.conf; several values and several choices are separated
by `|`; `<unset>` means that there is no default.
"""

import importlib.metadata
import logging
import sys
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

from keystone import notifications  # noqa: E402, F401  (sets the control exchange)
import keystone.conf  # noqa: E402
import keystone.server  # noqa: E402
from keystone.common import sql  # noqa: E402
from oslo_config import cfg, generator  # noqa: E402
import oslo_messaging  # noqa: E402

NAMESPACES = [
    "keystone",
    "oslo.cache",
    "oslo.db",
    "oslo.log",
    "oslo.messaging",
    "oslo.middleware.basic_auth",
    "oslo.middleware.cors",
    "oslo.middleware.healthcheck",
    "oslo.middleware.http_proxy_to_wsgi",
    "oslo.middleware.sizelimit",
    "oslo.middleware.tracing",
    "oslo.policy",
    "osprofiler",
]

KINDS = {
    "String": "text",
    "Integer": "integer",
    "Port": "integer",
    "Float": "float",
    "Boolean": "boolean",
    "List": "list",
    "MultiString": "repeated",
    "Dict": "map",
    "URI": "uri",
    "HostAddress": "text",
}


def configured():
    """The options as the server registers them, with the defaults that it overrides."""
    keystone.conf.configure()
    sql.initialize()
    keystone.conf.set_config_defaults()
    oslo_messaging.set_transport_defaults(control_exchange="keystone")
    conf = keystone.conf.CONF
    conf([], project="keystone", default_config_files=[], default_config_dirs=[])
    # Keystone registers the option of a method once [auth] methods names it.
    groups = importlib.metadata.entry_points().groups
    methods = {group.removeprefix("keystone.auth.") for group in groups if group.startswith("keystone.auth.")}
    conf.register_opts([cfg.StrOpt(method) for method in methods - set(conf.auth.methods)], group="auth")
    defaults = {}
    for info, group in conf._all_opt_infos():
        if "default" in info:
            defaults[(group.name if group else "DEFAULT", info["opt"].dest)] = info["default"]
    return conf, defaults


def options(conf):
    for info, group in conf._all_opt_infos():
        yield (group.name if group else "DEFAULT"), info["opt"]
    for _, lists in generator._list_opts(NAMESPACES):
        for group, opts in lists:
            name = group.name if isinstance(group, cfg.OptGroup) else group or "DEFAULT"
            for opt in opts:
                yield name, opt


def written(value):
    if value is None:
        return "<unset>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ",".join(f"{key}:{item}" for key, item in value.items())
    return str(value)


def row(section, opt, default):
    kind = KINDS[type(opt.type).__name__]
    if opt.multi:
        kind = "repeated"
    if kind == "repeated":
        text = "|".join(default) if default else "<unset>"
    elif isinstance(default, (list, tuple)):
        text = ",".join(str(item) for item in default)
    else:
        text = written(default)
    assert not set("\t\n$") & set(text), opt.name
    # The choices of a list are those of its items.
    typed = getattr(opt.type, "item_type", opt.type)
    choices = getattr(typed, "choices", None) or {}
    if getattr(typed, "ignore_case", False):
        # Only options that are not honoured are like this: that they are text is enough.
        choices = {}
    former = [
        f"{old.group or section}.{old.name or opt.dest}"
        for old in opt.deprecated_opts
        if old.group or old.name
    ]
    flags = [
        flag
        for flag, holds in (
            ("secret", opt.secret),
            ("deprecated", opt.deprecated_for_removal),
        )
        if holds
    ]
    lowest, highest = getattr(opt.type, "min", None), getattr(opt.type, "max", None)
    return [
        section,
        opt.dest,
        kind,
        text,
        "" if lowest is None else str(lowest),
        "" if highest is None else str(highest),
        "|".join(str(choice) for choice in choices),
        "|".join(dict.fromkeys(former)),
        "|".join(flags),
    ]


def main():
    conf, defaults = configured()
    rows = {}
    for section, opt in options(conf):
        if isinstance(opt, (cfg._ConfigFileOpt, cfg._ConfigDirOpt, cfg.SubCommandOpt)):
            continue
        key = (section, opt.dest)
        rows.setdefault(key, row(section, opt, defaults.get(key, opt.default)))
    version = importlib.metadata.version("keystone")
    print(f"# Options of Keystone {version}; made by clients/oracle/config_options.py.")
    print("# section\toption\tkind\tdefault\tmin\tmax\tchoices\tformer names\tflags")
    for key in sorted(rows, key=lambda key: (key[0] != "DEFAULT", key)):
        print("\t".join(rows[key]))


if __name__ == "__main__":
    sys.exit(main())
