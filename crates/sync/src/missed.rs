//! Which of a system's messages never came: what it did was found by reading, and nothing had said so.

use onhand_ledger::{Instant, Quantity};
use serde::{Deserialize, Serialize};

/// A message may come so much later than what it is about is found by reading, in seconds.
pub const GRACE_SECONDS: i64 = 60;
/// The system's clock may be behind ours by so much, in seconds.
const SKEW_SECONDS: i64 = 5;
/// So many are remembered; of more only the first are told.
pub const REMEMBERED: usize = 100;

/// A change of an order that was found by reading.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Unannounced {
    /// The order.
    pub document: String,
    /// How much more it wants than before; less where negative.
    pub sold: Quantity,
    /// When it changed, by the system's clock.
    pub changed_at: Instant,
    /// When it was found, by ours.
    pub found_at: Instant,
}

/// What is to be told by now, and what may still be announced. `heard_at`: when a message last came, whatever it was about;
/// where none ever came, none is missed.
pub fn missed(
    unannounced: Vec<Unannounced>,
    heard_at: Option<Instant>,
    now: Instant,
) -> (Vec<Unannounced>, Vec<Unannounced>) {
    let Some(heard_at) = heard_at else { return (Vec::new(), Vec::new()) };
    let still = unannounced.into_iter().filter(|one| heard_at < one.changed_at.plus_seconds(-SKEW_SECONDS));
    still.partition(|one| one.found_at.plus_seconds(GRACE_SECONDS) <= now)
}

/// What a person reads of messages that never came; none where there are none.
pub fn missed_sentence(system: &str, missed: &[Unannounced]) -> Option<String> {
    let first = missed.first()?;
    let Unannounced { document, sold, changed_at, found_at } = first;
    let what = if sold.is_positive() {
        format!("{system} sold {sold} at {changed_at} (order {document})")
    } else {
        format!("{system} changed order {document} at {changed_at}")
    };
    let more = match missed.len() - 1 {
        0 => String::new(),
        1 => " One more came in the same way.".to_owned(),
        more => format!(" {more} more came in the same way."),
    };
    Some(format!(
        "{what} and its message never came; found by reading its orders at {found_at}.{more} Look whether its webhooks \
         still point here."
    ))
}

/// What a person reads of webhooks that their system had ended, and that are on again; none where there are none.
pub fn revived_sentence(system: &str, topics: &[String]) -> Option<String> {
    if topics.is_empty() {
        return None;
    }
    let topics = topics.join(", ");
    Some(format!(
        "{system} had ended its webhooks ({topics}), as it does after failures in a row; they are on again. What happened \
         meanwhile was found by reading. Look whether it can reach this address."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn found(changed_at: i64, found_at: i64) -> Unannounced {
        let (document, sold) = ("1044".to_owned(), Quantity::units(2));
        Unannounced { document, sold, changed_at: at(changed_at), found_at: at(found_at) }
    }

    #[test]
    fn what_no_message_announced_within_a_minute_is_missed() {
        for (heard_at, now, told, left) in [
            // No webhooks have ever come: none is missed.
            (None, 500, 0, 0),
            (Some(at(50)), 159, 0, 1),
            (Some(at(50)), 161, 1, 0),
            // It came after all, or within what clocks differ by.
            (Some(at(130)), 161, 0, 0),
            (Some(at(95)), 161, 0, 0),
            (Some(at(94)), 161, 1, 0),
        ] {
            let (missed, waiting) = missed(vec![found(100, 101)], heard_at, at(now));
            assert_eq!((missed.len(), waiting.len()), (told, left), "{heard_at:?} {now}");
        }
    }

    #[test]
    fn the_sentence_of_the_pages() {
        let told = missed_sentence("Shopify", &[found(0, 420)]).unwrap();
        assert!(
            told.starts_with(
                "Shopify sold 2 at 1970-01-01T00:00:00Z (order 1044) and its message never came; found by reading its \
                 orders at 1970-01-01T00:07:00Z."
            ),
            "{told}"
        );
        let several = missed_sentence("Shopify", &[found(0, 420), found(1, 420), found(2, 420)]).unwrap();
        assert!(several.contains("2 more came in the same way"), "{several}");
        assert_eq!(missed_sentence("Shopify", &[]), None);
        let revived =
            revived_sentence("Woo", &["order.created".to_owned(), "order.updated".to_owned()]).unwrap();
        assert!(
            revived.starts_with("Woo had ended its webhooks (order.created, order.updated)"),
            "{revived}"
        );
        assert_eq!(revived_sentence("Woo", &[]), None);
    }
}
