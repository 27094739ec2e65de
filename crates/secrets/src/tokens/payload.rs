//! Token payloads: the msgpack arrays inside Fernet tokens.
//!
//! An array starts with the number of its layout, 0 to 10, one for each kind of token. Old releases wrote text and
//! bytes alike as msgpack strings; both are read, today's form is written.

use chrono::DateTime;
use model::{
    Method, Timestamp,
    ids::{DomainId, GroupId},
    scope::Scope,
    token::{AuditId, AuditIds, FederatedLogin, FederatedScope, Token, TokenKind},
};
use rmp::{
    Marker, decode,
    encode::{self, ByteBuf},
};
use uuid::Uuid;

use super::{IssueError, TokenError};

/// How many fields each layout has, its number included.
const FIELDS: [u32; 11] = [5, 6, 6, 7, 8, 9, 9, 7, 6, 7, 8];

/// The methods that tokens are told to have been obtained by, each a bit by its place in `[auth] methods`.
///
/// To change their order changes the meaning of all live tokens.
#[derive(Clone, Debug)]
pub struct MethodBits(Vec<Method>);

/// Reads and writes the payloads of tokens.
#[derive(Clone, Debug)]
pub struct PayloadCodec {
    methods: MethodBits,
    default_domain_id: DomainId,
}

/// Bytes that are no payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed payload")]
pub struct Malformed;

impl MethodBits {
    /// Numbers the methods of `[auth] methods`, of which a payload has room for 64.
    pub fn new(mut configured: Vec<Method>) -> Self {
        configured.truncate(64);
        Self(configured)
    }

    /// The sum of the methods' bits. A method that is not configured adds nothing.
    pub fn encode(&self, methods: &[Method]) -> u64 {
        let bits = self.0.iter().enumerate();
        bits.filter(|(_, method)| methods.contains(method))
            .map(|(bit, _)| 1 << bit)
            .sum()
    }

    /// The methods of the bits, highest bit first.
    ///
    /// # Errors
    ///
    /// When a bit lies beyond the configured methods: nobody here knows what it says of the login.
    pub fn decode(&self, bits: u64) -> Result<Vec<Method>, Malformed> {
        if bits.checked_shr(self.0.len() as u32).unwrap_or(0) != 0 {
            return Err(Malformed);
        }
        let set = self
            .0
            .iter()
            .enumerate()
            .rev()
            .filter(|(bit, _)| bits >> bit & 1 == 1);
        Ok(set.map(|(_, method)| method.clone()).collect())
    }
}

impl PayloadCodec {
    /// Payloads under the given `[auth] methods` and `[identity] default_domain_id`.
    pub fn new(methods: MethodBits, default_domain_id: DomainId) -> Self {
        Self {
            methods,
            default_domain_id,
        }
    }

