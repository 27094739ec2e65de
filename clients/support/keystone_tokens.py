"""Issues tokens as the reference does, by its own formatter: also those that no login leads to.

    python clients/support/keystone_tokens.py keystone.conf

Reads a list of tokens as JSON, each with the name of its payload's class under "class", and writes
their texts.
"""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

DEFAULTS = {"methods": ["password"], "audit_ids": ["D5O17dOTRzaOAKYm4IL1NA"]}


def in_hours(hours):
    """A time as token bodies write it."""
    time = datetime.now(UTC) + timedelta(hours=hours)
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z")


def tokens(configuration, wanted):
    """The texts of these tokens, under the keys that this keystone.conf names."""
    command = [sys.executable, __file__, configuration]
    ran = subprocess.run(command, input=json.dumps(wanted), capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


def main():
    from keystone.server import configure
    from keystone.token import token_formatters

    # Keystone reads the command line itself.
    configuration = sys.argv.pop()
    configure(config_files=[configuration])
    formatter = token_formatters.TokenFormatter()
    made = []
    for wanted in json.load(sys.stdin):
        says = DEFAULTS | {"expires_at": in_hours(1)} | wanted
        payload_class = getattr(token_formatters, says.pop("class"))
        made.append(formatter.create_token(payload_class=payload_class, **says))
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
