//! The files of a folder, and work on them in parallel whose result knows nothing of the threads.

use std::fs;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, bail};

/// Names of the CSVs in `folder`, plain or packed, in order.
pub fn csvs_in(folder: &Path) -> anyhow::Result<Vec<String>> {
    let place = || folder.display().to_string();
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(place)? {
        let name = entry.with_context(place)?.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.ends_with(".csv") || name.ends_with(".csv.gz") {
            names.push(name.to_string());
        }
    }
    if names.is_empty() {
        bail!("{}: no .csv or .csv.gz in it", folder.display());
    }
    names.sort_unstable();
    Ok(names)
}

/// `work` on every item, `threads` at a time (or one a core); the results, or the first error, in the items' order.
pub fn in_parallel<I: Sync, T: Send>(
    items: &[I],
    threads: Option<u16>,
    work: impl Fn(&I) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let cores = || thread::available_parallelism().map_or(1, |n| n.get());
    let threads = threads.map_or_else(cores, usize::from);
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        while let at = next.fetch_add(1, Ordering::Relaxed)
            && let Some(item) = items.get(at)
        {
            done.push((at, work(item)));
        }
        done
    };
    let mut done = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(items.len())).map(|_| scope.spawn(take)).collect();
        let joined = workers.into_iter().map(|w| w.join().unwrap_or_else(|panic| resume_unwind(panic)));
        joined.flatten().collect::<Vec<_>>()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..100).collect();
        for threads in [1, 3, 200] {
            let squares = in_parallel(&items, Some(threads), |n| Ok(n * n)).unwrap();
            assert!(squares.iter().enumerate().all(|(n, square)| (n * n) as u64 == *square));
        }
    }

    #[test]
    fn the_first_error_is_told_whoever_meets_it() {
        let items: Vec<u64> = (0..100).collect();
        let fails = |n: &u64| if *n % 30 == 29 { bail!("{n}") } else { Ok(()) };
        for threads in [1, 4] {
            assert_eq!(in_parallel(&items, Some(threads), fails).unwrap_err().to_string(), "29");
        }
    }
}
