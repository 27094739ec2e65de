//! The certificate shown to clients, exchanged without a restart when its files change.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use rustls::{
    InconsistentKeys, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem, pem::PemObject},
    server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

/// What TLS on a listener is made of.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// PEM file with the server's certificate, followed by those between it and its authority.
    pub certificate: PathBuf,
    /// PEM file with the certificate's private key (PKCS#8, PKCS#1 or SEC1), not encrypted.
    pub key: PathBuf,
    /// PEM file with the authorities of client certificates. With it, clients may show a
    /// certificate and need not; one that leads to none of these authorities is refused.
    pub client_authorities: Option<PathBuf>,
    /// The oldest version spoken.
    pub minimum_version: TlsVersion,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246), the oldest that is safe (RFC 8996).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// Why TLS cannot be served from the files given.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file is missing or closed to us.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file has nothing of the kind it should hold.
    #[error("{path}: no {expected} in PEM form: {source}")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// Why it was not found.
        source: pem::Error,
    },
    /// The file holds PEM, but its content is of no use.
    #[error("{path}: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key are good, but not a pair.
    #[error("{key}: not the key of the certificate in {certificate}")]
    KeyMismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

/// The TLS configuration in force, kept equal to its files by [`refresh`](Self::refresh).
#[derive(Debug)]
pub struct CertificateStore {
    settings: TlsSettings,
    loaded: ArcSwap<Loaded>,
    state: Mutex<State>,
}

/// What the files came to.
#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    /// Judges the certificates of clients; `None` when none are taken.
    client_verifier: Option<Arc<dyn ClientCertVerifier>>,
}

/// The certificate by which a client proved itself when the connection was made, or when the
/// session began that the connection resumes. That may be long ago: who acts on it asks
/// [`ClientCertificate::verify`] first.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The client's own, followed by those between it and its authority.
    chain: Vec<CertificateDer<'static>>,
    certificates: Arc<CertificateStore>,
}

/// A client's certificate that does not hold now.
#[derive(Debug, thiserror::Error)]
pub enum ClientCertificateError {
    /// It has expired, or leads to none of the authorities any more.
    #[error("the client certificate does not hold now: {0}")]
    Refused(#[source] rustls::Error),
    /// Client certificates are no longer accepted.
    #[error("client certificates are not accepted")]
    NotTaken,
}

impl ClientCertificate {
    /// The certificate itself, whether or not it holds now.
    pub fn unverified(&self) -> &CertificateDer<'static> {
        &self.chain[0]
    }

    /// The certificate, if it holds at this time, and leads to one of the authorities that are
    /// configured now.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn verify(
        &self,
        now: DateTime<Utc>,
    ) -> Result<&CertificateDer<'static>, ClientCertificateError> {
        let loaded = self.certificates.loaded.load();
        let verifier = loaded.client_verifier.as_ref();
        let verifier = verifier.ok_or(ClientCertificateError::NotTaken)?;
        let since = u64::try_from(now.timestamp()).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(Duration::from_secs(since));
        let (certificate, between) = (&self.chain[0], &self.chain[1..]);
        verifier
            .verify_client_cert(certificate, between, now)
            .map_err(ClientCertificateError::Refused)?;
        Ok(certificate)
    }
}

#[derive(Debug)]
struct State {
    /// The files as they were before the configuration in force was read from them.
    loaded: Stamps,
    /// Why the files as they are now were refused.
    refusal: Option<String>,
}

impl CertificateStore {
    /// Reads the files; an error names the file and what is wrong with it. A certificate outside
    /// its time of validity is served all the same, with a warning.
    pub fn open(settings: TlsSettings, now: DateTime<Utc>) -> Result<Self, TlsError> {
        let stamps = Stamps::take(&settings);
        let loaded = settings.load(now)?;
        Ok(Self {
            settings,
            loaded: ArcSwap::from_pointee(loaded),
            state: Mutex::new(State {
                loaded: stamps,
                refusal: None,
            }),
        })
    }

