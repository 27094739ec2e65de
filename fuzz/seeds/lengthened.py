"""Makes long inputs for the targets: they repeat what stands between two marks, each time with another
number for `$`."""

import copy
import hashlib
import json
from pathlib import Path

MARK = "\u0001"
PLACE = "(here)"


def write(corpus, seed):
    """Adds an input to a corpus."""
    seed = seed.encode() if isinstance(seed, str) else seed
    (Path(corpus) / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


def places(value, path=()):
    """The path of each list and object in a document."""
    if isinstance(value, (dict, list)):
        yield path
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def lengthened(document):
    """A document as text, once for each list and object in it, which is long there."""
    for path in places(document):
        changed = copy.deepcopy(document)
        inner = changed
        for key in path:
            inner = inner[key]
        if isinstance(inner, dict):
            member = json.dumps(next(iter(inner.values()), 1))
            inner[PLACE] = 0
            piece = f'{MARK}"m$": {member},{MARK}"m"'
        else:
            if inner and isinstance(inner[0], str):
                piece = f'{MARK}"m$",{MARK}"m"'
            else:
                member = json.dumps(inner[0]) if inner else "1"
                piece = f"{MARK}{member},{MARK}{member}"
            inner.append(PLACE)
        yield json.dumps(changed).replace(json.dumps(PLACE), piece, 1)


PIECES_OF_XML = [
    "<a/>",
    '<a$ b="c"/>',
    ' a$=""',
    ' xmlns:n$="u$"',
    '<n:a$ xmlns:n="u"><b/></n:a$>',
    "<a>",
    "text &amp; ",
    "<!-- $ -->",
    "<?a $?>",
]


def vectors():
    """The recorded documents of SAML."""
    crates = Path(__file__).resolve().parents[2] / "crates"
    return json.loads((crates / "federation" / "tests" / "data" / "saml_vectors.json").read_text())


def ends_of_tags(text, count):
    """Some places in a document right before and after the end of a tag."""
    ends = [place for place, letter in enumerate(text) if letter == ">" and place < 65535]
    return [place + after for place in ends[:: max(1, len(ends) // count)] for after in (0, 1)]
