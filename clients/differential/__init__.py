"""The differential test: the same requests to Archstone and to Keystone, and the answers compared.

A corpus of readable files (`corpus/*.yaml`, one per resource) says what is asked. Every request
goes to both servers; ids, times and addresses are replaced by what they stand for, and then
status, headers and bodies must be equal. The differences that are wanted stand in
`differences.yaml`, each with its reason.

    python -m clients.differential --oracle URL --subject URL [--only users] [--self-check]
"""

from pathlib import Path

from . import corpus, differences
from .exchange import Server
from .report import Progress, Report, record
from .run import run
from .world import World


def compare(
    oracle: str,
    subject: str,
    admin_password: str,
    *,
    only: list[str] | None = None,
    self_check: bool = False,
    folder: Path | None = None,
) -> Report:
    """Compares two freshly bootstrapped servers, given by scheme, host and port.

    Only the files named in `only` are played. With `self_check` no difference is wanted. With
    `folder` the oracle's answers are written there, one file of text per file of the corpus.
    """
    cases = {file: corpus.load(file) for file in only or corpus.files()}
    wanted = [] if self_check else differences.load(list(cases))
    worlds = (World(Server(oracle), admin_password), World(Server(subject), admin_password))
    for world in worlds:
        world.build()
    report = Report()
    progress = Progress(sum(len(case.steps) for of_file in cases.values() for case in of_file))
    for file, of_file in cases.items():
        results = run(
            file, of_file, worlds, wanted, lambda steps, file=file: progress.advance(file, steps)
        )
        report.add(file, results)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            record(folder / f"{file}.txt", results)
    progress.close()
    report.add_idle(wanted)
    return report
