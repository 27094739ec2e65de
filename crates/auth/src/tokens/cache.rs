//! What is kept of tokens between requests, so that one that comes again is neither decrypted nor written
//! anew.
//!
//! Nothing here says that a token is still valid, or what its user may do. Each time the facts are looked
//! up, and what was made of them before is used if they are the same. So nothing has to be dropped when
//! something changes.

use std::hash::Hash;
use std::sync::Arc;

use config::Resource;
use model::Token;
use model::federation::ServiceProvider;
use model::ids::UserId;
use model::subject::CatalogService;
use model::token::TokenKind;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};
use web::json;

use super::ValidToken;
use super::document::{self, Parts};
use super::rights::{Facts, Rights};

/// How many bytes the texts of tokens may take, with what they say.
const TOKEN_BYTES: u64 = 40 << 20;

/// About how many tokens that is.
const TOKENS: usize = 40_000;

/// How many bytes the written parts of bodies may take.
const BODY_BYTES: u64 = 32 << 20;

/// How many bytes catalogs may take by themselves.
const CATALOG_BYTES: u64 = 16 << 20;

/// How many users' rights in a scope are kept.
const RIGHTS: usize = 10_000;

/// What is kept of tokens.
pub struct TokenCache {
    /// By their texts, all of which were made here: nobody chooses one.
    tokens: Cache<Box<str>, Kept, TokenWeight>,
    rights: Cache<Key, Arc<Rights>>,
    /// By the rights, with a catalog and without.
    bodies: Cache<(u64, bool), Arc<Body>, Bytes>,
    /// By the rights.
    catalogs: Cache<u64, Arc<Catalog>, Bytes>,
}

#[derive(Clone)]
struct Kept {
    /// Which keys it was read with.
    keys: u64,
    token: Arc<ValidToken>,
}

/// What the rights of a token depend on, beside facts.
#[derive(PartialEq, Eq, Hash)]
struct Key(UserId, TokenKind);

#[derive(Hash)]
struct KeyOf<'a>(&'a UserId, &'a TokenKind);

impl Equivalent<Key> for KeyOf<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.0 == key.0 && *self.1 == key.1
    }
}

/// What bodies have in common, and what they were written from beside the rights.
struct Body {
    parts: Arc<Parts>,
    catalog: Option<Arc<Vec<CatalogService>>>,
    service_providers: Arc<Vec<ServiceProvider>>,
}

/// A catalog as the holder of a token sees it.
struct Catalog {
    text: Arc<str>,
    services: Arc<Vec<CatalogService>>,
}

#[derive(Clone)]
struct TokenWeight;

impl Weighter<Box<str>, Kept> for TokenWeight {
    fn weight(&self, text: &Box<str>, _: &Kept) -> u64 {
        // What a token says is longer when its text is: it has the ids of groups.
        const FIXED: u64 = 600;
        FIXED + 2 * text.len() as u64
    }
}

/// Weighs by bytes.
#[derive(Clone)]
struct Bytes;

/// What an entry takes beside its text.
const ENTRY: u64 = 200;

impl Weighter<(u64, bool), Arc<Body>> for Bytes {
    fn weight(&self, _: &(u64, bool), body: &Arc<Body>) -> u64 {
        ENTRY + body.parts.len() as u64
    }
}

impl Weighter<u64, Arc<Catalog>> for Bytes {
    fn weight(&self, _: &u64, catalog: &Arc<Catalog>) -> u64 {
        ENTRY + catalog.text.len() as u64
    }
}

impl Default for TokenCache {
    fn default() -> Self {
        Self {
            tokens: Cache::with_weighter(TOKENS, TOKEN_BYTES, TokenWeight),
            rights: Cache::new(RIGHTS),
            bodies: Cache::with_weighter(RIGHTS, BODY_BYTES, Bytes),
            catalogs: Cache::with_weighter(RIGHTS, CATALOG_BYTES, Bytes),
        }
    }
}

impl TokenCache {
    /// The token of this text, when it was read with these keys: not necessarily valid any longer.
    pub(crate) fn find(&self, text: &str, keys: u64) -> Option<Arc<ValidToken>> {
        let kept = self.tokens.get(text)?;
        (kept.keys == keys).then_some(kept.token)
    }

    /// Keeps a genuine token.
    pub(crate) fn keep(&self, text: &str, keys: u64, token: &Arc<ValidToken>) {
        let token = Arc::clone(token);
        self.tokens.insert(text.into(), Kept { keys, token });
    }

    /// The rights that these facts give to the user of a token.
    pub(crate) fn rights(&self, settings: &Resource, token: &Token, facts: Facts) -> Arc<Rights> {
        let key = KeyOf(&token.user_id, &token.kind);
        if let Some(rights) = self.rights.get(&key)
            && rights.are_of(&facts)
        {
            return rights;
        }
        let rights = Arc::new(Rights::new(settings, token, facts));
        let key = Key(token.user_id.clone(), token.kind.clone());
        self.rights.insert(key, Arc::clone(&rights));
        rights
    }

    /// What the bodies of a token and of those with the same rights have in common.
    pub fn parts(
        &self,
        valid: &ValidToken,
        catalog: Option<&Arc<Vec<CatalogService>>>,
        service_providers: &Arc<Vec<ServiceProvider>>,
    ) -> Arc<Parts> {
        let key = (valid.id(), catalog.is_some());
        let is_current = |body: &Arc<Body>| {
            let same_catalog = match (&body.catalog, catalog) {
                (None, None) => true,
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                _ => false,
            };
            same_catalog && Arc::ptr_eq(&body.service_providers, service_providers)
        };
        if let Some(body) = self.bodies.get(&key).filter(is_current) {
            return Arc::clone(&body.parts);
        }
        let services = catalog.map(|catalog| catalog.as_slice());
        let parts = Arc::new(Parts::write(valid, services, service_providers));
        let body = Body {
            parts: Arc::clone(&parts),
            catalog: catalog.cloned(),
            service_providers: Arc::clone(service_providers),
        };
        self.bodies.insert(key, Arc::new(body));
        parts
    }

    /// The catalog as the holder of a token sees it.
    pub fn catalog(&self, valid: &ValidToken, services: &Arc<Vec<CatalogService>>) -> Arc<str> {
        let is_current = |kept: &Arc<Catalog>| Arc::ptr_eq(&kept.services, services);
        if let Some(kept) = self.catalogs.get(&valid.id()).filter(is_current) {
            return Arc::clone(&kept.text);
        }
        let text: Arc<str> = json::spaced(&document::catalog(valid, services)).into();
        let catalog = Catalog {
            text: Arc::clone(&text),
            services: Arc::clone(services),
        };
        self.catalogs.insert(valid.id(), Arc::new(catalog));
        text
    }
}
