//! The metadata of the identity provider, kept as long as it is fresh.

use std::sync::{Arc, RwLock};

use chrono::TimeDelta;
use model::Timestamp;
use reqwest::Url;

use super::metadata::{self, IdentityProvider};
use super::settings::{Place, Reading};
use crate::driver::Failure;
use crate::outbound::Outbound;

/// For how long metadata counts as fresh that does not say it itself.
const FRESH: TimeDelta = TimeDelta::hours(1);
/// Nobody is asked more often than this, whatever comes in, and nobody waits much longer once the
/// provider answers again.
const PAUSE: TimeDelta = TimeDelta::seconds(10);
/// The shortest that metadata counts as fresh, whatever it says.
const AT_LEAST: TimeDelta = TimeDelta::minutes(1);
/// The longest that metadata counts as fresh, whatever it says.
const AT_MOST: TimeDelta = TimeDelta::days(1);

/// Where the metadata comes from, and what of it is known.
#[derive(Debug)]
pub(super) struct Source {
    place: Place,
    reading: Arc<Reading>,
    outbound: Outbound,
    known: RwLock<Known>,
    /// Held while asking, so that only one asks.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    provider: Option<Arc<IdentityProvider>>,
    fetched: Option<Timestamp>,
    tried: Option<Timestamp>,
    trouble: Option<Failure>,
}

impl Source {
    pub(super) fn new(place: Place, reading: Reading, outbound: Outbound) -> Self {
        Self {
            place,
            reading: Arc::new(reading),
            outbound,
            known: RwLock::default(),
            asking: tokio::sync::Mutex::new(()),
        }
    }

    /// What is known, asked for when it is not fresh. While the refresh fails, the old counts
    /// until its own end.
    pub(super) async fn current(&self, now: Timestamp) -> Result<Arc<IdentityProvider>, Failure> {
        self.ask_unless(now, |known| {
            let fetched = known.fetched?;
            let provider = known.provider.clone()?;
            let length = provider
                .cache_duration
                .unwrap_or(FRESH)
                .clamp(AT_LEAST, AT_MOST);
            (now < fetched + length && is_valid(&provider, now)).then_some(provider)
        })
        .await
    }

    /// The same, but newer than what did not know a key. So a provider may change its keys at any
    /// time.
    pub(super) async fn newer(
        &self,
        than: &Arc<IdentityProvider>,
        now: Timestamp,
    ) -> Result<Arc<IdentityProvider>, Failure> {
        self.ask_unless(now, |known| {
            let provider = known.provider.clone()?;
            (!Arc::ptr_eq(&provider, than)).then_some(provider)
        })
        .await
    }

    /// What the provider answers at this moment, whatever is known of it.
    pub(super) async fn asked(&self, now: Timestamp) -> Result<Arc<IdentityProvider>, Failure> {
        let Place::Url(url) = &self.place else {
            return self.current(now).await;
        };
        let _asking = self.asking.lock().await;
        let known = self.ask(url, now).await;
        match known.trouble {
            Some(trouble) => Err(trouble),
            None => known.provider.ok_or_else(unknown),
        }
    }

    async fn ask_unless(
        &self,
        now: Timestamp,
        good: impl Fn(&Known) -> Option<Arc<IdentityProvider>>,
    ) -> Result<Arc<IdentityProvider>, Failure> {
        let url = match &self.place {
            Place::Url(url) => url,
            Place::Text(provider) if is_valid(provider, now) => return Ok(provider.clone()),
            Place::Text(_) => return Err(ended()),
        };
        if let Some(provider) = good(&self.known()) {
            return Ok(provider);
        }
        let _asking = self.asking.lock().await;
        let mut known = self.known();
        if let Some(provider) = good(&known) {
            return Ok(provider);
        }
        if known
            .tried
            .is_none_or(|tried| now >= tried + PAUSE || now < tried)
        {
            known = self.ask(url, now).await;
            // Where none is known, the trouble is what the caller gets, and tells of.
            if let (Some(_), Some(trouble)) = (&known.provider, &known.trouble) {
                tracing::warn!(error = %trouble, "SAML metadata cannot be refreshed");
            }
        }
        match known.provider {
            Some(provider) if is_valid(&provider, now) => Ok(provider),
            Some(_) => Err(ended()),
            None => Err(known.trouble.unwrap_or_else(unknown)),
        }
    }

    /// Asks, and keeps the answer. Only for the holder of `asking`.
    async fn ask(&self, url: &Url, now: Timestamp) -> Known {
        let mut known = self.known();
        known.tried = Some(now);
        match self.fetch(url, now).await {
            Ok(provider) => {
                known.provider = Some(Arc::new(provider));
                known.fetched = Some(now);
                known.trouble = None;
            }
            Err(failure) => known.trouble = Some(failure),
        }
        *self
            .known
            .write()
            .unwrap_or_else(|broken| broken.into_inner()) = known.clone();
        known
    }

    fn known(&self) -> Known {
        self.known
            .read()
            .unwrap_or_else(|broken| broken.into_inner())
            .clone()
    }

    async fn fetch(&self, url: &Url, now: Timestamp) -> Result<IdentityProvider, Failure> {
        let accept = "application/samlmetadata+xml, application/xml, text/xml";
        let reply = self.outbound.fetch(url.clone(), accept).await?;
        let reading = Arc::clone(&self.reading);
        let read = move || {
            let text = std::str::from_utf8(&reply.body)
                .map_err(|_| Failure::Unavailable("the metadata is not UTF-8".into()))?;
            metadata::read(text, &reading)
                .map_err(|failure| Failure::Unavailable(format!("its metadata: {failure}")))
        };
        let provider = self.outbound.limits().readers.run(read).await??;
        if is_valid(&provider, now) {
            Ok(provider)
        } else {
            Err(ended())
        }
    }
}

fn is_valid(provider: &IdentityProvider, now: Timestamp) -> bool {
    provider.valid_until.is_none_or(|until| now < until)
}

fn unknown() -> Failure {
    Failure::Unavailable("no metadata is known".into())
}

fn ended() -> Failure {
    Failure::Unavailable("its metadata is not valid any more (validUntil)".into())
}
