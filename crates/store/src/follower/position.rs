//! How far a growing table was read, when its ids cannot be trusted.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

/// A row of one of the two tables.
pub(super) struct Found<T> {
    pub(super) id: i64,
    /// When it was written, by the writer's clock, in microseconds since the epoch.
    pub(super) at: i64,
    /// Stands for all that the row holds.
    pub(super) fingerprint: u64,
    pub(super) content: T,
    /// What of the row could not be read.
    pub(super) complaint: Option<String>,
}

impl<T> Found<T> {
    /// Tells the operator what could not be read: it counts for all that it may stand for.
    pub(super) fn complain(&self, table: &str) {
        if let Some(complaint) = &self.complaint {
            tracing::error!(table, id = self.id, complaint, "a row cannot be read");
        }
    }
}

/// How far a growing table was read.
#[derive(Debug)]
pub(super) struct Position {
    /// How long a missing id is waited for: its transaction may be open still.
    wait: Duration,
    /// The highest id that was read.
    top: i64,
    /// What the row there held; `None` when there was none.
    anchor: Option<u64>,
    /// Ids below that were not there, in their order.
    gaps: Vec<RangeInclusive<i64>>,
    /// What the highest id was for as long as gaps are waited for, and when: a gap below it has been
    /// waited for since then.
    tops: VecDeque<(Duration, i64)>,
    /// The rows that may come again, by id.
    read: BTreeMap<i64, Known>,
    /// When those were forgotten last that cannot.
    forgot_at: Duration,
    /// The longest run of ids in `read`.
    longest_run: (i64, i64),
}

#[derive(Debug)]
struct Known {
    fingerprint: u64,
    /// When it came last.
    at: Duration,
}

/// So many gaps are looked into each for itself; beyond that, neighbours are taken together with
/// the rows between them.
pub(super) const MOST_GAPS: usize = 8;

/// Ids of this kind there are none.
const NONE: (i64, i64) = (0, -1);

/// So many rows in a row are worth a word to the database.
const MANY: usize = 1000;

/// So many ids before the first row may be taken by transactions that are open.
const LOOK_BACK: i64 = 1000;

impl Position {
    /// Where to begin to take rows: behind the last one that is older than any open transaction.
    pub(super) fn before<T>(found: &[Found<T>], settled: i64, wait: Duration) -> Self {
        let is_settled = |found: &&Found<T>| found.at < settled;
        let last = found.iter().filter(is_settled).max_by_key(|found| found.id);
        let mut position = Self {
            wait,
            top: 0,
            anchor: None,
            gaps: Vec::new(),
            tops: VecDeque::new(),
            read: BTreeMap::new(),
            forgot_at: Duration::ZERO,
            longest_run: NONE,
        };
        if let Some(last) = last {
            (position.top, position.anchor) = (last.id, Some(last.fingerprint));
        } else if let Some(first) = found.iter().map(|found| found.id).min() {
            position.top = first.saturating_sub(1 + LOOK_BACK).max(0);
        }
        position
    }

    /// What bounds the ids to read: the highest, and pairs for the gaps.
    pub(super) fn bounds(&self) -> Vec<i64> {
        let gaps = self.gaps.iter().map(|gap| (*gap.start(), *gap.end()));
        let pairs = gaps.chain(std::iter::repeat(NONE)).take(MOST_GAPS);
        let mut bounds = vec![self.top];
        bounds.extend(pairs.flat_map(|(from, to)| [from, to]));
        bounds
    }

    /// The longest run of ids all of which were read, when it is long; else none. When one statement
    /// has written a hundred thousand rows, nobody wants them twice a second. None of them comes
    /// again as another as long as the row at the top, which is asked for each time, does not: ids
    /// are only ever given anew from some place on.
    pub(super) fn long_run(&self) -> (i64, i64) {
        let (first, last) = self.longest_run;
        match usize::try_from(last - first).is_ok_and(|many| many >= MANY) {
            true => self.longest_run,
            false => NONE,
        }
    }

    fn find_longest_run(&self) -> (i64, i64) {
        let (mut longest, mut run) = (NONE, NONE);
        for &id in self.read.keys() {
            let goes_on = run != NONE && run.1.checked_add(1) == Some(id);
            run = if goes_on { (run.0, id) } else { (id, id) };
            if run.1 - run.0 > longest.1 - longest.0 {
                longest = run;
            }
        }
        longest
    }

    /// Whether rows that were read are gone or have become others.
    pub(super) fn went_back<T>(&self, found: &[Found<T>]) -> bool {
        let is_another = |found: &Found<T>| {
            let known = self.read.get(&found.id);
            known.is_some_and(|known| known.fingerprint != found.fingerprint)
        };
        let is_anchor =
            |found: &Found<T>| found.id == self.top && Some(found.fingerprint) == self.anchor;
        found.iter().any(is_another) || (self.anchor.is_some() && !found.iter().any(is_anchor))
    }

