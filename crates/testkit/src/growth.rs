//! How the effort of some work grows with its input.

use std::time::Duration;

use model::clock::Stopwatch;

/// By how much the input of the second measurement is larger.
const FACTOR: usize = 8;

/// How many times longer than by that factor it may take: what grows with the square of its input
/// takes eight times longer still.
const ALLOWED: u32 = 3 * FACTOR as u32;

/// Checks that some work takes time in proportion to the size of its input, by doing it for inputs
/// of `size` and of eight times that. What counts is the time that this thread ran, so that a busy
/// machine does not matter, and the best of several attempts.
///
/// # Panics
///
/// When it grows clearly faster.
#[track_caller]
pub fn assert_linear<I>(what: &str, size: usize, input: impl Fn(usize) -> I, work: impl Fn(&I)) {
    let (small, large) = (input(size), input(FACTOR * size));
    let mut times = 1;
    while spent(&small, times, &work) < Duration::from_millis(10) && times < 1 << 16 {
        times *= 2;
    }
    let mut measured = Vec::new();
    for _ in 0..5 {
        let one = spent(&small, times, &work);
        let other = spent(&large, times, &work);
        if other <= one * ALLOWED {
            return;
        }
        measured.push((one, other));
    }
    panic!("{what}: {FACTOR} times the input takes much more than that: {measured:?}");
}

fn spent<I>(input: &I, times: u32, work: impl Fn(&I)) -> Duration {
    let (ran, began) = (thread_time(), Stopwatch::start());
    for _ in 0..times {
        work(input);
    }
    match (ran, thread_time()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => began.elapsed(),
    }
}

/// How long this thread ran so far, where the system tells.
fn thread_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_of_each_among_all_is_noticed() {
        let pairwise = || {
            assert_linear(
                "pairs",
                500,
                |size| (0..size).collect::<Vec<_>>(),
                |all| {
                    let found = all
                        .iter()
                        .filter(|one| all.iter().rev().any(|it| it == *one));
                    assert_eq!(std::hint::black_box(found.count()), all.len());
                },
            );
        };
        assert!(std::panic::catch_unwind(pairwise).is_err());
    }

    #[test]
    fn one_look_at_each_is_linear() {
        assert_linear(
            "sum",
            10_000,
            |size| (0..size).collect::<Vec<_>>(),
            |all| {
                std::hint::black_box(all.iter().map(std::hint::black_box).sum::<usize>());
            },
        );
    }
}
