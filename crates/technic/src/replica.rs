//! Publishers beside each other: each serves its own clients, one of them keeps the results on the bus.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use runtime::bus::{Bus, BusError};
use runtime::clock;
use runtime::line::LineError;
use runtime::shutdown::Shutdown;
use tracing::{info, warn};

const FILE: &str = "replica";
/// How often a publisher that stands by looks whether anybody keeps the results.
const STANDBY_PERIOD: Duration = Duration::from_secs(5);
/// So often in a row nobody may be there before it takes over: a reader may be between two requests, or restarting.
const ABSENCES_MIN: u32 = 3;

/// What this process is called among its like. It goes with the state, so a restarted process takes its own readers over
/// instead of leaving them behind.
///
/// # Errors
/// When the folder cannot be read or written.
pub(crate) fn name(state_dir: &Path) -> anyhow::Result<String> {
    let path = state_dir.join(FILE);
    let context = || format!("cannot use `{}`", path.display());
    match fs::read_to_string(&path) {
        Ok(name) if is_name(&name) => return Ok(name),
        Ok(_) => warn!(path = %path.display(), "this is no name of a replica, it gets another one"),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(context),
    }
    fs::create_dir_all(state_dir).with_context(context)?;
    let seed = [clock::now_ns().as_ns().to_le_bytes(), i64::from(std::process::id()).to_le_bytes()].concat();
    let name = format!("{:08x}", crc32fast::hash(&seed));
    fs::write(&path, &name).with_context(context)?;
    Ok(name)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Does what only one process may do, and stands by while another one does it. The one that started last does it; when it
/// is gone, one of those that stand by takes over.
///
/// # Errors
/// When the work fails for another reason.
pub(crate) async fn one_at_a_time<F: Future<Output = Result<(), LineError>>>(
    bus: &Bus,
    shutdown: &Shutdown,
    work: impl Fn() -> anyhow::Result<F>,
    stands_by: impl Fn(),
) -> anyhow::Result<()> {
    loop {
        let Err(error) = work()?.await else { return Ok(()) };
        let LineError::Bus { service, source: BusError::ConsumerLost { stream, durable } } = &error else {
            return Err(error.into());
        };
        info!(service, durable, "another process does this now, standing by");
        stands_by();
        tokio::select! {
            () = absence(bus, stream, durable) => info!(service, durable, "nobody does this any more, taking over"),
            () = shutdown.requested() => return Ok(()),
        }
    }
}

/// Ends when nobody reads under a name any more.
async fn absence(bus: &Bus, stream: &str, durable: &str) {
    let mut n_absences = 0;
    while n_absences < ABSENCES_MIN {
        tokio::time::sleep(STANDBY_PERIOD).await;
        n_absences = match bus.is_consumed(stream, durable).await {
            Ok(true) => 0,
            Ok(false) => n_absences + 1,
            // Whoever cannot reach the bus could not do the work either.
            Err(error) => {
                warn!(%error, durable, "cannot tell whether anybody reads");
                0
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_keeps_its_name_with_its_state() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let first = name(&state).unwrap();
        assert!(is_name(&first));
        assert_eq!(name(&state).unwrap(), first);
        fs::write(state.join(FILE), "a name.with dots").unwrap();
        let second = name(&state).unwrap();
        assert!(is_name(&second));
        assert_eq!(name(&state).unwrap(), second);
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(format!("{:#}", name(&file).unwrap_err()).contains("replica"));
    }
}
