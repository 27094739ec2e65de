"""How we prove to providers who we are, and which of their tokens clients may bring."""

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3

from support.authority import Authority
from support.federation import Cloud, log_in, token_of, tokens_of
from support.providers import PEOPLE, OAuth2Provider, OidcProvider

JANE = {"name": "jane", "password": PEOPLE["jane"]["password"]}
# Where clients that ask by themselves wait for codes.
NOBODY = "http://127.0.0.1:9/callback"
OUR_API = "https://cloud.example/api"
NAMED_BY = ("HTTP_OIDC_SUB", "HTTP_OIDC_GROUPS")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with Cloud(tmp_path_factory.mktemp("cloud") / "data") as cloud:
        yield cloud


# Who we are


class Ways:
    """The ways to prove who we are, each a provider here and a client there: `settings`
    are ours, and `wrong` what does not fit, each of which fails the login."""

    def __init__(self, folder):
        self.authority = Authority(folder, "clients")
        stranger = Authority(folder, "stranger")
        self.registered, self.settings, self.wrong = {}, {}, {}
        self.add(
            "post",
            {"client_secret": "hush", "token_endpoint_auth_method": "client_secret_post"},
            {"client_secret": "hush", "token_endpoint_auth_method": "client_secret_post"},
            secret={"client_secret": "guess"},
        )
        self.add_key("RS256", lambda: rsa.generate_private_key(65537, 2048), jwt.algorithms.RSAAlgorithm)
        self.add_key("ES256", lambda: ec.generate_private_key(ec.SECP256R1()), jwt.algorithms.ECAlgorithm)
        certificate = shown(self.authority.client("ours", COMMON_NAME="cloud", ORGANIZATION_NAME="Lab"))
        self.add(
            "tls",
            {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "O=Lab,CN=cloud"},
            {"token_endpoint_auth_method": "tls_client_auth", **certificate},
            subject=shown(self.authority.client("other", COMMON_NAME="other", ORGANIZATION_NAME="Lab")),
            authority=shown(stranger.client("posing", COMMON_NAME="cloud", ORGANIZATION_NAME="Lab")),
        )
        self.add(
            "public",
            {"token_endpoint_auth_method": "none"},
            {"token_endpoint_auth_method": "none"},
            client={"client_id": "confidential"},
        )

    def add(self, way, registered, settings, **wrong):
        self.registered[way], self.wrong[way] = registered, wrong
        self.settings[way] = {"client_id": way, **settings}

    def add_key(self, algorithm, generate, known):
        ours, other = generate(), generate()
        public = known.to_jwk(ours.public_key(), as_dict=True)
        registered = {
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": algorithm,
            "jwks": {"keys": [{**public, "kid": "ours", "use": "sig", "alg": algorithm}]},
        }
        settings = {
            "token_endpoint_auth_method": "private_key_jwt",
            "private_key": pem(ours),
            "key_id": "ours",
            "signing_algorithm": algorithm,
        }
        wrong = {"key": {"private_key": pem(other)}, "name": {"key_id": "other"}}
        self.add(algorithm, registered, settings, **wrong)


def pem(key):
    """A private key as settings want it."""
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


def shown(files):
    """A client's certificate and key as settings."""
    certificate, key = (open(file).read() for file in files)
    return {"tls_certificate": certificate, "tls_key": key}


@pytest.fixture(scope="module")
def ways(tmp_path_factory):
    return Ways(tmp_path_factory.mktemp("ways"))


@pytest.fixture(scope="module")
def strict(cloud, ways):
    """A provider that knows us by another name for each way to prove it."""
    clients = [
        {"client_id": way, "redirect_uris": [cloud.callback(way, "openid")], **registered}
        for way, registered in ways.registered.items()
    ]
    # It has a secret, so that to know its name is not enough.
    confidential = {"client_id": "confidential", "client_secret": "hush"}
    clients.append({**confidential, "redirect_uris": [cloud.callback("public", "openid")]})
    with OidcProvider(authority=ways.authority, clients=clients) as provider:
        for way, settings in ways.settings.items():
            settings = {
                "issuer": provider.issuer,
                "ca_certificates": ways.authority.file.read_text(),
                "scopes": ["openid", "groups"],
                **settings,
            }
            cloud.add(way, "openid", "oidc", settings, *NAMED_BY)
        yield provider


def person(provider):
    """A browser that trusts the provider's certificate."""
    browser = requests.Session()
    browser.headers["Accept"] = "text/html"
    browser.verify = provider.verify
    # Else a bundle that the environment names would come first.
    browser.trust_env = False
    return browser


