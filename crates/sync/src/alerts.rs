//! Which troubles people are told of: once each, and again when it is over. Pure: facts and what was told before in, what
//! to tell out.
//!
//! A trouble has a key that stays the same while it lasts. It is told once it has lasted as long as its kind has patience,
//! and is over once it has been gone for as long as the calm takes: so what comes and goes is one trouble, told once. What is not
//! known (a program that has just started has not looked everywhere) neither begins a trouble nor ends one.

use std::collections::{BTreeMap, BTreeSet};

use onhand_ledger::{Instant, Quantity};
use serde::{Deserialize, Serialize};

/// What may be wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A system answers nothing, or nothing but errors.
    SilentSystem,
    /// A system does not show for a while what it should.
    Lag,
    /// For a while a system offers more than there is.
    Exposure,
    /// An item is at or below its level.
    LowStock,
    /// A fact wants more than there is.
    ShortOrder,
    /// An order should have left by now.
    PastShipBy,
    /// Something waits in the inbox for long.
    StaleDiscrepancy,
    /// Somebody who should be told cannot be reached: a target of alerts, of which others are told, or a subscriber to webhooks.
    Unreached,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::SilentSystem,
        Self::Lag,
        Self::Exposure,
        Self::LowStock,
        Self::ShortOrder,
        Self::PastShipBy,
        Self::StaleDiscrepancy,
        Self::Unreached,
    ];

    /// As in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SilentSystem => "silent_system",
            Self::Lag => "lag",
            Self::Exposure => "exposure",
            Self::LowStock => "low_stock",
            Self::ShortOrder => "short_order",
            Self::PastShipBy => "past_ship_by",
            Self::StaleDiscrepancy => "stale_discrepancy",
            Self::Unreached => "unreached",
        }
    }
}

/// How long what may last, in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Patience {
    /// Without a word of a system.
    pub silent_seconds: u32,
    /// Between what is shown and what should be.
    pub lag_seconds: u32,
    /// That more is offered than there is.
    pub exposure_seconds: u32,
    /// Of a discrepancy in the inbox.
    pub stale_seconds: u32,
    /// That a trouble must have been gone, to be over.
    pub calm_seconds: u32,
}

impl Default for Patience {
    /// A quarter of an hour, five minutes twice, a day; calm after a minute.
    fn default() -> Self {
        Self {
            silent_seconds: 900,
            lag_seconds: 300,
            exposure_seconds: 300,
            stale_seconds: 86_400,
            calm_seconds: 60,
        }
    }
}

/// Something that may be a trouble.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fact {
    /// How a system does that is spoken with.
    System {
        /// Its name.
        name: String,
        /// What it last failed with.
        trouble: Option<String>,
        /// When it last told all it did; none: never.
        heard_at: Option<Instant>,
    },
    /// Listings of a system that do not show what they should, though nothing stops them.
    Behind {
        /// Its name.
        system: String,
        /// Of each, since when at least.
        since: Vec<Instant>,
        /// Of how many.
        of: usize,
        /// It may be for longer, or there may be more: not all was looked at for so long.
        may_be_more: bool,
    },
    /// Items of which a system offers more than there is.
    Exposed {
        /// Its name.
        system: String,
        /// Of each its SKU, how much, and since when at least.
        items: Vec<(String, Quantity, Instant)>,
        /// As of [`Fact::Behind`].
        may_be_more: bool,
    },
    /// Somebody who should be told and cannot be reached.
    Deaf {
        /// The target.
        target: String,
        /// Since when.
        since: Instant,
        /// What went wrong last.
        why: String,
    },
    /// Webhooks that somebody subscribed to and does not get.
    Unsent {
        /// The subscription.
        subscription: String,
        /// Since when.
        since: Instant,
        /// What went wrong last.
        why: String,
        /// Nothing is sent any more, until a person says so.
        is_off: bool,
        /// So many were tried as often as is tried.
        given_up: u64,
    },
    /// An item at or below its level.
    Low {
        /// The item.
        sku: String,
        /// Where; none: it was never anywhere.
        location: Option<String>,
        /// What there is.
        available: Quantity,
        /// The level.
        level: Quantity,
    },
    /// An order that should have left.
    Late {
        /// Whose order.
        system: String,
        /// Its name over there.
        document: String,
        /// When it should have.
        ship_by: Instant,
        /// How much of it has not.
        open: Quantity,
    },
    /// A discrepancy that is open.
    Open {
        /// Its id.
        id: u64,
        /// Is it an order that is short?
        is_short: bool,
        /// What it says.
        sentence: String,
        /// When it came up.
        opened_at: Instant,
    },
}

