"""Asks Keystone which secrets fit which stored hashes.

Run with the Python of a virtual environment that has keystone==30.0.0:

    python clients/oracle/password_vectors.py > crates/secrets/tests/data/password_vectors.json

Salts are fixed, so that another run changes nothing.
"""

import hashlib
import json
import logging
import sys

import bcrypt
import keystone.conf
from keystone import exception
from keystone.common import password_hashing
from keystone.common.password_hashers import bcrypt as bcrypt_hashers
from keystone.common.password_hashers import pbkdf2, scrypt

logging.disable(logging.WARNING)
keystone.conf.configure()
CONF = keystone.conf.CONF
CONF([], project="keystone", default_config_files=[])


def fixed_salts():
    """Takes chance out of the hashers, without taking variety out of the salts."""
    drawn = 0

    def draw(size):
        nonlocal drawn
        drawn += 1
        return hashlib.shake_256(b"salt %d" % drawn).digest(size)

    def gensalt(rounds=12, prefix=b"2b"):
        # A salt text that bcrypt accepts ends in one of four characters.
        alphabet = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        text = bytes(alphabet[byte % 64] for byte in draw(21)) + b"O"
        return b"$%s$%02d$%s" % (prefix, rounds, text)

    class Random:
        urandom = staticmethod(draw)

    bcrypt.gensalt = gensalt
    scrypt.os = pbkdf2.os = Random


VECTORS = []


def ask(password, stored, configured="bcrypt", max_length=4096, strict=False, note=""):
    CONF.set_override("password_hash_algorithm", configured, "identity")
    CONF.set_override("max_password_length", max_length, "identity")
    CONF.set_override("strict_password_check", strict)
    vector = {
        "note": note,
        "configured": configured,
        "max_length": max_length,
        "strict": strict,
        "password": password,
        "stored": stored,
    }
    try:
        vector["verifies"] = password_hashing.check_password(password, stored)
    except exception.PasswordVerificationError as error:
        vector["refused"] = str(error)
    except Exception:
        # A stored hash that Keystone stumbles over lets nobody in.
        vector["verifies"] = False
    VECTORS.append(vector)


def each_format():
    """Cheap hashes of every kind, by the function that made them."""
    return {
        "bcrypt": lambda secret: bcrypt_hashers.Bcrypt.hash(secret, 4),
        # Keystone cannot verify what it wrote with a cost of one digit.
        "bcrypt_sha256": lambda secret: bcrypt_hashers.Bcrypt_sha256.hash(secret, 10),
        "scrypt": lambda secret: scrypt.Scrypt.hash(secret, n=4, r=2, p=3),
        "pbkdf2_sha512": lambda secret: pbkdf2.Sha512.hash(secret, rounds=10),
    }


def secrets():
    """Secrets of every kind, up to the length that bcrypt can take."""
    for password in ["secret", "", " ", "pässwörd", "密码🔑", "nul\0inside", "x" * 71]:
        for algorithm, hashed in each_format().items():
            stored = hashed(password.encode())
            ask(password, stored)
            ask(password + "?", stored)
            ask("Secret", stored)
            ask(password, stored, configured=algorithm, note="configured itself")
            if "\0" in password:
                ask(password.split("\0")[0], stored, note="cut at the zero byte")


def lengths():
    """Configured bcrypt cuts at 72 bytes for every stored format; others at the maximum."""
    for algorithm, hashed in each_format().items():
        stored = hashed(b"a" * 72)
        ask("a" * 72, stored)
        ask("a" * 73, stored, note="cut at 72 because bcrypt is configured")
        ask("a" * 71, stored)
        ask("a" * 73, stored, strict=True)
        ask("a" * 72, stored, strict=True)
        ask("é" * 40, hashed("é".encode() * 36), note="bytes count, not characters")
        ask("a" + "é" * 40, hashed(("a" + "é" * 40).encode()[:72]), note="cut within a character")
        ask("a" * 30, hashed(b"a" * 20), max_length=20, note="cut at the maximum")
        ask("a" * 30, hashed(b"a" * 20), max_length=20, strict=True)
        if algorithm != "bcrypt":
            ask("a" * 73, stored, configured=algorithm, note="not cut")
            ask("a" * 5000, hashed(b"a" * 4096), configured=algorithm, note="cut at 4096")
            ask("a" * 5000, hashed(b"a" * 4096), configured=algorithm, strict=True)


