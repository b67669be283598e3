use ingest::IngestError;
use runtime::config::ConfigErrors;

pub const EXIT_FAILURE: i32 = 1;
pub const EXIT_USAGE: i32 = 2;
pub const EXIT_BAD_DATA: i32 = 3;

/// A wrong use of a command that only shows after parsing.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// A file that is not what it should be, beside the market data that `ingest` reads.
#[derive(Debug)]
pub(crate) struct BadData(pub(crate) String);

impl std::fmt::Display for BadData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadData {}

/// The code that the process ends with.
pub fn exit_code(error: &anyhow::Error) -> i32 {
    let is_usage = |cause: &(dyn std::error::Error + 'static)| {
        cause.is::<ConfigErrors>() || cause.is::<Usage>() || cause.is::<inference::ModelError>()
    };
    if error.chain().any(is_usage) {
        EXIT_USAGE
    } else if error.chain().any(|cause| cause.is::<IngestError>() || cause.is::<BadData>()) {
        EXIT_BAD_DATA
    } else {
        EXIT_FAILURE
    }
}
