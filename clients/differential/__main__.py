"""The command line: `python -m clients.differential --help`."""

import argparse
import sys
from pathlib import Path

from . import Differential, corpus
from .report import Progress, table


def main() -> int:
    """Runs the test; 0 when nothing differs but what is wanted."""
    arguments = _parse()
    files = arguments.only or corpus.files()
    differential = Differential(
        arguments.oracle,
        arguments.subject,
        arguments.admin_password,
        self_check=arguments.self_check,
    )
    progress = Progress(sum(len(case.steps) for file in files for case in corpus.load(file)))
    results = []
    for file in files:
        results.append(
            differential.play(file, lambda requests, file=file: progress.advance(file, requests))
        )
        if arguments.record:
            results[-1].record(arguments.record)
    progress.close()
    problems = [problem for result in results for problem in result.problems()]
    problems += differential.idle(files)
    for problem in problems:
        print(problem, end="\n\n")
    print(*table(results), sep="\n")
    return 1 if problems else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m clients.differential",
        description="Asks two freshly bootstrapped servers the same and compares the answers.",
    )
    parser.add_argument("--oracle", required=True, metavar="URL", help="the Keystone, without /v3")
    parser.add_argument("--subject", required=True, metavar="URL", help="the server under test")
    parser.add_argument("--admin-password", default="admin", metavar="TEXT", help="on both")
    parser.add_argument(
        "--only", action="append", choices=[*corpus.files(), *corpus.later()], metavar="FILE", help="may be repeated"
    )
    parser.add_argument(
        "--self-check",
        action="store_true",
        help="the subject is a second Keystone: nothing may differ, wanted or not",
    )
    parser.add_argument(
        "--record", type=Path, metavar="FOLDER", help="write the oracle's answers there, as text"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
