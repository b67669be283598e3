//! Texts from small sets, such as bands and signals: read millions of times, allocated once.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use fnv::FnvHashSet;
use serde::de::{Deserializer, Error, Visitor};

/// Labels that a thread remembers for good. Far more than there are: a sender that makes them up gets no more memory.
const LABELS_MAX: usize = 1024;
const LABEL_BYTES_MAX: usize = 128;

thread_local! {
    static LABELS: RefCell<FnvHashSet<&'static str>> = RefCell::default();
}

/// For `#[serde(deserialize_with)]`.
pub(crate) fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'static, str>, D::Error> {
    deserializer.deserialize_str(LabelVisitor)
}

/// The same where a label may be missing.
pub(crate) fn known_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'static, str>>, D::Error> {
    deserializer.deserialize_option(OptionVisitor)
}

struct LabelVisitor;

impl Visitor<'_> for LabelVisitor {
    type Value = Cow<'static, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(intern(text))
    }
}

struct OptionVisitor;

impl<'de> Visitor<'de> for OptionVisitor {
    type Value = Option<Cow<'static, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or nothing")
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        known(deserializer).map(Some)
    }
}

fn intern(text: &str) -> Cow<'static, str> {
    LABELS.with_borrow_mut(|labels| {
        if let Some(label) = labels.get(text) {
            return Cow::Borrowed(*label);
        }
        if labels.len() >= LABELS_MAX || text.len() > LABEL_BYTES_MAX {
            return Cow::Owned(text.to_owned());
        }
        let label: &'static str = Box::leak(text.into());
        labels.insert(label);
        Cow::Borrowed(label)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_allocated_once_and_made_up_ones_are_not_kept() {
        let (first, second) = (intern("HOLD"), intern("HOLD"));
        assert!(matches!((&first, &second), (Cow::Borrowed(a), Cow::Borrowed(b)) if std::ptr::eq(*a, *b)));
        for number in 0..2 * LABELS_MAX {
            assert_eq!(intern(&number.to_string()), number.to_string());
        }
        assert!(matches!(intern("one more"), Cow::Owned(_)));
        LABELS.with_borrow(|labels| assert_eq!(labels.len(), LABELS_MAX));
    }
}