@pytest.mark.parametrize(
    ("way", "proof"),
    [
        ("post", {"client_id", "client_secret"}),
        ("RS256", {"client_id", "client_assertion", "client_assertion_type"}),
        ("ES256", {"client_id", "client_assertion", "client_assertion_type"}),
        ("tls", {"client_id"}),
        ("public", {"client_id"}),
    ],
)
def test_a_provider_knows_who_asks(cloud, strict, way, proof):
    token = token_of(cloud, cloud.websso(way, "openid"), browser=person(strict), **JANE)
    user = cloud.token(token)["user"]
    assert user["name"] == "jane"
    assert user["OS-FEDERATION"]["identity_provider"] == {"id": way}
    assert user["OS-FEDERATION"]["groups"] == [{"id": cloud.group}]
    told = strict.control("proofs")["proofs"][-1]
    # Nothing else was sent, and no header: the proof is the one that was set.
    assert (told["client"], told["scheme"]) == (way, "")
    assert set(told["fields"]) == {"grant_type", "code", "redirect_uri", "code_verifier"} | proof


@pytest.mark.parametrize(
    ("way", "what"),
    [
        ("post", "secret"),
        ("RS256", "key"),
        ("RS256", "name"),
        ("ES256", "key"),
        ("ES256", "name"),
        ("tls", "subject"),
        ("tls", "authority"),
        ("public", "client"),
    ],
)
def test_who_proves_it_wrongly_gets_no_token(cloud, ways, strict, way, what):
    wrong = ways.wrong[way][what]
    cloud.change(way, "openid", **wrong)
    try:
        page = log_in(cloud, cloud.websso(way, "openid"), browser=person(strict), **JANE)
    finally:
        cloud.change(way, "openid", **{name: ways.settings[way][name] for name in wrong})
    assert page.status_code == 503
    assert "its token endpoint answers 'invalid_client'" in cloud.said_of(page)
    assert "invalid_client" not in page.text


# What clients bring


@pytest.fixture(scope="module")
def corp(cloud):
    """A provider whose tokens are judged by their signature (`signed`) or by asking it (`asked`)."""
    clients = [
        {"client_id": client, "client_secret": "hush", "redirect_uris": [NOBODY]} for client in ("cloud", "shop")
    ]
    with OidcProvider(clients=clients) as provider:
        settings = {"issuer": provider.issuer, "client_id": "cloud", "client_secret": "hush"}
        signed = {**settings, "bearer": "jwt", "bearer_audiences": [OUR_API]}
        cloud.add("signed", "openid", "oidc", signed, *NAMED_BY)
        cloud.add("asked", "openid", "oidc", {**settings, "bearer": "introspection"}, *NAMED_BY)
        yield provider


def of_jane(provider, client="cloud", **more):
    """What a client gets for Jane: an opaque access token, or a signed one for `resource`."""
    more = {"scope": "openid groups", **more}
    return tokens_of(provider, client, "hush", NOBODY, JANE, **more)


def bring(cloud, provider, token, protocol="openid"):
    """Logs in with a token of the provider, as keystoneauth's v3oidcaccesstoken does."""
    plugin = v3.OidcAccessToken(
        f"{cloud.url}/v3", provider, protocol, access_token=token, project_id=cloud.project
    )
    return plugin.get_access(session.Session())


def assert_jane(found):
    assert (found.username, found.role_names) == ("jane", ["member", "reader"])


