//! How the process ends: the first SIGTERM or SIGINT asks for an orderly stop, the second ends it at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell reports for a process ended by SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// Returns a token that the first signal cancels.
///
/// # Errors
/// If the signal handlers cannot be set up.
pub fn on_signals() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let first = stop.clone();
    tokio::spawn(async move {
        for again in [false, true] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if again {
                tracing::warn!(
                    "{name} again: ending at once; the next start reads on from the newest snapshot"
                );
                std::process::exit(EXIT_INTERRUPTED);
            }
            tracing::info!("{name}: stopping; once more to end at once");
            first.cancel();
        }
    });
    Ok(stop)
}