/// Something to tell people of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// The same while it lasts.
    pub key: String,
    /// What is wrong.
    pub kind: Kind,
    /// What a person reads.
    pub sentence: String,
    /// Since when it lasts; none: since it was first seen.
    pub since: Option<Instant>,
    /// How long it must have lasted to be told.
    pub after_seconds: u32,
    /// It may be there and may not: nothing begins by it, and nothing ends.
    pub is_unsure: bool,
}

/// So long somebody cannot be reached before others are told.
const DEAF_SECONDS: u32 = 60;
/// So long webhooks do not arrive before people are told: a receiver that is started anew is no trouble.
const UNSENT_SECONDS: u32 = 300;
/// At most so many items are named in a sentence.
const NAMED: usize = 3;

/// A trouble as it was seen before.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// What is wrong.
    pub kind: Kind,
    /// What it said when it was seen first, or told.
    pub sentence: String,
    /// Since when it lasts.
    pub since: Instant,
    /// When people were told.
    pub told_at: Option<Instant>,
    /// Since when it is gone.
    pub gone_since: Option<Instant>,
}

/// What is to be told now, and what is to be remembered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Told {
    /// Troubles that have come: key and what is remembered of it once it is told.
    pub begun: Vec<(String, Seen)>,
    /// Troubles that were told and are over. They are forgotten once that is told.
    pub over: Vec<(String, Seen)>,
    /// What is remembered whether anything is told or not; none: it is forgotten.
    pub noted: Vec<(String, Option<Seen>)>,
}

/// How many of these have lasted for so long, and since when the first of them lasts.
fn lasting(since: impl Iterator<Item = Instant>, seconds: u32, now: Instant) -> (usize, Option<Instant>) {
    let long: Vec<Instant> = since.filter(|at| at.plus_seconds(seconds.into()) <= now).collect();
    (long.len(), long.into_iter().min())
}

/// After so many failures in a row the next try waits so long, in seconds: 5, 10, 20 … up to a quarter of an hour.
pub fn pause_seconds(failures: u32) -> u32 {
    (5 << failures.saturating_sub(1).min(8)).min(900)
}