    /// Writes the payload of a token. The time of issue is no part of it.
    pub fn write(&self, token: &Token) -> Result<Vec<u8>, IssueError> {
        let mut w = Writer::default();
        let common = |w: &mut Writer, layout: u8| {
            w.array(FIELDS[usize::from(layout)]);
            w.uint(layout.into());
            w.id(token.user_id.as_str());
            w.uint(self.methods.encode(&token.methods));
        };
        let life = |w: &mut Writer| {
            w.time(token.expires_at);
            w.audit_ids(&token.audit_ids);
        };
        match &token.kind {
            TokenKind::Direct(Scope::Unscoped) => {
                common(&mut w, 0);
                life(&mut w);
            }
            TokenKind::Direct(Scope::Domain(domain_id)) => {
                common(&mut w, 1);
                self.write_domain(&mut w, domain_id)?;
                life(&mut w);
            }
            TokenKind::Direct(Scope::Project(project_id)) => {
                common(&mut w, 2);
                w.id(project_id.as_str());
                life(&mut w);
            }
            TokenKind::Trust {
                trust_id,
                project_id,
            } => {
                common(&mut w, 3);
                w.optional_id(project_id.as_ref().map(|id| id.as_str()));
                life(&mut w);
                w.bytes(&parse_uuid(trust_id.as_str()).ok_or_else(|| no_uuid(trust_id))?);
            }
            TokenKind::Federated {
                login,
                scope: FederatedScope::Unscoped,
            } => {
                common(&mut w, 4);
                w.federated_login(login);
                life(&mut w);
            }
            TokenKind::Federated {
                login,
                scope: FederatedScope::Project(project_id),
            } => {
                common(&mut w, 5);
                w.id(project_id.as_str());
                w.federated_login(login);
                life(&mut w);
            }
            TokenKind::Federated {
                login,
                scope: FederatedScope::Domain(domain_id),
            } => {
                common(&mut w, 6);
                w.id(domain_id.as_str());
                w.federated_login(login);
                life(&mut w);
            }
            TokenKind::AccessToken {
                access_token_id,
                project_id,
            } => {
                common(&mut w, 7);
                w.id(project_id.as_str());
                w.id(access_token_id.as_str());
                life(&mut w);
            }
            TokenKind::Direct(Scope::System) => {
                common(&mut w, 8);
                w.text("all");
                life(&mut w);
            }
            TokenKind::ApplicationCredential {
                application_credential_id,
                project_id,
            } => {
                common(&mut w, 9);
                w.id(project_id.as_str());
                life(&mut w);
                w.id(application_credential_id.as_str());
            }
            TokenKind::Certificate {
                thumbprint,
                project_id,
            } => {
                common(&mut w, 10);
                w.id(project_id.as_str());
                // Keystone leaves room for a domain here and never fills it.
                w.optional_id(None);
                life(&mut w);
                w.plain_id(thumbprint);
            }
        }
        Ok(w.into_bytes())
    }

    /// Reads the payload of a token that was issued at `issued_at`.
    pub fn read(&self, payload: &[u8], issued_at: Timestamp) -> Result<Token, TokenError> {
        let mut r = Reader::new(payload);
        let fields = r.array()?;
        let layout = r.int()?;
        match usize::try_from(layout)
            .ok()
            .and_then(|layout| FIELDS.get(layout))
        {
            None => return Err(TokenError::UnknownVersion(layout)),
            Some(expected) if *expected != fields => return Err(Malformed.into()),
            Some(_) => {}
        }
        let user_id = r.id()?.into();
        let methods = self.methods.decode(r.uint()?)?;
        let (kind, (expires_at, audit_ids)) = match layout {
            0 => (TokenKind::Direct(Scope::Unscoped), r.life()?),
            1 => (
                TokenKind::Direct(Scope::Domain(self.read_domain(&mut r)?)),
                r.life()?,
            ),
            2 => (TokenKind::Direct(Scope::Project(r.id()?.into())), r.life()?),
            3 => {
                let (project_id, life) = (r.optional_id()?.map(Into::into), r.life()?);
                (
                    TokenKind::Trust {
                        trust_id: r.uuid()?.into(),
                        project_id,
                    },
                    life,
                )
            }
            4 => {
                let (login, scope) = (r.federated_login()?, FederatedScope::Unscoped);
                (TokenKind::Federated { login, scope }, r.life()?)
            }
            5 => {
                let scope = FederatedScope::Project(r.id()?.into());
                (
                    TokenKind::Federated {
                        scope,
                        login: r.federated_login()?,
                    },
                    r.life()?,
                )
            }
            6 => {
                let scope = FederatedScope::Domain(r.id()?.into());
                (
                    TokenKind::Federated {
                        scope,
                        login: r.federated_login()?,
                    },
                    r.life()?,
                )
            }
            7 => {
                let project_id = r.id()?.into();
                let access_token_id = r.id()?.into();
                (
                    TokenKind::AccessToken {
                        access_token_id,
                        project_id,
                    },
                    r.life()?,
                )
            }
            8 if r.text()? == "all" => (TokenKind::Direct(Scope::System), r.life()?),
            9 => {
                let (project_id, life) = (r.id()?.into(), r.life()?);
                let application_credential_id = r.id()?.into();
                (
                    TokenKind::ApplicationCredential {
                        application_credential_id,
                        project_id,
                    },
                    life,
                )
            }
            10 => {
                let (project_id, None) = (r.id()?.into(), r.optional_id()?) else {
                    return Err(Malformed.into());
                };
                let life = r.life()?;
                (
                    TokenKind::Certificate {
                        thumbprint: r.id()?,
                        project_id,
                    },
                    life,
                )
            }
            _ => return Err(Malformed.into()),
        };
        r.finish()?;
        Ok(Token {
            user_id,
            methods,
            kind,
            audit_ids,
            issued_at,
            expires_at,
        })
    }

