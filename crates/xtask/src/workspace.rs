//! Where things lie.

use std::env;
use std::path::{Path, PathBuf};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("this crate lies in crates/xtask").to_owned()
}

/// Absolute: test processes run in other folders.
pub(crate) fn target_dir() -> PathBuf {
    let named = env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let dir = named.unwrap_or_else(|| root().join("target"));
    std::path::absolute(&dir).unwrap_or(dir)
}

pub(crate) fn tools_dir() -> PathBuf {
    target_dir().join("tools")
}

/// The program of that name on PATH.
pub(crate) fn on_path(name: &Path) -> Option<PathBuf> {
    let file = name.with_extension(env::consts::EXE_EXTENSION);
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(&file)).find(|path| path.is_file())
}
