"""An identity provider of SAML 2.0 on loopback: pysaml2's, behind a small HTTP server.

    python clients/support/saml_idp.py --directory DIR [--port PORT] [--sign response|assertion|both] [--encrypt]

It prints the URL of its metadata. What it takes:

    GET  /metadata            its metadata
    PUT  /service             the metadata of a service provider, which it trusts from then on, in
                              place of what it knew of the same entity
    GET, POST /sso            a request, by redirect or by form; shows a form for the password, or
                              takes it by Basic authentication
    POST /ecp                 an envelope with a request, with Basic authentication

Requests have to be signed. DIR gets a key and a certificate, when it has none.
"""

import argparse
import base64
import datetime
import functools
import html
import pathlib
import re
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import saml2.entity
import saml2.sigver
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT, BINDING_PAOS, BINDING_SOAP
from saml2.config import Config
from saml2.metadata import entity_descriptor
from saml2.saml import NAME_FORMAT_URI, NAMEID_FORMAT_PERSISTENT
from saml2.server import Server
from saml2.xmldsig import DIGEST_SHA256, SIG_RSA_SHA256

USERS = {
    "jane": {
        "password": "jane's secret",
        "attributes": {
            "uid": ["jane"],
            "mail": ["jane@example.org"],
            "eduPersonEntitlement": ["staff", "cloud & more"],
        },
    },
    "nobody": {"password": "nobody's secret", "attributes": {"uid": ["nobody"]}},
    # As a director of people in a large house: the response is one of 250 KiB.
    "busy": {
        "password": "busy's secret",
        "attributes": {
            "uid": ["busy"],
            "eduPersonEntitlement": [*(f"group {number} of the company" for number in range(2000)), "staff"],
        },
    },
}

AUTHN = {"class_ref": "urn:oasis:names:tc:SAML:2.0:ac:classes:Password", "authn_auth": "loopback"}
AES256_GCM = "http://www.w3.org/2009/xmlenc11#aes256-gcm"

# Its own default is triple DES, for which no parameter exists.
saml2.entity.pre_encryption_part = functools.partial(saml2.sigver.pre_encryption_part, msg_enc=AES256_GCM)


def make_key(directory, name):
    """Makes a key and a certificate, unless they are there; gives their paths."""
    directory = pathlib.Path(directory)
    key_file, certificate_file = directory / f"{name}.key", directory / f"{name}.pem"
    if not key_file.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=7300))
            .sign(key, hashes.SHA256())
        )
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return str(key_file), str(certificate_file)


class IdentityProvider:
    """pysaml2's identity provider, with our users."""

    def __init__(self, directory, url, sign="assertion", encrypt=False):
        self.url = url
        self.sign = sign
        self.encrypt = encrypt
        self.services = {}
        self.lock = threading.Lock()
        self.use_key(directory)

    def use_key(self, directory):
        """Signs with the key of that folder from now on."""
        self.key_file, self.certificate_file = make_key(directory, "idp")
        self._load()

    def _load(self):
        sso, ecp = f"{self.url}/sso", f"{self.url}/ecp"
        self.config = Config().load(
            {
                "entityid": f"{self.url}/metadata",
                "xmlsec_binary": shutil.which("xmlsec1"),
                "key_file": self.key_file,
                "cert_file": self.certificate_file,
                "metadata": {"inline": list(self.services.values())} if self.services else {},
                "signing_algorithm": SIG_RSA_SHA256,
                "digest_algorithm": DIGEST_SHA256,
                "service": {
                    "idp": {
                        "endpoints": {
                            "single_sign_on_service": [
                                (sso, BINDING_HTTP_REDIRECT),
                                (sso, BINDING_HTTP_POST),
                                (ecp, BINDING_SOAP),
                            ]
                        },
                        "name_id_format": [NAMEID_FORMAT_PERSISTENT],
                        "want_authn_requests_signed": True,
                        "policy": {
                            "default": {
                                "lifetime": {"minutes": 15},
                                "attribute_restrictions": None,
                                "name_form": NAME_FORMAT_URI,
                            }
                        },
                    }
                },
            }
        )
        self.server = Server(config=self.config)
        security = self.server.sec
        security.encrypt_assertion = functools.partial(security.encrypt_assertion, key_type="aes-256")

    def metadata(self):
        return str(entity_descriptor(self.config))

    def trust(self, service_metadata):
        """Takes a service provider's metadata."""
        [entity] = re.findall(r'\bentityID="([^"]*)"', service_metadata)
        self.services[entity] = service_metadata
        self._load()

    def parse(self, message, binding, **signature):
        """Reads a request, and verifies its signature."""
        return self.server.parse_authn_request(message, binding, **signature)

    def parse_envelope(self, envelope):
        """The same, of a request in an envelope.

        pysaml2 opens an envelope by writing what is within again, with other prefixes, after which
        no signature holds; so the request is cut out as it stands.
        """
        [request] = re.findall(r"<(?:\w+:)?AuthnRequest\b.*</(?:\w+:)?AuthnRequest>", envelope, re.DOTALL)
        return self.parse(base64.b64encode(request.encode()), BINDING_HTTP_POST)

    def answer_to(self, request):
        """To whom the answer to a request goes."""
        answer = self.server.response_args(request.message, [BINDING_HTTP_POST, BINDING_PAOS])
        names = ["in_response_to", "destination", "sp_entity_id", "name_id_policy"]
        return {name: answer.get(name) for name in names}

    def arguments(self, answer, user, sign=None, encrypt=None):
        sign = sign or self.sign
        encrypt = self.encrypt if encrypt is None else encrypt
        arguments = {
            **answer,
            "identity": USERS[user]["attributes"],
            "userid": user,
            "authn": AUTHN,
            "sign_response": sign in ("response", "both"),
            "sign_assertion": sign in ("assertion", "both"),
        }
        if encrypt:
            arguments |= {"encrypt_assertion": True, "encrypt_assertion_self_contained": True}
        return arguments

    def respond(self, request, user, **how):
        """The response to a request, as XML."""
        return self.respond_with(self.answer_to(request), user, **how)

    def respond_with(self, answer, user, **how):
        """A response to whoever `answer` says."""
        return str(self.server.create_authn_response(**self.arguments(answer, user, **how)))

    def respond_ecp(self, request, user):
        """The envelope with the response to a request that came in one.

        pysaml2 writes such envelopes only around what it did not sign.
        """
        url = html.escape(self.answer_to(request)["destination"])
        response = self.respond(request, user).partition("?>")
        return (
            '<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Header>'
            '<ecp:Response xmlns:ecp="urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp" S:mustUnderstand="1" '
            f'S:actor="http://schemas.xmlsoap.org/soap/actor/next" AssertionConsumerServiceURL="{url}"/>'
            f"</S:Header><S:Body>{(response[2] or response[0]).strip()}</S:Body></S:Envelope>"
        )


