//! The options that this release honours, and those it reads but does not act on yet: `pending`.
//! Take that mark away with the change that makes an option count.
//!
//! Those that Keystone has keep its names, defaults and bounds; a test compares them with
//! `options.tsv`. `[archstone]` and what is marked so are ours.

mod choices;
mod section;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use model::{ids::DomainId, secret::Secret};

use crate::value::{Limit, Network, Repeated, Uri};
use section::sections;

pub use choices::*;

sections! {
    /// The whole server.
    default: General = "DEFAULT" {
        /// A shared secret that passes every check when sent as X-Auth-Token. Leave it unset.
        admin_token: Option<Secret<String>>;
        /// The URL under which clients reach this server, without /v3. It begins every link; when
        /// unset, links follow the address that the request was sent to.
        public_endpoint: Option<Uri>;
        /// How many levels of projects may lie below a domain.
        max_project_tree_depth: u32 = "5";
        /// Without effect here as in Keystone, which still accepts it.
        max_param_size: u32 = "64", deprecated true, pending true;
        /// The length from which a token is noted in the log as long; it is valid all the same.
        max_token_size: u32 = "255";
        /// How many entries a list returns when neither the client nor its own section says. Unset
        /// and 0 mean all.
        list_limit: Option<u32>;
        /// How many rows a page holds at most, whatever the client asks for.
        max_db_limit: u32 = "1000";
        /// Whether a password that is too long is refused; otherwise its end is cut off.
        strict_password_check: bool = "false";
        /// Whether errors tell the client their cause. For test systems: it helps attackers.
        insecure_debug: bool = "false";
        /// Whether the log holds details for finding faults.
        debug: bool = "false";
        /// The file to log to, relative to log_dir.
        log_file: Option<PathBuf>, former "DEFAULT.logfile";
        /// The folder of log_file.
        log_dir: Option<PathBuf>, former "DEFAULT.logdir";
        /// Whether to log to standard error, too, when log_file is set.
        use_stderr: bool = "false";
        /// Whether each line of the log is a JSON object.
        use_json: bool = "false";
    }

    /// This server itself: addresses, TLS and limits. Keystone ignores the section.
    archstone: Archstone = "archstone" {
        /// The addresses with TLS.
        https_listen: Vec<SocketAddr>;
        /// The addresses without TLS. When neither this nor https_listen is set, 127.0.0.1:5000.
        http_listen: Vec<SocketAddr>;
        /// The certificate chain as PEM, the server's own certificate first.
        tls_certificate: Option<PathBuf>;
        /// The key of the certificate as PEM.
        tls_key: Option<PathBuf>;
        /// The authorities of client certificates as PEM; when set, clients may show one, by which
        /// they prove themselves at the OAuth 2.0 token endpoint.
        tls_client_authorities: Option<PathBuf>;
        /// The lowest version of TLS.
        tls_minimum_version: TlsVersion = "1.2";
        /// Seconds until a request that is not answered is given up.
        request_timeout: Duration = "30", min 1, max 86400;
        /// Seconds within which a client must send the headers of a request, and between the parts
        /// of its body.
        request_header_timeout: Duration = "10", min 1, max 86400;
        /// How many connections are open at most; more wait to be accepted.
        max_connections: u32 = "10000", min 1;
        /// Seconds within which the database must answer a statement.
        database_timeout: Duration = "10", min 1, max 86400;
        /// Whether this server alone writes to its database: then it never asks for the changes of
        /// others, and sees none.
        sole_writer: bool = "false";
        /// Whether every validation of a token asks for the changes of others first, instead of
        /// knowing them after a second.
        strict_validation: bool = "false";
        /// How many threads hash passwords; 0 means one for each core.
        hash_threads: u32 = "0", max 1024;
        /// How many passwords wait to be hashed at most; a login beyond is answered with 503.
        hash_queue: u32 = "128", min 1, max 1000000;
        /// Seconds that running requests get when the server stops. Then their connections are cut,
        /// and 5 seconds later the process ends, whatever may hold it up.
        shutdown_grace: Duration = "30", max 86400;
        /// The addresses of front proxies that log users in themselves and pass what they know in
        /// headers. Nobody else is believed.
        trusted_proxies: Vec<Network> = "";
        /// A Unix socket for such a proxy on this machine. Anyone who may write to it is believed, so
        /// its group and mode (0660) are the check.
        proxy_socket: Option<PathBuf>;
        /// How the names of headers begin that carry a variable of a trusted proxy under its own
        /// name: X-Env-REMOTE_USER is REMOTE_USER.
        proxy_variable_prefix: String = "X-Env-";
        /// Whether a trusted proxy may log users in at /v3/auth/tokens too, by REMOTE_USER: with
        /// the methods external and kerberos. Then it can act as any user.
        external_logins: bool = "false";
        /// Whether identity providers may have addresses of a private network.
        private_providers: bool = "false";
        /// Seconds within which an identity provider must answer.
        provider_timeout: Duration = "10", min 1, max 86400;
        /// How many bytes an answer of an identity provider may have, whether it comes to us or
        /// through a browser.
        provider_max_bytes: u32 = "1048576", min 1024, max 104857600;
        /// Whether tokens of an identity provider's users end when it is disabled, as if they had
        /// been revoked. As in Keystone they do not unless this is on: only logins end.
        disabled_provider_ends_tokens: bool = "false";
    }

    /// Rules of application credentials.
    application_credential: ApplicationCredential = "application_credential" {
        /// Whether application credentials are cached.
        caching: bool = "true", pending true;
        /// Seconds in the cache; when unset, [cache] expiration_time.
        cache_time: Option<Duration>, pending true;
        /// How many a user may have; a negative number means any.
        user_limit: Limit<u32> = "-1";
    }

    /// The assignment of roles.
    assignment: Assignment = "assignment" {
        /// The names of roles that no other role may imply.
        prohibited_implied_role: Vec<String> = "admin";
    }

    /// How users log in.
    auth: Auth = "auth" {
        /// The methods that are enabled. Their order is part of the format of tokens: all servers
        /// of a cloud need the same.
        methods: Vec<String> =
            "external,password,token,oauth1,mapped,application_credential,ec2credential";
        /// Further methods that prove the user's own presence, as password does, and no
        /// delegation.
        additional_primary_auth_methods: Vec<String> = "";
        /// In which domain the users are whom the proxy in front has logged in (REMOTE_USER); when
        /// unset, in the default one.
        external: Option<ExternalUsers>;
    }

    /// What is kept in memory here, and by Keystones on the same database.
    cache: Cache = "cache" {
        /// Whether anything is kept.
        enabled: bool = "true";
        /// Where Keystones keep what they read. What they keep in memcached is dropped when
        /// something changes here; this server itself needs none of them.
        backend: CacheBackend = "dogpile.cache.null";
        /// The memcached servers of Keystones.
        memcache_servers: Vec<String> = "localhost:11211";
        /// Arguments of the backend, as name:value. May be given many times; url:host:port replaces
        /// memcache_servers.
        backend_argument: Repeated<Secret<String>>;
        /// Whether Keystones log in to memcached. Then it is out of reach from here.
        memcache_sasl_enabled: bool = "false";
        /// Whether Keystones speak TLS with memcached. Then it is out of reach from here.
        tls_enabled: bool = "false";
        /// Seconds in the cache, where a section sets no cache_time.
        expiration_time: Duration = "600", min 1, pending true;
        /// Seconds until a change that a Keystone made in the same database is seen (ours; Keystone
        /// ignores it).
        foreign_ttl: Duration = "5";
    }

    /// The catalog of services.
    catalog: Catalog = "catalog" {
        /// Whether the catalog is cached.
        caching: bool = "true", pending true;
        /// Seconds in the cache; when unset, [cache] expiration_time.
        cache_time: Option<Duration>, pending true;
        /// How many entries a list of services or endpoints returns when the client does not say.
        list_limit: Option<u32>;
    }

    /// Requests from scripts of other web sites.
    cors: Cors = "cors" {
        /// The origins whose scripts may ask; `*` means all. Unset means none.
        allowed_origin: Vec<String>;
        /// Whether those scripts may send credentials.
        allow_credentials: bool = "true";
        /// The headers of replies that those scripts may read.
        expose_headers: Vec<String> =
            "X-Auth-Token,X-Openstack-Request-Id,X-Subject-Token,Openstack-Auth-Receipt";
        /// Seconds that a browser may remember all this; it is not told when 0.
        max_age: i64 = "3600";
        /// The methods that those scripts may use.
        allow_methods: Vec<String> = "GET,PUT,POST,DELETE,PATCH";
        /// The headers that those scripts may send.
        allow_headers: Vec<String> = "X-Auth-Token,X-Openstack-Request-Id,X-Subject-Token,X-Project-Id,X-Project-Name,X-Project-Domain-Id,X-Project-Domain-Name,X-Domain-Id,X-Domain-Name,Openstack-Auth-Receipt";
    }

    /// Credentials that are kept for users.
    credential: Credential = "credential" {
        /// How they are encrypted.
        provider: Provider = "fernet";
        /// The folder of the keys that encrypt them.
        key_repository: PathBuf = "/etc/keystone/credential-keys/";
        /// Whether credentials are cached.
        caching: bool = "true", pending true;
        /// Seconds in the cache; when unset, [cache] expiration_time.
        cache_time: Option<Duration>, pending true;
        /// Minutes that a signed EC2 or S3 request is valid.
        auth_ttl: u32 = "15", pending true;
        /// How many a user may have; a negative number means any.
        user_limit: Limit<u32> = "-1";
    }

    /// The database.
    database: Database = "database" {
        /// Its URL as SQLAlchemy writes it: sqlite:///relative, sqlite:////absolute,
        /// mysql+pymysql://user:password@host/keystone?charset=utf8,
        /// postgresql+psycopg2://user:password@host/keystone. Write a $ as $$.
        connection: Secret<String> = "sqlite:///keystone.db";
        /// Parameters that are added to the URL: param1=value1&param2=value2.
        connection_parameters: Secret<String> = "";
        /// What a statement on a Galera cluster waits for, as wsrep_sync_wait of its session; when
        /// unset, reads wait for what other nodes have committed (1).
        mysql_wsrep_sync_wait: Option<u32>;
        /// How many connections are kept open; 0 means any.
        max_pool_size: u32 = "5", max 10000;
        /// How many connections may be opened beyond those under load; a negative number means any.
        max_overflow: Limit<u32> = "50", max 10000;
        /// Seconds that a request waits for a free connection before it is answered with 503; when
        /// unset, [archstone] database_timeout.
        pool_timeout: Option<Duration>, max 86400;
        /// Seconds after which a connection is replaced; a negative number means never.
        connection_recycle_time: Limit<Duration> = "3600";
        /// How often a connection is tried again at the start; a negative number means without end,
        /// which is what this server always does.
        max_retries: Limit<u32> = "10", pending true;
        /// Seconds until a database that did not answer at the start is looked at again.
        retry_interval: Duration = "10", max 86400;
    }

    /// Endpoints that were chosen for projects.
    endpoint_filter: EndpointFilter = "endpoint_filter" {
        /// Whether a token has the whole catalog when no endpoints were chosen for its project;
        /// otherwise it has none of it.
        return_all_endpoints_if_no_filter: bool = "true";
    }

    /// Users who log in with an identity provider.
    federation: Federation = "federation" {
        /// How the names of variables begin that mappings see; empty means all.
        assertion_prefix: String = "";
        /// The name that no domain may have, in whatever case.
        federated_domain_name: String = "Federated", deprecated true;
        /// Minutes that a membership in a group lives which a login brought, when the identity
        /// provider does not say. With 0 it counts for that login alone.
        default_authorization_ttl: u32 = "0", max 52596000;
        /// The version of a mapping that does not say its own.
        attribute_mapping_default_schema_version: MappingVersion = "1.0";
        /// The attribute of an assertion that names the identity provider, where neither the
        /// protocol nor its section says.
        remote_id_attribute: Option<String>;
        /// The page that hands a token to a dashboard, with $host and $token in it. While there is
        /// no such file, a page of ours does.
        sso_callback_template: PathBuf = "/etc/keystone/sso_callback_template.html";
        /// A dashboard that users may be sent back to with a token. Give it once for each.
        trusted_dashboard: Repeated<String>;
    }

    /// The keys of receipts.
    fernet_receipts: FernetReceipts = "fernet_receipts" {
        /// Their folder; the keys of tokens serve as well.
        key_repository: PathBuf = "/etc/keystone/fernet-keys/";
        /// How many keys a rotation leaves, the staged and the primary one among them.
        max_active_keys: u32 = "3", min 1;
    }

    /// The keys of tokens.
    fernet_tokens: FernetTokens = "fernet_tokens" {
        /// Their folder.
        key_repository: PathBuf = "/etc/keystone/fernet-keys/";
        /// How many keys a rotation leaves, the staged and the primary one among them.
        max_active_keys: u32 = "3", min 1;
    }

    /// The health check at /healthcheck.
    healthcheck: Healthcheck = "healthcheck" {
        /// Whether the reply tells more than whether all is well.
        detailed: bool = "false";
        /// What is checked besides: disable_by_file, disable_by_files_ports, enable_by_files.
        backends: Vec<String> = "";
        /// The networks that may ask; empty means all.
        allowed_source_ranges: Vec<Network> = "";
        /// Whether requests that came through a proxy are refused.
        ignore_proxied_requests: bool = "false";
        /// A file that, while it exists, makes the check fail.
        disable_by_file_path: Option<PathBuf>;
        /// Files, each with a port as port:path, that make the check on that port fail.
        disable_by_file_paths: Vec<String> = "";
        /// Files that must exist for the check to succeed.
        enable_by_file_paths: Vec<PathBuf> = "";
    }

    /// Users, groups and passwords.
    identity: Identity = "identity" {
        /// The domain of a request that names none.
        default_domain_id: DomainId = "default";
        /// Whether users and groups are cached.
        caching: bool = "true", pending true;
        /// Seconds in the cache.
        cache_time: Option<Duration> = "600", pending true;
        /// How many bytes a password may have; bcrypt takes 72 whatever stands here.
        max_password_length: u32 = "4096", max 4096;
        /// How many entries a list of users or groups returns at most, whatever the client says.
        list_limit: Option<u32>;
        /// How new passwords are hashed.
        password_hash_algorithm: PasswordHash = "bcrypt";
        /// The cost of bcrypt (12 when unset) or the rounds of PBKDF2 (25000 when unset).
        password_hash_rounds: Option<u32>, max 10000000;
        /// The block size of scrypt; 8 when unset.
        scrypt_block_size: Option<u32>;
        /// The parallelism of scrypt; 1 when unset.
        scrypt_parallelism: Option<u32>;
        /// The bytes of salt for scrypt and PBKDF2; 16 when unset.
        salt_bytesize: Option<u32>, max 96;
    }

    /// The OAuth 2.0 token endpoint.
    oauth2: OAuth2 = "oauth2" {
        /// How a client may authenticate.
        oauth2_authn_methods: Vec<OAuth2ClientAuthentication> =
            "tls_client_auth,client_secret_basic";
        /// The mapping that turns the names in a client's certificate into a user.
        oauth2_cert_dn_mapping_id: String = "oauth2_mapping";
    }

    /// The treatment of requests before they reach a route.
    oslo_middleware: OsloMiddleware = "oslo_middleware" {
        /// How many bytes a request's body may have.
        max_request_body_size: u32 = "114688", max 1073741824;
        /// Whether the headers of a proxy (Forwarded, X-Forwarded-*) tell the client's address and
        /// scheme. Only behind a proxy that sets them.
        enable_proxy_headers_parsing: bool = "false";
    }

    /// Who may do what.
    oslo_policy: OsloPolicy = "oslo_policy" {
        /// Whether only today's default rules count; otherwise those that they replaced still
        /// grant, too.
        enforce_new_defaults: bool = "true";
        /// The file of rules that replace defaults, in YAML or JSON, looked for beside the
        /// configuration. None is needed.
        policy_file: PathBuf = "policy.yaml";
        /// The rule that stands in for one that is named and not defined.
        policy_default_rule: String = "default";
        /// Folders of further files of rules. May be given many times.
        policy_dirs: Repeated<PathBuf> = "policy.d";
    }

    /// The policies that are stored for other services.
    policy: Policy = "policy" {
        /// How many entries a list returns at most.
        list_limit: Option<u32>, pending true;
    }

    /// Receipts of logins that have not shown all factors yet.
    receipt: Receipt = "receipt" {
        /// Seconds that a receipt is valid.
        expiration: Duration = "300", max 86400;
        /// How receipts are protected.
        provider: Provider = "fernet";
        /// Whether receipts are cached.
        caching: bool = "true", pending true;
        /// Seconds in the cache.
        cache_time: Option<Duration> = "300", pending true;
        /// Whether a receipt is cached when it is issued.
        cache_on_issue: bool = "true", pending true;
    }

    /// Domains and projects.
    resource: Resource = "resource" {
        /// Whether domains and projects are cached.
        caching: bool = "true", former "assignment.caching", pending true;
        /// Seconds in the cache; when unset, [cache] expiration_time.
        cache_time: Option<Duration>, former "assignment.cache_time", pending true;
        /// How many entries a list of projects or domains returns when the client does not say.
        list_limit: Option<u32>, former "assignment.list_limit";
        /// The domain of the project whose tokens are marked as those of an administrator.
        admin_project_domain_name: Option<String>;
        /// The name of that project.
        admin_project_name: Option<String>;
        /// What becomes of project names that a URL cannot hold.
        project_name_url_safe: UrlSafe = "off";
        /// What becomes of domain names that a URL cannot hold.
        domain_name_url_safe: UrlSafe = "off";
    }

    /// The revocation of tokens.
    revoke: Revoke = "revoke" {
        /// Seconds that a revocation is kept after the last token it concerns has expired.
        expiration_buffer: Duration = "1800";
        /// Whether revocations are cached.
        caching: bool = "true", pending true;
        /// Seconds in the cache.
        cache_time: Option<Duration> = "3600", former "token.revocation_cache_time", pending true;
    }

    /// Roles.
    role: Role = "role" {
        /// Whether roles are cached.
        caching: bool = "true", pending true;
        /// Seconds in the cache; when unset, [cache] expiration_time.
        cache_time: Option<Duration>, pending true;
        /// How many entries a list of roles returns when the client does not say.
        list_limit: Option<u32>;
    }

    /// This server as SAML identity provider: assertions about our users to other clouds
    /// (Keystone to Keystone). They are signed by RSA with SHA-256, without xmlsec1.
    saml: Saml = "saml" {
        /// Seconds that an assertion is valid.
        assertion_expiration_time: Duration = "3600";
        /// The certificate of keyfile, in PEM. Read when needed, as keyfile is.
        certfile: PathBuf = "/etc/keystone/ssl/certs/signing_cert.pem";
        /// The key that signs assertions, in PEM: RSA with 2048 bits or more.
        keyfile: PathBuf = "/etc/keystone/ssl/private/signing_key.pem";
        /// The name of this server as identity provider, by which others know it: a URL, which
        /// nobody has to answer. Without it there are no assertions.
        idp_entity_id: Option<Uri>;
        /// The URL at which users log in, as the metadata says: usually that of this server with
        /// /v3/OS-FEDERATION/saml2/sso. Clients do not go there.
        idp_sso_endpoint: Option<Uri>;
        /// The language of the words about the organization.
        idp_lang: String = "en";
        /// The organization, in the metadata.
        idp_organization_name: String = "SAML Identity Provider";
        /// The same, as people read it.
        idp_organization_display_name: String = "OpenStack SAML Identity Provider";
        /// The site of the organization.
        idp_organization_url: Uri = "https://example.com/";
        /// The company of the person to ask.
        idp_contact_company: String = "Example, Inc.";
        /// The given name of that person.
        idp_contact_name: String = "SAML Identity Provider Support";
        /// The surname.
        idp_contact_surname: String = "Support";
        /// The address for mail.
        idp_contact_email: String = "support@example.com";
        /// The telephone number.
        idp_contact_telephone: String = "+1 800 555 0100";
        /// What that person is there for.
        idp_contact_type: ContactType = "other";
        /// What the relay state begins with that goes with an assertion, for service providers
        /// that do not say their own.
        relay_state_prefix: String = "ss:mem:";
        /// The metadata of this server as identity provider, as saml_idp_metadata prints them. When
        /// there is no such file, they are made of the options above.
        idp_metadata_path: PathBuf = "/etc/keystone/saml2_idp_metadata.xml";
    }

    /// The life of accounts and passwords.
    security_compliance: SecurityCompliance = "security_compliance" {
        /// Days without a login after which a user counts as disabled.
        disable_user_account_days_inactive: Option<u32>, min 1, max 36525;
        /// Wrong passwords after which an account is locked.
        lockout_failure_attempts: Option<u32>, min 1;
        /// Seconds that an account stays locked.
        lockout_duration: Duration = "1800", min 1;
        /// Days that a new password is valid.
        password_expires_days: Option<u32>, min 1, max 36525;
        /// How many former passwords a user may not take again.
        unique_last_password_count: u32 = "0";
        /// Days before a user may change a new password.
        minimum_password_age: u32 = "0", max 36525;
        /// The regular expression that a new password must match.
        password_regex: Option<String>;
        /// What a password must look like, in words for the user.
        password_regex_description: Option<String>;
        /// Whether a password that an administrator set must be changed at first.
        change_password_upon_first_use: bool = "false";
        /// Whether a delegated token with the admin role reaches EC2 credentials. Insecure.
        allow_insecure_admin_trust_cross_project_credentials_access: bool =
            "false", deprecated true;
        /// Whether an application credential may make trusts. Insecure.
        allow_insecure_application_credential_trust_escalation: bool = "false", deprecated true, pending true;
    }

    /// Tokens.
    token: Token = "token" {
        /// Seconds that a new token is valid.
        expiration: Duration = "3600";
        /// How tokens are protected.
        provider: Provider = "fernet";
        /// Whether validated tokens are cached.
        caching: bool = "true", pending true;
        /// Seconds in the cache; when unset, [cache] expiration_time.
        cache_time: Option<Duration>, pending true;
        /// Whether tokens are revoked by their own id.
        revoke_by_id: bool = "true", pending true;
        /// Whether a token with a scope can be exchanged for one with another.
        allow_rescope_scoped_token: bool = "true";
        /// Whether a token is cached when it is issued.
        cache_on_issue: bool = "true", deprecated true, pending true;
        /// Seconds after its end that a token is still valid for a service that allows it.
        allow_expired_window: Duration = "172800";
    }

    /// The handling of requests.
    wsgi: Wsgi = "wsgi" {
        /// Whether requests and replies are logged whole. For test systems: it logs secrets.
        debug_middleware: bool = "false", pending true;
    }
}
