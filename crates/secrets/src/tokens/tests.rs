//! Tokens and receipts against those of a Keystone, byte for byte.
//!
//! `token_vectors_more.json` is made by `clients/oracle/token_vectors.py`.

use std::{fs, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::{
    Method, Receipt, Timestamp, Token,
    ids::GroupId,
    scope::Scope,
    token::{AuditId, AuditIds, FederatedLogin, FederatedScope, TokenKind},
};
use serde_json::Value;

use super::{payload::Malformed, receipt::FernetReceipts, *};

/// Texts that a Keystone made, and the keys it made them with.
struct Vectors {
    files: [Value; 2],
    keys: Arc<KeyRing>,
}

/// One token of a Keystone.
struct Golden<'a> {
    text: &'a str,
    payload: Vec<u8>,
    /// Packed as msgpack did before 1.0: nobody writes that any more.
    old_form: bool,
    token: Token,
}

impl Vectors {
    fn load() -> Self {
        let files = [
            include_str!("../../tests/data/token_vectors.json"),
            include_str!("../../tests/data/token_vectors_more.json"),
        ];
        let files = files.map(|text| serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(files[0]["keys"], files[1]["keys"]);
        assert_eq!(files[0]["auth_methods"], files[1]["auth_methods"]);
        let folder = tempfile::tempdir().unwrap();
        for (name, key) in files[0]["keys"].as_object().unwrap() {
            fs::write(folder.path().join(name), key.as_str().unwrap()).unwrap();
        }
        Self {
            keys: Arc::new(KeyRing::open(folder.path()).unwrap()),
            files,
        }
    }

    fn methods(&self) -> MethodBits {
        MethodBits::new(methods(&self.files[0]["auth_methods"]))
    }

    fn payloads(&self) -> PayloadCodec {
        PayloadCodec::new(self.methods(), "default".into())
    }

    fn tokens(&self) -> FernetTokens {
        FernetTokens::new(self.keys.clone(), self.methods(), "default".into(), 255)
    }

    fn receipts(&self) -> FernetReceipts {
        FernetReceipts::new(self.keys.clone(), self.methods())
    }

    fn golden(&self) -> impl Iterator<Item = Golden<'_>> {
        self.files
            .iter()
            .flat_map(|file| file["tokens"].as_array().unwrap())
            .map(|vector| Golden {
                text: text(&vector["token"]),
                payload: hex(text(&vector["payload_hex"])),
                old_form: vector.get("old_form") == Some(&Value::Bool(true)),
                token: token(&vector["decoded"]),
            })
    }

    fn golden_receipts(&self) -> impl Iterator<Item = (&str, Receipt)> {
        let receipts = self.files[1]["receipts"].as_array().unwrap();
        receipts
            .iter()
            .chain([&self.files[0]["receipt"]])
            .map(|vector| {
                let decoded = &vector["decoded"];
                let receipt = Receipt {
                    user_id: text(&decoded[0]).into(),
                    methods: methods(&decoded[1]),
                    issued_at: time(&decoded[2]),
                    expires_at: time(&decoded[3]),
                };
                (text(&vector["receipt"]), receipt)
            })
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn hex(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2);
    pairs
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap())
        .collect()
}

fn methods(names: &Value) -> Vec<Method> {
    names
        .as_array()
        .unwrap()
        .iter()
        .map(|name| text(name).into())
        .collect()
}

fn time(value: &Value) -> Timestamp {
    text(value).parse().unwrap()
}