    /// Writes the one id that is stored bare: a UUID's bytes, or the default domain as text.
    fn write_domain(&self, w: &mut Writer, id: &DomainId) -> Result<(), IssueError> {
        match parse_uuid(id.as_str()) {
            Some(uuid) => w.bytes(&uuid),
            None if *id == self.default_domain_id => w.text(id.as_str()),
            None => return Err(no_uuid(id)),
        }
        Ok(())
    }

    fn read_domain(&self, r: &mut Reader<'_>) -> Result<DomainId, Malformed> {
        let bytes = r.bytes()?;
        if bytes == self.default_domain_id.as_str().as_bytes() {
            return Ok(self.default_domain_id.clone());
        }
        Ok(uuid_text(bytes)?.into())
    }
}

impl From<Malformed> for TokenError {
    fn from(_: Malformed) -> Self {
        Self::Unrecognized
    }
}

fn no_uuid(id: &impl ToString) -> IssueError {
    IssueError::NotAUuid(id.to_string())
}

/// Writes msgpack as Keystone does: everything in its shortest form, times as 64 bit floats.
#[derive(Default)]
pub(super) struct Writer(ByteBuf);

impl Writer {
    pub(super) fn array(&mut self, length: u32) {
        written(encode::write_array_len(&mut self.0, length));
    }

    pub(super) fn uint(&mut self, number: u64) {
        written(encode::write_uint(&mut self.0, number));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        written(encode::write_bin(&mut self.0, bytes));
    }

    fn text(&mut self, text: &str) {
        written(encode::write_str(&mut self.0, text));
    }

    /// Writes an id as a pair: whether it is a UUID, and its bytes or its text.
    pub(super) fn id(&mut self, id: &str) {
        match parse_uuid(id) {
            Some(uuid) => {
                self.array(2);
                written(encode::write_bool(&mut self.0, true));
                self.bytes(&uuid);
            }
            None => self.plain_id(id),
        }
    }

    /// Writes an id as the pair of one that is no UUID, whatever it looks like.
    fn plain_id(&mut self, id: &str) {
        self.array(2);
        written(encode::write_bool(&mut self.0, false));
        self.text(id);
    }

    fn optional_id(&mut self, id: Option<&str>) {
        match id {
            Some(id) => self.id(id),
            None => {
                self.array(2);
                written(encode::write_bool(&mut self.0, false));
                written(encode::write_nil(&mut self.0));
            }
        }
    }

    pub(super) fn time(&mut self, time: Timestamp) {
        written(encode::write_f64(&mut self.0, time.timestamp() as f64));
    }

    fn audit_ids(&mut self, audit_ids: &AuditIds) {
        self.array(audit_ids.iter().count() as u32);
        for id in audit_ids.iter() {
            self.bytes(id.as_bytes());
        }
    }

    fn federated_login(&mut self, login: &FederatedLogin) {
        let groups = u32::try_from(login.group_ids.len());
        self.array(groups.expect("no user is in four thousand million groups"));
        for id in &login.group_ids {
            self.id(id.as_str());
        }
        self.id(login.identity_provider_id.as_str());
        self.text(login.protocol_id.as_str());
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_vec()
    }
}

/// A buffer in memory takes every write.
fn written<T, E: std::fmt::Debug>(outcome: Result<T, E>) {
    outcome.expect("a buffer in memory takes every write");
}

