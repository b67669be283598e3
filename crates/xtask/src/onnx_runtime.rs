//! The ONNX Runtime library, for models that ask for it, for tests and benchmarks.

use std::env;
use std::path::PathBuf;

use crate::wheel::Wheel;
use crate::{Result, workspace};

/// The version of `onnxruntime.txt`, which is the one that the crate `ort` speaks to (`api-24`).
const PINNED: &str = "1.24.4";

/// `$ORT_DYLIB_PATH`, the tools folder, or else downloaded into the tools folder.
pub(crate) fn fetch() -> Result<PathBuf> {
    if let Some(named) = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from) {
        return if named.is_file() {
            Ok(named)
        } else {
            Err(format!("$ORT_DYLIB_PATH is `{}`, no file", named.display()))
        };
    }
    let (prefix, suffix) = (env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
    let kept = workspace::tools_dir().join(format!("{prefix}onnxruntime-{PINNED}{suffix}"));
    if !kept.is_file() {
        eprintln!("downloading onnxruntime {PINNED} with pip");
        let wheel = Wheel {
            requirements: "onnxruntime.txt",
            // The library is the same for every Python; the wheels of this one are pinned.
            pip_args: &["--python-version", "3.12", "--implementation", "cp", "--abi", "cp312"],
            archive_prefix: "onnxruntime-",
            folder: "onnxruntime/capi".to_owned(),
            // `libonnxruntime.so.1.24.4`, `libonnxruntime.1.24.4.dylib`
            file_prefix: format!("{prefix}onnxruntime."),
        };
        wheel.fetch(&kept, |_| Ok(())).map_err(|why| {
            format!(
                "no ONNX Runtime library: {why}\n  set ORT_DYLIB_PATH to one of version 1.24 or later, or have python3 \
                 with pip and a network (or a pip index) that serves onnxruntime {PINNED}"
            )
        })?;
    }
    eprintln!("ONNX Runtime {PINNED}: {}", kept.display());
    Ok(kept)
}
