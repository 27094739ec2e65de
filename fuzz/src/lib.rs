//! What targets share: a count of what the work on an input allocates, which may grow with the input's
//! length and no faster.
//!
//! Time is not measured here: it depends on the machine. What takes time without memory, such as
//! comparing each with all, is measured by the ordinary tests (`crates/server/tests/api/growth.rs`).

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator, which counts.
struct Counting;

static ALLOCATED: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATED.fetch_add(size.saturating_sub(layout.size()) as u64, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Does the work on an input of so many bytes, and checks that it allocated no more than `at_most` and
/// `per_byte` for each of them.
///
/// # Panics
///
/// When it did.
pub fn linear<T>(length: usize, at_most: u64, per_byte: u64, work: impl FnOnce() -> T) -> T {
    let before = ALLOCATED.load(Ordering::Relaxed);
    let result = work();
    let spent = ALLOCATED.load(Ordering::Relaxed) - before;
    let most = at_most + per_byte * length as u64;
    assert!(
        spent <= most,
        "{spent} bytes were allocated for an input of {length}, which may have {most}"
    );
    result
}

/// A mebibyte.
pub const MIB: u64 = 1 << 20;