/// Reads msgpack from a slice. Nothing is allocated that the slice does not hold.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self(payload)
    }

    pub(super) fn array(&mut self) -> Result<u32, Malformed> {
        decode::read_array_len(&mut self.0).map_err(|_| Malformed)
    }

    fn int(&mut self) -> Result<i64, Malformed> {
        decode::read_int(&mut self.0).map_err(|_| Malformed)
    }

    pub(super) fn uint(&mut self) -> Result<u64, Malformed> {
        decode::read_int(&mut self.0).map_err(|_| Malformed)
    }

    /// Bytes, or text as the bytes it consists of.
    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        self.optional_bytes()?.ok_or(Malformed)
    }

    fn optional_bytes(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let mut rest = self.0;
        let length = match decode::read_marker(&mut rest).map_err(|_| Malformed)? {
            Marker::Null => {
                self.0 = rest;
                return Ok(None);
            }
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => decode::read_bin_len(&mut self.0),
            _ => decode::read_str_len(&mut self.0),
        };
        let length = usize::try_from(length.map_err(|_| Malformed)?).map_err(|_| Malformed)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(Some(bytes))
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    fn uuid(&mut self) -> Result<String, Malformed> {
        uuid_text(self.bytes()?)
    }

    pub(super) fn id(&mut self) -> Result<String, Malformed> {
        self.optional_id()?.ok_or(Malformed)
    }

    fn optional_id(&mut self) -> Result<Option<String>, Malformed> {
        if self.array()? != 2 {
            return Err(Malformed);
        }
        let is_uuid = decode::read_bool(&mut self.0).map_err(|_| Malformed)?;
        match self.optional_bytes()? {
            Some(bytes) if is_uuid => Ok(Some(uuid_text(bytes)?)),
            Some(bytes) => Ok(Some(
                std::str::from_utf8(bytes)
                    .map_err(|_| Malformed)?
                    .to_owned(),
            )),
            None if is_uuid => Err(Malformed),
            None => Ok(None),
        }
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, Malformed> {
        let seconds = decode::read_f64(&mut self.0).map_err(|_| Malformed)?;
        // A cast makes zero of no number, and the greatest number of one that is too great.
        if !seconds.is_finite() {
            return Err(Malformed);
        }
        DateTime::from_timestamp(seconds.floor() as i64, 0).ok_or(Malformed)
    }

    fn audit_ids(&mut self) -> Result<AuditIds, Malformed> {
        let count = self.array()?;
        let own = self.audit_id()?;
        let parent = match count {
            1 => None,
            2 => Some(self.audit_id()?),
            _ => return Err(Malformed),
        };
        Ok(AuditIds { own, parent })
    }

    fn audit_id(&mut self) -> Result<AuditId, Malformed> {
        self.bytes()?
            .try_into()
            .map(AuditId::from_bytes)
            .map_err(|_| Malformed)
    }

    /// When a token expires and what it is called: side by side in every layout.
    fn life(&mut self) -> Result<(Timestamp, AuditIds), Malformed> {
        Ok((self.time()?, self.audit_ids()?))
    }

    fn federated_login(&mut self) -> Result<FederatedLogin, Malformed> {
        let count = self.array()?;
        let group_ids = (0..count)
            .map(|_| Ok(GroupId::from(self.id()?)))
            .collect::<Result<_, _>>()?;
        Ok(FederatedLogin {
            group_ids,
            identity_provider_id: self.id()?.into(),
            protocol_id: self.text()?.into(),
        })
    }

    /// Refuses what follows the payload.
    pub(super) fn finish(self) -> Result<(), Malformed> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

/// Reads a UUID in any form that Python's `uuid.UUID` takes: with `urn:uuid:`, braces and dashes, or without.
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let bare = text.replace("urn:", "").replace("uuid:", "");
    let digits = bare.trim_matches(['{', '}']).replace('-', "");
    // Else a sign would pass for a digit.
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&digits, 16)
        .ok()
        .map(u128::to_be_bytes)
}

fn uuid_text(bytes: &[u8]) -> Result<String, Malformed> {
    Ok(Uuid::from_slice(bytes)
        .map_err(|_| Malformed)?
        .simple()
        .to_string())
}
