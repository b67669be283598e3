//! Golden rows of a model out of its Parquet file.
//!
//! A file that lies about its own sizes makes the Parquet reader panic, or ask for more memory than there is, which ends
//! the process. So it is read in a process of its own: whatever happens to that one, this one only hears of it.

use std::io::{Cursor, Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use inference::GoldenRows;
use polars::prelude::{DataType, ParquetReader, SerReader as _};
use rustix::process::{Resource, Rlimit, setrlimit};

/// What makes this program a reader, as its only two arguments.
const ARGUMENTS: [&str; 2] = ["models", "read-golden-rows"];

/// A sound file is read in a few milliseconds, on a busy machine in a few hundred.
const TIME_MAX: Duration = Duration::from_secs(10);
/// Address space of the reader: threads and allocator reserve more than they use.
const MEMORY_MAX: u64 = 8 << 30;
/// What a reader may answer: far more than any model's rows.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// Of what a reader that failed said last.
const COMPLAINT_BYTES_MAX: u64 = 4096;

/// Columns by name; the values as bits, so that text does not change them.
type Answer = Result<Vec<(String, Vec<u32>)>, String>;

/// # Errors
/// What is wrong with a file that holds no columns of numbers, or what became of the process that read it.
pub(crate) fn read(bytes: &[u8]) -> Result<GoldenRows, String> {
    let mut reader = Command::new(program()?)
        .args(ARGUMENTS)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start a process that reads it: {error}"))?;
    let (answer, is_in_time) = exchange(&mut reader, bytes, TIME_MAX);
    if !is_in_time {
        return Err(format!("it is not read within {} s", TIME_MAX.as_secs()));
    }
    let answer: Answer = serde_json::from_slice(&answer).unwrap_or_else(|_| Err(epitaph(&mut reader)));
    // One that answered has nothing left to do.
    reader.kill().and_then(|()| reader.wait()).ok();
    let values = |bits: Vec<u32>| bits.into_iter().map(f32::from_bits).collect();
    Ok(GoldenRows { columns: answer?.into_iter().map(|(name, bits)| (name, values(bits))).collect() })
}

/// This program, even when its file was replaced meanwhile.
fn program() -> Result<PathBuf, String> {
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe().map_err(|error| format!("cannot find the program that reads it: {error}"))
}

/// Hands the file over and takes the answer; says whether it came in time. The process is ended if not.
fn exchange(reader: &mut Child, bytes: &[u8], time_max: Duration) -> (Vec<u8>, bool) {
    let (mut stdin, stdout) = (reader.stdin.take(), reader.stdout.take());
    thread::scope(|scope| {
        let (sender, answered) = mpsc::channel();
        // A reader that has seen enough closes its end; its answer says why.
        scope.spawn(move || stdin.take().map(|mut stdin| stdin.write_all(bytes)));
        scope.spawn(move || {
            let mut answer = Vec::new();
            let read = stdout.map(|stdout| stdout.take(ANSWER_BYTES_MAX).read_to_end(&mut answer));
            drop(read);
            // Nobody waits any more when it took too long.
            sender.send(answer).ok();
        });
        let answer = answered.recv_timeout(time_max);
        if answer.is_err() {
            // Ends both threads, too: their pipes close.
            reader.kill().and_then(|()| reader.wait()).ok();
        }
        let is_in_time = answer.is_ok();
        (answer.unwrap_or_default(), is_in_time)
    })
}

/// How a process ended that gave no answer, and what it said last.
fn epitaph(reader: &mut Child) -> String {
    // Its end of the pipe is closed, so it is at its end or beyond use; what ended it stays known.
    reader.kill().ok();
    let end = reader.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
    let mut complaint = String::new();
    if let Some(stderr) = reader.stderr.take() {
        // What cannot be read is not said.
        stderr.take(COMPLAINT_BYTES_MAX).read_to_string(&mut complaint).ok();
    }
    let complaint = complaint
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("note:"))
        .take(2)
        .collect::<Vec<_>>();
    format!("the process that reads it ended with {end}: {}", complaint.join(" "))
}

/// Serves as the reader if that is what the program was started for. Every program that loads models calls this before
/// anything else, and ends when it is `true`.
pub fn is_golden_reader() -> bool {
    if !std::env::args_os().skip(1).eq(ARGUMENTS) {
        return false;
    }
    // Without the limit a file may still only hurt this process.
    setrlimit(Resource::As, Rlimit { current: Some(MEMORY_MAX), maximum: Some(MEMORY_MAX) }).ok();
    let mut bytes = Vec::new();
    let answer = match std::io::stdin().lock().read_to_end(&mut bytes) {
        Ok(_) => decode(&bytes),
        Err(error) => Err(error.to_string()),
    };
    // Nobody is left to be told when the pipe is closed.
    serde_json::to_vec(&answer).map(|answer| std::io::stdout().lock().write_all(&answer).ok()).ok();
    true
}

fn decode(bytes: &[u8]) -> Answer {
    let frame = ParquetReader::new(Cursor::new(bytes)).finish().map_err(|error| error.to_string())?;
    let mut columns = Vec::with_capacity(frame.width());
    for column in frame.columns() {
        let name = column.name().to_string();
        if column.dtype() != &DataType::Float32 {
            return Err(format!("column `{name}` holds {}, not 32-bit floats", column.dtype()));
        }
        let values = column.f32().map_err(|error| error.to_string())?;
        columns.push((name, values.iter().map(|value| value.unwrap_or(f32::NAN).to_bits()).collect()));
    }
    Ok(columns)
}
