//! One request: who asks, what for, and what its handler may use.

pub mod path;
pub mod reply;
pub mod routes;

use std::sync::Arc;

use model::Timestamp;
use model::ids::DomainId;
use policy::{Decision, Rule};
use serde::Serialize;
use store::{Store, Tx};
use web::reply::{Body, Collection, Links, Range, long_list};
use web::request::Request;

use crate::admission::caller::Caller;
use crate::admission::validate_token::{ValidationError, validate_again};
use crate::error::ApiError;
use crate::parts::Parts;
use crate::rules::target::{Facts, Target};
use reply::Permit;

/// One request with its caller.
pub struct Call {
    /// What handlers are made with.
    pub parts: Arc<Parts>,
    /// Reads, through the pool.
    pub store: Store,
    /// Who asks.
    caller: Caller,
    /// Makes the URLs of documents.
    pub links: Links,
    /// The request itself.
    pub request: Arc<Request>,
    now: Timestamp,
}

impl Call {
    /// A request that was admitted at this time.
    pub fn new(
        parts: &Arc<Parts>,
        caller: &Caller,
        links: &Links,
        request: &Arc<Request>,
        now: Timestamp,
    ) -> Self {
        Self {
            store: parts.store.clone(),
            parts: Arc::clone(parts),
            caller: caller.clone(),
            links: links.clone(),
            request: Arc::clone(request),
            now,
        }
    }

    /// Who asks.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The time at which this request counts as made.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A new random id, of 32 hexadecimal digits.
    pub fn new_id<Id: From<String>>(&self) -> Id {
        self.parts.random.id().into()
    }

    /// The domain that shall own something new: the one that was named, else that of the caller's
    /// token, else `[identity] default_domain_id`.
    ///
    /// # Errors
    ///
    /// 400 when the holder of the administrator's token names none.
    pub fn owning_domain(&self, named: Option<DomainId>) -> Result<DomainId, ApiError> {
        if let Some(id) = named.or_else(|| self.caller.domain_scope()) {
            return Ok(id);
        }
        if self.caller.is_admin_token() {
            return Err(ApiError::BadRequest(
                "You have tried to create a resource using the admin token. As this token is not \
                 within a domain you must explicitly include a domain for this resource to belong \
                 to."
                .into(),
            ));
        }
        Ok(self.parts.config.identity.default_domain_id.clone())
    }

    /// Looks again at who asks, after a step that took its time. Whatever the caller may do is to be
    /// asked again afterwards.
    ///
    /// # Errors
    ///
    /// 401 when the token was revoked meanwhile, or its user disabled.
    pub async fn look_again(&mut self) -> Result<(), ApiError> {
        let Some(token) = self.caller.token() else {
            return Ok(());
        };
        let again = validate_again(&self.parts, token, self.parts.clock.now()).await;
        let again = again.map_err(|refusal| match refusal {
            ValidationError::Unavailable(error) => error,
            ValidationError::Invalid(_)
            | ValidationError::SubjectGone(_)
            | ValidationError::Unsupported(_) => {
                ApiError::unauthorized("the token was revoked meanwhile")
            }
        })?;
        self.caller = Caller::user(again);
        Ok(())
    }

    /// Opens the transaction of this request. Call it when the handler first writes.
    ///
    /// # Errors
    ///
    /// [`ApiError::Unavailable`] when the database does not answer.
    pub async fn begin(&self) -> Result<Tx, ApiError> {
        Ok(self.store.begin().await?)
    }