    /// The configuration for a new connection.
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.loaded.load().config)
    }

    /// What a client showed on a connection of ours; `None` when it showed nothing.
    pub(super) fn client_certificate(
        self: &Arc<Self>,
        chain: Option<&[CertificateDer<'_>]>,
    ) -> Option<ClientCertificate> {
        let chain = chain.filter(|chain| !chain.is_empty())?;
        Some(ClientCertificate {
            chain: chain
                .iter()
                .cloned()
                .map(CertificateDer::into_owned)
                .collect(),
            certificates: Arc::clone(self),
        })
    }

    /// Reads the files again if they have changed, and returns whether new connections now get
    /// something new. Files that cannot be used leave all as it is and are tried again next time,
    /// so it does no harm to be called while they are being replaced one after the other.
    pub fn refresh(&self, now: DateTime<Utc>) -> bool {
        let mut state = self
            .state
            .lock()
            .expect("nothing panics while holding this");
        // Before reading: a change that comes in between is then seen next time.
        let stamps = Stamps::take(&self.settings);
        if state.refusal.is_none() && stamps == state.loaded {
            return false;
        }
        match self.settings.load(now) {
            Ok(loaded) => {
                self.loaded.store(Arc::new(loaded));
                *state = State {
                    loaded: stamps,
                    refusal: None,
                };
                let certificate = self.settings.certificate.display();
                tracing::info!(%certificate, "took up a new TLS certificate");
                true
            }
            Err(error) => {
                let refusal = error.to_string();
                if state.refusal.as_ref() != Some(&refusal) {
                    tracing::error!(%error, "staying with the old TLS certificate");
                }
                state.refusal = Some(refusal);
                false
            }
        }
    }
}

/// What tells one state of the files from another.
#[derive(Debug, PartialEq, Eq)]
struct Stamps([Option<Stamp>; 3]);

/// A file's inode, size, and time of last change (seconds, nanoseconds). Unlike that of
/// modification, the time of change cannot be set back by a tool that preserves times.
type Stamp = (u64, u64, i64, i64);

impl Stamps {
    fn take(settings: &TlsSettings) -> Self {
        let stamp = |path: &Path| {
            let file = fs::metadata(path).ok()?;
            Some((file.ino(), file.size(), file.ctime(), file.ctime_nsec()))
        };
        Self([
            stamp(&settings.certificate),
            stamp(&settings.key),
            settings.client_authorities.as_deref().and_then(stamp),
        ])
    }
}

impl TlsSettings {
    fn load(&self, now: DateTime<Utc>) -> Result<Loaded, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certified_key = self.certified_key(&provider)?;
        let client_verifier = self.client_verifier(&provider)?;
        self.warn_of_dates(&certified_key, now);

        let versions = match self.minimum_version {
            TlsVersion::Tls12 => &[&TLS13, &TLS12][..],
            TlsVersion::Tls13 => &[&TLS13],
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("the provider has suites for both versions")
            .with_client_cert_verifier(client_verifier.clone().unwrap_or(Arc::new(NoClientAuth)))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified_key)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Loaded {
            config: Arc::new(config),
            client_verifier,
        })
    }

    /// Certificate and key, if they are a pair.
    pub(crate) fn certified_key(
        &self,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, TlsError> {
        let chain = read_certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|source| {
            TlsError::NotPem {
                path: self.key.clone(),
                expected: "unencrypted private key",
                source,
            }
        })?;
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(unusable(&self.key))?;
        let certified_key = CertifiedKey::new(chain, key);
        match certified_key.keys_match() {
            Ok(()) => Ok(certified_key),
            Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(TlsError::KeyMismatch {
                    certificate: self.certificate.clone(),
                    key: self.key.clone(),
                })
            }
            Err(error) => Err(unusable(&self.certificate)(error)),
        }
    }

    fn client_verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let Some(path) = &self.client_authorities else {
            return Ok(None);
        };
        let mut authorities = RootCertStore::empty();
        for certificate in read_certificates(path)? {
            authorities.add(certificate).map_err(unusable(path))?;
        }
        WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(provider))
            .allow_unauthenticated()
            .build()
            .map(Some)
            .map_err(unusable(path))
    }

    /// Clients will refuse such a certificate, and say so less clearly.
    fn warn_of_dates(&self, certified_key: &CertifiedKey, now: DateTime<Utc>) {
        let Ok((_, certificate)) = X509Certificate::from_der(&certified_key.cert[0]) else {
            return;
        };
        let validity = certificate.validity();
        let path = self.certificate.display();
        if validity.not_after.timestamp() < now.timestamp() {
            tracing::warn!(certificate = %path, "TLS certificate expired: {}", validity.not_after);
        }
        if validity.not_before.timestamp() > now.timestamp() {
            tracing::warn!(certificate = %path, "TLS certificate not valid before: {}", validity.not_before);
        }
    }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let not_pem = |source| TlsError::NotPem {
        path: path.to_owned(),
        expected: "certificate",
        source,
    };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(not_pem)?;
    if certificates.is_empty() {
        return Err(not_pem(pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let content = fs::read(path);
    content
        .map(Zeroizing::new)
        .map_err(|source| TlsError::Unreadable {
            path: path.to_owned(),
            source,
        })
}

fn unusable<E: ToString>(path: &Path) -> impl Fn(E) -> TlsError {
    move |error| TlsError::Unusable {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
