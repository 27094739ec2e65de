//! One request: who asks, what for, and what its handler may use.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use model::Timestamp;
use model::ids::DomainId;
use model::listing::{Page, TextMatch};
use policy::{Decision, Rule};
use serde::Serialize;
use serde_json::Value;
use store::{Store, Tx};

use crate::accept::preferred;
use crate::app::App;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::flows::validate_token::{Refusal, validate_again};
use crate::listen::Peer;
use crate::operation::Operation;
use crate::reply::Permit;
use crate::target::Facts;
pub use crate::target::Target;

/// One request with its caller.
pub struct Call {
    /// The server.
    pub app: Arc<App>,
    /// Reads, through the pool.
    pub store: Store,
    /// Who asks.
    pub caller: Caller,
    /// Makes the URLs of documents.
    pub links: Links,
    /// The request itself.
    pub request: Arc<Incoming>,
    pub(crate) now: Timestamp,
}

/// A request as it came, read whole.
pub struct Incoming {
    /// What it asks for.
    pub operation: &'static Operation,
    /// `req-` and a UUID, as answers and logs name it.
    pub request_id: String,
    /// The path as the client wrote it, without the query.
    pub path: String,
    /// The path's variables and their decoded values, in order.
    pub variables: Vec<(&'static str, String)>,
    /// The query.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Bytes,
    /// The body as JSON; `None` when there is none or the operation reads a form.
    pub json: Option<Value>,
    /// Who is at the other end of the connection.
    pub peer: Option<Peer>,
}

impl Call {
    /// The time at which this request counts as made.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A new random id, of 32 hexadecimal digits.
    pub fn new_id<Id: From<String>>(&self) -> Id {
        self.app.random.id().into()
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
        if self.caller.is_operator() {
            return Err(ApiError::BadRequest(
                "You have tried to create a resource using the admin token. As this token is not \
                 within a domain you must explicitly include a domain for this resource to belong \
                 to."
                .into(),
            ));
        }
        Ok(self.app.config.identity.default_domain_id.clone())
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
        let again = validate_again(&self.app, token, self.app.clock.now()).await;
        let again = again.map_err(|refusal| match refusal {
            Refusal::Failed(error) => error,
            Refusal::Invalid(_) | Refusal::Vanished(_) | Refusal::Unsupported(_) => {
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
    pub fn authorize(&self, rule: Rule, target: impl Into<Target>) -> Result<Permit, ApiError> {
        debug_assert!(
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
            return Err(ApiError::unauthorized(self.caller.absence()));
        };
        if self.caller.is_operator() {
            return Ok(Permit(()));
        }
        let facts = Facts {
            request: &self.request,
            target: &target.into(),
        };
        match self
            .app
            .policy
            .current()
            .check(rule.name, credentials, &facts)
        {
            Decision::Allowed => Ok(Permit(())),
            Decision::Denied | Decision::WrongScope => Err(ApiError::denied(rule.name)),
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
            target: &Target::none(),
        };
        let policy = self.app.policy.current();
        let decision = policy.check("admin_required", credentials, &facts);
        decision == Decision::Allowed
    }

    /// Answers without asking the policy, in an operation declared public.
    pub fn public(&self) -> Permit {
        debug_assert!(
            self.request.operation.public.is_some(),
            "the operation is not public"
        );
        Permit(())
    }

    /// Answers anybody who is logged in, whatever the policy says.
    ///
    /// # Errors
    ///
    /// 401 when nobody is logged in.
    pub fn authenticated(&self) -> Result<Permit, ApiError> {
        match self.caller.credentials() {
            Some(_) => Ok(Permit(())),
            None => Err(ApiError::unauthorized(self.caller.absence())),
        }
    }

    /// The part of a list that the query asks for; when it asks for none, the first `list_limit`
    /// items.
    ///
    /// # Errors
    ///
    /// 400 when `limit` is not a number.
    pub fn range(&self, list_limit: Option<u32>) -> Result<Range, ApiError> {
        let asked = self.request.query.limit()?;
        let asked = asked.map(|limit| match self.app.max_page() {
            Some(most) => limit.min(most.into()),
            None => limit,
        });
        let marker = self.request.query.get("marker");
        Ok(Range {
            limit: asked.or(list_limit.map(i128::from)),
            marker: marker
                .filter(|marker| !marker.is_empty())
                .map(str::to_owned),
            bound: None,
            guesses: false,
        })
    }

    /// A list under its plural name, with the links of a collection.
    pub fn collection<T: Serialize>(&self, name: &'static str, items: Vec<T>) -> Collection<T> {
        Collection {
            name,
            items,
            self_link: format!("{}{}", self.links.base_url, self.request.path_and_query()),
            next: None,
            truncated: false,
        }
    }

    /// The same for a part of a list, read by [`Range::page`] or cut by [`Range::skip`]: the answer
    /// says whether it goes on, and where.
    pub fn part_of_collection<T: Serialize>(
        &self,
        name: &'static str,
        mut items: Vec<T>,
        range: &Range,
        id: impl Fn(&T) -> &str,
    ) -> Collection<T> {
        let truncated = range.cut(&mut items);
        let next = items
            .last()
            .filter(|_| truncated)
            .zip(range.limit)
            .map(|(last, limit)| self.next_page(id(last), limit));
        let mut collection = self.collection(name, items);
        collection.truncated = truncated;
        collection.next = next;
        collection
    }

    fn next_page(&self, last_id: &str, limit: i128) -> String {
        let query = self.request.query.behind(last_id, &limit.to_string());
        format!("{}{}?{query}", self.links.base_url, self.request.path)
    }
}

impl Query {
    /// The query of the page that follows the item with this id.
    fn behind(&self, last_id: &str, limit: &str) -> String {
        let asked = self.pairs.iter();
        let asked = asked.map(|(name, value)| (name.as_str(), value.as_str()));
        // The first of repeated parameters counts.
        let mut seen = HashSet::new();
        let mut pairs: Vec<_> = asked.filter(|(name, _)| seen.insert(*name)).collect();
        for (name, value) in [("marker", last_id), ("limit", limit)] {
            match pairs.iter_mut().find(|(known, _)| *known == name) {
                Some(pair) => pair.1 = value,
                None => pairs.push((name, value)),
            }
        }
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish()
    }
}

impl Incoming {
    /// The path with its query, as the client wrote them.
    pub fn path_and_query(&self) -> String {
        match self.query.raw.as_str() {
            "" => self.path.clone(),
            query => format!("{}?{query}", self.path),
        }
    }

    /// Whether the client is a browser that shows pages: programs do not ask for HTML.
    pub fn wants_html(&self) -> bool {
        let accepted = self.header("accept").unwrap_or_default();
        preferred(accepted, &["application/json", "text/html"]) == Some("text/html")
    }

    /// The fields of a form, in order; none when the body is of another kind.
    pub fn form(&self) -> impl Iterator<Item = (String, String)> {
        let content_type = self.header("content-type").unwrap_or_default();
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        let is_form = kind.eq_ignore_ascii_case("application/x-www-form-urlencoded");
        let body: &[u8] = if is_form { &self.body } else { &[] };
        form_urlencoded::parse(body).into_owned()
    }

    /// The first field of that name of a form.
    pub fn form_field(&self, name: &str) -> Option<String> {
        let found = self.form().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    }

    /// A header as text; absent when it is not ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The query of a request.
#[derive(Clone, Debug, Default)]
pub struct Query {
    raw: String,
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads a query string.
    pub fn parse(raw: &str) -> Self {
        let pairs = form_urlencoded::parse(raw.as_bytes())
            .into_owned()
            .collect();
        Self {
            raw: raw.to_owned(),
            pairs,
        }
    }

    /// Refuses what no database can take as conditions: too many of them, or one that is too long.
    ///
    /// # Errors
    ///
    /// 400, saying what is wrong.
    pub fn check(&self) -> Result<(), ApiError> {
        const MOST: usize = 500;
        const LONGEST: usize = 8 * 1024;
        // A list of tags is one value, with commas between them.
        let parts = |(_, value): &(String, String)| 1 + value.matches(',').count();
        if self.pairs.iter().map(parts).sum::<usize>() > MOST {
            let complaint = format!("The query has more than {MOST} values.");
            return Err(ApiError::malformed(&complaint));
        }
        if self.pairs.iter().any(|(_, value)| value.len() > LONGEST) {
            let complaint = format!("A value of the query has more than {LONGEST} bytes.");
            return Err(ApiError::malformed(&complaint));
        }
        Ok(())
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// How many items a list shall have at most, as the client says: any whole number.
    fn limit(&self) -> Result<Option<i128>, ApiError> {
        let Some(text) = self.get("limit").filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        match text.trim().parse() {
            Ok(limit) => Ok(Some(limit)),
            Err(_) => {
                let complaint = format!("Invalid limit {text:?}: expected a whole number.");
                Err(ApiError::malformed(&complaint))
            }
        }
    }

    /// The text of the query, without the question mark.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// All parameters, in order.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// An id to filter by.
    pub fn id<Id: From<String>>(&self, name: &str) -> Option<Id> {
        self.get(name).map(|text| text.to_owned().into())
    }

    /// A truth value as Keystone reads it: nothing at all counts as true, and so does any word
    /// that does not deny.
    pub fn flag(&self, name: &str) -> Option<bool> {
        let denials = ["0", "false", "no", "off", "n", "f"];
        self.get(name)
            .map(|text| !denials.contains(&text.trim().to_lowercase().as_str()))
    }

    /// A truth value to filter by.
    ///
    /// # Errors
    ///
    /// 400 when the query compares it with text.
    pub fn flag_filter(&self, name: &str) -> Result<Option<bool>, ApiError> {
        for (key, _) in &self.pairs {
            if let Some((attribute, comparator)) = key.split_once("__")
                && attribute == name
                && ["contains", "startswith", "endswith"].contains(&comparator)
            {
                let complaint = format!("Invalid filter {key}: {name} is a boolean.");
                return Err(ApiError::malformed(&complaint));
            }
        }
        Ok(self.flag(name))
    }

    /// A flag of a show: present and not `0`.
    pub fn switch(&self, name: &str) -> bool {
        self.get(name).is_some_and(|text| text != "0")
    }

    /// Whether there are parameters that filter by one of these attributes.
    pub fn filters_by(&self, attributes: &[&str]) -> bool {
        self.pairs.iter().any(|(key, _)| {
            let attribute = key.split_once("__").map_or(key.as_str(), |(name, _)| name);
            attributes.contains(&attribute)
        })
    }

    /// How a text attribute must compare: `name=x`, `name__contains=x` and their like, as all of
    /// them say.
    pub fn text(&self, name: &str) -> Option<TextMatch> {
        let asked = self.pairs.iter().filter_map(|(key, value)| {
            let text = value.clone();
            let (attribute, comparator) = key.split_once("__").unwrap_or((key, ""));
            if attribute != name {
                return None;
            }
            let ignore_case = comparator.starts_with('i');
            match comparator.strip_prefix('i').unwrap_or(comparator) {
                "" if key == name => Some(TextMatch::Equals(text)),
                "contains" => Some(TextMatch::Contains { text, ignore_case }),
                "startswith" => Some(TextMatch::StartsWith { text, ignore_case }),
                "endswith" => Some(TextMatch::EndsWith { text, ignore_case }),
                // Comparators that nobody knows match everything.
                _ => None,
            }
        });
        let mut asked: Vec<_> = asked.collect();
        match asked.len() {
            0 | 1 => asked.pop(),
            _ => Some(TextMatch::All(asked)),
        }
    }
}

/// Makes the URLs of documents, as the client addressed the server.
#[derive(Clone, Debug)]
pub struct Links {
    base_url: String,
}

impl Links {
    /// Links below this URL, which has no final slash.
    pub fn new(base_url: String) -> Self {
        Self { base_url }
    }

    /// The server as the client addressed it, without a final slash.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The URL of a path below `/v3`.
    pub fn to(&self, path: &str) -> SelfLink {
        SelfLink {
            itself: format!("{}/v3/{path}", self.base_url),
        }
    }
}

/// `{"self": "..."}`.
#[derive(Clone, Debug, Serialize)]
pub struct SelfLink {
    #[serde(rename = "self")]
    itself: String,
}

/// Which part of a list is shown.
#[derive(Clone, Debug)]
pub struct Range {
    /// So many items at most, as the client or the configuration says; a negative number means all.
    limit: Option<i128>,
    /// Those behind the item with this id.
    marker: Option<String>,
    /// So many at most where nothing else is said.
    bound: Option<u32>,
    /// Whether a full page is taken for one that has a successor.
    guesses: bool,
}

impl Range {
    /// Never shows more than so many items, and does not tell when that is the reason.
    #[must_use]
    pub fn bounded(mut self, most: Option<u32>) -> Self {
        self.bound = most;
        self
    }

    /// Takes a full page for one that has a successor, without looking.
    #[must_use]
    pub fn guessing(mut self, guesses: bool) -> Self {
        self.guesses = guesses;
        self
    }

    /// Shows so many items at most, whatever the client asks for.
    #[must_use]
    pub fn limited(mut self, limit: Option<u32>) -> Self {
        self.limit = limit.map(i128::from).or(self.limit);
        self
    }

    /// The id behind which it starts.
    pub fn marker(&self) -> Option<&str> {
        self.marker.as_deref()
    }

    /// What to read of a list that the store pages: one item more than is shown, unless the end is
    /// guessed.
    pub fn page(&self) -> Page {
        let limit = self.limit.and_then(|limit| u32::try_from(limit).ok());
        let limit = match limit {
            // Whoever guesses takes a page of none for one of all.
            Some(0) if self.guesses => None,
            Some(limit) if self.guesses => Some(limit),
            Some(limit) => Some(limit.saturating_add(1)),
            None => None,
        };
        Page {
            limit: limit.or(self.bound),
            marker: self.marker.clone(),
        }
    }

    /// Leaves out the start of a list that was read whole, in the order of its ids.
    pub fn skip<T>(&self, items: &mut Vec<T>, id: impl Fn(&T) -> &str) {
        if let Some(marker) = self.marker() {
            items.retain(|item| id(item) > marker);
        }
    }

    /// Cuts off what is beyond the limit, and tells whether the list goes on.
    fn cut<T>(&self, items: &mut Vec<T>) -> bool {
        let Some(limit) = self.limit else {
            return false;
        };
        if self.guesses {
            return items.len() as i128 >= limit;
        }
        match usize::try_from(limit) {
            Ok(limit) if items.len() > limit => {
                items.truncate(limit);
                true
            }
            _ => false,
        }
    }
}

/// A list as Keystone writes it.
pub struct Collection<T> {
    name: &'static str,
    items: Vec<T>,
    self_link: String,
    next: Option<String>,
    truncated: bool,
}

impl<T: Serialize> Serialize for Collection<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;

        #[derive(Serialize)]
        struct CollectionLinks<'a> {
            next: Option<&'a str>,
            #[serde(rename = "self")]
            itself: &'a str,
            previous: Option<&'a str>,
        }

        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.name, &self.items)?;
        map.serialize_entry(
            "links",
            &CollectionLinks {
                next: self.next.as_deref(),
                itself: &self.self_link,
                previous: None,
            },
        )?;
        if self.truncated {
            map.serialize_entry("truncated", &true)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use testkit::growth::assert_linear;

    use super::{Query, Range};

    #[test]
    fn a_query_costs_in_proportion_to_its_length() {
        let raw = |size| {
            let pairs = (0..size).map(|number| format!("{number:x}=1&name__contains=a"));
            pairs.collect::<Vec<_>>().join("&")
        };
        assert_linear("a query", 500, raw, |raw| {
            let query = Query::parse(raw);
            assert!(query.get("limit").is_none() && query.text("name").is_some());
            assert!(query.behind("last", "1").ends_with("&marker=last&limit=1"));
        });
    }

    #[test]
    fn the_next_page_is_asked_for_by_the_first_of_repeated_parameters() {
        let query = Query::parse("a=1&limit=7&a=2&b=%26&limit=9");
        assert_eq!(query.behind("last", "1"), "a=1&limit=1&b=%26&marker=last");
    }

    fn range(limit: i128) -> Range {
        Range {
            limit: Some(limit),
            marker: None,
            bound: Some(9),
            guesses: false,
        }
    }

    #[test]
    fn who_looks_at_the_end_knows_it_and_who_guesses_is_wrong_on_a_full_last_page() {
        // The limit, how many there are, and of who looks and who guesses: how many are read,
        // shown, and whether there are said to be more.
        for (limit, there, looking, guessing) in [
            (2, 3, (3, 2, true), (2, 2, true)),
            (2, 2, (3, 2, false), (2, 2, true)),
            (2, 1, (3, 1, false), (2, 1, false)),
            (0, 3, (1, 0, true), (9, 3, true)),
            (0, 0, (1, 0, false), (9, 0, true)),
            (-1, 3, (9, 3, false), (9, 3, true)),
        ] {
            for (guesses, expected) in [(false, looking), (true, guessing)] {
                let range = range(limit).guessing(guesses);
                let read = range.page().limit.unwrap();
                let mut items: Vec<u32> = (0..there).take(read as usize).collect();
                let truncated = range.cut(&mut items);
                assert_eq!(
                    (read, items.len(), truncated),
                    expected,
                    "limit {limit} of {there}, guessing: {guesses}"
                );
            }
        }
    }

    #[test]
    fn without_a_limit_only_the_bound_counts_and_is_not_told() {
        let range = Range {
            limit: None,
            ..range(0)
        };
        assert_eq!(range.page().limit, Some(9));
        let mut items = vec![(); 9];
        assert!(!range.cut(&mut items));
        assert_eq!(range.limited(Some(2)).page().limit, Some(3));
    }
}