    /// Asks the policy. The target says what the request is about; the variables of the path, the
    /// filters of a list and the body are part of it already.
    ///
    /// # Errors
    ///
    /// 401 when nobody is logged in, 403 when the rule does not hold.
    pub fn authorize<T: Target>(&self, rule: Rule, target: T) -> Result<Permit, ApiError> {
        debug_assert!(
            rule.about == T::KEYS,
            "{} is asked about something else than it declares",
            rule.name
        );
        assert!(
            self.request
                .operation
                .rules
                .iter()
                .any(|declared| declared.name == rule.name),
            "{} asks {}, which its operation does not declare",
            self.request.operation.path,
            rule.name
        );
        let Some(credentials) = self.caller.credentials() else {
            return Err(ApiError::unauthorized(self.caller.reason()));
        };
        if self.caller.is_admin_token() {
            return Ok(Permit(()));
        }
        let facts = Facts {
            request: &self.request,
            target,
        };
        match self
            .parts
            .policy
            .current()
            .check(rule.name, credentials, &facts)
        {
            Decision::Allowed => Ok(Permit(())),
            Decision::Denied | Decision::WrongScope => Err(ApiError::denied(rule.name)),
        }
    }

    /// Asks the policy about something that may not be there, and only then admits that it is not, so
    /// that a stranger cannot probe for ids.
    ///
    /// # Errors
    ///
    /// Those of [`Call::authorize`], then 404 for what was not found.
    pub fn find_or_refuse<T: Target>(
        &self,
        rule: Rule,
        kind: &'static str,
        id: impl ToString,
        found: Option<T>,
    ) -> Result<(T, Permit), ApiError> {
        let permit = self.authorize(rule, found.as_ref())?;
        match found {
            Some(found) => Ok((found, permit)),
            None => Err(ApiError::not_found(kind, id)),
        }
    }

    /// Whether the policy's rule `admin_required` holds for the caller, for settings that make
    /// exceptions for administrators. It permits nothing by itself.
    pub fn is_by_admin(&self) -> bool {
        let Some(credentials) = self.caller.credentials() else {
            return false;
        };
        let facts = Facts {
            request: &self.request,
            target: (),
        };
        let policy = self.parts.policy.current();
        let decision = policy.check("admin_required", credentials, &facts);
        decision == Decision::Allowed
    }

    /// Answers without asking the policy, in an operation declared public.
    ///
    /// # Panics
    ///
    /// In every other operation.
    pub fn public(&self) -> Permit {
        assert!(
            self.request.operation.public.is_some(),
            "{} is not public",
            self.request.operation.path
        );
        Permit(())
    }

    /// Refuses a caller without a token, before anything is told that needs no permit.
    ///
    /// # Errors
    ///
    /// 401.
    pub fn require_token(&self) -> Result<(), ApiError> {
        match self.caller.credentials() {
            Some(_) => Ok(()),
            None => Err(ApiError::unauthorized(self.caller.reason())),
        }
    }

    /// The part of a list that the query asks for; when it asks for none, the first `list_limit`
    /// items.
    ///
    /// # Errors
    ///
    /// 400 when `limit` is not a number.
    pub fn range(&self, list_limit: Option<u32>) -> Result<Range, ApiError> {
        let most = self.parts.max_page();
        Ok(Range::of(&self.request.query, most, list_limit)?)
    }

    /// A list under its plural name, with the links of a collection.
    pub fn collection<T: Serialize>(&self, name: &'static str, items: Vec<T>) -> Collection<T> {
        Collection::new(name, items, &self.request, &self.links)
    }

    /// The same for a part of a list, read by [`Range::page`] or cut by [`Range::skip`]: the answer
    /// says whether it goes on, and where.
    pub fn part_of_collection<T: Serialize>(
        &self,
        name: &'static str,
        items: Vec<T>,
        range: &Range,
        id: impl Fn(&T) -> &str,
    ) -> Collection<T> {
        Collection::part(name, items, range, id, &self.request, &self.links)
    }

    /// A whole list that may be too long to be held in memory: each item is made when it is written.
    pub fn long_list<T: Serialize>(
        &self,
        name: &'static str,
        items: impl Iterator<Item = T> + Send + 'static,
    ) -> Body {
        long_list(name, items, &self.request, &self.links)
    }
}
