//! Lists: which part of one is asked for, and how it is written.

use model::listing::Page;
use serde::Serialize;

use super::{Body, Links};
use crate::json;
use crate::request::{BadRequest, Query, Request};

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
    /// What a query asks for, which gets no more than `most` items; when it asks for none, the first
    /// `list_limit`.
    ///
    /// # Errors
    ///
    /// When `limit` is not a number.
    pub fn of(
        query: &Query,
        most: Option<u32>,
        list_limit: Option<u32>,
    ) -> Result<Self, BadRequest> {
        let asked = query.limit()?.map(|limit| match most {
            Some(most) => limit.min(most.into()),
            None => limit,
        });
        let marker = query.get("marker");
        Ok(Self {
            limit: asked.or(list_limit.map(i128::from)),
            marker: marker
                .filter(|marker| !marker.is_empty())
                .map(str::to_owned),
            bound: None,
            guesses: false,
        })
    }

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
            // A client that guesses mistakes an empty page for a full list.
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

#[derive(Serialize)]
struct CollectionLinks<'a> {
    next: Option<&'a str>,
    #[serde(rename = "self")]
    itself: &'a str,
    previous: Option<&'a str>,
}

impl<'a> CollectionLinks<'a> {
    /// Those of a whole list.
    fn to_itself(itself: &'a str) -> Self {
        Self {
            next: None,
            itself,
            previous: None,
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

impl<T: Serialize> Collection<T> {
    /// A list under its plural name, with the links of a collection.
    pub fn new(name: &'static str, items: Vec<T>, request: &Request, links: &Links) -> Self {
        Self {
            name,
            items,
            self_link: format!("{}{}", links.base_url(), request.path_and_query()),
            next: None,
            truncated: false,
        }
    }

    /// The same for a part of a list, read by [`Range::page`] or cut by [`Range::skip`]: the
    /// document says whether it goes on, and where.
    pub fn part(
        name: &'static str,
        mut items: Vec<T>,
        range: &Range,
        id: impl Fn(&T) -> &str,
        request: &Request,
        links: &Links,
    ) -> Self {
        let truncated = range.cut(&mut items);
        let last = items.last().filter(|_| truncated);
        let next = last.zip(range.limit).map(|(last, limit)| {
            let query = request.query.behind(id(last), &limit.to_string());
            format!("{}{}?{query}", links.base_url(), request.path())
        });
        Self {
            next,
            truncated,
            ..Self::new(name, items, request, links)
        }
    }
}

impl<T: Serialize> Serialize for Collection<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;

        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.name, &self.items)?;
        map.serialize_entry(
            "links",
            &CollectionLinks {
                next: self.next.as_deref(),
                ..CollectionLinks::to_itself(&self.self_link)
            },
        )?;
        if self.truncated {
            map.serialize_entry("truncated", &true)?;
        }
        map.end()
    }
}

/// How many bytes a piece of a long list has before the next one begins.
const PIECE: usize = 64 << 10;

/// A whole list under its plural name, written piece by piece from items that are made one by one: the same
/// text as that of a [`Collection`], which holds all of it in memory. Only a list of more than one piece goes
/// without its length.
pub fn long_list<T: Serialize>(
    name: &'static str,
    items: impl Iterator<Item = T> + Send + 'static,
    request: &Request,
    links: &Links,
) -> Body {
    let self_link = format!("{}{}", links.base_url(), request.path_and_query());
    let mut head = Some(format!("{{\"{name}\": ["));
    let mut separator = "";
    let mut remaining = Some(items);
    let mut pieces = std::iter::from_fn(move || {
        let items = remaining.as_mut()?;
        let mut piece = head.take().unwrap_or_default();
        while piece.len() < PIECE {
            let Some(item) = items.next() else {
                remaining = None;
                piece.push_str("], \"links\": ");
                json::push_spaced(&mut piece, &CollectionLinks::to_itself(&self_link));
                piece.push_str("}\n");
                break;
            };
            piece.push_str(separator);
            json::push_spaced(&mut piece, &item);
            separator = ", ";
        }
        Some(piece)
    });
    let first = pieces.next().unwrap_or_default();
    match pieces.next() {
        None => first.into(),
        Some(second) => Body::in_pieces([first, second].into_iter().chain(pieces)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::BodyExt as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::operation::Operation;
    use crate::request::RequestId;

    #[tokio::test]
    async fn a_long_list_reads_as_one_that_is_written_whole() {
        static LIST: Operation = Operation::get("/v3/things", "List things");
        let request = Request {
            operation: &LIST,
            request_id: RequestId::new([0; 16]),
            uri: "/v3/things/?a=%26".parse().unwrap(),
            variables: Vec::new(),
            query: Query::parse("a=%26"),
            headers: Default::default(),
            body: Bytes::new(),
            json: None,
            peer: None,
        };
        let links = Links::new("http://a.example");
        let thing = json!({"name": "grün", "parts": ["x".repeat(1000), 1]});
        for length in [0, 1, 2, 200] {
            let things = vec![thing.clone(); length];
            let whole = Collection::new("things", things.clone(), &request, &links);
            let mut body = long_list("things", things.into_iter(), &request, &links);
            let told = http_body::Body::size_hint(&body).exact();
            let mut text = String::new();
            let mut pieces = 0;
            while let Some(frame) = body.frame().await {
                text += std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap();
                pieces += 1;
            }
            assert_eq!(text, json::spaced(&whole) + "\n");
            assert_eq!(pieces, 1 + length * 1045 / PIECE, "of {length} things");
            assert_eq!(told, (pieces == 1).then_some(text.len() as u64));
            let read: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read["links"]["self"], "http://a.example/v3/things?a=%26");
        }
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