    /// The rows among these that were not read before.
    pub(super) fn take_new<T>(&mut self, mut found: Vec<Found<T>>, now: Duration) -> Vec<Found<T>> {
        let known = self.read.len();
        found.sort_by_key(|found| found.id);
        found.dedup_by_key(|found| found.id);
        found.retain(|row| {
            let known = Known {
                fingerprint: row.fingerprint,
                at: now,
            };
            let is_new = self.read.insert(row.id, known).is_none();
            if row.id > self.top {
                let gap = self.top.saturating_add(1)..=row.id - 1;
                if !gap.is_empty() {
                    self.gaps.push(gap);
                }
                (self.top, self.anchor) = (row.id, Some(row.fingerprint));
                return true;
            }
            self.fill(row.id);
            // The row at the top comes each time, and was read before when it came the first time.
            is_new && row.id != self.top
        });
        self.pass_gaps(now);
        let mut is_changed = self.read.len() != known;
        // A login asks for changes, and after many of them there is much to go through here.
        if now.saturating_sub(self.forgot_at) >= Duration::from_secs(1) {
            self.forgot_at = now;
            // Gaps that are taken together have the rows between them looked at again.
            let gaps_from = self.gaps.first().map(|gap| *gap.start());
            self.read.retain(|id, known| {
                let is_beside_gaps = gaps_from.is_some_and(|first| *id > first);
                is_beside_gaps || now.saturating_sub(known.at) < self.wait
            });
            is_changed = true;
        }
        if is_changed {
            self.longest_run = self.find_longest_run();
        }
        found
    }

    /// An id is there now that was missing.
    fn fill(&mut self, id: i64) {
        let Some(place) = self.gaps.iter().position(|gap| gap.contains(&id)) else {
            return;
        };
        let gap = self.gaps.remove(place);
        let rest = [
            *gap.start()..=id.saturating_sub(1),
            id.saturating_add(1)..=*gap.end(),
        ];
        let rest = rest.into_iter().filter(|gap| !gap.is_empty());
        self.gaps.splice(place..place, rest);
    }

