//! Holds a reader to work that grows no faster than what it reads.
//!
//! A target has this as a module, and `Counting` as its allocator:
//!
//! ```ignore
//! #[path = "../growth.rs"]
//! mod growth;
//!
//! #[global_allocator]
//! static ALLOCATOR: growth::Counting = growth::Counting;
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, which counts.
pub struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static TIMES: AtomicUsize = AtomicUsize::new(0);

fn count(bytes: usize) {
    BYTES.fetch_add(bytes, Ordering::Relaxed);
    TIMES.fetch_add(1, Ordering::Relaxed);
}

// SAFETY: everything is the system's allocator's doing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }
}

/// Runs work on something of a length, and sees that it allocates no more than `bytes` and no more
/// often than `times` for each byte of it, beyond what any work of this kind takes.
pub fn linear<T>(length: usize, bytes: usize, times: usize, work: impl FnOnce() -> T) -> T {
    let before = (BYTES.load(Ordering::Relaxed), TIMES.load(Ordering::Relaxed));
    let done = work();
    let took = BYTES.load(Ordering::Relaxed).wrapping_sub(before.0);
    assert!(
        took <= (4 << 20) + bytes * length,
        "{took} bytes were allocated for {length}"
    );
    let took = TIMES.load(Ordering::Relaxed).wrapping_sub(before.1);
    assert!(
        took <= 50_000 + times * length,
        "it was allocated {took} times for {length} bytes"
    );
    done
}

/// A piece many times over, each time with another number in the place of `$`; never longer than
/// `longest`.
pub fn repeated(piece: &str, times: usize, longest: usize) -> String {
    let mut text = String::new();
    for number in 0..times {
        let next = piece.replace('$', &number.to_string());
        if text.len() + next.len() > longest {
            break;
        }
        text.push_str(&next);
    }
    text
}
