"""An OAuth 1.0a provider on loopback: request token, a page to agree on, access token, attributes.

    oauth1_provider.py PORT [CONFIGURATION]

The configuration is JSON: `clients`, secrets by consumer key; `people`, claims and a password by
name. Requests are signed with HMAC-SHA1.
"""

from authlib.integrations.flask_oauth1 import AuthorizationServer, ResourceProtector, current_credential
from authlib.oauth1 import ClientMixin, TemporaryCredential
from authlib.oauth1.errors import OAuth1Error
from flask import Flask, jsonify, request

from pages import answered, arguments, claims, login_form, serve

port, configuration = arguments()
people = configuration.get("people", {})
temporary, tokens, nonces = {}, {}, set()

app = Flask(__name__)


class Client(ClientMixin):
    def __init__(self, secret):
        self.secret = secret

    def get_default_redirect_uri(self):
        return None

    def get_client_secret(self):
        return self.secret

    def get_rsa_public_key(self):
        return None


clients = {key: Client(secret) for key, secret in configuration.get("clients", {}).items()}


def exists_nonce(nonce, timestamp, client_id, oauth_token):
    used = (nonce, timestamp, client_id, oauth_token)
    known = used in nonces
    nonces.add(used)
    return known


def create_temporary(token, client_id, redirect_uri):
    credential = TemporaryCredential(token, client_id=client_id, oauth_callback=redirect_uri)
    temporary[credential["oauth_token"]] = credential
    return credential


def create_verifier(credential, name, verifier):
    credential.update(user_id=name, oauth_verifier=verifier)


def create_token(token, credential):
    issued = TemporaryCredential(token, client_id=credential.get_client_id(), user_id=credential.get_user_id())
    tokens[issued["oauth_token"]] = issued
    return issued


def find_token(client_id, oauth_token):
    found = tokens.get(oauth_token)
    return found if found and found.get_client_id() == client_id else None


server = AuthorizationServer(app, query_client=clients.get)
server.register_hook("exists_nonce", exists_nonce)
server.register_hook("create_temporary_credential", create_temporary)
server.register_hook("get_temporary_credential", temporary.get)
server.register_hook("delete_temporary_credential", lambda token: temporary.pop(token, None))
server.register_hook("create_authorization_verifier", create_verifier)
server.register_hook("create_token_credential", create_token)
signed = ResourceProtector(app, query_client=clients.get, query_token=find_token, exists_nonce=exists_nonce)


@app.post("/initiate")
def initiate():
    return server.create_temporary_credentials_response()


@app.route("/authorize", methods=["GET", "POST"])
def authorize():
    credential = temporary.get(request.args.get("oauth_token"))
    if credential is None:
        return jsonify(error="invalid_token"), 400
    if request.method == "GET":
        return login_form(credential.get_client_id())
    cancelled, name = answered(people)
    if not cancelled and name is None:
        return login_form(credential.get_client_id(), "Wrong name or password."), 401
    try:
        return server.create_authorization_response(grant_user=None if cancelled else name)
    except OAuth1Error as error:
        return jsonify(dict(error.get_body())), error.status_code


@app.post("/token")
def token():
    return server.create_token_response()


@app.get("/me")
@signed()
def me():
    return claims(people, current_credential.get_user_id())


serve(app, port)
