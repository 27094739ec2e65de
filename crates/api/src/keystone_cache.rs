//! The caches of Keystones that serve on the same database: what they keep is dropped when
//! something changes here.
//!
//! All Keystones keep what they read in one memcached, under keys that contain an id of the region
//! that they belong to. When the id of a region is gone, anyone who looks for it makes another,
//! and what was kept under the former is never found again. So a change costs one deletion for each
//! region, whatever is kept, and it leaves no gap: what was read before the deletion is kept under
//! the former id.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use auth::parts::Parts;
use aws_lc_rs::digest;
use secrets::hex::hex;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

/// The regions of Keystone 30.
const REGIONS: [&str; 7] = [
    "computed assignments",
    "computed catalog region",
    "id mapping",
    "receipts",
    "revoke",
    "shared default",
    "tokens",
];

/// How often a change is looked for. Changes in between are dropped together.
const TICK: Duration = Duration::from_millis(200);

/// How long a memcached may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How soon one that does not answer is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How long the end of the server waits for all of them together.
const LAST: Duration = Duration::from_secs(1);

/// Drops what Keystones keep after each change that this node makes, for as long as it lives.
/// Returns at once where they keep nothing that can be reached.
pub(crate) async fn follow_own_changes(parts: Arc<Parts>) {
    let Some(servers) = parts.config.cache.memcached() else {
        return;
    };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // What another server, or an earlier start, did not come to.
    let mut dropped = None;
    let mut answers = true;
    loop {
        ticks.tick().await;
        let commits = parts.store.commits();
        if dropped == Some(commits) {
            continue;
        }
        let outcome = drop_regions(&servers).await;
        // Said once when it begins and once when it is over.
        match &outcome {
            Err((server, error)) if answers => {
                tracing::warn!(
                    "[cache] memcache_servers: {server} does not answer, so that Keystones go on \
                     with what they keep there: {error}"
                );
            }
            Ok(()) if !answers => tracing::info!("[cache] memcache_servers answer again"),
            _ => {}
        }
        answers = outcome.is_ok();
        if answers {
            dropped = Some(commits);
        } else {
            ticks.reset_after(RETRY);
        }
    }
}

/// Drops what was changed since the last tick, when the server ends.
pub(crate) async fn flush(parts: &Parts) {
    let Some(servers) = parts.config.cache.memcached() else {
        return;
    };
    match tokio::time::timeout(LAST, drop_regions(&servers)).await {
        Ok(Ok(())) => {}
        Ok(Err((server, error))) => {
            tracing::warn!("[cache] memcache_servers: {server} does not answer: {error}");
        }
        Err(_) => tracing::warn!("[cache] memcache_servers do not answer within {LAST:?}"),
    }
}

/// Deletes the ids of all regions from all servers: which of them has one, its clients decide.
async fn drop_regions(servers: &[String]) -> Result<(), (String, io::Error)> {
    let mut tasks = JoinSet::new();
    for server in servers {
        let server = server.clone();
        tasks.spawn(async move {
            let dropped = tokio::time::timeout(PATIENCE, drop_from(&server)).await;
            let dropped = dropped.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            dropped.map_err(|error| (server, error))
        });
    }
    let outcomes = tasks.join_all().await;
    outcomes.into_iter().collect()
}

async fn drop_from(server: &str) -> io::Result<()> {
    if let Some(path) = server.strip_prefix("unix:") {
        return delete(UnixStream::connect(path).await?).await;
    }
    let address = server
        .strip_prefix("inet6:")
        .or_else(|| server.strip_prefix("inet:"))
        .unwrap_or(server);
    let has_port = address
        .rsplit_once(':')
        .is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let stream = match has_port {
        true => TcpStream::connect(address).await?,
        false => TcpStream::connect((address.trim_matches(['[', ']']), 11211)).await?,
    };
    delete(stream).await
}

async fn delete(stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let commands: String = REGIONS
        .iter()
        .map(|region| format!("delete {}\r\n", key(region)))
        .collect();
    stream.write_all(commands.as_bytes()).await?;
    for _ in REGIONS {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if !matches!(line.trim_end(), "DELETED" | "NOT_FOUND") {
            return Err(io::Error::other(format!("it says {line:?}")));
        }
    }
    Ok(())
}

/// Where Keystone keeps the id of a region: the SHA-1 of its name, which is no secret.
fn key(region: &str) -> String {
    let name = format!("<<<region>>>:{region}");
    hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, name.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[test]
    fn the_keys_are_those_of_keystone() {
        // By keystone.common.cache.core: CACHE_INVALIDATION_REGION.key_mangler of the region's key.
        assert_eq!(
            key("shared default"),
            "2a4b007dd5619393e567dc0c8bc36c2996d52dd7"
        );
        assert_eq!(key("tokens"), "2d6cad476fdd468cd5142307ac89a6534277951e");
    }

    #[tokio::test]
    async fn what_is_no_answer_to_a_deletion_is_an_error() {
        let answer = async |text: &'static str| {
            let (ours, mut theirs) = duplex(4096);
            theirs
                .write_all(text.repeat(REGIONS.len()).as_bytes())
                .await
                .unwrap();
            delete(ours).await
        };
        assert!(answer("DELETED\r\n").await.is_ok());
        assert!(answer("NOT_FOUND\r\n").await.is_ok());
        assert!(answer("CLIENT_ERROR unauthenticated\r\n").await.is_err());
        assert!(answer("\r\n").await.is_err());
    }
}
