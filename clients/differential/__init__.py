"""The differential test: the same requests to Archstone and to Keystone, and the answers compared.

A corpus of readable files (`corpus/*.yaml`, one per resource) says what is asked. Every request
goes to both servers; ids, times and addresses are replaced by what they stand for, and then
status, headers and bodies must be equal. The differences that are wanted stand in
`differences.yaml`, each with its reason.

    python -m clients.differential --oracle URL --subject URL [--only users] [--self-check]
"""

from collections.abc import Callable

from . import corpus, differences
from .exchange import Server
from .report import Result
from .run import run
from .world import World


class Differential:
    """Two freshly bootstrapped servers, asked the same."""

    def __init__(self, oracle: str, subject: str, admin_password: str, *, self_check: bool = False):
        """Builds the same world on both, given by scheme, host and port.

        With `self_check` the subject is a second oracle, and no difference is wanted.
        """
        self._worlds = (World(Server(oracle), admin_password), World(Server(subject), admin_password))
        self._wanted = [] if self_check else differences.load()
        for world in self._worlds:
            world.build()

    def play(self, file: str, progress: Callable[[int], None] = lambda requests: None) -> Result:
        """Plays one file of the corpus; `progress` is told of the requests of each case."""
        return Result(file, run(file, corpus.load(file), self._worlds, self._wanted, progress))

    def idle(self, files: list[str]) -> list[str]:
        """The wanted differences of these files that did not occur when they were played."""
        return [
            f"{entry.where}\n  listed in differences.yaml, but does not differ like that: {entry.reason}"
            for entry in self._wanted
            if entry.file in files and not entry.occurred
        ]
