"""An OAuth 2.0 provider without OpenID Connect, on loopback: code grant with PKCE, introspection,
and an endpoint for attributes.

    oauth2_provider.py PORT [CONFIGURATION]

The configuration is JSON: `clients`, by id, with `secret` (none for a public one) and
`redirect_uris`; `people`, claims and a password by name; `token_seconds` (600).

`POST /control/revoke` with {"name"} ends somebody's tokens.
"""

import time

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Flask, jsonify, request

from pages import answered, arguments, claims, login_form, serve

port, configuration = arguments()
people = configuration.get("people", {})
issuer = f"http://127.0.0.1:{port}"
codes, tokens = {}, {}

app = Flask(__name__)
app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"authorization_code": configuration.get("token_seconds", 600)}


class Client(ClientMixin):
    def __init__(self, client_id, secret=None, redirect_uris=()):
        self.client_id = client_id
        self.secret = secret
        self.redirect_uris = redirect_uris

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return scope or ""

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret):
        return self.secret == client_secret

    def check_endpoint_auth_method(self, method, endpoint):
        return (method == "none") == (self.secret is None)

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type == "authorization_code"


class Code:
    def __init__(self, code, asked):
        self.code = code
        self.client_id = asked.client.client_id
        self.redirect_uri = asked.payload.redirect_uri
        self.scope = asked.payload.scope
        self.name = asked.user
        self.code_challenge = asked.payload.data.get("code_challenge")
        self.code_challenge_method = asked.payload.data.get("code_challenge_method")

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope


class Token:
    def __init__(self, client_id, name, scope, expires_in):
        self.client_id = client_id
        self.name = name
        self.scope = scope
        self.issued_at = int(time.time())
        self.expires_at = self.issued_at + expires_in

    def is_expired(self):
        return self.expires_at <= time.time()

    def is_revoked(self):
        return False


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post", "none"]

    def save_authorization_code(self, code, request):
        codes[code] = Code(code, request)

    def query_authorization_code(self, code, client):
        found = codes.get(code)
        return found if found and found.client_id == client.client_id else None

    def delete_authorization_code(self, authorization_code):
        del codes[authorization_code.code]

    def authenticate_user(self, authorization_code):
        return authorization_code.name


class Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]

    def check_permission(self, token, client, request):
        return True

    def query_token(self, token_string, token_type_hint):
        return tokens.get(token_string)

    def introspect_token(self, token):
        return claims(people, token.name) | {
            "sub": token.name,
            "username": token.name,
            "client_id": token.client_id,
            "token_type": "Bearer",
            "scope": token.scope,
            "iss": issuer,
            "iat": token.issued_at,
            "exp": token.expires_at,
        }


def save_token(token, asked):
    tokens[token["access_token"]] = Token(
        asked.client.client_id, asked.user, token.get("scope", ""), token["expires_in"]
    )


clients = {name: Client(name, **settings) for name, settings in configuration.get("clients", {}).items()}
server = AuthorizationServer(app, query_client=clients.get, save_token=save_token)
server.register_grant(CodeGrant, [CodeChallenge(required=True)])
server.register_endpoint(Introspection)


@app.route("/authorize", methods=["GET", "POST"])
def authorize():
    try:
        grant = server.get_consent_grant(end_user=None)
    except OAuth2Error as error:
        return jsonify(dict(error.get_body())), error.status_code
    asking = grant.request.payload.client_id
    if request.method == "GET":
        return login_form(asking)
    cancelled, name = answered(people)
    if not cancelled and name is None:
        return login_form(asking, "Wrong name or password."), 401
    return server.create_authorization_response(grant=grant, grant_user=None if cancelled else name)


@app.post("/token")
def token():
    return server.create_token_response()


@app.post("/introspect")
def introspect():
    return server.create_endpoint_response(Introspection.ENDPOINT_NAME)


@app.get("/me")
def me():
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    found = tokens.get(text)
    if kind != "Bearer" or found is None or found.is_expired():
        return jsonify(error="invalid_token"), 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    return claims(people, found.name)


@app.get("/.well-known/oauth-authorization-server")
def metadata():
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "introspection_endpoint": f"{issuer}/introspect",
        "userinfo_endpoint": f"{issuer}/me",
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
    }


@app.post("/control/revoke")
def revoke():
    for text in [text for text, known in tokens.items() if known.name == request.json["name"]]:
        del tokens[text]
    return {}


serve(app, port)
