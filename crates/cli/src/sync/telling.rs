//! What people and programs are told of a dictionary.

use std::time::{Duration, SystemTime};

use rs2p_base::{NodeId, Time};
use rs2p_sync::SyncEvent;

use crate::dictionary::value_text;
use crate::session::{Style, Told, name};
use crate::{json, key};

/// What an event of the dictionary is told as, if at all. People are not told of what they have just
/// written themselves: the reply does.
pub(super) fn event(event: &SyncEvent, me: NodeId) -> Option<Told> {
    match event {
        SyncEvent::Update { key, value, meta } => {
            let owner = meta.owner.to_string();
            let told = Told::event("update")
                .field("key", key::to_json(key))
                .field("value", json::from_value(value))
                .field("owner", &*owner)
                .field("timestamp", meta.timestamp);
            if meta.owner.node_id() == Some(me) {
                return Some(told);
            }
            let text = cut(value_text(value));
            Some(told.line([
                (Style::Bold, key::to_word(key)),
                (Style::Plain, format!(" = {text}")),
                (Style::Faint, "  by ".to_owned()),
                name(&owner),
            ]))
        }
        SyncEvent::Delete { key, .. } => Some(
            Told::event("delete")
                .field("key", key::to_json(key))
                .line([(Style::Bold, key::to_word(key)), (Style::Plain, " deleted".to_owned())]),
        ),
        _ => None,
    }
}

/// So much of a value that nobody has asked for as does not drive everything else off the screen.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        let length = text.len();
        text.truncate(end);
        text += &format!("… ({length} B)");
    }
    text
}

/// From `now` to `end`, in seconds begun.
pub(super) fn seconds(end: Time, now: Time) -> Duration {
    Duration::from_secs(end.since(now).as_millis().div_ceil(1_000) as u64)
}

/// A point in time for people. What others claim may lie beyond any calendar.
pub(super) fn time(time: Time) -> String {
    let seconds = time.as_secs();
    if seconds > LAST_SECOND {
        return format!("second {seconds} since 1970");
    }
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Characters of a value that people are shown in passing.
const SHOWN: usize = 300;

/// The end of the year 9999, in seconds since 1970.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dictionary::duration;

    #[test]
    fn a_time_that_no_calendar_has_is_told_all_the_same() {
        assert_eq!(time(Time::from_secs(1_500_000_000)), "2017-07-14T02:40:00Z");
        assert_eq!(time(Time::from_secs(LAST_SECOND)), "9999-12-31T23:59:59Z");
        assert!(time(Time::from_millis(u64::MAX)).starts_with("second 18446744073709551 "));
        let long = seconds(Time::from_millis(u64::MAX), Time::from_secs(1));
        assert!(!duration(long).is_empty());
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        assert_eq!(cut("ä".repeat(SHOWN)), "ä".repeat(SHOWN));
        let cut = cut("ä".repeat(SHOWN + 1));
        assert!(cut.starts_with(&"ä".repeat(SHOWN)) && cut.ends_with("… (602 B)"), "{cut}");
    }
}
