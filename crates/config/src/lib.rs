//! Configuration: `keystone.conf` as oslo.config reads it, as typed settings.
//!
//! [`Config::load`] gives the settings or names every value that is refused. Nothing in a file is
//! ignored in silence: [`Config::warnings`] tells what is unknown or out of date, and
//! [`Config::unsupported_options`] which options of Keystone have no effect in this release.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::LazyLock,
};

mod advice;
pub mod ini;
mod options;
mod reader;
mod report;
mod sample;
#[expect(
    rustdoc::broken_intra_doc_links,
    reason = "the words are those of the sample file too, where [cache] is a section"
)]
mod sections;
mod source;
mod value;

use options::table::Table;
use reader::Reader;
use source::File;

pub use report::{BadValue, ConfigError, Place, UnsupportedOption, Warning};
pub use sample::{Quickstart, Unwritable};
pub use sections::*;
pub use source::{Source, Sources};

pub use value::{Limit, Network, Repeated, Uri};

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(Config::specs()));

/// Where a configuration came from and what its operator should know.
#[derive(Clone, Debug, Default, PartialEq)]
struct Origin {
    /// The files that were read, the strongest last.
    files: Vec<PathBuf>,
    /// The folders in which a relative name is looked for, in this order.
    folders: Vec<PathBuf>,
    warnings: Vec<Warning>,
    unsupported_options: Vec<UnsupportedOption>,
    /// By section, what stands there as `remote_id_attribute`.
    remote_id_attributes: HashMap<String, String>,
}

impl Config {
    /// The attribute of assertions that names the identity provider, as the section of a protocol
    /// says; each protocol may have one, whatever it is called.
    pub fn remote_id_attribute(&self, protocol: &str) -> Option<String> {
        self.origin.remote_id_attributes.get(protocol).cloned()
    }

    /// Reads all sources.
    ///
    /// # Errors
    ///
    /// A file cannot be read or is not of the format, or values are refused: all of them are
    /// named.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let paths = sources.files()?;
        let folders = sources.folders_beside(&paths);
        let files = paths
            .into_iter()
            .map(File::read)
            .collect::<Result<Vec<File>, ConfigError>>()?;
        Self::from_files(&files, sources, folders)
    }

    /// Reads the text of one file and nothing else; `path` is what messages call it.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file = File::parse(path.to_owned(), text)?;
        Self::from_files(&[file], &Sources::default(), Vec::new())
    }

    /// The files that were read, the strongest last.
    pub fn files(&self) -> &[PathBuf] {
        &self.origin.files
    }

    /// What is unknown, renamed or deprecated in the files, in their order.
    pub fn warnings(&self) -> &[Warning] {
        &self.origin.warnings
    }

    /// The options of Keystone that are set to something other than their default and have no
    /// effect in this release, by section and name.
    pub fn unsupported_options(&self) -> &[UnsupportedOption] {
        &self.origin.unsupported_options
    }

    /// Finds a file or folder such as `policy.yaml` beside the configuration: in the folders that
    /// the command line names, beside the files, then in the folders that are searched by default.
    /// An absolute path is only checked.
    pub fn find_file(&self, name: &Path) -> Option<PathBuf> {
        if name.is_absolute() {
            return name.exists().then(|| name.to_owned());
        }
        let mut places = self.origin.folders.iter().map(|folder| folder.join(name));
        places.find(|path| path.exists())
    }

    fn from_files(
        files: &[File],
        sources: &Sources,
        folders: Vec<PathBuf>,
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(&TABLE, files, &sources.environment);
        let config = Self::read(&mut reader);
        if let Some(config) = &config {
            reader.errors.extend(config.archstone.missing());
        }
        let (unsupported_options, refused) = reader.unsupported_options();
        reader.errors.extend(refused);
        let mut warnings = reader.warnings(files);
        if let Some(config) = &config {
            warnings.extend(advice::advice(config, &reader));
        }
        let origin = Origin {
            files: files.iter().map(|file| file.path.clone()).collect(),
            folders,
            warnings,
            unsupported_options,
            remote_id_attributes: reader::remote_id_attributes(files),
        };
        match config {
            Some(config) if reader.errors.is_empty() => Ok(Self { origin, ..config }),
            _ => Err(ConfigError::Values(reader.errors)),
        }
    }
}

