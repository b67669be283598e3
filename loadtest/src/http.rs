//! As much HTTP as it takes to ask the publisher.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const POLL: Duration = Duration::from_millis(50);

/// What `/v1/status` says, as far as it matters here.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Status {
    pub(crate) seq: u64,
    pub(crate) rows: usize,
    /// `YYYY-MM-DDThh:mm:ssZ`
    pub(crate) watermark: Option<String>,
}

impl Status {
    pub(crate) async fn of(address: SocketAddr) -> anyhow::Result<Self> {
        match get(address, "/v1/status").await? {
            (200, body) => serde_json::from_str(&body).context("/v1/status is not understood"),
            (code, body) => bail!("/v1/status answers {code}: {body}"),
        }
    }

    /// Whether all bars up to a session are in.
    pub(crate) fn covers(&self, date: &str) -> bool {
        self.watermark.as_ref().is_some_and(|watermark| watermark.get(..date.len()).is_some_and(|day| day >= date))
    }
}

/// Waits until everything is rebuilt and connected.
pub(crate) async fn until_ready(address: SocketAddr, limit: Duration) -> anyhow::Result<()> {
    let ready = async {
        while !matches!(get(address, "/readyz").await, Ok((200, _))) {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(limit, ready).await.with_context(|| format!("{address} is not ready within {limit:?}"))
}

/// Waits until the watermark covers a session and the table has come to rest.
pub(crate) async fn until_at_rest(address: SocketAddr, date: &str, limit: Duration) -> anyhow::Result<Status> {
    let at_rest = async {
        let mut before = Status::of(address).await?;
        loop {
            tokio::time::sleep(POLL * 20).await;
            let now = Status::of(address).await?;
            if now.covers(date) && now.seq == before.seq {
                return Ok(now);
            }
            before = now;
        }
    };
    tokio::time::timeout(limit, at_rest).await.with_context(|| format!("{date} was not reached within {limit:?}"))?
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no HTTP status")?;
    Ok((code, body.to_owned()))
}
