"""The command line: `python -m clients.differential --help`."""

import argparse
import sys
from pathlib import Path

from . import compare, corpus


def main() -> int:
    """Runs the test; 0 when nothing differs but what is wanted."""
    parser = argparse.ArgumentParser(prog="differential", description=__doc__)
    parser.add_argument("--oracle", required=True, metavar="URL", help="the Keystone")
    parser.add_argument("--subject", required=True, metavar="URL", help="the server under test")
    parser.add_argument("--admin-password", default="throwaway-admin", metavar="TEXT")
    parser.add_argument(
        "--only", action="append", choices=corpus.files(), metavar="FILE", help="may be repeated"
    )
    parser.add_argument(
        "--self-check",
        action="store_true",
        help="the subject is a second oracle: nothing may differ, wanted or not",
    )
    parser.add_argument(
        "--record", type=Path, metavar="FOLDER", help="write the oracle's answers there, as text"
    )
    arguments = parser.parse_args()
    report = compare(
        arguments.oracle,
        arguments.subject,
        arguments.admin_password,
        only=arguments.only,
        self_check=arguments.self_check,
        folder=arguments.record,
    )
    for line in report.lines():
        print(line)
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())
