"""What the Python providers share: their configuration, their login form, and serving."""

import json
import signal
import sys

from flask import request
from markupsafe import escape
from werkzeug.serving import make_server


def arguments():
    """The port and the configuration of the command line: `PORT [JSON]`."""
    return int(sys.argv[1]), json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}


def login_form(client, message=""):
    """The page that asks who somebody is."""
    return f"""<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Log in</title>
<h1>Log in</h1>
<p>{escape(message)}</p><p>{escape(client)} asks who you are.</p>
<form method="post">
<label>Name <input name="name" autofocus></label>
<label>Password <input name="password" type="password"></label>
<button type="submit" name="login" value="yes">Log in</button>
<button type="submit" name="cancel" value="yes">Cancel</button>
</form></html>"""


def answered(people):
    """What the posted form says: whether it was cancelled, and whose name and password it holds."""
    name = request.form.get("name")
    known = name in people and people[name]["password"] == request.form.get("password")
    return "cancel" in request.form, name if known else None


def claims(people, name):
    """What is told of somebody."""
    return {"id": name} | {claim: value for claim, value in people[name].items() if claim != "password"}


def serve(app, port):
    """Serves until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    make_server("127.0.0.1", port, app, threaded=True).serve_forever()
