//! The nouns and rules of identity: pure types and decisions, with no IO.

pub mod ids;

/// A point in time. Stored dates have no zone and mean UTC.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
