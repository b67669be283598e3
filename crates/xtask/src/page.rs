//! The page: its types are checked by the TypeScript compiler, its behaviour by a browser. Both need Node, which nothing
//! else here does, so without it they are left out, and that is said.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::command::{output, run};
use crate::{Result, workspace};

/// The oldest that the tests run on.
const NODE_MAJOR_OLDEST: u32 = 20;
/// What Chromium is called, by system.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const FILES: [&str; 4] = ["package.json", "package-lock.json", "server.mjs", "page.test.mjs"];

/// Checks the types that the scripts of the page declare in comments.
pub(crate) fn types() -> Result<()> {
    let folder = match installed() {
        Ok(folder) => folder,
        Err(why) => return left_out("the types of the page", &why),
    };
    let project = workspace::root().join("services/publisher/page/tsconfig.json");
    run(Command::new("node").arg(folder.join("node_modules/typescript/bin/tsc")).arg("--project").arg(project))
}

/// Clicks through the page. With `pictures`, those of the README are taken into that folder.
pub(crate) fn test(technic: &Path, pictures: Option<&Path>) -> Result<()> {
    let found = browser().and_then(|browser| Ok((browser, installed()?)));
    let (browser, folder) = match found {
        Ok(found) => found,
        Err(why) => return left_out("the page in a browser", &why),
    };
    let mut command = Command::new("node");
    command
        .args(["--test", "--test-reporter=spec", "page.test.mjs"])
        .current_dir(folder)
        .env("TECHNIC_BIN", technic)
        .env("TECHNIC_ROOT", workspace::root())
        .env("CHROMIUM", browser)
        .env("TECHNIC_DATA_DIR", data_dir());
    if let Some(pictures) = pictures {
        command.env("PAGE_PICTURES", pictures);
    }
    run(&mut command)
}

/// The folder with the tests and what npm installed for them and for the TypeScript client.
pub(crate) fn installed() -> Result<PathBuf> {
    let printed = output(Command::new("node").arg("--version"))?;
    let major = printed.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE_MAJOR_OLDEST) {
        return Err(format!("node is {}, {NODE_MAJOR_OLDEST} or later is needed", printed.trim()));
    }
    let source = workspace::root().join("tests/browser");
    let folder = workspace::tools_dir().join("page");
    fs::create_dir_all(&folder).map_err(|error| format!("cannot create `{}`: {error}", folder.display()))?;
    // Written last by npm: what is in there is complete and of this version of the lock file.
    let stamp = folder.join("node_modules/.installed");
    let lock = read(&source.join("package-lock.json"))?;
    let is_installed = fs::read(&stamp).is_ok_and(|installed| installed == lock);
    for file in FILES {
        let content = read(&source.join(file))?;
        fs::write(folder.join(file), content).map_err(|error| format!("cannot copy `{file}`: {error}"))?;
    }
    if !is_installed {
        eprintln!("installing what the page's tests need with npm");
        output(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder))?;
        fs::write(&stamp, lock).map_err(|error| format!("cannot write `{}`: {error}", stamp.display()))?;
    }
    Ok(folder)
}

fn browser() -> Result<PathBuf> {
    if let Some(named) = env::var_os("CHROMIUM").filter(|path| !path.is_empty()) {
        return Ok(named.into());
    }
    let found = BROWSERS.iter().find_map(|name| workspace::on_path(Path::new(name)));
    found.ok_or_else(|| format!("none of {} is on PATH, and CHROMIUM is not set", BROWSERS.join(", ")))
}

/// As the other tests find it.
fn data_dir() -> OsString {
    let named = env::var_os("TECHNIC_DATA_DIR").filter(|dir| !dir.is_empty());
    named.unwrap_or_else(|| workspace::root().join("../shared/data").into_os_string())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

#[expect(clippy::unnecessary_wraps, reason = "it ends a step")]
fn left_out(what: &str, why: &str) -> Result<()> {
    eprintln!("NOT CHECKED: {what}, because {why}");
    Ok(())
}
