//! Thousands of clients on one thread that only count: no task, no parser, one buffer for all of them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};
use memchr::memmem;
use mio::{Events, Interest, Poll, Token};
use runtime::clock;

use crate::latency::Latencies;

const BUFFER_BYTES: usize = 1 << 20;
/// Precedes the moment an update was made.
const MARK: &[u8] = b"\"v\":";
/// An empty pong, masked with zeros. Nobody looks for pings here, so each client says so often that it lives.
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
const PONG_PERIOD: Duration = Duration::from_secs(4);

/// Connected clients.
pub(super) struct Clients {
    poll: Poll,
    connected: Vec<Client>,
    buffer: Vec<u8>,
}

struct Client {
    stream: mio::net::TcpStream,
    /// What was read and may be the beginning of an update.
    rest: Vec<u8>,
}

/// What the clients got.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) n_updates: u64,
    pub(super) latencies: Latencies,
    pub(super) elapsed: Duration,
}

impl Clients {
    /// Connects one after the other. What is sent first subscribes; a server without subscriptions ignores it.
    pub(super) fn connect(address: SocketAddr, n_clients: usize, subscribe: &str) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut clients = Self { poll, connected: Vec::with_capacity(n_clients), buffer: vec![0; BUFFER_BYTES] };
        for number in 0..n_clients {
            clients.add(address).with_context(|| format!("client {number} of {n_clients}"))?;
        }
        for client in &mut clients.connected {
            client.stream.write_all(&text_frame(subscribe))?;
        }
        Ok(clients)
    }

    /// One more.
    pub(super) fn add_one(&mut self, address: SocketAddr, subscribe: &str) -> anyhow::Result<()> {
        self.add(address)?;
        let client = self.connected.last_mut().context("one was just added")?;
        client.stream.write_all(&text_frame(subscribe)).context("cannot subscribe")
    }

    fn add(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let number = self.connected.len();
        let stream = connect(address)?;
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        self.poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
        self.connected.push(Client { stream, rest: Vec::new() });
        Ok(())
    }

    /// Takes away the one that was added last.
    pub(super) fn remove_last(&mut self) {
        self.connected.pop();
    }

    /// Reads for a while and counts the updates that arrive.
    pub(super) fn listen(&mut self, span: Duration) -> anyhow::Result<Received> {
        let mut received = Received { n_updates: 0, latencies: Latencies::new()?, elapsed: Duration::ZERO };
        let mut events = Events::with_capacity(1024);
        let started = clock::monotonic();
        let mut pong_at = started;
        while started.elapsed() < span {
            if pong_at <= clock::monotonic() {
                pong_at += PONG_PERIOD;
                for client in &mut self.connected {
                    // Where it does not fit, the socket holds others.
                    client.stream.write_all(&PONG).ok();
                }
            }
            match self.poll.poll(&mut events, Some(Duration::from_millis(20))) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                // The last one may have been taken away since.
                let Some(client) = self.connected.get_mut(event.token().0) else { continue };
                client.read(&mut self.buffer, &mut received)?;
            }
        }
        received.elapsed = started.elapsed();
        Ok(received)
    }
}

impl Client {
    /// Takes all that is there, because readiness is told once.
    fn read(&mut self, buffer: &mut [u8], received: &mut Received) -> anyhow::Result<()> {
        loop {
            let n_rest = self.rest.len();
            buffer[..n_rest].copy_from_slice(&self.rest);
            match self.stream.read(&mut buffer[n_rest..]) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(n_bytes) => {
                    let n_used = count(&buffer[..n_rest + n_bytes], received);
                    self.rest.clear();
                    self.rest.extend_from_slice(&buffer[n_used..n_rest + n_bytes]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Counts the updates in a piece of a stream. Gives how much of it was used up.
fn count(bytes: &[u8], received: &mut Received) -> usize {
    let now_us = clock::now_ns().as_ns() / 1000;
    let mut used = 0;
    while let Some(at) = memmem::find(&bytes[used..], MARK) {
        let number = &bytes[used + at + MARK.len()..];
        let n_digits = number.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if n_digits == number.len() {
            return used + at;
        }
        let made_us = number[..n_digits].iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        let late_us = now_us.saturating_sub(made_us).max(0);
        received.latencies.record(Duration::from_micros(late_us.unsigned_abs()));
        received.n_updates += 1;
        used += at + MARK.len() + n_digits;
    }
    used.max(bytes.len().saturating_sub(MARK.len() - 1))
}

/// A connection that nobody reads.
pub(super) fn open(address: SocketAddr, subscribe: &str) -> anyhow::Result<TcpStream> {
    let mut stream = connect(address)?;
    stream.write_all(&text_frame(subscribe))?;
    Ok(stream)
}

/// A WebSocket by hand: nothing of it is worth a library's buffers.
fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let request = format!(
        "GET /ws HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    // What comes with the head greets, and is nothing that is counted.
    while memmem::find(&head, b"\r\n\r\n").is_none() {
        let n_bytes = stream.read(&mut buffer)?;
        if n_bytes == 0 {
            bail!("the server closed the connection");
        }
        head.extend_from_slice(&buffer[..n_bytes]);
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        bail!("no WebSocket: {}", String::from_utf8_lossy(&head));
    }
    Ok(stream)
}

/// A masked text frame; the mask is zero.
fn text_frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 126).expect("a subscription is short");
    let mut frame = vec![0x81, 0x80 | length];
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_counted_once_however_the_stream_is_cut() {
        let text = br#"xx[{"ev":"AM","v":1763659800123456.0,"o":1},{"ev":"AM","v":1763659800123457,"o":2}]yy"#;
        for cut in 0..text.len() {
            let mut received = Received { n_updates: 0, latencies: Latencies::new().unwrap(), elapsed: Duration::ZERO };
            let used = count(&text[..cut], &mut received);
            count(&text[used..], &mut received);
            assert_eq!(received.n_updates, 2, "cut at {cut}");
        }
    }
}