def assert_refused(cloud, provider, token, reason, protocol="openid"):
    """No login, neither by keystoneauth nor by hand; and the log says why."""
    with pytest.raises(exceptions.Unauthorized):
        bring(cloud, provider, token, protocol)
    path = f"/v3/OS-FEDERATION/identity_providers/{provider}/protocols/{protocol}/auth"
    answer = requests.get(f"{cloud.url}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert answer.status_code == 401
    assert "X-Subject-Token" not in answer.headers
    assert reason in cloud.said_of(answer)
    assert reason not in answer.text


def test_a_signed_token_for_us_logs_in(cloud, corp):
    token = of_jane(corp, resource=OUR_API)["access_token"]
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert_jane(bring(cloud, "signed", token))


def test_a_signed_token_for_us_logs_in_whichever_client_got_it(cloud, corp):
    assert_jane(bring(cloud, "signed", of_jane(corp, "shop", resource=OUR_API)["access_token"]))


def test_a_signed_token_for_others_does_not(cloud, corp):
    token = of_jane(corp, resource="https://shop.example/api")["access_token"]
    assert_refused(cloud, "signed", token, "it is for another audience")


def test_a_signed_token_is_good_for_as_long_as_its_audience_counts(cloud, corp):
    token = of_jane(corp, resource=OUR_API)["access_token"]
    cloud.change("signed", "openid", bearer_audiences=None)
    try:
        assert_refused(cloud, "signed", token, "it is for another audience")
    finally:
        cloud.change("signed", "openid", bearer_audiences=[OUR_API])
    assert_jane(bring(cloud, "signed", token))


def test_an_id_token_of_ours_logs_in_and_one_of_others_does_not(cloud, corp):
    assert_jane(bring(cloud, "signed", of_jane(corp)["id_token"]))
    assert_refused(cloud, "signed", of_jane(corp, "shop")["id_token"], "it is for another audience")


def test_an_opaque_token_has_no_signature_to_judge(cloud, corp):
    token = of_jane(corp)["access_token"]
    assert "." not in token
    assert_refused(cloud, "signed", token, "the token is malformed: it has no signature")


def test_a_signed_token_that_was_changed_is_refused(cloud, corp):
    header, claims, signature = of_jane(corp, resource=OUR_API)["access_token"].split(".")
    other = jwt.utils.base64url_decode(claims).replace(b'"jane"', b'"joe"')
    forged = ".".join([header, jwt.utils.base64url_encode(other).decode(), signature])
    assert_refused(cloud, "signed", forged, "its signature is wrong")


def test_an_opaque_token_is_asked_for(cloud, corp):
    token = of_jane(corp)["access_token"]
    assert_jane(bring(cloud, "asked", token))
    assert_refused(cloud, "asked", token[:-1], "the provider says that the token is not active")


def test_an_opaque_token_of_another_client_is_not_ours(cloud, corp):
    token = of_jane(corp, "shop")["access_token"]
    assert_refused(cloud, "asked", token, "the token is for another audience")
    cloud.change("asked", "openid", bearer_audiences=["shop"])
    try:
        assert_jane(bring(cloud, "asked", token))
    finally:
        cloud.change("asked", "openid", bearer_audiences=None)


def test_an_opaque_token_that_was_withdrawn_is_refused_at_once(cloud, corp):
    token = of_jane(corp)["access_token"]
    assert_jane(bring(cloud, "asked", token))
    form = {"token": token, "token_type_hint": "access_token"}
    assert requests.post(f"{corp.issuer}/token/revocation", data=form, auth=("cloud", "hush")).ok
    assert_refused(cloud, "asked", token, "the provider says that the token is not active")


# OAuth 2.0 by introspection


@pytest.fixture(scope="module")
def forge(cloud):
    """A provider without OpenID Connect that says by introspection alone who somebody is."""
    cloud_client = {"secret": "hush", "redirect_uris": [cloud.callback("forge", "oauth2"), NOBODY]}
    shop = {"secret": "hush", "redirect_uris": [NOBODY]}
    with OAuth2Provider(clients={"cloud": cloud_client, "shop": shop}) as provider:
        settings = {
            "authorization_endpoint": f"{provider.issuer}/authorize",
            "token_endpoint": f"{provider.issuer}/token",
            "introspection_endpoint": f"{provider.issuer}/introspect",
            "issuer": provider.issuer,
            "client_id": "cloud",
            "client_secret": "hush",
            "attributes": "introspection",
            "bearer": "introspection",
        }
        cloud.add("forge", "oauth2", "oauth2", settings, "OAUTH2-username", "OAUTH2-groups")
        yield provider


def test_oauth2_by_introspection_with_a_browser(cloud, forge):
    token = token_of(cloud, cloud.websso("forge", "oauth2"), **JANE)
    user = cloud.token(token)["user"]
    assert user["name"] == "jane"
    assert user["OS-FEDERATION"]["groups"] == [{"id": cloud.group}]


def test_oauth2_by_introspection_with_a_token(cloud, forge):
    token = of_jane(forge, scope="groups")["access_token"]
    assert_jane(bring(cloud, "forge", token, "oauth2"))
    assert_refused(cloud, "forge", token[:-1], "is not active", "oauth2")
    forge.control("revoke", {"name": "jane"})
    assert_refused(cloud, "forge", token, "is not active", "oauth2")
    assert cloud.token(token_of(cloud, cloud.websso("forge", "oauth2"), **JANE))


def test_oauth2_by_introspection_with_a_token_of_another_client(cloud, forge):
    token = of_jane(forge, "shop", scope="groups")["access_token"]
    assert_refused(cloud, "forge", token, "the token was issued for somebody else", "oauth2")
    cloud.change("forge", "oauth2", bearer_clients=["cloud", "shop"])
    try:
        assert_jane(bring(cloud, "forge", token, "oauth2"))
    finally:
        cloud.change("forge", "oauth2", bearer_clients=None)