    /// Gives up the ids that were waited for, and takes gaps together that have the fewest ids between
    /// them, until there are few enough.
    fn pass_gaps(&mut self, now: Duration) {
        let step = |(at, _): &(Duration, i64)| now.saturating_sub(*at) >= Duration::from_secs(1);
        if self.tops.back().is_none_or(step) {
            self.tops.push_back((now, self.top));
        }
        let mut passed = 0;
        while let Some(&(at, top)) = self.tops.front()
            && now.saturating_sub(at) >= self.wait
        {
            passed = top;
            self.tops.pop_front();
        }
        self.gaps.retain_mut(|gap| {
            *gap = *gap.start().max(&passed.saturating_add(1))..=*gap.end();
            !gap.is_empty()
        });
        while self.gaps.len() > MOST_GAPS {
            let between = |place: &usize| self.gaps[place + 1].start() - self.gaps[*place].end();
            let Some(place) = (0..self.gaps.len() - 1).min_by_key(between) else {
                return;
            };
            let next = self.gaps.remove(place + 1);
            self.gaps[place] = *self.gaps[place].start()..=*next.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_long_run_that_was_read_whole_is_left_out() {
        let row = |id| Found {
            id,
            at: 0,
            fingerprint: 0,
            content: (),
            complaint: None,
        };
        let mut position = Position::before::<()>(&[], 0, WAIT);
        position.take_new((1..=500).map(row).collect(), Duration::ZERO);
        assert_eq!(position.long_run(), NONE);
        position.take_new((502..=3000).map(row).collect(), Duration::ZERO);
        assert_eq!(position.long_run(), (502, 3000));
        // The missing one comes.
        position.take_new(vec![row(501), row(3000)], Duration::ZERO);
        assert_eq!(position.long_run(), (1, 3000));
        position.take_new(vec![row(3000)], 2 * WAIT);
        assert_eq!(position.long_run(), NONE);
    }

    /// What happens to a table.
    #[derive(Clone, Debug)]
    enum Event {
        /// A transaction takes the next id, which is so much higher than the one before.
        Begin(i64),
        Commit(usize),
        RollBack(usize),
        Look,
        Pass(u64),
        /// A table of SQLite that is emptied begins with the same ids again.
        Empty,
        Save,
        Restore,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => (1..4i64).prop_map(Event::Begin),
            3 => (0..4usize).prop_map(Event::Commit),
            1 => (0..4usize).prop_map(Event::RollBack),
            4 => Just(Event::Look),
            2 => (1..40u64).prop_map(Event::Pass),
            1 => Just(Event::Empty),
            1 => Just(Event::Save),
            1 => Just(Event::Restore),
        ]
    }

    const WAIT: Duration = Duration::from_secs(60);

    struct Open {
        id: i64,
        began: u64,
    }

    /// By id: when each row was written, and its number.
    type Rows = BTreeMap<i64, (i64, u64)>;

    /// A table whose rows hold numbers that come once.
    #[derive(Default)]
    struct Table {
        rows: Rows,
        last_id: i64,
        open: Vec<Open>,
        written: u64,
        now: u64,
        saved: Option<(Rows, i64)>,
    }

    impl Table {
        fn happens(&mut self, event: &Event) {
            match event {
                Event::Begin(step) => {
                    self.last_id += step;
                    self.open.push(Open {
                        id: self.last_id,
                        began: self.now,
                    });
                }
                Event::Commit(which) if *which < self.open.len() => {
                    let id = self.open.remove(*which).id;
                    self.written += 1;
                    let at = i64::try_from(self.now).unwrap();
                    self.rows.insert(id, (at, self.written));
                }
                Event::RollBack(which) if *which < self.open.len() => {
                    self.open.remove(*which);
                }
                Event::Pass(seconds) => {
                    self.now += seconds;
                    // Nothing stays open for longer than is waited for.
                    self.open
                        .retain(|open| self.now - open.began < WAIT.as_secs());
                }
                Event::Empty => (self.rows, self.last_id, self.open) = Default::default(),
                Event::Save => self.saved = Some((self.rows.clone(), self.last_id)),
                Event::Restore => {
                    if let Some((rows, last_id)) = self.saved.clone() {
                        (self.rows, self.last_id, self.open) = (rows, last_id, Vec::new());
                    }
                }
                Event::Commit(_) | Event::RollBack(_) | Event::Look => {}
            }
        }

        fn rows(&self, fits: impl Fn(i64) -> bool) -> Vec<Found<u64>> {
            let found = self.rows.iter().filter(|(id, _)| fits(**id));
            let found = found.map(|(id, (at, number))| Found {
                id: *id,
                at: *at,
                fingerprint: *number,
                content: *number,
                complaint: None,
            });
            found.collect()
        }

        fn numbers(&self) -> BTreeSet<u64> {
            self.rows.values().map(|(_, number)| *number).collect()
        }
    }

    /// One who follows the table, as [`super::super::Follower`] does.
    struct Reader {
        position: Position,
        known: BTreeSet<u64>,
    }

    impl Reader {
        fn new(table: &Table) -> Self {
            let all = table.rows(|_| true);
            let settled = i64::try_from(table.now).unwrap() - 120;
            let known = table.numbers();
            let mut position = Position::before(&all, settled, WAIT);
            position.take_new(all, Duration::from_secs(table.now));
            Self { position, known }
        }

        fn look(&mut self, table: &Table) {
            let bounds = self.position.bounds();
            assert_eq!(bounds.len(), 1 + 2 * MOST_GAPS);
            let in_gap = |id: i64| {
                bounds[1..]
                    .chunks(2)
                    .any(|gap| gap[0] <= id && id <= gap[1])
            };
            let found = table.rows(|id| id >= bounds[0] || in_gap(id));
            if self.position.went_back(&found) {
                *self = Self::new(table);
                return;
            }
            for row in self
                .position
                .take_new(found, Duration::from_secs(table.now))
            {
                assert!(self.known.insert(row.content), "{} came twice", row.content);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_row_is_found_once_whatever_becomes_of_the_table(
            events in prop::collection::vec(event(), 1..60),
        ) {
            let mut table = Table::default();
            let mut reader = Reader::new(&table);
            for event in events {
                table.happens(&event);
                if let Event::Look = event {
                    reader.look(&table);
                    prop_assert!(reader.known.is_superset(&table.numbers()));
                }
            }
        }
    }

    #[test]
    fn gaps_that_stay_are_passed_however_many_there_are() {
        let mut table = Table::default();
        let mut reader = Reader::new(&table);
        for _ in 0..600 {
            // As on a cluster of three nodes of which one writes.
            table.happens(&Event::Begin(3));
            table.happens(&Event::Commit(0));
            table.happens(&Event::Pass(1));
            reader.look(&table);
            let bounds = reader.position.bounds();
            let lowest = bounds[1..].chunks(2).filter(|gap| gap[0] <= gap[1]);
            let lowest = lowest.map(|gap| gap[0]).min().unwrap_or(bounds[0]);
            let read_again = table.rows(|id| id >= lowest).len();
            assert!(read_again <= 62, "{read_again} rows are read each time");
            assert!(reader.position.read.len() <= 122);
        }
    }
}
