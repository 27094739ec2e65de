//! A certificate authority of this machine's own, so that a quick start speaks TLS from the first
//! minute without anybody's help.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::rand;
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SerialNumber,
};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs::default_provider},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use x509_parser::{
    prelude::{FromDer, X509Certificate},
    time::ASN1Time,
};

use super::{TlsSettings, TlsVersion};

/// How long the authority lives. Its end is work for everyone who was told to trust it.
const AUTHORITY_LIFETIME: TimeDelta = TimeDelta::days(3653);
/// How long a server certificate lives: some clients refuse one made out for longer than 398 days.
const SERVER_LIFETIME: TimeDelta = TimeDelta::days(397);
/// How long before its end a certificate is replaced.
const RENEWAL: TimeDelta = TimeDelta::days(30);
/// How far a client's clock may be behind ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::hours(1);

/// The files of the authority, and of the server certificate that it issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAuthority {
    /// The authority's certificate, which clients are told to trust.
    pub authority: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's private key.
    pub key: PathBuf,
}

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum LocalAuthorityError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file of the authority does not hold what it should.
    #[error("{path}: {reason}; remove ca.crt to start with a new authority")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// This is neither a host name nor an address.
    #[error("no certificate can name {0:?}")]
    Name(String),
    /// A key or certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

