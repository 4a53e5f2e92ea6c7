//! Work over all cores: a thread for each, which takes the next piece when it is done with one. Not here: what a piece is.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Calls `work` with each of `pieces`, begun in their order, until it answers that this is enough; what has begun by then
/// goes on to its end.
///
/// # Errors
/// The first one of `work`; no piece is begun after it.
pub fn each<E: Send>(
    pieces: Range<u64>,
    work: impl Fn(u64) -> Result<ControlFlow<()>, E> + Sync,
) -> Result<(), E> {
    let (next, enough) = (AtomicU64::new(pieces.start), AtomicBool::new(false));
    let worker = || {
        while !enough.load(Ordering::Relaxed) {
            let piece = next.fetch_add(1, Ordering::Relaxed);
            if piece >= pieces.end {
                break;
            }
            let done = work(piece);
            if !matches!(done, Ok(ControlFlow::Continue(()))) {
                enough.store(true, Ordering::Relaxed);
                return done.map(|_enough| ());
            }
        }
        Ok(())
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_core| scope.spawn(worker)).collect();
        let ended = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked)));
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn begun(
        end_at: impl Fn(u64) -> Result<ControlFlow<()>, String> + Sync,
    ) -> (Vec<u64>, Result<(), String>) {
        let seen = Mutex::new(Vec::new());
        let ended = each(3..1_000, |piece| {
            seen.lock().unwrap().push(piece);
            end_at(piece)
        });
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        (seen, ended)
    }

    #[test]
    fn every_piece_is_done_once() {
        let (seen, ended) = begun(|_| Ok(ControlFlow::Continue(())));
        assert_eq!((seen, ended), ((3..1_000).collect(), Ok(())));
    }

    #[test]
    fn nothing_before_what_was_enough_is_left_out() {
        let (seen, ended) =
            begun(|piece| Ok(if piece == 9 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }));
        assert_eq!((&seen[..7], ended), (&[3, 4, 5, 6, 7, 8, 9][..], Ok(())));
    }

    #[test]
    fn an_error_ends_it() {
        let (seen, ended) =
            begun(|piece| if piece < 5 { Ok(ControlFlow::Continue(())) } else { Err(piece.to_string()) });
        assert!(ended.is_err());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(seen.len() <= 2 + cores, "{seen:?}");
    }
}
