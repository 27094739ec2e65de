"""Makes tokens, receipts and credentials with an installed Keystone, as vectors for our tests.

    python clients/oracle/token_vectors.py > crates/secrets/tests/data/token_vectors_more.json

Keys, time and IV are fixed, so the same Keystone makes the same file again.
"""

import contextlib
import json
import pathlib
import sys
import tempfile
from unittest import mock

import cryptography.fernet
import msgpack
from keystone.credential.providers.fernet import Provider as CredentialProvider
from keystone.receipt.receipt_formatters import ReceiptFormatter
from keystone.server import configure
from keystone.token import token_formatters as tf

KEYS = {
    "0": "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
    "1": "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=",
}
METHODS = [
    "external", "password", "token", "oauth1", "mapped", "application_credential", "ec2credential",
]
NOW = 1795323887
IV = bytes(range(16))

USER = "5616c45d6b05433a8a5a7513d2e603a2"
PROJECT = "e15b20fece044fdc96051394217ed58e"
DOMAIN = "ef5920987bb54bfba075f2d507e011df"
TRUST = "61f9d937f916422fa84d050fc49273c3"
OWN, ROOT = "D5O17dOTRzaOAKYm4IL1NA", "Jy_jw4mcQISaD2MjcPqwEQ"

FEDERATED = {"identity_provider_id": "idp", "protocol_id": "openid"}

# The case, its payload class, whether it is packed as msgpack before 1.0 did, and what the token says.
CASES = [
    ("trust without project", tf.TrustScopedPayload, False, {"trust_id": TRUST}),
    ("user id in upper case", tf.UnscopedPayload, False, {"user_id": USER.upper()}),
    ("user id with dashes", tf.UnscopedPayload, False,
     {"user_id": "5616c45d-6b05-433a-8a5a-7513d2e603a2"}),
    ("user id in braces", tf.UnscopedPayload, False,
     {"user_id": "{5616c45d-6b05-433a-8a5a-7513d2e603a2}"}),
    ("user id as a urn", tf.UnscopedPayload, False, {"user_id": "urn:uuid:" + USER}),
    ("user id outside ASCII", tf.UnscopedPayload, False, {"user_id": "jürgen"}),
    ("user id of 255 characters", tf.UnscopedPayload, False, {"user_id": "x" * 255}),
    ("user id of 256 characters", tf.UnscopedPayload, False, {"user_id": "x" * 256}),
    ("project id that is no uuid", tf.ProjectScopedPayload, False, {"project_id": "default"}),
    ("all methods", tf.SystemScopedPayload, False, {"system": "all", "methods": METHODS}),
    ("no method that is configured", tf.UnscopedPayload, False, {"methods": ["totp"]}),
    ("16 groups", tf.FederatedUnscopedPayload, False,
     {**FEDERATED, "federated_group_ids": [{"id": f"{n:032x}"} for n in range(16)]}),
    ("identity provider with a uuid, domain with a uuid", tf.FederatedDomainScopedPayload, False,
     {**FEDERATED, "identity_provider_id": PROJECT, "domain_id": DOMAIN,
      "federated_group_ids": [{"id": "staff"}]}),
    ("access token and project that are no uuids", tf.OauthScopedPayload, False,
     {"project_id": "apollo", "access_token_id": "access"}),
    ("application credential that is no uuid", tf.ApplicationCredentialScopedPayload, False,
     {"project_id": PROJECT, "app_cred_id": "robot"}),
    ("thumbprint that looks like a uuid", tf.Oauth2CredentialsScopedPayload, False,
     {"project_id": PROJECT, "thumbprint": USER}),
    ("old form, unscoped", tf.UnscopedPayload, True, {"audit_ids": [OWN, ROOT]}),
    ("old form, domain", tf.DomainScopedPayload, True, {"domain_id": DOMAIN}),
    ("old form, default domain", tf.DomainScopedPayload, True, {"domain_id": "default"}),
    ("old form, project", tf.ProjectScopedPayload, True, {"project_id": PROJECT}),
    ("old form, trust", tf.TrustScopedPayload, True, {"project_id": PROJECT, "trust_id": TRUST}),
    ("old form, federated project", tf.FederatedProjectScopedPayload, True,
     {**FEDERATED, "project_id": PROJECT, "federated_group_ids": [{"id": DOMAIN}, {"id": "staff"}]}),
    ("old form, system", tf.SystemScopedPayload, True, {"system": "all"}),
]

FIELDS = [
    "user_id", "methods", "audit_ids", "system", "domain_id", "project_id", "trust_id",
    "federated_group_ids", "identity_provider_id", "protocol_id", "access_token_id", "app_cred_id",
    "thumbprint", "issued_at", "expires_at",
]


def make_token(case, payload_class, old_form, given):
    says = {
        "user_id": USER,
        "methods": ["password"],
        "audit_ids": [OWN],
        "expires_at": "2040-01-02T03:04:05.000000Z",
        **given,
    }
    formatter = tf.TokenFormatter()
    pack = msgpack.packb
    with mock.patch("msgpack.packb", lambda data: pack(data, use_bin_type=not old_form)):
        token = formatter.create_token(payload_class=payload_class, **says)
    read = dict(zip(FIELDS, formatter.validate_token(token)))
    return {
        "case": case,
        "token": token,
        "payload_hex": formatter.unpack(token).hex(),
        "old_form": old_form,
        "decoded": {name: value for name, value in read.items() if value is not None},
    }


def make_receipt(user_id):
    formatter = ReceiptFormatter()
    receipt = formatter.create_receipt(user_id, ["password"], "2040-01-02T03:04:05.000000Z")
    user_id, methods, issued_at, expires_at = formatter.validate_receipt(receipt)
    return {"receipt": receipt, "decoded": [user_id, methods, issued_at, expires_at]}


def make_credential(text):
    encrypted, key_hash = CredentialProvider().encrypt(text)
    return {"text": text, "encrypted_blob": encrypted.decode(), "key_hash": key_hash}


@contextlib.contextmanager
def keystone():
    """Configures Keystone with our keys, in a folder that is gone afterwards, and makes its chance predictable."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        keys = root / "keys"
        keys.mkdir(mode=0o700)
        for name, key in KEYS.items():
            (keys / name).write_text(key)
        config = root / "keystone.conf"
        config.write_text(
            f"[DEFAULT]\nlog_file = {root}/log\n"
            f"[auth]\nmethods = {','.join(METHODS)}\n"
            f"[fernet_tokens]\nkey_repository = {keys}\n"
            f"[fernet_receipts]\nkey_repository = {keys}\n"
            f"[credential]\nkey_repository = {keys}\n"
        )
        configure(config_files=[str(config)])
        with (
            mock.patch.object(cryptography.fernet.os, "urandom", lambda n: IV[:n]),
            mock.patch.object(cryptography.fernet.time, "time", lambda: NOW),
        ):
            yield


def main():
    with keystone():
        vectors = {
            "keys": KEYS,
            "auth_methods": METHODS,
            "tokens": [make_token(*case) for case in CASES],
            "receipts": [make_receipt(USER), make_receipt("cn=joe")],
            "credentials": [
                make_credential("JBSWY3DPEHPK3PXP"),
                make_credential(""),
                make_credential("jürgen"),
                make_credential(json.dumps(json.dumps({"access": "ä", "secret": 'q"\n'}))),
            ],
        }
    json.dump(vectors, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