impl LocalAuthority {
    /// Finds an authority and a server certificate in `directory`, and creates there what is
    /// missing.
    ///
    /// `names` are the host names and addresses by which clients reach the server. The server
    /// certificate is issued again when it lacks one of them or has less than 30 days left; the
    /// authority is replaced only when it has less than 30 days left itself.
    pub fn open_or_create(
        directory: &Path,
        names: &[String],
        now: DateTime<Utc>,
    ) -> Result<Self, LocalAuthorityError> {
        let server_names = names
            .iter()
            .map(|name| {
                ServerName::try_from(name.as_str())
                    .map_err(|_| LocalAuthorityError::Name(name.clone()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        fs::create_dir_all(directory).map_err(file_error(directory))?;

        let authority = Authority::open_or_create(directory, now)?;
        let files = Self {
            authority: authority.path.clone(),
            certificate: directory.join("server.crt"),
            key: directory.join("server.key"),
        };
        if !files.good_until(now + RENEWAL, now, &authority, &server_names) {
            let (certificate, key) = authority.issue(names, now)?;
            write(&files.key, &key.serialize_pem(), SECRET)?;
            write(&files.certificate, &certificate.pem(), PUBLIC)?;
        }
        Ok(files)
    }

    /// Whether a client that trusts the authority accepts the server under every name, now and
    /// later. Any doubt is a no: a new certificate costs nothing.
    fn good_until(
        &self,
        later: DateTime<Utc>,
        now: DateTime<Utc>,
        authority: &Authority,
        names: &[ServerName<'_>],
    ) -> bool {
        let settings = TlsSettings {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            client_authorities: None,
            minimum_version: TlsVersion::default(),
        };
        let provider = Arc::new(default_provider());
        let Ok(server) = settings.certified_key(&provider) else {
            return false;
        };
        let Ok(client) = authority.client(provider) else {
            return false;
        };
        let accepts = |name, time: DateTime<Utc>| {
            let time = Duration::from_secs(time.timestamp().try_into().unwrap_or(0));
            let time = UnixTime::since_unix_epoch(time);
            client
                .verify_server_cert(&server.cert[0], &[], name, &[], time)
                .is_ok()
        };
        names
            .iter()
            .all(|name| accepts(name, now) && accepts(name, later))
    }
}

/// The authority itself.
struct Authority {
    path: PathBuf,
    key_path: PathBuf,
    certificate: CertificateDer<'static>,
    not_after: DateTime<Utc>,
}

impl Authority {
    fn open_or_create(directory: &Path, now: DateTime<Utc>) -> Result<Self, LocalAuthorityError> {
        let path = directory.join("ca.crt");
        let key_path = directory.join("ca.key");
        if path.try_exists().map_err(file_error(&path))? {
            let authority = Self::open(path.clone(), key_path.clone())?;
            if authority.not_after > now + RENEWAL {
                return Ok(authority);
            }
            tracing::warn!(path = %path.display(), "replacing the local authority, which ends: clients need the new one");
        }
        // The key first: an authority counts from when its certificate is there.
        let (certificate, key) = create_authority(now)?;
        write(&key_path, &key.serialize_pem(), SECRET)?;
        write(&path, &certificate.pem(), PUBLIC)?;
        Self::open(path, key_path)
    }

    fn open(path: PathBuf, key_path: PathBuf) -> Result<Self, LocalAuthorityError> {
        let pem = fs::read(&path).map_err(file_error(&path))?;
        let certificate = CertificateDer::from_pem_slice(&pem).map_err(unusable(&path))?;
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(unusable(&path))?;
        let not_after = DateTime::from_timestamp(parsed.validity().not_after.timestamp(), 0)
            .expect("X.509 has no years beyond 9999");
        Ok(Self {
            path,
            key_path,
            certificate,
            not_after,
        })
    }

    /// The check of a client that trusts this authority and no other.
    fn client(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<WebPkiServerVerifier>, Box<dyn std::error::Error>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        Ok(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?)
    }

    /// Makes a certificate and its key for a server with these names.
    fn issue(
        &self,
        names: &[String],
        now: DateTime<Utc>,
    ) -> Result<(rcgen::Certificate, KeyPair), LocalAuthorityError> {
        let pem = fs::read_to_string(&self.key_path).map_err(file_error(&self.key_path))?;
        let authority_key = KeyPair::from_pem(&pem).map_err(unusable(&self.key_path))?;
        let (_, parsed) =
            X509Certificate::from_der(&self.certificate).map_err(unusable(&self.path))?;
        if parsed.public_key().raw != authority_key.subject_public_key_info() {
            return Err(unusable(&self.key_path)("not the key of ca.crt"));
        }
        let issuer = Issuer::from_ca_cert_der(&self.certificate, authority_key)?;

        let until = self.not_after.min(now + SERVER_LIFETIME);
        let mut params = certificate("Archstone server", now, until);
        params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        // Explicitly no authority, which also makes rcgen add the subject key identifier.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &issuer)?, key))
    }
}

fn create_authority(
    now: DateTime<Utc>,
) -> Result<(rcgen::Certificate, KeyPair), LocalAuthorityError> {
    // Someone who trusts the authorities of several machines must be able to tell them apart.
    let name = format!(
        "Archstone local authority {:08x}",
        u32::from_be_bytes(random())
    );
    let mut params = certificate(&name, now, now + AUTHORITY_LIFETIME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?, key))
}

/// What both certificates have in common.
fn certificate(name: &str, now: DateTime<Utc>, until: DateTime<Utc>) -> CertificateParams {
    let date = |time: DateTime<Utc>| {
        ASN1Time::from_timestamp(time.timestamp())
            .expect("lifetimes end before the year 9999")
            .to_datetime()
    };
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(&random::<16>()));
    params.not_before = date(now - CLOCK_SKEW);
    params.not_after = date(until - CLOCK_SKEW);
    params
}

#[expect(
    clippy::disallowed_methods,
    reason = "serial numbers, which no test steers, and secrets is not below this crate"
)]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system's random source does not fail");
    bytes
}

/// Mode of files that only the server reads.
const SECRET: u32 = 0o600;
/// Mode of files for everyone.
const PUBLIC: u32 = 0o644;

