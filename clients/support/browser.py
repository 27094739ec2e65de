"""Chromium, for tests that click."""

import json
import subprocess
from pathlib import Path

from support.providers import NODE


def walk(steps):
    """Does steps, which browser.mjs describes, in a browser of their own; answers where they led."""
    program = Path(__file__).with_name("browser.mjs")
    ran = subprocess.run([NODE, program], input=json.dumps(steps), capture_output=True, text=True, timeout=180)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
