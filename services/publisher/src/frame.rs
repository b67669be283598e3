use bytes::Bytes;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::board::DataKind;
use crate::channel::Channel;
use crate::event::Event;
use crate::format::{Format, msgpack};
use crate::protocol::{Progress, Refusal, ServerEvent};
use serde::Serialize;

/// A message under construction: an array of events.
#[derive(Debug)]
pub(crate) struct Frame {
    format: Format,
    n_items: usize,
    /// The events, without the head of the array.
    body: Vec<u8>,
}

/// One page of a snapshot under construction.
#[derive(Debug)]
pub(crate) struct Page {
    format: Format,
    n_rows: usize,
    rows: Vec<u8>,
}

#[derive(Serialize)]
struct PageHead {
    ev: &'static str,
    ch: &'static str,
    u: u64,
    data: DataKind,
    last: bool,
}

impl Frame {
    pub(crate) fn new(format: Format) -> Self {
        let body = match format {
            Format::Json => vec![b'['],
            // Room for the head, whose length does not depend on the number of items.
            Format::MessagePack => vec![0; MSGPACK_HEAD_BYTES],
        };
        Self { format, n_items: 0, body }
    }

    pub(crate) fn of(format: Format, event: &ServerEvent<'_>) -> Self {
        let mut frame = Self::new(format);
        frame.push(event);
        frame
    }

    pub(crate) fn refusal(format: Format, refusal: &Refusal) -> Self {
        let event = ServerEvent::Error { id: refusal.id.as_ref(), code: refusal.code as u16, msg: &refusal.message };
        Self::of(format, &event)
    }

    /// What a client gets of a channel: how far it comes, then the events.
    pub(crate) fn delta<'a>(format: Format, progress: Progress, events: impl Iterator<Item = &'a Event>) -> Self {
        let mut frame = Self::of(format, &ServerEvent::Seq(progress));
        for event in events {
            frame.push_with(|format, out| event.write(format, out));
        }
        frame
    }

    pub(crate) fn push(&mut self, event: &ServerEvent<'_>) {
        self.push_with(|format, out| format.write(event, out));
    }

    pub(crate) fn push_with(&mut self, write: impl FnOnce(Format, &mut Vec<u8>)) {
        if self.format == Format::Json && self.n_items > 0 {
            self.body.push(b',');
        }
        self.n_items += 1;
        write(self.format, &mut self.body);
    }

    pub(crate) fn push_page(&mut self, channel: Channel, u: u64, data: DataKind, is_last: bool, page: &Page) {
        let head = PageHead { ev: "snap", ch: channel.as_str(), u, data, last: is_last };
        self.push_with(|format, out| match format {
            Format::Json => {
                format.write(&head, out);
                out.pop();
                out.extend_from_slice(br#","rows":["#);
                out.extend_from_slice(&page.rows);
                out.extend_from_slice(b"]}");
            }
            Format::MessagePack => {
                let (n_entries, entries) = {
                    let head = format.encode(&head);
                    let (n_entries, entries) = msgpack::map_parts(&head);
                    (n_entries, entries.to_vec())
                };
                msgpack::map_head(out, n_entries + 1);
                out.extend_from_slice(&entries);
                format.write(&"rows", out);
                msgpack::array_head(out, page.n_rows);
                out.extend_from_slice(&page.rows);
            }
        });
    }

    pub(crate) fn finish(mut self) -> Message {
        match self.format {
            Format::Json => {
                self.body.push(b']');
                Message::Text(Utf8Bytes::try_from(self.body).expect("JSON is UTF-8"))
            }
            Format::MessagePack => {
                let mut head = Vec::with_capacity(MSGPACK_HEAD_BYTES);
                msgpack::array_head(&mut head, self.n_items);
                self.body[..MSGPACK_HEAD_BYTES].copy_from_slice(&head);
                Message::Binary(Bytes::from(self.body))
            }
        }
    }
}

const MSGPACK_HEAD_BYTES: usize = 5;

impl Page {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, n_rows: 0, rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, write: impl FnOnce(Format, &mut Vec<u8>)) {
        if self.format == Format::Json && self.n_rows > 0 {
            self.rows.push(b',');
        }
        self.n_rows += 1;
        write(self.format, &mut self.rows);
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub(crate) fn n_bytes(&self) -> usize {
        self.rows.len()
    }
}
