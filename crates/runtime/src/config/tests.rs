use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::*;

const DEFAULT: &str = r#"
bus = "memory"

[ingest]
symbols = ["A", "B"]
labels = {}
rules = []

[ingest.synthetic]
n_symbols = 100
drift = 0.5
is_fast = false
seed = ""

[publisher]
listen = "127.0.0.1:8080"
flush = "10ms"
mode = "conflate"
api_key = ""
ports = [1, 2]
"#;

#[derive(Debug, Deserialize)]
struct Config {
    bus: String,
    ingest: Ingest,
    publisher: Publisher,
}

#[derive(Debug, Deserialize)]
struct Ingest {
    symbols: Vec<String>,
    labels: BTreeMap<String, u32>,
    rules: Vec<Rule>,
    synthetic: Synthetic,
}

#[derive(Debug, Deserialize)]
struct Rule {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Synthetic {
    n_symbols: u16,
    drift: f64,
    is_fast: bool,
    seed: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Publisher {
    listen: SocketAddr,
    #[serde(with = "duration")]
    flush: Duration,
    mode: Mode,
    api_key: Option<Secret>,
    ports: Vec<u16>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Conflate,
    Lossless,
}

fn load_layers(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Loaded<Config>, ConfigErrors> {
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    let layers = Layers { default_toml: DEFAULT, file: None, environment: pairs(environment), flags: pairs(flags) };
    load_with(&layers, Some((Path::new("my.toml"), Ok(file.to_owned()))))
}

fn config(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Config {
    load_layers(file, environment, flags).unwrap_or_else(|errors| panic!("{errors}")).config
}

fn problems(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Vec<String> {
    let errors = load_layers(file, environment, flags).map(|loaded| loaded.config).unwrap_err();
    errors.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn the_defaults_alone_are_complete() {
    let config = config("", &[], &[]);
    assert_eq!(config.bus, "memory");
    assert_eq!(config.ingest.symbols, ["A", "B"]);
    assert!(config.ingest.labels.is_empty() && config.ingest.rules.is_empty());
    assert_eq!(config.publisher.flush, Duration::from_millis(10));
    assert_eq!(config.publisher.listen.port(), 8080);
    assert_eq!(config.publisher.mode, Mode::Conflate);
    assert_eq!((config.publisher.api_key, config.ingest.synthetic.seed), (None, None));
}

#[test]
fn later_layers_win_key_by_key() {
    let file = "[publisher]\nlisten = '127.0.0.1:1'\nflush = '1s'\nmode = 'lossless'";
    let environment = [("TECHNIC__PUBLISHER__LISTEN", "127.0.0.1:2"), ("TECHNIC__PUBLISHER__FLUSH", "2s")];
    let publisher = config(file, &environment, &[("publisher.listen", "127.0.0.1:3")]).publisher;
    assert_eq!(publisher.listen.port(), 3);
    assert_eq!(publisher.flush, Duration::from_secs(2));
    assert_eq!(publisher.mode, Mode::Lossless);
}

#[test]
fn text_takes_the_type_that_the_default_has() {
    let config = config(
        "",
        &[
            ("TECHNIC__BUS", "4222"),
            ("TECHNIC__INGEST__SYNTHETIC__N_SYMBOLS", "6_000"),
            ("TECHNIC__INGEST__SYNTHETIC__DRIFT", "2"),
            ("TECHNIC__INGEST__SYNTHETIC__IS_FAST", "true"),
            ("TECHNIC__INGEST__SYMBOLS", "AAPL, BRK.B ,7"),
            ("TECHNIC__PUBLISHER__PORTS", "7,8"),
            ("TECHNIC_GOLDEN_DIR", "not ours"),
            ("HOME", "not ours"),
        ],
        &[],
    );
    assert_eq!(config.bus, "4222");
    assert_eq!(config.ingest.synthetic.n_symbols, 6000);
    assert_eq!(config.ingest.synthetic.drift.total_cmp(&2.0), std::cmp::Ordering::Equal);
    assert!(config.ingest.synthetic.is_fast);
    assert_eq!(config.ingest.symbols, ["AAPL", "BRK.B", "7"]);
    assert_eq!(config.publisher.ports, [7, 8]);

    let lists = [("ingest.symbols", "['X', 'Y,Z']"), ("publisher.ports", "")];
    let config = self::config("", &[], &lists);
    assert_eq!(config.ingest.symbols, ["X", "Y,Z"]);
    assert!(config.publisher.ports.is_empty());
}

#[test]
fn an_optional_key_takes_the_type_that_the_program_has() {
    let flags = [("ingest.synthetic.seed", "17"), ("publisher.api_key", "42")];
    let config = config("", &[], &flags);
    assert_eq!(config.ingest.synthetic.seed, Some(17));
    assert_eq!(config.publisher.api_key.unwrap().expose(), "42");
    assert_eq!(self::config("[ingest.synthetic]\nseed = 18", &[], &[]).ingest.synthetic.seed, Some(18));
    assert_eq!(
        self::config("[ingest.synthetic]\nseed = 18", &[("TECHNIC__INGEST__SYNTHETIC__SEED", "")], &[])
            .ingest
            .synthetic
            .seed,
        None,
    );
}

#[test]
fn an_empty_section_takes_any_keys_and_a_list_any_tables() {
    let config = config(
        "[ingest.labels]\nred = 1\n[[ingest.rules]]\nname = 'x'",
        &[("TECHNIC__INGEST__LABELS__BLUE", "2")],
        &[],
    );
    assert_eq!(config.ingest.labels, BTreeMap::from([("blue".to_owned(), 2), ("red".to_owned(), 1)]));
    assert_eq!(config.ingest.rules[0].name, "x");
    assert_eq!(
        problems("[[ingest.rules]]\nname = 'x'\nnmae = 'y'", &[], &[]),
        ["ingest.rules.0.nmae: unknown key, the program does not read it (file `my.toml`)"],
    );
}

#[test]
fn reports_all_problems_of_all_layers_together() {
    let file = "bsu = 1\n[publisher]\nlisten = 'here'\nflush = '5 parsecs'\nmode = 3\n[publsher]\nmode = 'lossless'";
    let environment = [
        ("TECHNIC__INGEST__SYNTHETIC__N_SYMBOLS", "many"),
        ("TECHNIC__INGEST__SYNTHETIC__N_SYMBOL", "5"),
        ("TECHNIC__INGEST", "5"),
        ("TECHNIC__", "5"),
    ];
    let flags = [("ingest.synthetic.n_symbols", "70000"), ("publisher.mode", "fast"), ("bus.kind", "x")];
    assert_eq!(
        problems(file, &environment, &flags),
        [
            "bsu: unknown key (file `my.toml`)",
            "publisher.mode: expected string, found integer (file `my.toml`)",
            "publsher.mode: unknown key, did you mean `publisher.mode`? (file `my.toml`)",
            "ingest.synthetic.n_symbols: expected integer, found `many` \
             (environment variable TECHNIC__INGEST__SYNTHETIC__N_SYMBOLS)",
            "ingest.synthetic.n_symbol: unknown key, did you mean `ingest.synthetic.n_symbols`? \
             (environment variable TECHNIC__INGEST__SYNTHETIC__N_SYMBOL)",
            "ingest: is a section: set a key in it (environment variable TECHNIC__INGEST)",
            "unknown key (environment variable TECHNIC__)",
            "bus.kind: unknown key (command-line flag)",
            "publisher.flush: invalid value: string \"5 parsecs\", expected a duration (file `my.toml`)",
            "publisher.listen: invalid socket address syntax (file `my.toml`)",
            "ingest.synthetic.n_symbols: invalid value: integer `70000`, expected u16 (command-line flag)",
            "publisher.mode: unknown variant `fast`, expected `conflate` or `lossless` (command-line flag)",
        ],
    );
}

#[test]
fn a_file_that_does_not_parse_is_named_with_the_line_and_hides_nothing_else() {
    let found = problems("bus = 'x'\n[publisher]\napi_key = hush\n", &[], &[("colour", "red")]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("line 3: ") && found[0].ends_with("(file `my.toml`)"), "{found:?}");
    assert!(!found[0].contains("hush"), "{found:?}");
    assert_eq!(found[1], "colour: unknown key (command-line flag)");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let path = Path::new("/nonexistent/technic.toml");
    let layers = Layers { default_toml: DEFAULT, file: Some(path), ..Layers::default() };
    let errors = load::<Config>(&layers).map(|loaded| loaded.config).unwrap_err();
    assert_eq!(errors.problems.len(), 1);
    assert_eq!(errors.problems[0].source, Source::File(path.to_owned()));
    assert!(errors.to_string().starts_with("invalid configuration, 1 problem:\n  cannot be read: "), "{errors}");
}

#[test]
fn a_default_that_the_program_does_not_read_is_our_mistake_and_says_so() {
    let with_extra = DEFAULT.replace("bus =", "coach = 1\nbus =");
    let layers = Layers { default_toml: &with_extra, ..Layers::default() };
    let errors = load_with::<Config>(&layers, None).map(|loaded| loaded.config).unwrap_err();
    assert_eq!(
        errors.problems,
        [Problem {
            key: "coach".to_owned(),
            source: Source::Default,
            message: "unknown key, the program does not read it".to_owned()
        }],
    );
    let incomplete = DEFAULT.replace("bus =", "# bus =");
    let layers = Layers { default_toml: &incomplete, ..Layers::default() };
    let errors = load_with::<Config>(&layers, None).map(|loaded| loaded.config).unwrap_err();
    assert_eq!(errors.problems[0].source, Source::Default);
    assert!(errors.problems[0].message.contains("missing field `bus`"), "{errors}");
}

#[test]
fn messages_keep_secrets() {
    #[derive(Debug, Deserialize)]
    struct Secrets {
        #[allow(dead_code, reason = "only read by serde")]
        n_token: u32,
        #[allow(dead_code, reason = "only read by serde")]
        url: u32,
        #[allow(dead_code, reason = "only read by serde")]
        a: BTreeMap<String, u32>,
    }
    let layers = Layers {
        default_toml: "n_token = 1\nurl = 1\n[a]\nits_secret = 2",
        flags: [("n_token", "hush"), ("url", "http://me:hush@host"), ("a.its_secret", "-77")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..Layers::default()
    };
    let errors = load_with::<Secrets>(&layers, Some((Path::new("f"), Err(io::Error::other("gone")))));
    let text = errors.map(|loaded| loaded.config).unwrap_err().to_string();
    assert_eq!(
        text,
        "invalid configuration, 4 problems:\n  \
         cannot be read: gone (file `f`)\n  \
         n_token: expected integer, found `***` (command-line flag)\n  \
         url: expected integer, found `http://***@host` (command-line flag)\n  \
         a.its_secret: invalid value (command-line flag)",
    );
}

#[test]
fn what_is_shown_is_merged_and_masked() {
    let file = "bus = 'nats://me:hush@host:4222'\n[publisher]\napi_key = 'hush'";
    let loaded = load_layers(file, &[], &[("ingest.synthetic.drift", "2")]).unwrap();
    assert!(!loaded.masked.contains("hush"), "{}", loaded.masked);
    for line in ["bus = \"nats://***@host:4222\"", "api_key = \"***\"", "drift = 2.0", "flush = \"10ms\""] {
        assert!(loaded.masked.lines().any(|shown| shown == line), "{line} in {}", loaded.masked);
    }
    assert_eq!(format!("{:?}", loaded.config.publisher.api_key), "Some(***)");
}

#[test]
fn a_problem_that_the_program_finds_names_the_layer() {
    let loaded = load_layers("[ingest.synthetic]\nn_symbols = 0", &[], &[("bus", "x")]).unwrap();
    let shown = |key: &str| loaded.problem(key, "is bad").to_string();
    assert_eq!(shown("ingest.synthetic.n_symbols"), "ingest.synthetic.n_symbols: is bad (file `my.toml`)");
    assert_eq!(shown("bus"), "bus: is bad (command-line flag)");
    assert_eq!(shown("publisher.mode"), "publisher.mode: is bad (built-in default)");
}
