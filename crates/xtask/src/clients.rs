//! What the clients of `docs/examples` need to run in a test: a Python environment by pip, Node packages by npm.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, command, page, workspace};

/// Where a test finds them, as variables of its environment. What cannot be had is said and left out.
pub(crate) fn variables() -> Vec<(&'static str, OsString)> {
    let found = [
        ("TECHNIC_CLIENTS_PYTHON", "the Python clients are", python()),
        ("NODE_PATH", "the TypeScript client is", packages()),
    ];
    let or_say = |(name, whose, found): (&'static str, &str, Result<PathBuf>)| match found {
        Ok(path) => Some((name, path.into_os_string())),
        Err(why) => {
            eprintln!("NOT CHECKED: {whose} left out, because {why}");
            None
        }
    };
    found.into_iter().filter_map(or_say).collect()
}

/// `$TECHNIC_CLIENTS_PYTHON`, or an environment in the tools folder with what `clients.txt` names.
fn python() -> Result<PathBuf> {
    if let Some(named) = env::var_os("TECHNIC_CLIENTS_PYTHON").filter(|path| !path.is_empty()) {
        return Ok(named.into());
    }
    let requirements = workspace::root().join("crates/xtask/clients.txt");
    let wanted =
        fs::read(&requirements).map_err(|error| format!("cannot read `{}`: {error}", requirements.display()))?;
    let folder = workspace::tools_dir().join("clients");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    // Written last: what is in there is complete and of this version of the requirements.
    let stamp = folder.join("installed");
    // The interpreter that it was made from may be gone.
    let is_installed = fs::read(&stamp).is_ok_and(|installed| installed == wanted)
        && command::answers(Command::new(&python).args(["-c", "import websockets, jsonschema, yaml, msgpack"]));
    if !is_installed {
        eprintln!("installing what the Python clients need with pip");
        install(&folder, &python, &requirements)?;
        fs::write(&stamp, wanted).map_err(|error| format!("cannot write `{}`: {error}", stamp.display()))?;
    }
    Ok(python)
}

fn install(folder: &Path, python: &Path, requirements: &Path) -> Result<()> {
    command::output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"];
    command::output(Command::new(python).args(pip).args(["--require-hashes", "--requirement"]).arg(requirements))?;
    Ok(())
}

fn packages() -> Result<PathBuf> {
    page::installed().map(|folder| folder.join("node_modules"))
}
