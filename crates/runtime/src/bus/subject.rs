//! Matching of subjects against filters, by the rules of NATS.

use super::BusError;

/// Whether `subject` (without wildcards) is taken by `filter` (`*` one token, `>` the rest).
pub(super) fn matches(filter: &str, subject: &str) -> bool {
    let mut subject_tokens = subject.split('.');
    for token in filter.split('.') {
        let Some(subject_token) = subject_tokens.next() else {
            return false;
        };
        match token {
            ">" => return true,
            "*" => {}
            literal if literal == subject_token => {}
            _ => return false,
        }
    }
    subject_tokens.next().is_none()
}

/// Whether a filter takes more than one subject.
pub(super) fn has_wildcard(filter: &str) -> bool {
    filter.split('.').any(|token| token == "*" || token == ">")
}

/// Checks a subject to publish on: no wildcard, no empty token, no white space.
pub(super) fn check(subject: &str) -> Result<(), BusError> {
    if is_well_formed(subject) && !has_wildcard(subject) {
        return Ok(());
    }
    Err(BusError::InvalidSubject { subject: subject.to_owned() })
}

/// Checks a filter: as a subject, but with wildcards, of which `>` only stands last.
pub(super) fn check_filter(filter: &str) -> Result<(), BusError> {
    let rest_is_last = !filter.contains(">.");
    if is_well_formed(filter) && rest_is_last {
        return Ok(());
    }
    Err(BusError::InvalidSubject { subject: filter.to_owned() })
}

fn is_well_formed(subject: &str) -> bool {
    let mut after_dot = true;
    for byte in subject.bytes() {
        match byte {
            b'.' if after_dot => return false,
            b'.' => after_dot = true,
            0..=b' ' | 0x7f => return false,
            _ => after_dot = false,
        }
    }
    !after_dot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_on_a_nats_server() {
        for (filter, subject, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.bc", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("*.b", "a.b", true),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            (">", "a", true),
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a.b.d", false),
            ("a.b.c", "a.b", false),
            ("a*", "ab", false),
        ] {
            assert_eq!(matches(filter, subject), expected, "{filter} {subject}");
        }
    }

    #[test]
    fn malformed_subjects_are_refused() {
        for subject in ["", ".", "a.", ".a", "a..b", "a b", "a.*", ">", "a\n"] {
            assert!(check(subject).is_err(), "{subject:?}");
        }
        for filter in ["", "a.", "a.>.b", "a b"] {
            assert!(check_filter(filter).is_err(), "{filter:?}");
        }
        check("technic.v1.result.BRK=2EB").unwrap();
        check_filter("technic.*.bar.>").unwrap();
    }
}
