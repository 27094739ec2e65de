//! The settings of a provider as an operator writes them: what each is for.

use std::collections::BTreeMap;

use model::Secret;
use serde::Deserialize;

/// The settings as they are written.
#[derive(Deserialize)]
pub(super) struct Written {
    /// The provider's identifier, letter by letter as its metadata and tokens say it (OpenID
    /// Connect Discovery §4.3, Core §2). It begins with `https://`.
    pub(super) issuer: String,
    /// Our name at the provider (RFC 6749 §2.2).
    pub(super) client_id: String,
    /// Our password at the provider, for `client_secret_basic` and `client_secret_post`.
    pub(super) client_secret: Option<Secret<String>>,
    /// How we prove who we are: `client_secret_basic` (unless said otherwise),
    /// `client_secret_post`, `private_key_jwt`, `none` (OpenID Connect Core §9) or
    /// `tls_client_auth` (RFC 8705 §2).
    pub(super) token_endpoint_auth_method: Option<String>,
    /// The private key in PEM, for `private_key_jwt` (RFC 7523 §2.2).
    pub(super) private_key: Option<Secret<String>>,
    /// The name of that key at the provider (RFC 7515 §4.1.4).
    pub(super) key_id: Option<String>,
    /// How that key signs (RFC 7518 §3.1); the kind of key decides when this is not given.
    pub(super) signing_algorithm: Option<String>,
    /// Our certificate chain in PEM, for `tls_client_auth`.
    pub(super) tls_certificate: Option<String>,
    /// The private key of that certificate, in PEM.
    pub(super) tls_key: Option<Secret<String>>,
    /// Certificates of authorities to trust besides those of the system, in PEM.
    pub(super) ca_certificates: Option<String>,
    /// What to ask for (RFC 6749 §3.3): `openid`, `email` and `profile` unless said otherwise.
    /// `openid` must be there (OpenID Connect Core §3.1.2.1).
    pub(super) scopes: Option<Vec<String>>,
    /// More parameters of the authorization request, such as `prompt`, `acr_values` or `max_age`
    /// (OpenID Connect Core §3.1.2.1).
    pub(super) authorization_parameters: Option<BTreeMap<String, String>>,
    /// How the provider answers: `query` unless said otherwise, or `form_post` (OAuth 2.0 Form Post
    /// Response Mode §2).
    pub(super) response_mode: Option<String>,
    /// How a bearer's token is judged: by its signature (`jwt`, RFC 9068 §4), by asking the
    /// provider of the token (`introspection`, RFC 7662 §2) or by asking it of the user
    /// (`userinfo`, OpenID Connect Core §5.3). None is accepted when this is not given. Mind that
    /// `userinfo` cannot tell for which client a token was issued.
    pub(super) bearer: Option<String>,
    /// The audiences besides `client_id` for which a bearer's token may be issued (RFC 7519
    /// §4.1.3).
    pub(super) bearer_audiences: Option<Vec<String>>,
    /// The clients besides `client_id` to which a bearer's token may be issued (OpenID Connect Core
    /// §2: `azp`).
    pub(super) bearer_clients: Option<Vec<String>>,
    /// Whether to ask the provider for more claims at the login (OpenID Connect Core §5.3).
    pub(super) userinfo: Option<bool>,
    /// What stands before the name of each claim in the assertion: `OIDC-` unless said otherwise.
    pub(super) claim_prefix: Option<String>,
    /// The signatures that are accepted (OpenID Connect Core §3.1.3.7, number 7).
    pub(super) id_token_signing_algorithms: Option<Vec<String>>,
    /// By how many seconds the provider's clock may be off (RFC 7519 §4.1.4): 60 unless said
    /// otherwise.
    pub(super) clock_skew: Option<u32>,
    /// Where users log in. An endpoint given here counts instead of what the metadata say. The
    /// metadata are not asked for at all when this, `token_endpoint` and `jwks_uri` are given.
    pub(super) authorization_endpoint: Option<String>,
    /// Where codes are exchanged (RFC 6749 §3.2).
    pub(super) token_endpoint: Option<String>,
    /// Where the keys are (RFC 7517 §5).
    pub(super) jwks_uri: Option<String>,
    /// Where claims are (OpenID Connect Core §5.3).
    pub(super) userinfo_endpoint: Option<String>,
    /// Where tokens are judged (RFC 7662 §2).
    pub(super) introspection_endpoint: Option<String>,
    /// Where authorization requests are pushed (RFC 9126 §2). They are when this is given, or when the
    /// provider demands it.
    pub(super) pushed_authorization_request_endpoint: Option<String>,
}