/// What a vector's `decoded` says.
fn token(decoded: &Value) -> Token {
    let id = |name: &str| decoded.get(name).map(text);
    let project = id("project_id");
    let login = id("identity_provider_id").map(|identity_provider_id| FederatedLogin {
        identity_provider_id: identity_provider_id.into(),
        protocol_id: text(&decoded["protocol_id"]).into(),
        group_ids: decoded["federated_group_ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| GroupId::from(text(&group["id"])))
            .collect(),
    });
    let scope = match (project, id("domain_id"), id("system")) {
        (Some(id), None, None) => Scope::Project(id.into()),
        (None, Some(id), None) => Scope::Domain(id.into()),
        (None, None, Some("all")) => Scope::System,
        _ => Scope::Unscoped,
    };
    let kind = if let Some(login) = login {
        TokenKind::Federated {
            login,
            scope: scope.try_into().unwrap(),
        }
    } else if let Some(id) = id("trust_id") {
        TokenKind::Trust {
            trust_id: id.into(),
            project_id: project.map(Into::into),
        }
    } else if let Some(id) = id("access_token_id") {
        TokenKind::AccessToken {
            access_token_id: id.into(),
            project_id: project.unwrap().into(),
        }
    } else if let Some(id) = id("app_cred_id") {
        TokenKind::ApplicationCredential {
            application_credential_id: id.into(),
            project_id: project.unwrap().into(),
        }
    } else if let Some(id) = id("thumbprint") {
        TokenKind::Certificate {
            thumbprint: id.into(),
            project_id: project.unwrap().into(),
        }
    } else {
        TokenKind::Direct(scope)
    };
    let audit_ids: Vec<AuditId> = decoded["audit_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| text(id).parse().unwrap())
        .collect();
    Token {
        user_id: text(&decoded["user_id"]).into(),
        methods: methods(&decoded["methods"]),
        kind,
        audit_ids: AuditIds {
            own: audit_ids[0],
            parent: audit_ids.get(1).copied(),
        },
        issued_at: time(&decoded["issued_at"]),
        expires_at: time(&decoded["expires_at"]),
    }
}

/// The IV that a message was encrypted with.
fn iv(message: &str) -> [u8; 16] {
    URL_SAFE_NO_PAD.decode(message).unwrap()[9..25]
        .try_into()
        .unwrap()
}

fn sample(kind: TokenKind) -> Token {
    Token {
        user_id: "5616c45d6b05433a8a5a7513d2e603a2".into(),
        methods: vec![Method::Password],
        kind,
        audit_ids: AuditIds::root(AuditId::from_bytes([7; 16])),
        issued_at: Timestamp::from_timestamp(1_795_326_337, 0).unwrap(),
        expires_at: Timestamp::from_timestamp(1_795_329_937, 0).unwrap(),
    }
}

#[test]
fn every_token_of_keystone_is_read() {
    let vectors = Vectors::load();
    assert_eq!(vectors.golden().count(), 14 + 23);
    for Golden {
        text,
        payload,
        token,
        ..
    } in vectors.golden()
    {
        assert_eq!(vectors.keys.decrypt(text).unwrap().content, payload);
        assert_eq!(vectors.tokens().read(text), Ok(token));
    }
}

#[test]
fn every_token_is_issued_as_keystone_does() {
    let vectors = Vectors::load();
    for Golden {
        text,
        payload,
        token,
        ..
    } in vectors.golden().filter(|golden| !golden.old_form)
    {
        assert_eq!(vectors.payloads().write(&token), Ok(payload), "{token:?}");
        assert_eq!(
            vectors.tokens().issue_with(&token, iv(text)).as_deref(),
            Ok(text)
        );
    }
}

#[test]
fn a_token_may_still_carry_its_padding() {
    let vectors = Vectors::load();
    for Golden { text, token, .. } in vectors.golden() {
        let padding = "=".repeat(text.len().wrapping_neg() % 4);
        assert_eq!(
            vectors.tokens().read(&format!("{text}{padding}")),
            Ok(token)
        );
    }
}

#[test]
fn a_token_issued_twice_differs_and_says_the_same() {
    let tokens = Vectors::load().tokens();
    let token = sample(TokenKind::Direct(Scope::System));
    let (one, other) = (tokens.issue(&token).unwrap(), tokens.issue(&token).unwrap());
    assert_ne!(one, other);
    assert_eq!(tokens.read(&one), Ok(token.clone()));
    assert_eq!(tokens.read(&other), Ok(token));
}

#[test]
fn every_kind_of_token_survives_the_journey_with_ids_of_any_form() {
    let tokens = Vectors::load().tokens();
    let ids = [
        "e15b20fece044fdc96051394217ed58e",
        "cn=joe",
        "",
        "ü",
        &"x".repeat(300),
    ];
    let trust_id = || "61f9d937f916422fa84d050fc49273c3".into();
    let login = |id: &str| FederatedLogin {
        identity_provider_id: id.into(),
        protocol_id: id.into(),
        group_ids: vec![id.into(); 20],
    };
    for id in ids {
        let kinds = [
            TokenKind::Direct(Scope::Unscoped),
            TokenKind::Direct(Scope::Project(id.into())),
            TokenKind::Direct(Scope::Domain("ef5920987bb54bfba075f2d507e011df".into())),
            TokenKind::Direct(Scope::Domain("default".into())),
            TokenKind::Direct(Scope::System),
            TokenKind::Trust {
                trust_id: trust_id(),
                project_id: Some(id.into()),
            },
            TokenKind::Trust {
                trust_id: trust_id(),
                project_id: None,
            },
            TokenKind::Federated {
                login: login(id),
                scope: FederatedScope::Unscoped,
            },
            TokenKind::Federated {
                login: login(id),
                scope: FederatedScope::Project(id.into()),
            },
            TokenKind::Federated {
                login: login(id),
                scope: FederatedScope::Domain(id.into()),
            },
            TokenKind::AccessToken {
                access_token_id: id.into(),
                project_id: id.into(),
            },
            TokenKind::ApplicationCredential {
                application_credential_id: id.into(),
                project_id: id.into(),
            },
            TokenKind::Certificate {
                thumbprint: id.into(),
                project_id: id.into(),
            },
        ];
        for kind in kinds {
            let token = Token {
                user_id: id.into(),
                ..sample(kind)
            };
            assert_eq!(tokens.read(&tokens.issue(&token).unwrap()), Ok(token));
        }
    }
}

#[test]
fn an_id_is_normalised_where_python_takes_it_for_a_uuid() {
    let payloads = Vectors::load().payloads();
    let plain = "e15b20fece044fdc96051394217ed58e";
    let user = |id: &str| {
        let token = Token {
            user_id: id.into(),
            ..sample(TokenKind::Direct(Scope::Unscoped))
        };
        payloads
            .read(&payloads.write(&token).unwrap(), token.issued_at)
            .unwrap()
            .user_id
    };
    for spelling in [
        "E15B20FECE044FDC96051394217ED58E",
        "e15b20fe-ce04-4fdc-9605-1394217ed58e",
        "{e15b20fe-ce04-4fdc-9605-1394217ed58e}",
        "urn:uuid:e15b20fe-ce04-4fdc-9605-1394217ed58e",
    ] {
        assert_eq!(user(spelling).as_str(), plain);
    }
    for other in [
        "+15b20fece044fdc96051394217ed58e",
        "e15b20fece044fdc96051394217ed58",
        "☃",
    ] {
        assert_eq!(user(other).as_str(), other);
    }
}

#[test]
fn ids_that_must_be_uuids_are_refused_otherwise() {
    let payloads = Vectors::load().payloads();
    let domain = sample(TokenKind::Direct(Scope::Domain("federated".into())));
    assert_eq!(
        payloads.write(&domain),
        Err(IssueError::NotAUuid("federated".into()))
    );
    let trust = sample(TokenKind::Trust {
        trust_id: "t".into(),
        project_id: None,
    });
    assert_eq!(
        payloads.write(&trust),
        Err(IssueError::NotAUuid("t".into()))
    );
}

#[test]
fn methods_are_bits_in_the_configured_order_and_come_back_highest_first() {
    use Method::*;
    let bits = MethodBits::new(vec![External, Password, Token, Password]);
    assert_eq!(bits.encode(&[]), 0);
    assert_eq!(bits.encode(&[Token, External]), 5);
    assert_eq!(bits.encode(&[Password, Password]), 2 + 8);
    assert_eq!(bits.encode(&[OAuth2Credential]), 0);
    assert_eq!(bits.decode(0), Ok(vec![]));
    assert_eq!(bits.decode(5), Ok(vec![Token, External]));
    let all = vec![Password, Token, Password, External];
    assert_eq!(bits.decode(15), Ok(all));
    for beyond in [16, 17, u64::MAX] {
        assert_eq!(bits.decode(beyond), Err(Malformed), "{beyond}");
    }

    let many = MethodBits::new((0..70).map(|i| Method::from(&*format!("m{i}"))).collect());
    assert_eq!(many.encode(&["m63".into(), "m64".into()]), 1 << 63);
    assert_eq!(many.decode(u64::MAX).unwrap().len(), 64);
}

#[test]
fn a_token_or_receipt_by_a_method_that_is_not_configured_here_is_refused() {
    let vectors = Vectors::load();
    let fewer = || MethodBits::new(vec![Method::External]);
    let tokens = FernetTokens::new(vectors.keys.clone(), fewer(), "default".into(), 255);
    for Golden { text, token, .. } in vectors.golden() {
        let outcome = tokens.read(text);
        match token.methods[..] {
            [] => assert!(outcome.is_ok()),
            _ => assert_eq!(outcome, Err(TokenError::Unrecognized)),
        }
    }
    let receipts = FernetReceipts::new(vectors.keys.clone(), fewer());
    for (text, _) in vectors.golden_receipts() {
        assert!(receipts.read(text).is_err());
    }
}

#[test]
fn a_default_domain_of_16_characters_is_not_taken_for_a_uuid() {
    let payloads = PayloadCodec::new(MethodBits::new(vec![]), "sixteen-letters!".into());
    let token = Token {
        methods: vec![],
        ..sample(TokenKind::Direct(Scope::Domain("sixteen-letters!".into())))
    };
    assert_eq!(
        payloads.read(&payloads.write(&token).unwrap(), token.issued_at),
        Ok(token)
    );
}

#[test]
fn a_payload_of_another_release_is_named_by_its_version() {
    let payloads = Vectors::load().payloads();
    let read = |payload: &[u8]| payloads.read(payload, Timestamp::UNIX_EPOCH).unwrap_err();
    assert_eq!(read(&[0x91, 11]), TokenError::UnknownVersion(11));
    assert_eq!(read(&[0x91, 0xff]), TokenError::UnknownVersion(-1));
    assert_eq!(
        read(&[0x91, 0xcd, 1, 0]).to_string(),
        "This is not a recognized Fernet payload version: 256"
    );
}

#[test]
fn a_payload_that_is_cut_or_continued_is_refused() {
    let vectors = Vectors::load();
    let payloads = vectors.payloads();
    for Golden { payload, token, .. } in vectors.golden() {
        for length in 0..payload.len() {
            let outcome = payloads.read(&payload[..length], token.issued_at);
            assert_eq!(
                outcome,
                Err(TokenError::Unrecognized),
                "{length} of {payload:02x?}"
            );
        }
        let continued = [&payload[..], &[0xc0]].concat();
        assert_eq!(
            payloads.read(&continued, token.issued_at),
            Err(TokenError::Unrecognized)
        );
        let mut more_fields = continued;
        more_fields[0] += 1;
        assert_eq!(
            payloads.read(&more_fields, token.issued_at),
            Err(TokenError::Unrecognized)
        );
    }
}

#[test]
fn a_payload_with_a_byte_changed_is_read_without_panic_and_written_again_as_read() {
    let vectors = Vectors::load();
    let payloads = vectors.payloads();
    for Golden { payload, token, .. } in vectors.golden() {
        for place in 0..payload.len() {
            let flipped = (0..8).map(|bit| payload[place] ^ (1 << bit));
            // With every marker that says of what kind the next value is.
            for byte in flipped.chain(0xc0..=0xdf) {
                let mut changed = payload.clone();
                changed[place] = byte;
                if let Ok(token) = payloads.read(&changed, token.issued_at) {
                    let written = payloads.write(&token).unwrap();
                    assert_eq!(payloads.read(&written, token.issued_at), Ok(token));
                }
            }
        }
    }
}

#[test]
fn a_length_that_the_payload_does_not_hold_is_refused_before_anything_is_allocated() {
    let payloads = Vectors::load().payloads();
    let user = [0x92, 0xc2, 0xa1, b'u', 0x02];
    let four_thousand_million = [0xff, 0xff, 0xff, 0xff];
    for marker in [0xdd, 0xc6, 0xdb] {
        let payload = [&[0x98, 4][..], &user, &[marker], &four_thousand_million].concat();
        let outcome = payloads.read(&payload, Timestamp::UNIX_EPOCH);
        assert_eq!(outcome, Err(TokenError::Unrecognized));
    }
}

#[test]
fn a_time_outside_the_calendar_is_refused_and_a_fraction_is_dropped() {
    let payloads = Vectors::load().payloads();
    let expiring = |seconds: f64| {
        let start = [0x95, 0, 0x92, 0xc2, 0xa1, b'u', 0x02, 0xcb];
        let audit = [&[0x91, 0xc4, 16][..], &[7; 16]].concat();
        let payload = [&start[..], &seconds.to_be_bytes(), &audit].concat();
        payloads
            .read(&payload, Timestamp::UNIX_EPOCH)
            .map(|token| token.expires_at.timestamp())
    };
    assert_eq!(expiring(1.9), Ok(1));
    assert_eq!(expiring(-0.5), Ok(-1));
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 1e15] {
        assert_eq!(expiring(bad), Err(TokenError::Unrecognized), "{bad}");
    }
}

#[test]
fn a_text_that_is_no_token_is_not_recognized() {
    let tokens = Vectors::load().tokens();
    let absent = tokens.read("").unwrap_err();
    assert_eq!(absent.to_string(), "No token in the request");
    // The last two are tokens of `[token] provider = jws`, one of them without a signature.
    for text in [
        "gAAAA",
        "nonsense",
        "gAAAAABrAnfv",
        "💥",
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1In0.c2lnbmF0dXJl",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1In0.",
    ] {
        assert_eq!(
            tokens.read(text).unwrap_err().to_string(),
            "Could not recognize Fernet token"
        );
    }
}

#[test]
fn every_receipt_of_keystone_is_read_and_issued_as_keystone_does() {
    let vectors = Vectors::load();
    let receipts = vectors.receipts();
    assert_eq!(vectors.golden_receipts().count(), 3);
    for (text, receipt) in vectors.golden_receipts() {
        assert_eq!(receipts.read(text).as_ref(), Ok(&receipt));
        assert_eq!(receipts.issue_with(&receipt, iv(text)), text);
        assert_eq!(receipts.read(&receipts.issue(&receipt)), Ok(receipt));
    }
}

#[test]
fn a_token_is_no_receipt_and_a_receipt_no_token() {
    let vectors = Vectors::load();
    for Golden { text, .. } in vectors.golden() {
        let error = vectors.receipts().read(text).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("Could not find auth receipt: {text}.")
        );
    }
    for (text, _) in vectors.golden_receipts() {
        assert_eq!(vectors.tokens().read(text), Err(TokenError::Unrecognized));
    }
}
