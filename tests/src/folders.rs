//! Where the test data lies: it stays outside the repository, its licences do not let us copy it.

use std::env;
use std::path::{Path, PathBuf};

/// The folder of golden vectors: `$TECHNIC_GOLDEN_DIR`, else `../shared/golden` beside the
/// workspace. `None`, with a line on stderr, means "skip the test".
///
/// # Panics
/// When the folder is missing although the variable names it or `CI=true` asks for every test.
pub fn golden_dir() -> Option<PathBuf> {
    existing("TECHNIC_GOLDEN_DIR", "golden")
}

/// The folder of market data: `$TECHNIC_DATA_DIR`, else `../shared/data` beside the workspace.
/// `None`, with a line on stderr, means "skip the test".
///
/// # Panics
/// When the folder is missing although the variable names it or `CI=true` asks for every test.
pub fn data_dir() -> Option<PathBuf> {
    existing("TECHNIC_DATA_DIR", "data")
}

fn existing(variable: &str, default_name: &str) -> Option<PathBuf> {
    let named = env::var_os(variable).map(PathBuf::from);
    let must_exist = named.is_some() || env::var_os("CI").is_some_and(|ci| ci == "true");
    let dir = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(default_name));
    if dir.is_dir() {
        return Some(dir);
    }
    assert!(!must_exist, "no folder `{}`; set {variable}", dir.display());
    eprintln!("skipped: no folder `{}`; set {variable} to run this test", dir.display());
    None
}
