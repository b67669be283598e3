//! Decodes a message once for two readers of the same stream in one process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use schemas::CodecError;

use crate::bus::Delivery;
use crate::line::{Decode, Decoded};

/// Messages that one reader has and the other one may still get.
const KEPT_MAX: usize = 64;

/// A decoder that two readers share: whoever comes second gets a copy of what the first one made, at a fraction of the cost.
#[derive(Debug)]
pub struct DecodeOnce<D, I> {
    decode: D,
    kept: Arc<Mutex<VecDeque<Kept<I>>>>,
}

/// What the second reader will ask for.
#[derive(Debug)]
struct Kept<I> {
    sequence: u64,
    /// A stream that was made anew gives the same numbers to other messages.
    payload: Bytes,
    decoded: Decoded<I>,
}

impl<D: Clone, I> Clone for DecodeOnce<D, I> {
    fn clone(&self) -> Self {
        Self { decode: self.decode.clone(), kept: Arc::clone(&self.kept) }
    }
}

impl<D, I> DecodeOnce<D, I> {
    pub fn new(decode: D) -> Self {
        Self { decode, kept: Arc::default() }
    }

    fn take(&self, delivery: &Delivery) -> Option<Decoded<I>> {
        let mut kept = self.kept.lock().expect("nobody panics while holding it");
        let at = kept.iter().position(|kept| kept.sequence == delivery.sequence)?;
        let kept = kept.remove(at)?;
        (kept.payload == delivery.payload).then_some(kept.decoded)
    }

    fn keep(&self, delivery: &Delivery, decoded: Decoded<I>) {
        let mut kept = self.kept.lock().expect("nobody panics while holding it");
        if kept.len() == KEPT_MAX {
            // The other reader is far ahead, or far behind: it decodes for itself.
            kept.pop_front();
        }
        kept.push_back(Kept { sequence: delivery.sequence, payload: delivery.payload.clone(), decoded });
    }
}

impl<D: Decode<I>, I: Clone> Decode<I> for DecodeOnce<D, I> {
    fn decode(&self, delivery: &Delivery) -> Result<Decoded<I>, CodecError> {
        if let Some(decoded) = self.take(delivery) {
            return Ok(decoded);
        }
        let decoded = self.decode.decode(delivery)?;
        self.keep(delivery, decoded.clone());
        Ok(decoded)
    }
}
