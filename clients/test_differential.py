"""Archstone and the reference are asked the same, and answer the same; see `differential`."""

import contextlib
import subprocess

import pytest
from differential import Differential, corpus

from servers import ADMIN_PASSWORD, REPOSITORY, under_test


@contextlib.contextmanager
def reference(directory):
    """The URL of a fresh Keystone, for this test changes and lists what a server has."""
    script = REPOSITORY / "scripts" / "oracle"
    # One process: each has a cache of its own, and they do not tell each other of changes.
    start = [script, "start", directory, "--admin-password", ADMIN_PASSWORD, "--processes", "1"]
    yield subprocess.run(start, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    subprocess.run([script, "stop", directory], check=True)


@contextlib.contextmanager
def archstone(directory):
    """The URL of a fresh Archstone with the cheapest hash, for this test logs in hundreds of times."""
    server = under_test()(directory).start()
    server.stop()
    with open(directory / "keystone.conf", "a", encoding="utf-8") as configuration:
        configuration.write("\n[identity]\npassword_hash_rounds = 4\n")
    server.start()
    yield server.plain_url
    server.stop()


# Fresh servers for each file: lists show what other files leave behind, and wanted differences too.
@pytest.fixture
def differential(tmp_path_factory):
    self_check = under_test().is_reference
    with (
        reference(tmp_path_factory.mktemp("oracle")) as oracle,
        (reference if self_check else archstone)(tmp_path_factory.mktemp("subject") / "data") as subject,
    ):
        yield Differential(oracle, subject, ADMIN_PASSWORD, self_check=self_check)


@pytest.mark.parametrize("file", corpus.files())
def test_both_answer_the_same(differential, file):
    problems = differential.play(file).problems() + differential.idle([file])
    assert not problems, "\n\n" + "\n\n".join(problems)
