//! Options whose value is one of a few words.

use crate::value::choices;

choices! {
    /// How tokens, receipts or credentials are protected.
    pub enum Provider {
        /// Symmetric keys from a key repository.
        Fernet = "fernet",
    }
}

choices! {
    /// How new passwords are hashed; hashes of all kinds are verified.
    pub enum PasswordHash {
        /// bcrypt, which sees 72 bytes of a password.
        Bcrypt = "bcrypt",
        /// bcrypt over a keyed SHA-256 of the password.
        BcryptSha256 = "bcrypt_sha256",
        /// scrypt (RFC 7914).
        Scrypt = "scrypt",
        /// PBKDF2 with HMAC-SHA512 (RFC 8018).
        Pbkdf2Sha512 = "pbkdf2_sha512",
    }
}

choices! {
    /// In which domain the users of a proxy are.
    pub enum ExternalUsers {
        /// In the default domain.
        DefaultDomain = "DefaultDomain",
        /// The same.
        Default = "default",
        /// In the one that REMOTE_DOMAIN names, else in the default domain.
        Domain = "Domain",
    }
}

choices! {
    /// Where Keystones on the same database keep what they read.
    pub enum CacheBackend {
        /// memcached, by oslo.cache.
        OsloMemcachePool = "oslo_cache.memcache_pool",
        /// The memory of each process, by oslo.cache.
        OsloDict = "oslo_cache.dict",
        /// etcd.
        Etcd = "oslo_cache.etcd3gw",
        /// memcached, by pymemcache.
        Pymemcache = "dogpile.cache.pymemcache",
        /// memcached, by python-memcached.
        Memcached = "dogpile.cache.memcached",
        /// memcached, by pylibmc.
        Pylibmc = "dogpile.cache.pylibmc",
        /// memcached, by bmemcached.
        Bmemcached = "dogpile.cache.bmemcached",
        /// A file.
        Dbm = "dogpile.cache.dbm",
        /// Redis.
        Redis = "dogpile.cache.redis",
        /// Redis with sentinels.
        RedisSentinel = "dogpile.cache.redis_sentinel",
        /// The memory of each process.
        Memory = "dogpile.cache.memory",
        /// The same, pickled.
        MemoryPickle = "dogpile.cache.memory_pickle",
        /// Nowhere.
        Null = "dogpile.cache.null",
    }
}

choices! {
    /// What becomes of names that a URL cannot hold.
    pub enum UrlSafe {
        /// They are accepted.
        Off = "off",
        /// They are refused when something is created or renamed.
        New = "new",
        /// They are refused for scoping, too.
        Strict = "strict",
    }
}

choices! {
    /// The version of the language of attribute mappings.
    pub enum MappingVersion {
        /// Users, groups and projects.
        V1 = "1.0",
        /// Users and projects with domains, too.
        V2 = "2.0",
        /// Projects that the identity provider describes, too, and roles kept in step with them.
        V3 = "3.0",
    }
}

choices! {
    /// What a person is there for whom SAML metadata names (SAML Metadata §2.3.2.2).
    pub enum ContactType {
        /// Technical questions.
        Technical = "technical",
        /// Help.
        Support = "support",
        /// Administration.
        Administrative = "administrative",
        /// Bills.
        Billing = "billing",
        /// Anything else.
        Other = "other",
    }
}

choices! {
    /// How a client authenticates at the token endpoint (RFC 8705 §2, RFC 6749 §2.3.1).
    pub enum OAuth2ClientAuthentication {
        /// By a client certificate.
        TlsClientAuth = "tls_client_auth",
        /// By its secret, in the `Authorization` header.
        ClientSecretBasic = "client_secret_basic",
    }
}

choices! {
    /// The lowest version of TLS that is spoken.
    pub enum TlsVersion {
        /// TLS 1.2 (RFC 5246).
        V1_2 = "1.2",
        /// TLS 1.3 (RFC 8446).
        V1_3 = "1.3",
    }
}