def spellings():
    """The same hashes written in other ways, possible and impossible."""
    plain = bcrypt_hashers.Bcrypt.hash(b"secret", 4)
    for version in ["2", "2a", "2b", "2x", "2y", "2z"]:
        ask("secret", f"${version}${plain[4:]}", note=f"bcrypt version {version}")
    ask("secret", plain[:-1], note="too short")
    ask("secret", plain + "a", note="too long")
    ask("secret", plain[:29], note="no digest")
    ask("secret", plain[:28] + "/" + plain[29:], note="unused bits in the salt")
    ask("secret", plain.replace("$04$", "$4$"), note="cost of one digit")
    ask("secret", plain.replace("$04$", "$05$"), note="another cost")

    sha256 = bcrypt_hashers.Bcrypt_sha256.hash(b"secret", 10)
    for params in [
        "v=2,r=10,t=2b",
        "r=10,t=2b,v=2",
        "t=2b,r=10",
        "t=2a,r=10",
        "t=2y,r=10",
        "t=2,r=10",
        "v=2,t=2b",
        "v=2,r=10",
        "v=2,t=2b,r=x",
        "",
    ]:
        ask("secret", sha256.replace("v=2,t=2b,r=10", params), note=params)
    ask("secret", sha256.rsplit("$", 1)[0], note="no digest")
    ask("secret", sha256 + "$", note="one part too many")

    wide = scrypt.Scrypt.hash(b"secret", n=4, salt_size=40)
    for params in [
        "r=8,p=1,ln=4",
        "p=1,ln=4,r=8,x=9",
        "ln=4,r=8",
        "ln=4,p=1",
        "r=8,p=1",
        "ln=x,r=8,p=1",
        "ln=4,r=0,p=1",
        "ln=5,r=8,p=1",
        "",
    ]:
        ask("secret", wide.replace("ln=4,r=8,p=1", params), note=params)
    ask("secret", wide.replace("$scrypt$", "$7$"), note="the other name")
    ask("secret", wide.replace("+", "."), note="dots for pluses")
    ask("secret", wide + "=", note="padded")
    ask("secret", wide[:-1], note="short by one character")
    ask("secret", wide[:-3], note="short by three characters")
    ask("secret", wide[:-43], note="empty digest")

    rounds = pbkdf2.Sha512.hash(b"secret", rounds=10, salt_size=96)
    ask("secret", rounds, note="long salt")
    ask("secret", pbkdf2.Sha512.hash(b"secret", rounds=10, salt_size=0), note="no salt")
    ask("secret", rounds.replace("+", "."), note="dots for pluses")
    ask("secret", rounds.replace("$10$", "$0$"), note="no rounds")
    ask("secret", rounds.replace("$10$", "$x$"), note="no number of rounds")
    ask("secret", rounds[:-2], note="short by a byte")
    ask("secret", rounds[:-86], note="empty digest")
    ask("secret", rounds + "$", note="one part too many")
    ask("secret", rounds.replace("sha512", "sha256"), note="another function")

    for stored in ["", "secret", "$", "$$", "$6$salt$digest", "$argon2id$v=19$m=8,t=1,p=1$YWFh$YWFh"]:
        ask("secret", stored, note="no format of Keystone's")


fixed_salts()
secrets()
lengths()
spellings()
json.dump(VECTORS, sys.stdout, indent=1)
print()
