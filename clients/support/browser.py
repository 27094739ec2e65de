"""Chromium, for tests that click."""

import json
import subprocess
from pathlib import Path

from support.providers import NODE


def walk(steps):
    """Does steps, which browser.mjs describes, in a browser of their own; answers where they led."""
    return _run("browser.mjs", steps)


def watched(url, stranger):
    """What Chromium asks for to show a page that is then put to the test."""
    return _run("watched.mjs", {"goto": url, "stranger": stranger.url})["asked"]


def _run(program, words):
    command = [NODE, Path(__file__).with_name(program)]
    ran = subprocess.run(command, input=json.dumps(words), capture_output=True, text=True, timeout=180)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
