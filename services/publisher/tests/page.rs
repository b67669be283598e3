//! The page as a browser gets it. What it does then is tested with a browser: `tests/browser`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use support::Server;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("page")
}

/// Files of a folder that browsers ask for.
fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_served = |name: &String| [".js", ".css", ".svg", ".woff2"].iter().any(|end| name.ends_with(end));
    names.filter(is_served).collect()
}

#[tokio::test]
async fn every_file_is_served_as_it_is_and_may_run_nothing_else() {
    let server = Server::start().await;
    let own = files(&folder()).into_iter().map(|file| (format!("/page/{file}"), file));
    let vendored = files(&folder().join("vendor"))
        .into_iter()
        .map(|file| (format!("/page/vendor/{file}"), format!("vendor/{file}")));
    let pages = [("/", "index.html"), ("/docs", "docs.html")].map(|(path, file)| (path.to_owned(), file.to_owned()));
    for (path, file) in own.chain(vendored).chain(pages) {
        let answer = server.get_bytes(&path, "").await;
        let split = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..split]).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{path}: {head}");
        assert!(answer[split + 4..] == fs::read(folder().join(&file)).unwrap(), "{path} is not {file}");
        assert!(head.contains("default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'"), "{head}");
        let expected = match file.rsplit('.').next().unwrap() {
            "html" => "text/html",
            "js" => "text/javascript",
            "css" => "text/css",
            "svg" => "image/svg+xml",
            _ => "font/woff2",
        };
        assert!(head.contains(&format!("content-type: {expected}")), "{path}: {head}");
    }
}

#[test]
fn vendored_files_are_unchanged() {
    let vendor = folder().join("vendor");
    let sums = fs::read_to_string(vendor.join("SHA256SUMS")).unwrap();
    let mut listed = BTreeSet::new();
    for (sum, file) in sums.lines().map(|line| line.split_once("  ").unwrap()) {
        let digest = Sha256::digest(fs::read(vendor.join(file)).unwrap());
        let found = format!("{digest:x}");
        assert_eq!(found, sum, "{file}");
        listed.insert(file.to_owned());
    }
    assert_eq!(listed, files(&vendor).into_iter().collect());
}

#[test]
fn nothing_is_loaded_from_another_host() {
    for file in files(&folder()).into_iter().chain(["index.html", "docs.html"].map(str::to_owned)) {
        let text = fs::read_to_string(folder().join(&file)).unwrap();
        for loading in ["src=\"http", "href=\"http", "from \"http", "url(http", "import(\"http", "fetch(\"http"] {
            let elsewhere = text.matches(loading).count();
            // A link that a visitor may follow loads nothing.
            let links = text.matches(r#"<a href="http"#).count();
            assert!(elsewhere == 0 || (loading == "href=\"http" && elsewhere == links), "{file}: {loading}");
        }
    }
}
