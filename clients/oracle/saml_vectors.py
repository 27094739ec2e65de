"""Asks pysaml2 which responses it writes, and whether it accepts our metadata and requests.

Run with the Python of a virtual environment that has pysaml2, where xmlsec1 is installed:

    python clients/oracle/saml_vectors.py crates/federation/tests/data

It reads `saml_requests.json` there: what our driver sends (the test of that name compares), which
pysaml2 has to accept, signature and all. It writes `saml_vectors.json`: keys, which stay the same
once they are there, metadata, and responses. Those are of the moment, so another run changes them.
"""

import base64
import datetime
import json
import logging
import pathlib
import sys
import tempfile
import warnings
from urllib.parse import parse_qs, urlsplit

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT  # noqa: E402
from saml2.xmldsig import DIGEST_SHA512, SIG_RSA_SHA512  # noqa: E402

from support.saml_idp import IdentityProvider, make_key  # noqa: E402

IDP = "https://idp.example.org"
SP = "https://keystone.example.org/sp"
CALLBACK = "https://keystone.example.org/v3/callback"


def bare(certificate):
    return "".join(line for line in certificate.splitlines() if "-----" not in line)


def service_metadata(certificate):
    """Our metadata, as the driver writes it."""
    key = (
        "<ds:KeyInfo><ds:X509Data><ds:X509Certificate>"
        f"{bare(certificate)}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
    )
    methods = "".join(
        f'<md:EncryptionMethod Algorithm="{algorithm}"/>'
        for algorithm in (
            "http://www.w3.org/2009/xmlenc11#aes256-gcm",
            "http://www.w3.org/2009/xmlenc11#aes128-gcm",
            "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
        )
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" '
        f'xmlns:ds="http://www.w3.org/2000/09/xmldsig#" entityID="{SP}">'
        '<md:SPSSODescriptor AuthnRequestsSigned="true" '
        'protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">'
        f'<md:KeyDescriptor use="signing">{key}</md:KeyDescriptor>'
        f'<md:KeyDescriptor use="encryption">{key}{methods}</md:KeyDescriptor>'
        '<md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" '
        f'Location="{CALLBACK}" index="0" isDefault="true"/>'
        '<md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:PAOS" '
        f'Location="{CALLBACK}" index="1" isDefault="false"/>'
        "</md:SPSSODescriptor></md:EntityDescriptor>"
    )


def main(data):
    vectors_file = data / "saml_vectors.json"
    known = json.loads(vectors_file.read_text()) if vectors_file.exists() else {}
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        keys = {}
        for name in ("idp", "sp"):
            if name in known:
                (directory / f"{name}.key").write_text(known[name]["key"])
                (directory / f"{name}.pem").write_text(known[name]["certificate"])
            key, certificate = make_key(directory, name)
            keys[name] = {
                "key": pathlib.Path(key).read_text(),
                "certificate": pathlib.Path(certificate).read_text(),
            }
        provider = IdentityProvider(directory, IDP)
        service = service_metadata(keys["sp"]["certificate"])
        provider.trust(service)
        vectors = {
            **keys,
            "idp_metadata": provider.metadata(),
            "sp_metadata": service,
            "now": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "responses": responses(provider, data, vectors_file.exists()),
        }
    vectors_file.write_text(json.dumps(vectors, indent=1) + "\n")


def responses(provider, data, keys_are_known):
    requests_file = data / "saml_requests.json"
    if not (keys_are_known and requests_file.exists()):
        print("the keys are new: write saml_requests.json, and run this again", file=sys.stderr)
        return {}
    requests = json.loads(requests_file.read_text())
    query = {name: values[0] for name, values in parse_qs(urlsplit(requests["redirect"]).query).items()}
    # Nothing of what it asks is too old: pysaml2 looks at the age of a request too.
    by_redirect = provider.parse(
        query["SAMLRequest"],
        BINDING_HTTP_REDIRECT,
        relay_state=query["RelayState"],
        sigalg=query["SigAlg"],
        signature=query["Signature"],
    )
    by_form = provider.parse(base64.b64encode(requests["post"].encode()), BINDING_HTTP_POST)
    by_envelope = provider.parse_envelope(requests["ecp"])
    strong = {"sign_alg": SIG_RSA_SHA512, "digest_alg": DIGEST_SHA512}
    arguments = provider.arguments(provider.answer_to(by_form), "jane", sign="both")
    return {
        "signed assertion": provider.respond(by_redirect, "jane", sign="assertion"),
        "signed response": provider.respond(by_form, "jane", sign="response"),
        "both signed": provider.respond(by_form, "jane", sign="both"),
        "both signed by SHA-512": str(provider.server.create_authn_response(**arguments, **strong)),
        "encrypted, signed within": provider.respond(by_form, "jane", sign="assertion", encrypt=True),
        "encrypted, signed around": provider.respond(by_form, "jane", sign="response", encrypt=True),
        "encrypted, signed twice": provider.respond(by_form, "jane", sign="both", encrypt=True),
        "envelope": provider.respond_ecp(by_envelope, "jane"),
    }


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
