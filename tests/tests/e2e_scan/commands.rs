//! The small commands.

use super::*;

#[test]
fn the_configuration_is_printed_or_all_its_faults_are_named() {
    let printed = run(["check-config"]).expect(0, &[]).stdout;
    for key in ["bus", "namespace", "[publisher]", "listen", "[ingest.synthetic]", "min_bars"] {
        assert!(printed.contains(key), "{key} in {printed}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("technic.toml");
    fs::write(&file, "[scoring]\nmin_bars = 30\n").unwrap();
    let settings = [("TECHNIC__PUBLISHER__HEARTBEAT", "7s")];
    let printed = run_with(&settings, ["check-config", "--config", text(&file)]).expect(0, &[]).stdout;
    assert!(printed.contains("min_bars = 30") && printed.contains("\"7s\""), "{printed}");
    // What is printed is a configuration itself.
    fs::write(&file, &printed).unwrap();
    assert_eq!(run(["check-config", "--config", text(&file)]).expect(0, &[]).stdout, printed);

    fs::write(&file, "buss = \"memory\"\ncache = \"memory\"\n[scoring]\nmin_barz = 3\nmin_delta = \"much\"\n").unwrap();
    let settings = [("TECHNIC__INGEST__SOURCE", "yahoo"), ("TECHNIC__ADMIN__LISTEM", "auto")];
    let refused = run_with(&settings, ["check-config", "--config", text(&file)]);
    let named =
        ["buss", "scoring.min_barz", "scoring.min_delta", "admin.listem", text(&file), "TECHNIC__ADMIN__LISTEM"];
    assert_eq!(refused.expect(2, &named).stdout, "");
    fs::write(&file, "cache = \"memcached://x\"\n").unwrap();
    let settings = [("TECHNIC__INGEST__SOURCE", "yahoo")];
    run_with(&settings, ["check-config", "--config", text(&file)]).expect(2, &["cache", "ingest.source", "yahoo"]);
    fs::write(&file, "this is no toml").unwrap();
    run(["check-config", "--config", text(&file)]).expect(2, &[text(&file)]);
    run(["check-config", "--config", "/no/such/file.toml"]).expect(2, &["/no/such/file.toml"]);
}

#[test]
fn schemas_are_written_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("new/schemas");
    run(["schema", "export", "-o", text(&dir)]).expect(0, &[]);
    let printed = run(["schema", "export"]).expect(0, &[]).stdout;
    let printed = parsed(&printed);
    let mut n_files = 0;
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let schema = parsed(&fs::read_to_string(&path).unwrap());
        let name = path.file_name().unwrap().to_str().unwrap().strip_suffix(".schema.json").unwrap();
        assert_eq!(schema, printed[name], "{name}");
        assert!(schema["$schema"].is_string() && schema["properties"].is_object(), "{name}");
        n_files += 1;
    }
    assert_eq!(n_files, printed.as_object().unwrap().len());
    for kind in ["bar", "feature", "prediction", "score", "instrument", "alert"] {
        assert!(dir.join(format!("{kind}.v1.schema.json")).exists(), "{kind}");
    }
}

#[test]
fn the_version_is_printed() {
    let Finished { stdout, .. } = run(["version"]).expect(0, &[]);
    assert_eq!(stdout, format!("technic {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(run(["--version"]).expect(0, &[]).stdout, stdout);
    assert!(run(["--help"]).expect(0, &[]).stdout.contains("scan"));
}
