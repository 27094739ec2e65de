//! What the targets share: they count what the work on an input allocates, which may grow with the
//! length of the input and no faster, and they make long inputs of short ones.

use std::alloc::{GlobalAlloc, Layout, System};
use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator, which counts.
struct Counting;

static BYTES: AtomicU64 = AtomicU64::new(0);
static TIMES: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: usize) {
    BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
    TIMES.fetch_add(1, Ordering::Relaxed);
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    // Counted as if all of it were copied, which it may be.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What some work may allocate.
pub struct Bound {
    name: &'static str,
    /// How many bytes, whatever the input is.
    fixed: u64,
    /// How many bytes for each byte of the input.
    bytes: u64,
    /// How often for each byte of the input.
    times: u64,
    /// The largest part of the two that was seen, in percent.
    seen: [AtomicU64; 2],
}

/// How often anything may allocate, whatever the input is.
const FIXED_TIMES: u64 = 20_000;

/// How long the inputs are that show what grows faster than they do.
pub const LONGEST: usize = 1 << 16;

/// How long a piece of such an input is when there are few of them. A reader that copies all pieces
/// before each allocates half the square of the length, divided by this; one that allocates for each
/// pair of pieces does so half the square of their number.
const PIECE: u64 = 64;

impl Bound {
    /// A bound of the name that its failures show.
    ///
    /// # Panics
    ///
    /// When the bound is so wide that work which grows with the square of the longest input could stay
    /// within it.
    pub const fn new(name: &'static str, fixed: u64, bytes: u64, times: u64) -> Self {
        let length = LONGEST as u64;
        assert!(fixed + bytes * length <= length * length / 2 / PIECE);
        assert!(FIXED_TIMES + times * length <= (length / PIECE) * (length / PIECE) / 2);
        Self {
            name,
            fixed,
            bytes,
            times,
            seen: [AtomicU64::new(0), AtomicU64::new(0)],
        }
    }
}

/// What some work allocated.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    bytes: u64,
    times: u64,
}

/// Does some work, and counts what it allocates in all threads.
pub fn counted<T>(work: impl FnOnce() -> T) -> (T, Spent) {
    let before = (BYTES.load(Ordering::Relaxed), TIMES.load(Ordering::Relaxed));
    let result = work();
    let spent = Spent {
        bytes: BYTES.load(Ordering::Relaxed) - before.0,
        times: TIMES.load(Ordering::Relaxed) - before.1,
    };
    (result, spent)
}

impl Spent {
    /// Checks that no more was allocated than `bound` has for a length. The log of a run shows how near
    /// it came.
    ///
    /// # Panics
    ///
    /// When more was.
    pub fn check(self, length: usize, bound: &Bound) {
        let most = [
            bound.fixed + bound.bytes * length as u64,
            FIXED_TIMES + bound.times * length as u64,
        ];
        let name = bound.name;
        for ((spent, most), (seen, what)) in [self.bytes, self.times]
            .into_iter()
            .zip(most)
            .zip(bound.seen.iter().zip(["bytes", "times"]))
        {
            assert!(
                spent <= most,
                "{name}: {spent} {what} allocated for a length of {length}, which may have {most}"
            );
            let part = spent * 100 / most;
            if part > seen.fetch_max(part, Ordering::Relaxed) {
                eprintln!("{name}: {spent} {what} for a length of {length}, {part} % of {most}");
            }
        }
    }
}

/// Does the work on an input of some length, and checks that it stays within `bound`.
///
/// # Panics
///
/// When it does not.
pub fn linear<T>(length: usize, bound: &Bound, work: impl FnOnce() -> T) -> T {
    let (result, spent) = counted(work);
    spent.check(length, bound);
    result
}

/// A piece many times over, each time with another number in the place of `$`; never longer than
/// `longest`.
pub fn repeated(piece: &str, times: usize, longest: usize) -> String {
    let mut text = String::new();
    for number in 0..times {
        let next = piece.replace('$', &number.to_string());
        if next.is_empty() || text.len() + next.len() > longest {
            break;
        }
        text.push_str(&next);
    }
    text
}

/// Repeats what stands between two marks (U+0001) until the text is as long as may be.
pub fn lengthened(text: &str) -> Cow<'_, str> {
    let parts: Vec<_> = text.split('\u{1}').collect();
    let [head, piece, tail] = parts[..] else {
        return text.into();
    };
    let rest = LONGEST.saturating_sub(head.len() + tail.len());
    format!("{head}{}{tail}", repeated(piece, LONGEST, rest)).into()
}

/// A mebibyte.
pub const MIB: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::*;

    /// What is counted is counted in all threads, so only one test may run at a time.
    fn alone() -> MutexGuard<'static, ()> {
        static ONE: Mutex<()> = Mutex::new(());
        ONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The widest bound that there may be.
    fn widest() -> Bound {
        Bound::new("reader", 0, 512, 7)
    }

    fn pieces() -> String {
        repeated("piece $ ", LONGEST, LONGEST)
    }

    #[test]
    fn a_copy_of_each_piece_is_linear() {
        let _alone = alone();
        let text = pieces();
        let words = linear(text.len(), &widest(), || {
            text.split(' ').map(str::to_owned).collect::<Vec<_>>()
        });
        assert!(words.len() > 1000);
    }

    #[test]
    #[should_panic(expected = "bytes allocated")]
    fn a_copy_of_the_rest_for_each_piece_is_not() {
        let _alone = alone();
        let text = pieces();
        linear(text.len(), &widest(), || {
            let mut rest = text.clone();
            while let Some((_, next)) = rest.split_once(' ') {
                rest = next.to_owned();
            }
        });
    }

    #[test]
    #[should_panic(expected = "times allocated")]
    fn nor_is_an_allocation_for_each_pair() {
        let _alone = alone();
        linear(LONGEST, &widest(), || {
            for _ in 0..LONGEST / 64 {
                for _ in 0..LONGEST / 64 {
                    std::hint::black_box(Box::new(1_u8));
                }
            }
        });
    }

    #[test]
    fn what_stands_between_marks_is_repeated() {
        let _alone = alone();
        let text = lengthened("[\u{1}\"m$\",\u{1}0]");
        assert!(text.starts_with("[\"m0\",\"m1\",") && text.ends_with("\",0]"));
        assert!(text.len() <= LONGEST && text.len() > LONGEST - 10);
        assert_eq!(lengthened("a\u{1}b"), "a\u{1}b");
        assert_eq!(lengthened("a\u{1}\u{1}b"), "ab");
    }
}