class Handler(BaseHTTPRequestHandler):
    """What comes by HTTP. `provider` is set on a subclass."""

    provider = None

    def answer(self, status, body="", content_type="text/html; charset=utf-8", **headers):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()

    def user(self, fields):
        """Whose password came along, if it is right."""
        name, password = fields.get("user"), fields.get("password")
        scheme, _, value = (self.headers.get("Authorization") or "").partition(" ")
        if scheme == "Basic":
            name, _, password = base64.b64decode(value).decode().partition(":")
        known = USERS.get(name)
        return name if known and known["password"] == password else None

    def do_GET(self):
        path, query = urlsplit(self.path).path, urlsplit(self.path).query
        if path == "/metadata":
            return self.answer(200, self.provider.metadata(), "application/samlmetadata+xml")
        if path == "/sso":
            return self.sso(one_each(query), BINDING_HTTP_REDIRECT)
        return self.answer(404)

    def do_PUT(self):
        if self.path != "/service":
            return self.answer(404)
        with self.provider.lock:
            self.provider.trust(self.body())
        return self.answer(204)

    def do_POST(self):
        if self.path == "/ecp":
            return self.ecp(self.body())
        if self.path == "/sso":
            fields = one_each(self.body())
            binding = BINDING_HTTP_REDIRECT if fields.get("Signature") else BINDING_HTTP_POST
            return self.sso(fields, binding)
        return self.answer(404)

    def sso(self, fields, binding):
        signature = {}
        if binding == BINDING_HTTP_REDIRECT:
            signature = {
                "relay_state": fields.get("RelayState"),
                "sigalg": fields.get("SigAlg"),
                "signature": fields.get("Signature"),
            }
        with self.provider.lock:
            try:
                request = self.provider.parse(fields["SAMLRequest"], binding, **signature)
            except Exception as error:
                return self.answer(400, html.escape(f"{type(error).__name__}: {error}"))
            user = self.user(fields)
            if user is None:
                kept = {name: value for name, value in fields.items() if name not in ("user", "password")}
                return self.answer(200, form("/sso", kept, password=True))
            response = self.provider.respond(request, user)
            url = self.provider.answer_to(request)["destination"]
        encoded = base64.b64encode(response.encode()).decode()
        kept = {"SAMLResponse": encoded}
        if "RelayState" in fields:
            kept["RelayState"] = fields["RelayState"]
        return self.answer(200, form(url, kept))

    def ecp(self, envelope):
        user = self.user({})
        if user is None:
            return self.answer(401, WWW_Authenticate='Basic realm="idp"')
        with self.provider.lock:
            try:
                request = self.provider.parse_envelope(envelope)
            except Exception as error:
                return self.answer(400, html.escape(f"{type(error).__name__}: {error}"))
            return self.answer(200, self.provider.respond_ecp(request, user), "text/xml")


def one_each(query):
    return {name: values[0] for name, values in parse_qs(query).items()}


def form(action, fields, password=False):
    """A page with a form: for a password, or one that sends itself."""
    inputs = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in fields.items()
    )
    if password:
        inputs += '<input name="user"><input name="password" type="password">'
    body = f'<form method="post" action="{html.escape(action)}">{inputs}<button>Go on</button></form>'
    script = "" if password else "<script>document.forms[0].submit()</script>"
    return f"<!doctype html><title>Identity provider</title>{body}{script}"


def listen(directory, port=0, **how):
    """A server that listens, not yet serving, with `url` and `provider`."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    provider = IdentityProvider(directory, server.url, **how)
    server.provider = provider
    server.RequestHandlerClass = type("Bound", (Handler,), {"provider": provider})
    return server


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--directory", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--sign", choices=["response", "assertion", "both"], default="assertion")
    parser.add_argument("--encrypt", action="store_true")
    options = parser.parse_args()
    server = listen(options.directory, options.port, sign=options.sign, encrypt=options.encrypt)
    print(f"{server.url}/metadata", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