/// The trouble that a fact is, if it is one.
pub fn trouble(fact: &Fact, patience: &Patience, now: Instant) -> Option<Trouble> {
    let usual = Trouble {
        key: String::new(),
        kind: Kind::Lag,
        sentence: String::new(),
        since: None,
        after_seconds: 0,
        is_unsure: false,
    };
    Some(match fact {
        Fact::System { name, trouble, heard_at } => {
            let silent = heard_at.is_none_or(|at| at.plus_seconds(patience.silent_seconds.into()) <= now);
            if !silent && trouble.is_none() {
                return None;
            }
            let since = heard_at.map_or_else(
                || format!("{name} was never heard of"),
                |at| format!("{name} is silent since {at}"),
            );
            let why = trouble.as_ref().map_or_else(String::new, |trouble| format!(": {trouble}"));
            Trouble {
                key: format!("silent_system:{name}"),
                kind: Kind::SilentSystem,
                sentence: format!("{since}{why}. What it sells meanwhile is not taken off elsewhere."),
                since: *heard_at,
                after_seconds: patience.silent_seconds,
                ..usual
            }
        }
        Fact::Behind { system, since, of, may_be_more } => {
            let (count, first) = lasting(since.iter().copied(), patience.lag_seconds, now);
            if count == 0 && !may_be_more {
                return None;
            }
            let listings = if *of == 1 { "listing" } else { "listings" };
            Trouble {
                key: format!("lag:{system}"),
                kind: Kind::Lag,
                sentence: format!(
                    "{system} shows another number than it should for {count} of {of} {listings}, the first since {}.",
                    first.unwrap_or(now)
                ),
                since: first,
                is_unsure: count == 0,
                ..usual
            }
        }
        Fact::Exposed { system, items, may_be_more } => {
            let long = |at: &Instant| at.plus_seconds(patience.exposure_seconds.into()) <= now;
            let long: Vec<&(String, Quantity, Instant)> = items.iter().filter(|(.., at)| long(at)).collect();
            if long.is_empty() && !may_be_more {
                return None;
            }
            let named = long.iter().take(NAMED).map(|(sku, exposed, _)| format!("{exposed} of {sku}"));
            let more = match long.len().saturating_sub(NAMED) {
                0 => String::new(),
                1 => " and 1 more item".to_owned(),
                more => format!(" and {more} more items"),
            };
            Trouble {
                key: format!("exposure:{system}"),
                kind: Kind::Exposure,
                sentence: format!(
                    "{system} offers more than there is: {}{more} could be oversold.",
                    named.collect::<Vec<_>>().join(", ")
                ),
                since: long.iter().map(|(.., at)| *at).min(),
                is_unsure: long.is_empty(),
                ..usual
            }
        }
        Fact::Deaf { target, since, why } => Trouble {
            key: format!("unreached:{target}"),
            kind: Kind::Unreached,
            sentence: format!("Alerts do not reach `{target}` since {since}: {why}."),
            since: Some(*since),
            after_seconds: DEAF_SECONDS,
            ..usual
        },
        Fact::Unsent { subscription, since, why, is_off, given_up } => {
            let given_up = match given_up {
                0 => String::new(),
                1 => " One was given up, and is kept to be sent again.".to_owned(),
                several => format!(" {several} were given up, and are kept to be sent again."),
            };
            let sentence = if *is_off {
                format!(
                    "No webhooks are sent to `{subscription}` any more since {since}: {why}. What changes is kept for it; \
                     once that is mended: `onhand webhook enable {subscription}`.{given_up}"
                )
            } else {
                format!("Webhooks do not reach `{subscription}` since {since}: {why}.{given_up}")
            };
            Trouble {
                // That it ends is another trouble than that it fails, and is told too.
                key: format!("{}:webhooks/{subscription}", if *is_off { "off" } else { "unreached" }),
                kind: Kind::Unreached,
                sentence,
                since: Some(*since),
                after_seconds: if *is_off { 0 } else { UNSENT_SECONDS },
                ..usual
            }
        }
        Fact::Low { sku, location, available, level } => {
            let place = location.as_ref().map_or_else(String::new, |location| format!(" at {location}"));
            Trouble {
                key: format!("low_stock:{sku}@{}", location.as_deref().unwrap_or_default()),
                kind: Kind::LowStock,
                sentence: format!("{sku} is low{place}: {available} available, the level is {level}."),
                since: None,
                ..usual
            }
        }
        Fact::Late { ship_by, .. } if now < *ship_by => return None,
        Fact::Late { system, document, ship_by, open } => Trouble {
            key: format!("past_ship_by:{system}:{document}"),
            kind: Kind::PastShipBy,
            sentence: format!(
                "Order {document} of {system} should have left by {ship_by}; {open} of it has not."
            ),
            since: Some(*ship_by),
            ..usual
        },
        Fact::Open { id, is_short: true, sentence, opened_at } => Trouble {
            key: format!("short_order:{id}"),
            kind: Kind::ShortOrder,
            sentence: sentence.clone(),
            since: Some(*opened_at),
            ..usual
        },
        Fact::Open { id, is_short: false, sentence, opened_at } => Trouble {
            key: format!("stale_discrepancy:{id}"),
            kind: Kind::StaleDiscrepancy,
            sentence: format!("Discrepancy {id} waits in the inbox since {opened_at}: {sentence}"),
            since: Some(*opened_at),
            after_seconds: patience.stale_seconds,
            ..usual
        },
    })
}