/// Writes a whole file or leaves the old one.
fn write(path: &Path, content: &str, mode: u32) -> Result<(), LocalAuthorityError> {
    let directory = path.parent().expect("the file is in a directory");
    let write = || {
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(directory)?;
        file.write_all(content.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(file_error(path))
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> LocalAuthorityError {
    move |source| LocalAuthorityError::File {
        path: path.to_owned(),
        source,
    }
}

fn unusable<E: ToString>(path: &Path) -> impl Fn(E) -> LocalAuthorityError {
    move |error| LocalAuthorityError::Unusable {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn names() -> Vec<String> {
        ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec()
    }

    fn open(directory: &Path, now: DateTime<Utc>) -> LocalAuthority {
        LocalAuthority::open_or_create(directory, &names(), now).unwrap()
    }

    /// The contents of the authority's certificate, the server's, and its key.
    fn contents(files: &LocalAuthority) -> [String; 3] {
        [&files.authority, &files.certificate, &files.key]
            .map(|path| fs::read_to_string(path).unwrap())
    }

    #[test]
    fn a_second_start_uses_what_the_first_one_made() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("made/on/demand");
        let first = open(&directory, now());
        let made = contents(&first);
        let second = open(&directory, now() + TimeDelta::days(366));
        assert_eq!((contents(&second), second), (made, first));
    }

    #[test]
    fn keys_are_for_the_server_alone() {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path(), now());
        for key in ["ca.key", "server.key"] {
            let mode = fs::metadata(directory.path().join(key))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            4,
            "no left-overs"
        );
    }

    #[test]
    fn the_server_certificate_is_renewed_within_30_days_of_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let [authority, certificate, key] = contents(&open(directory.path(), now()));
        let renewed = contents(&open(directory.path(), now() + TimeDelta::days(368)));
        assert_eq!(renewed[0], authority);
        assert_ne!(renewed[1], certificate);
        assert_ne!(renewed[2], key);
        let later = now() + TimeDelta::days(368 + 366);
        assert_eq!(contents(&open(directory.path(), later)), renewed);
    }

    #[test]
    fn a_certificate_never_outlives_its_authority_which_is_replaced_at_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let files = open(directory.path(), now());
        let old = contents(&files);
        let last_year = now() + AUTHORITY_LIFETIME - TimeDelta::days(100);
        let issued = contents(&open(directory.path(), last_year));
        assert_eq!(issued[0], old[0]);
        let [authority, server] = [&files.authority, &files.certificate].map(|path| {
            let der = CertificateDer::from_pem_file(path).unwrap();
            X509Certificate::from_der(&der)
                .unwrap()
                .1
                .validity()
                .not_after
                .timestamp()
        });
        assert!(server <= authority);

        let replaced = contents(&open(directory.path(), last_year + TimeDelta::days(71)));
        assert_ne!(replaced[0], old[0]);
        assert_ne!(replaced[1], issued[1]);
    }

    #[test]
    fn a_new_name_needs_a_new_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let old = contents(&open(directory.path(), now()));
        let mut names = names();
        names.push("keystone.example".to_owned());
        let new = LocalAuthority::open_or_create(directory.path(), &names, now()).unwrap();
        let new = contents(&new);
        assert_eq!(new[0], old[0]);
        assert_ne!(new[1], old[1]);
        assert_eq!(
            contents(&open(directory.path(), now())),
            new,
            "fewer names need nothing"
        );
    }

    #[test]
    fn a_start_cut_short_is_made_good() {
        for lost in ["server.crt", "server.key", "ca.crt"] {
            let directory = tempfile::tempdir().unwrap();
            open(directory.path(), now());
            fs::remove_file(directory.path().join(lost)).unwrap();
            let mended = contents(&open(directory.path(), now()));
            assert_eq!(contents(&open(directory.path(), now())), mended, "{lost}");
        }
    }

    #[test]
    fn the_authority_s_key_is_needed_only_to_issue() {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path(), now());
        fs::remove_file(directory.path().join("ca.key")).unwrap();
        open(directory.path(), now());
        let later = now() + TimeDelta::days(390);
        let error = LocalAuthority::open_or_create(directory.path(), &names(), later).unwrap_err();
        assert!(
            error.to_string().contains("ca.key: No such file"),
            "{error}"
        );
    }

    #[test]
    fn a_foreign_key_of_the_authority_is_named() {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path(), now());
        fs::copy(
            directory.path().join("server.key"),
            directory.path().join("ca.key"),
        )
        .unwrap();
        let later = now() + TimeDelta::days(390);
        let error = LocalAuthority::open_or_create(directory.path(), &names(), later).unwrap_err();
        assert!(
            error.to_string().contains("ca.key: not the key of ca.crt"),
            "{error}"
        );
    }

    #[test]
    fn a_bad_name_is_named_before_anything_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["localhost".to_owned(), "no such name".to_owned()];
        let error = LocalAuthority::open_or_create(directory.path(), &names, now()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no certificate can name \"no such name\""
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