impl Cache {
    /// The memcached servers in which Keystones keep what they read, where they do and we reach it.
    pub fn memcached(&self) -> Option<Vec<String>> {
        use CacheBackend::{Bmemcached, Memcached, OsloMemcachePool, Pylibmc, Pymemcache};
        let backends = [Bmemcached, Memcached, OsloMemcachePool, Pylibmc, Pymemcache];
        let plain = !self.tls_enabled && !self.memcache_sasl_enabled;
        if !self.enabled || !plain || !backends.contains(&self.backend) {
            return None;
        }
        let arguments = self.backend_argument.iter();
        let url = arguments
            .filter_map(|argument| argument.expose().strip_prefix("url:"))
            .next_back();
        Some(match url {
            Some(server) => vec![server.to_owned()],
            None => self.memcache_servers.clone(),
        })
    }
}

impl Archstone {
    /// The addresses without TLS: those that are set, or port 5000 of this machine alone when
    /// no address of either kind is set.
    pub fn plain_addresses(&self) -> Vec<SocketAddr> {
        match self.http_listen.is_empty() && self.https_listen.is_empty() {
            true => vec![(Ipv4Addr::LOCALHOST, 5000).into()],
            false => self.http_listen.clone(),
        }
    }

    /// What TLS needs and is not set.
    fn missing(&self) -> Vec<BadValue> {
        let files = [
            ("tls_certificate", &self.tls_certificate),
            ("tls_key", &self.tls_key),
        ];
        files
            .into_iter()
            .filter(|(_, file)| !self.https_listen.is_empty() && file.is_none())
            .map(|(name, _)| BadValue {
                section: "archstone".to_owned(),
                name: name.to_owned(),
                value: None,
                place: Place::Default,
                expected: "a path, for https_listen is set".to_owned(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, fs, time::Duration};

    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse(Path::new("keystone.conf"), text).unwrap()
    }

    fn refusal(text: &str) -> String {
        let error = Config::parse(Path::new("keystone.conf"), text).unwrap_err();
        error.to_string()
    }

    fn warnings(text: &str) -> Vec<String> {
        parse(text)
            .warnings()
            .iter()
            .map(Warning::to_string)
            .collect()
    }

    fn unsupported_options(text: &str) -> Vec<String> {
        parse(text)
            .unsupported_options()
            .iter()
            .map(UnsupportedOption::to_string)
            .collect()
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        let config = parse("");
        let origin = config.origin.clone();
        assert_eq!(
            config,
            Config {
                origin,
                ..Config::default()
            }
        );
    }

    #[test]
    fn an_empty_text_is_as_good_as_none() {
        let config = parse("[DEFAULT]\nadmin_token =\nlog_file = ''");
        assert_eq!(config.default.admin_token, None);
        assert_eq!(config.default.log_file, None);
    }

    #[test]
    fn the_defaults_are_those_of_keystone() {
        let config = Config::default();
        assert_eq!(config.token.expiration, Duration::from_secs(3600));
        assert_eq!(config.identity.cache_time, Some(Duration::from_secs(600)));
        assert_eq!(
            config.identity.password_hash_algorithm,
            PasswordHash::Bcrypt
        );
        assert_eq!(config.credential.user_limit, Limit::Unlimited);
        assert_eq!(config.auth.methods.len(), 7);
        assert_eq!(
            config.oslo_policy.policy_dirs[..],
            [PathBuf::from("policy.d")]
        );
        assert_eq!(config.database.connection.expose(), "sqlite:///keystone.db");
        assert_eq!(config.default.public_endpoint, None);
    }

    #[test]
    fn a_refused_value_is_named_with_its_place_and_what_is_accepted() {
        assert_eq!(
            refusal("[token]\nexpiration = 3600\n[identity]\nmax_password_length = 9999"),
            "keystone.conf:4: [identity] max_password_length = \"9999\" is refused; \
             expected at most 4096"
        );
        assert_eq!(
            refusal("[token]\nexpiration = 99999999999999"),
            "keystone.conf:2: [token] expiration = \"99999999999999\" is refused; \
             expected at most 3155760000"
        );
        assert_eq!(
            refusal("[token]\nexpiration = 1h"),
            "keystone.conf:2: [token] expiration = \"1h\" is refused; \
             expected an integer, 0 or more"
        );
        assert_eq!(
            refusal("[token]\nexpiration ="),
            "keystone.conf:2: [token] expiration = \"\" is refused; \
             expected an integer, 0 or more"
        );
        assert_eq!(
            refusal("[assignment]\nlist_limit = many"),
            "keystone.conf:2: [assignment] list_limit = \"many\" is refused; \
             expected an integer, 0 or more"
        );
        assert_eq!(
            refusal("[archstone]\nhttp_listen = 127.0.0.1:5000, here"),
            "keystone.conf:2: [archstone] http_listen = \"127.0.0.1:5000, here\" is refused; \
             expected addresses with ports separated by commas, such as 127.0.0.1:5000"
        );
    }

    #[test]
    fn no_number_is_too_large_to_be_refused() {
        let any = i64::MAX.to_string();
        for spec in Config::specs() {
            let integer = spec.rule.kind == value::Kind::Integer;
            if !integer || (spec.section, spec.name) == ("cors", "max_age") {
                continue;
            }
            let (section, name) = (spec.section, spec.name);
            let told = refusal(&format!("[{section}]\n{name} = {any}"));
            let named = format!("[{section}] {name} = \"{any}\" is refused; expected at most ");
            assert!(told.contains(&named), "{told}");
        }
    }

    #[test]
    fn all_refused_values_are_named_at_once() {
        assert_eq!(
            refusal("[token]\nexpiration = x\nprovider = jwt\n[wsgi]\ndebug_middleware = x"),
            "keystone.conf:2: [token] expiration = \"x\" is refused; \
             expected an integer, 0 or more\n\
             keystone.conf:3: [token] provider = \"jwt\" is refused; expected one of fernet\n\
             keystone.conf:5: [wsgi] debug_middleware = \"x\" is refused; expected true or false"
        );
    }

    #[test]
    fn a_wrong_reference_says_how_to_write_a_dollar() {
        assert_eq!(
            refusal("[oauth2]\noauth2_cert_dn_mapping_id = a$b"),
            "keystone.conf:2: [oauth2] oauth2_cert_dn_mapping_id = \"a$b\" is refused; \
             expected the name of an option after $, which b is not; $$ is a dollar sign"
        );
        assert!(
            refusal("[oauth2]\noauth2_cert_dn_mapping_id = $oauth2_cert_dn_mapping_id")
                .contains("does not come back to itself")
        );
    }

    #[test]
    fn references_that_double_and_double_are_refused() {
        let names = [
            "idp_lang",
            "idp_organization_name",
            "idp_organization_display_name",
            "idp_contact_company",
            "idp_contact_name",
            "idp_contact_surname",
            "idp_contact_email",
            "idp_contact_telephone",
            "relay_state_prefix",
        ];
        let mut text = "[saml]\nrelay_state_prefix = x\n".to_owned();
        for pair in names.windows(2) {
            text += &format!("{} = {}\n", pair[0], format!("${}", pair[1]).repeat(8));
        }
        let told = refusal(&text);
        assert!(told.contains("at most 1000 references to other options"));
        assert!(
            parse("[saml]\nidp_lang = $idp_contact_name$idp_contact_name")
                .saml
                .idp_lang
                .len()
                > 50
        );
    }

    #[test]
    fn a_secret_is_never_shown() {
        let text = "[database]\nconnection = mysql://u:hunt$er2@h/k\n[token]\nhunter2";
        assert!(!refusal(text).contains("hunt"), "{}", refusal(text));
        let text = text.replace("\n[token]\nhunter2", "");
        assert!(!refusal(&text).contains("hunt"), "{}", refusal(&text));
        let text = text.replace('$', "$$");
        assert!(!format!("{:?}", parse(&text)).contains("hunt"));
    }

    #[test]
    fn a_syntax_error_names_file_and_line() {
        assert_eq!(
            refusal("[token]\n\n  x"),
            "keystone.conf:3: an indented line continues no value"
        );
    }

    #[test]
    fn nothing_unknown_is_ignored_in_silence() {
        let text = "[token]\nexpiraton = 5\n[nova]\na = 1\nb = 2\n[default]\ndebug = true";
        assert_eq!(
            warnings(text),
            [
                "keystone.conf:2: [token] expiraton is not a known option; it is ignored",
                "keystone.conf:4: [nova] is not a known section; it is ignored",
                "keystone.conf:7: [default] is not a known section; it is ignored",
            ]
        );
    }

    #[test]
    fn former_and_deprecated_names_are_honoured_and_reported() {
        let text = "[Assignment]\ncaching = false\n[token]\ncache_on_issue = true";
        assert!(!parse(text).resource.caching);
        assert_eq!(
            warnings(text),
            [
                "keystone.conf:2: [Assignment] caching is now [resource] caching; \
                 the former name will go",
                "keystone.conf:4: [token] cache_on_issue is deprecated and will go",
            ]
        );
    }

    #[test]
    fn what_nothing_acts_on_yet_is_checked_and_reported() {
        let text = "[wsgi]\ndebug_middleware = true\n[role]\ncaching = false\n[token]\n\
                    caching = true\nexpiration = 5\n";
        assert_eq!(
            unsupported_options(text),
            [
                "keystone.conf:4: [role] caching has no effect in this release: the facts in \
                 memory are kept in step with the database; [cache] enabled turns them off",
                "keystone.conf:2: [wsgi] debug_middleware has no effect in this release: requests \
                 are not logged whole",
            ]
        );
        assert!(refusal("[role]\ncaching = perhaps").contains("expected true or false"));
    }

    #[test]
    fn what_has_no_effect_is_reported_unless_it_is_the_default() {
        let text = "[ldap]\nurl = ldap://h\npage_size = 00\nuse_tls = off\n[identity]\n\
                    driver = sql\n[trust]\nmax_redelegation_count = x\n[OpenID]\n\
                    remote_id_attribute = HTTP_OIDC_ISS\n";
        assert_eq!(
            unsupported_options(text),
            [
                "keystone.conf:2: [ldap] url has no effect in this release: it counts only with \
                 [identity] driver = ldap or domain_specific_drivers_enabled, which are refused",
                "keystone.conf:8: [trust] max_redelegation_count has no effect in this release: \
                 this release makes no trusts",
            ]
        );
        assert!(warnings(text).is_empty());
        let attribute = parse(text).remote_id_attribute("OpenID");
        assert_eq!(attribute.as_deref(), Some("HTTP_OIDC_ISS"));
        assert_eq!(parse(text).remote_id_attribute("saml2"), None);
    }

    #[test]
    fn what_decides_where_users_are_and_who_gets_in_stops_the_start() {
        for line in [
            "[identity]\ndriver = ldap",
            "[identity]\ndriver = keystone.identity.backends.sql.Identity",
            "[identity]\ndomain_specific_drivers_enabled = yes",
            "[identity]\ndomain_specific_drivers_enabled = perhaps",
            "[identity_mapping]\ngenerator = uuid",
            "[catalog]\ndriver = templated",
            "[assignment]\ndriver = ours",
            "[credential]\ndriver = ours",
            "[policy]\ndriver = rules",
            "[role]\ndriver = ours",
            "[auth]\npassword = address_limited",
            "[auth]\nmethods = password,totp\ntotp = ours",
            "[auth]\nopenid = ours",
            "[tokenless_auth]\ntrusted_issuer = CN=a",
            "[token]\nprovider = jws",
            "[DEFAULT]\nconfig_source = remote",
        ] {
            assert!(refusal(line).contains(" is refused; expected "), "{line}");
        }
        assert_eq!(
            refusal("[identity]\ndriver = ldap"),
            "keystone.conf:2: [identity] driver = \"ldap\" is refused; expected sql: this release \
             keeps users and groups in the database alone: stay with Keystone if yours are elsewhere"
        );
        for line in [
            "[identity]\ndriver = sql\ndomain_specific_drivers_enabled = no",
            "[role]\ndriver = sql",
            "[role]\ndriver =",
            "[auth]\npassword = default\ntoken =\nsaml2 = default",
            "[tokenless_auth]\nissuer_attribute = SSL_CLIENT_I_DN\ntrusted_issuer =",
        ] {
            assert!(unsupported_options(line).is_empty(), "{line}");
        }
    }

    #[test]
    fn the_environment_is_named_when_its_value_is_refused() {
        let sources = Sources {
            environment: HashMap::from([("OS_TOKEN__EXPIRATION".to_owned(), "x".to_owned())]),
            ..Sources::default()
        };
        assert_eq!(
            Config::load(&sources).unwrap_err().to_string(),
            "environment variable OS_TOKEN__EXPIRATION: [token] expiration = \"x\" is refused; \
             expected an integer, 0 or more"
        );
    }

    #[test]
    fn tls_needs_a_certificate_and_its_key() {
        assert_eq!(
            refusal("[archstone]\nhttps_listen = [::]:5000\ntls_key = k.pem"),
            "[archstone] tls_certificate is not set; expected a path, for https_listen is set"
        );
    }

    #[test]
    fn without_any_address_this_machine_alone_is_served() {
        let plain = |text| parse(text).archstone.plain_addresses();
        assert_eq!(plain(""), ["127.0.0.1:5000".parse().unwrap()]);
        assert_eq!(
            plain("[archstone]\nhttp_listen = 0.0.0.0:80"),
            ["0.0.0.0:80".parse().unwrap()]
        );
        let tls = "https_listen = 0.0.0.0:443\ntls_certificate = c\ntls_key = k";
        assert_eq!(plain(&format!("[archstone]\n{tls}")), []);
    }

    #[test]
    fn relative_names_are_found_beside_the_configuration() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        fs::create_dir(path("first")).unwrap();
        fs::create_dir(path("second")).unwrap();
        for file in [
            "first/a.conf",
            "second/b.conf",
            "first/policy.yaml",
            "second/other",
        ] {
            fs::write(path(file), "").unwrap();
        }
        let config = Config::load(&Sources {
            given: vec![
                Source::File(path("first/a.conf")),
                Source::File(path("second/b.conf")),
            ],
            ..Sources::default()
        })
        .unwrap();
        let found = |name: &str| config.find_file(Path::new(name));
        assert_eq!(found("policy.yaml"), Some(path("first/policy.yaml")));
        fs::write(path("second/policy.yaml"), "").unwrap();
        assert_eq!(found("policy.yaml"), Some(path("second/policy.yaml")));
        assert_eq!(found("nothing"), None);
        assert_eq!(
            config.find_file(&path("first/policy.yaml")),
            Some(path("first/policy.yaml"))
        );
        assert_eq!(config.find_file(&path("nothing")), None);
    }

    #[test]
    fn keystones_own_variables_name_files() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("a.conf"), "[token]\nexpiration = 1").unwrap();
        fs::write(home.path().join("b.conf"), "[token]\nexpiration = 2").unwrap();
        let folder = home.path().to_str().unwrap().to_owned();
        let sources = Sources {
            environment: HashMap::from([
                ("OS_KEYSTONE_CONFIG_DIR".to_owned(), folder),
                (
                    "OS_KEYSTONE_CONFIG_FILES".to_owned(),
                    "a.conf; b.conf;".to_owned(),
                ),
            ]),
            ..Sources::default()
        };
        let config = Config::load(&sources).unwrap();
        assert_eq!(config.token.expiration, Duration::from_secs(2));
        assert_eq!(
            config.files(),
            [home.path().join("a.conf"), home.path().join("b.conf")]
        );
    }
}