/// What is to be told, of the troubles there are and of what was seen before. Of these kinds not all was looked at: what is not
/// there of them may be all the same.
pub fn decide(
    troubles: &[Trouble],
    unsure: &BTreeSet<Kind>,
    seen: &BTreeMap<String, Seen>,
    patience: &Patience,
    now: Instant,
) -> Told {
    let mut told = Told::default();
    for trouble in troubles.iter().filter(|trouble| !trouble.is_unsure) {
        let before = seen.get(&trouble.key);
        let since = before.map(|before| before.since).or(trouble.since).unwrap_or(now);
        let as_seen = Seen {
            kind: trouble.kind,
            sentence: trouble.sentence.clone(),
            since: since.min(now),
            told_at: None,
            gone_since: None,
        };
        match before {
            Some(before) if before.told_at.is_some() => {
                // It came back before it was over: nobody is told again.
                if before.gone_since.is_some() {
                    let back = Seen { gone_since: None, ..before.clone() };
                    told.noted.push((trouble.key.clone(), Some(back)));
                }
            }
            _ if as_seen.since.plus_seconds(trouble.after_seconds.into()) <= now => {
                told.begun.push((trouble.key.clone(), Seen { told_at: Some(now), ..as_seen }));
            }
            Some(_) => {}
            None => told.noted.push((trouble.key.clone(), Some(as_seen))),
        }
    }
    let there: BTreeSet<&str> = troubles.iter().map(|trouble| trouble.key.as_str()).collect();
    let is_gone =
        |key: &String, before: &Seen| !there.contains(key.as_str()) && !unsure.contains(&before.kind);
    for (key, before) in seen.iter().filter(|(key, before)| is_gone(key, before)) {
        match before.gone_since {
            _ if before.told_at.is_none() => told.noted.push((key.clone(), None)),
            Some(gone) if gone.plus_seconds(patience.calm_seconds.into()) <= now => {
                told.over.push((key.clone(), before.clone()));
            }
            Some(_) => {}
            None if patience.calm_seconds == 0 => told.over.push((key.clone(), before.clone())),
            None => told.noted.push((key.clone(), Some(Seen { gone_since: Some(now), ..before.clone() }))),
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many seconds into the day.
    const fn at(seconds: i64) -> Instant {
        Instant::from_micros(1_795_000_000_000_000 + seconds * 1_000_000)
    }

    fn patience() -> Patience {
        Patience::default()
    }

    #[test]
    fn which_facts_are_troubles() {
        let system = |trouble: Option<&str>, heard: Option<i64>| Fact::System {
            name: "SHOP".to_owned(),
            trouble: trouble.map(str::to_owned),
            heard_at: heard.map(at),
        };
        let behind = |since: &[i64], may_be_more| Fact::Behind {
            system: "SHOP".to_owned(),
            since: since.iter().map(|since| at(*since)).collect(),
            of: 9,
            may_be_more,
        };
        let exposed = |since: &[i64]| Fact::Exposed {
            system: "SHOP".to_owned(),
            items: since.iter().map(|since| ("MUG".to_owned(), Quantity::ONE, at(*since))).collect(),
            may_be_more: false,
        };
        let deaf = Fact::Deaf { target: "desk".to_owned(), since: at(0), why: "no".to_owned() };
        let unsent = |is_off| Fact::Unsent {
            subscription: "erp".to_owned(),
            since: at(0),
            why: "it answered 500".to_owned(),
            is_off,
            given_up: 2,
        };
        let low = Fact::Low {
            sku: "MUG".to_owned(),
            location: Some("LONDON".to_owned()),
            available: Quantity::ONE,
            level: Quantity::units(4),
        };
        let late = |ship_by| Fact::Late {
            system: "SHOP".to_owned(),
            document: "1044".to_owned(),
            ship_by: at(ship_by),
            open: Quantity::units(2),
        };
        let open =
            |is_short| Fact::Open { id: 57, is_short, sentence: "It is so.".to_owned(), opened_at: at(0) };
        for (fact, now, key, after) in [
            (system(None, Some(0)), 899, None, 0),
            (system(None, Some(0)), 900, Some("silent_system:SHOP"), 900),
            (system(None, None), 0, Some("silent_system:SHOP"), 900),
            (system(Some("401"), Some(0)), 10, Some("silent_system:SHOP"), 900),
            (behind(&[], false), 300, None, 0),
            (behind(&[0, 1], false), 299, None, 0),
            (behind(&[0, 1], false), 300, Some("lag:SHOP"), 0),
            (behind(&[0], true), 299, Some("lag:SHOP"), 0),
            (exposed(&[0]), 299, None, 0),
            (exposed(&[200, 0]), 300, Some("exposure:SHOP"), 0),
            (deaf, 10, Some("unreached:desk"), 60),
            (unsent(false), 10, Some("unreached:webhooks/erp"), 300),
            (unsent(true), 10, Some("off:webhooks/erp"), 0),
            (low, 10, Some("low_stock:MUG@LONDON"), 0),
            (late(100), 99, None, 0),
            (late(100), 100, Some("past_ship_by:SHOP:1044"), 0),
            (open(true), 1, Some("short_order:57"), 0),
            (open(false), 1, Some("stale_discrepancy:57"), 86_400),
        ] {
            let found = trouble(&fact, &patience(), at(now));
            assert_eq!(found.as_ref().map(|trouble| trouble.key.as_str()), key, "{fact:?} at {now}");
            assert_eq!(found.map_or(0, |trouble| trouble.after_seconds), after, "{fact:?} at {now}");
        }
    }

    /// What each says, of what kind it is, and since when it lasts, as it is told some 17 minutes later.
    #[test]
    fn what_is_told_of_a_trouble() {
        use Kind::{
            Exposure, Lag, LowStock, PastShipBy, ShortOrder, SilentSystem, StaleDiscrepancy, Unreached,
        };
        let text = str::to_owned;
        let system = |trouble: Option<&str>, heard: Option<i64>| Fact::System {
            name: text("Shop"),
            trouble: trouble.map(text),
            heard_at: heard.map(at),
        };
        let unsent = |is_off, given_up| Fact::Unsent {
            subscription: text("erp"),
            since: at(1),
            why: text("it answered 500"),
            is_off,
            given_up,
        };
        let low = |location: Option<&str>| Fact::Low {
            sku: text("MUG"),
            location: location.map(text),
            available: Quantity::ONE,
            level: Quantity::units(4),
        };
        let open = |is_short| Fact::Open { id: 57, is_short, sentence: text("It is so."), opened_at: at(2) };
        let items = vec![(text("MUG"), Quantity::units(2), at(900)), (text("CUP"), Quantity::ONE, at(3))];
        for (fact, kind, since, sentence) in [
            (
                system(None, None),
                SilentSystem,
                None,
                "Shop was never heard of. What it sells meanwhile is not taken off elsewhere.",
            ),
            (
                system(Some("it answers 401"), Some(4)),
                SilentSystem,
                Some(4),
                "Shop is silent since 2026-11-18T11:06:44Z: it answers 401. What it sells meanwhile is not taken off \
                 elsewhere.",
            ),
            (
                Fact::Behind { system: text("Shop"), since: vec![at(9), at(8)], of: 9, may_be_more: false },
                Lag,
                Some(8),
                "Shop shows another number than it should for 2 of 9 listings, the first since 2026-11-18T11:06:48Z.",
            ),
            (
                Fact::Behind { system: text("Shop"), since: vec![at(8)], of: 1, may_be_more: false },
                Lag,
                Some(8),
                "Shop shows another number than it should for 1 of 1 listing, the first since 2026-11-18T11:06:48Z.",
            ),
            (
                Fact::Exposed { system: text("Shop"), items, may_be_more: false },
                Exposure,
                Some(3),
                "Shop offers more than there is: 1 of CUP could be oversold.",
            ),
            (
                Fact::Deaf { target: text("desk"), since: at(5), why: text("no route") },
                Unreached,
                Some(5),
                "Alerts do not reach `desk` since 2026-11-18T11:06:45Z: no route.",
            ),
            (
                unsent(false, 0),
                Unreached,
                Some(1),
                "Webhooks do not reach `erp` since 2026-11-18T11:06:41Z: it answered 500.",
            ),
            (
                unsent(false, 1),
                Unreached,
                Some(1),
                "Webhooks do not reach `erp` since 2026-11-18T11:06:41Z: it answered 500. One was given up, and is kept \
                 to be sent again.",
            ),
            (
                unsent(true, 2),
                Unreached,
                Some(1),
                "No webhooks are sent to `erp` any more since 2026-11-18T11:06:41Z: it answered 500. What changes is kept \
                 for it; once that is mended: `onhand webhook enable erp`. 2 were given up, and are kept to be sent again.",
            ),
            (low(Some("LONDON")), LowStock, None, "MUG is low at LONDON: 1 available, the level is 4."),
            (low(None), LowStock, None, "MUG is low: 1 available, the level is 4."),
            (
                Fact::Late {
                    system: text("Shop"),
                    document: text("1044"),
                    ship_by: at(7),
                    open: Quantity::ONE,
                },
                PastShipBy,
                Some(7),
                "Order 1044 of Shop should have left by 2026-11-18T11:06:47Z; 1 of it has not.",
            ),
            (open(true), ShortOrder, Some(2), "It is so."),
            (
                open(false),
                StaleDiscrepancy,
                Some(2),
                "Discrepancy 57 waits in the inbox since 2026-11-18T11:06:42Z: It is so.",
            ),
        ] {
            let told = trouble(&fact, &patience(), at(1_000)).unwrap();
            assert_eq!((told.kind, told.since, told.sentence.as_str()), (kind, since.map(at), sentence));
        }
    }

    #[test]
    fn a_kind_is_named_as_in_json() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }

    #[test]
    fn who_cannot_be_reached_is_tried_less_and_less_often() {
        assert_eq!([1, 2, 3, 8, 9, 100].map(pause_seconds), [5, 10, 20, 640, 900, 900]);
    }

    #[test]
    fn what_is_not_known_begins_no_trouble_and_ends_none() {
        let fact = |since: Vec<Instant>, may_be_more| {
            let behind = Fact::Behind { system: "SHOP".to_owned(), since, of: 9, may_be_more };
            trouble(&behind, &patience(), at(1_000)).into_iter().collect::<Vec<_>>()
        };
        let seen = |told_at: Option<i64>| {
            let seen = Seen {
                kind: Kind::Lag,
                sentence: String::new(),
                since: at(0),
                told_at: told_at.map(at),
                gone_since: Some(at(10)),
            };
            BTreeMap::from([("lag:SHOP".to_owned(), seen)])
        };
        let decided = |troubles: &[Trouble], unsure: &[Kind], seen: &BTreeMap<String, Seen>| {
            let told = decide(troubles, &unsure.iter().copied().collect(), seen, &patience(), at(1_000));
            (told.begun.len(), told.over.len(), told.noted.len())
        };
        let young = fact(vec![at(900)], true);
        assert_eq!(decided(&young, &[], &BTreeMap::new()), (0, 0, 0));
        assert_eq!(decided(&young, &[], &seen(Some(5))), (0, 0, 0), "it may still be there");
        assert_eq!(decided(&fact(vec![at(900)], false), &[], &seen(Some(5))), (0, 1, 0));
        assert_eq!(decided(&[], &[Kind::Lag], &seen(Some(5))), (0, 0, 0), "not all was looked at");
        assert_eq!(decided(&[], &[Kind::LowStock], &seen(Some(5))), (0, 1, 0));
        assert_eq!(decided(&fact(vec![at(0)], true), &[], &BTreeMap::new()), (1, 0, 0));
        let exposed = |since: i64, may_be_more| {
            let items = vec![("MUG".to_owned(), Quantity::ONE, at(since))];
            let exposed = Fact::Exposed { system: "SHOP".to_owned(), items, may_be_more };
            trouble(&exposed, &patience(), at(1_000)).map(|trouble| trouble.is_unsure)
        };
        let found = (exposed(900, true), exposed(900, false), exposed(0, true));
        assert_eq!(found, (Some(true), None, Some(false)), "an item may be exposed for longer");
    }

    #[test]
    fn what_is_said_names_the_first_and_counts_the_rest() {
        let item = |number: usize| (format!("MUG-{number}"), Quantity::units(2), at(0));
        for (items, more) in [(3, ""), (4, " and 1 more item"), (5, " and 2 more items")] {
            let items = (0..items).map(item).collect();
            let fact = Fact::Exposed { system: "Amazon".to_owned(), items, may_be_more: false };
            let said = trouble(&fact, &patience(), at(300)).unwrap().sentence;
            assert_eq!(
                said,
                format!(
                    "Amazon offers more than there is: 2 of MUG-0, 2 of MUG-1, 2 of MUG-2{more} could be oversold."
                )
            );
        }
    }

    /// What is told of one trouble at each of these times, where it is there or not: `!` it has come, `.` it is over.
    fn story(after_seconds: u32, since: Option<i64>, there: &[(i64, bool)]) -> String {
        let mut seen = BTreeMap::new();
        let mut told = String::new();
        for (now, is_there) in there {
            let trouble = Trouble {
                key: "lag:SHOP".to_owned(),
                kind: Kind::Lag,
                sentence: String::new(),
                since: since.map(at),
                after_seconds,
                is_unsure: false,
            };
            let troubles: Vec<Trouble> = is_there.then_some(trouble).into_iter().collect();
            let step = decide(&troubles, &BTreeSet::new(), &seen, &patience(), at(*now));
            told.push(match (step.begun.len(), step.over.len()) {
                (0, 0) => '-',
                (1, 0) => '!',
                (0, 1) => '.',
                both => panic!("{both:?} at {now}"),
            });
            seen.extend(step.begun);
            for (key, _) in step.over {
                seen.remove(&key);
            }
            for (key, noted) in step.noted {
                match noted {
                    Some(noted) => seen.insert(key, noted),
                    None => seen.remove(&key),
                };
            }
        }
        told
    }

    #[test]
    fn a_trouble_is_told_once_and_again_when_it_is_over() {
        for (after, since, there, told) in [
            // At once, once; and over when it has been gone for a minute.
            (
                0,
                None,
                vec![(0, true), (15, true), (30, false), (60, false), (90, false), (120, false)],
                "!---.-",
            ),
            // Only what lasts.
            (300, None, vec![(0, true), (299, true), (300, true), (315, true)], "--!-"),
            // What was gone before anybody was told is nobody's business, and begins anew.
            (300, None, vec![(0, true), (200, false), (250, true), (500, true), (550, true)], "----!"),
            // Since when it lasts may be known.
            (300, Some(-200), vec![(0, true), (100, true)], "-!"),
            (300, Some(-400), vec![(0, true)], "!"),
            // It comes and goes: one trouble.
            (
                0,
                None,
                vec![(0, true), (10, false), (50, true), (70, false), (100, true), (110, false)],
                "!-----",
            ),
            (
                0,
                None,
                vec![(0, true), (10, false), (50, true), (70, false), (129, false), (130, false)],
                "!----.",
            ),
            // Another one, once the first is over.
            (0, None, vec![(0, true), (10, false), (70, false), (80, true)], "!-.!"),
        ] {
            assert_eq!(story(after, since, &there), told, "{there:?}");
        }
    }

    #[test]
    fn where_no_calm_is_asked_for_a_trouble_is_over_as_soon_as_it_is_gone() {
        let seen = Seen {
            kind: Kind::Lag,
            sentence: String::new(),
            since: at(0),
            told_at: Some(at(0)),
            gone_since: None,
        };
        let before = BTreeMap::from([("lag:SHOP".to_owned(), seen.clone())]);
        let gone = |calm_seconds| {
            decide(&[], &BTreeSet::new(), &before, &Patience { calm_seconds, ..patience() }, at(10))
        };
        let over = vec![("lag:SHOP".to_owned(), seen.clone())];
        assert_eq!(gone(0), Told { over, ..Told::default() });
        let noted = vec![("lag:SHOP".to_owned(), Some(Seen { gone_since: Some(at(10)), ..seen }))];
        assert_eq!(gone(1), Told { noted, ..Told::default() });
    }
}
