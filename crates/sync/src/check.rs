//! What is not set up as it should be: findings, each with how bad it is, a sentence, and what to do.

use onhand_ledger::Instant;

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Numbers may be wrong by it.
    Warning,
    /// Numbers are wrong by it, or the system is not kept at all.
    Error,
}

impl Severity {
    /// Its name, as it is told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that is not set up as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which of the checks found it.
    pub check: &'static str,
    /// What is so.
    pub sentence: String,
    /// What to do.
    pub advice: &'static str,
}

/// How many, and some of them by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Some5 {
    /// How many there are.
    pub count: usize,
    /// The first five.
    pub named: Vec<String>,
}

impl Some5 {
    /// One more.
    pub fn add(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        if self.named.len() < 5 {
            self.named.push(name());
        }
    }

    fn shown(&self) -> String {
        let more = if self.count > self.named.len() { ", …" } else { "" };
        format!("{}{more}", self.named.join(", "))
    }
}

/// How a system's webhooks are doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Webhooks {
    /// It sends none, or they come.
    #[default]
    Well,
    /// It can send some, and was given no address to send them to.
    NoAddress,
    /// It was given an address, and none ever came.
    Silent,
    /// Some came, and of what was found by reading since, none spoke.
    Missed,
}

/// What was seen of a system.
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Checked {
    /// Its name.
    pub name: String,
    /// Is it watched or live?
    pub works: bool,
    /// Do we speak with it?
    pub connected: bool,
    /// Why its credentials do not open.
    pub locked: Option<String>,
    /// What it said when it was asked just now whether we may do what we must; none: all is well.
    pub refused: Option<String>,
    /// It could not be asked.
    pub unreachable: Option<String>,
    /// It answered that we ask too often.
    pub throttled: bool,
    /// Seconds that its clock is ahead of ours; none where it is not told.
    pub ahead_seconds: Option<i64>,
    /// Its stock locations that are none of ours.
    pub unmapped_locations: Some5,
    /// Has it any that is one of ours?
    pub has_location: bool,
    /// Locations of ours that several of its own are, which are sent numbers.
    pub shared: Some5,
    /// Locations of ours behind it that are Onhand's only because no rule speaks.
    pub unspoken: Some5,
    /// Listings that nobody has said anything of.
    pub unmapped: Some5,
    /// Items with several listings that sell different amounts.
    pub doubly_mapped: Some5,
    /// Mapped listings that are no longer there.
    pub gone: Some5,
    /// Mapped listings whose stock it does not track.
    pub untracked: Some5,
    /// How its webhooks are doing.
    pub webhooks: Webhooks,
    /// When its orders were last read.
    pub heard_at: Option<Instant>,
    /// Orders that were sent to it, and that it does not answer.
    pub unanswered: Some5,
    /// Locations where it is master, and is to be sent orders, that are none of its stock locations.
    pub unsent: Some5,
    /// What it is sent where it is master, and does not take: it is never sent that.
    pub not_taken: Vec<&'static str>,
    /// Locations where it is master, whose numbers it would be sent as well: it is not one-way in.
    pub own_stock: Some5,
    /// Locations where it is master and orders are allocated, of which it is sent none.
    pub by_itself: Some5,
    /// Locations where it is master, of which it tells nothing by itself: it is one-way in, and cannot be asked.
    pub unheard: Some5,
    /// What it is master of and shows, and our books do not take.
    pub untaken: Some5,
    /// Listings that would fall to zero, and somebody rejected that.
    pub rejected: Some5,
    /// Other systems that are connected to the same.
    pub same_as: Some5,
    /// Since when all pushing is stopped.
    pub all_stopped: Option<Instant>,
    /// Is it paused?
    pub paused: bool,
    /// Listings that wait for somebody's answer.
    pub waiting: Some5,
    /// Listings whose numbers it refuses.
    pub push_refused: Some5,
    /// Listings that show 0 because the formula of their rule gives no number for their stock.
    pub no_number: Some5,
}

/// A clock that is off by more makes its times be taken as now, or wait (see the ledger's own bound of five minutes).
const CLOCK_SECONDS: i64 = 60;
/// A system that works is asked every second or so: one unheard for so long is silent.
const SILENT_SECONDS: i64 = 300;

/// What is not as it should be, the worst first.
pub fn findings(seen: &Checked, now: Instant) -> Vec<Finding> {
    use Severity::{Error, Info, Warning};
    let name = &seen.name;
    let mut all = Vec::new();
    let mut find = |severity, check, sentence: String, advice| {
        all.push(Finding { severity, check, sentence, advice });
    };
    if let Some(reason) = &seen.locked {
        find(
            Error,
            "credentials",
            format!("{name}'s credentials do not open: {reason}."),
            "Give the key back, or enter the credentials anew: POST /v1/connect.",
        );
    }
    if let Some(reason) = &seen.refused {
        find(
            Error,
            "permissions",
            format!("{name} does not let us do what we must: {reason}."),
            "Give the user those permissions over there, or enter another: POST /v1/connect.",
        );
    }
    if let Some(reason) = &seen.unreachable {
        find(
            Error,
            "unreachable",
            format!("{name} cannot be asked: {reason}."),
            "See that it is up, and that its address is right.",
        );
    }
    if seen.throttled {
        find(
            Info,
            "throttled",
            format!(
                "{name} answers that it is asked too often just now, so it was not looked at over there."
            ),
            "Ask again in a minute.",
        );
    }
    if seen.connected && !seen.has_location {
        find(
            Error,
            "locations",
            format!("None of {name}'s stock locations is one of ours: nothing is kept equal."),
            "Map them: POST /v1/systems/{name}/locations.",
        );
    }
    let silent = seen.heard_at.filter(|at| at.plus_seconds(SILENT_SECONDS) < now);
    if let Some(at) = silent.filter(|_| seen.works && seen.connected && seen.unreachable.is_none()) {
        find(
            Error,
            "silent",
            format!("{name} has been silent since {at}: its orders are not known since."),
            "See its state: GET /v1/systems/{name}. A server with `no_sync` speaks with none.",
        );
    }
    if let Some(seconds) = seen.ahead_seconds.filter(|seconds| seconds.abs() > CLOCK_SECONDS) {
        let (by, where_) = (seconds.abs(), if seconds > 0 { "ahead of" } else { "behind" });
        find(Warning, "clock", format!("{name}'s clock is {by} s {where_} ours."), "Set both clocks by NTP.");
    }
    let some = |seen: &Some5, one: &str, several: &str| match seen.count {
        1 => format!("1 {one}"),
        count => format!("{count} {several}"),
    };
    if seen.unsent.count > 0 {
        let places = some(&seen.unsent, "location", "locations");
        let are = if seen.unsent.count == 1 { "is" } else { "are" };
        find(
            Error,
            "orders",
            format!(
                "Orders for {places} where {name} is master cannot be sent: {} {are} none of its stock locations.",
                seen.unsent.shown()
            ),
            "Map it: POST /v1/systems/{name}/locations; or say who is master: POST /v1/ownership.",
        );
    }
    if let Some(at) = seen.all_stopped.filter(|_| seen.works) {
        find(
            Warning,
            "pushing",
            format!("All pushing is stopped since {at}: {name} is sent nothing."),
            "Let it go on: `onhand push resume`, POST /v1/pushing/resume.",
        );
    }
    if seen.paused {
        find(
            Warning,
            "pushing",
            format!("{name} is paused: it is sent nothing."),
            "Let it go on: POST /v1/systems/{name}/pause with `paused` false.",
        );
    }
    if seen.push_refused.count > 0 {
        let listings = some(&seen.push_refused, "listing", "listings");
        find(
            Error,
            "refused",
            format!("{name} refuses the numbers of {listings}: {}.", seen.push_refused.shown()),
            "See what it says: GET /v1/inbox; mend it over there, it is tried again.",
        );
    }
    if seen.waiting.count > 0 {
        let wait = some(&seen.waiting, "listing waits", "listings wait");
        find(
            Warning,
            "waiting",
            format!("Of {name} {wait} for somebody's answer, and nothing is sent: {}.", seen.waiting.shown()),
            "Answer in the inbox: GET /v1/inbox.",
        );
    }
    if seen.no_number.count > 0 {
        let show = some(&seen.no_number, "listing shows", "listings show");
        find(
            Warning,
            "formula",
            format!(
                "At {name} {show} 0 because the formula of a rule gives no number for their stock: {}.",
                seen.no_number.shown()
            ),
            "See why: GET /v1/items/{sku}/explain; mend the rule: POST /v1/publication.",
        );
    }
    if seen.own_stock.count > 0 {
        find(
            Error,
            "two_masters",
            format!(
                "{name} is master of {} and is not one-way in: what changes there is not heard, and nothing is sent for it.",
                seen.own_stock.shown()
            ),
            "Make Onhand master: POST /v1/ownership; or, where it tells its stock, set it one-way in: POST /v1/systems/{name}/mode.",
        );
    }
    if seen.unheard.count > 0 {
        find(
            Warning,
            "unheard",
            format!(
                "{name} is master of {} and cannot be asked what lies there (or several of its locations are that one): unless somebody \
                 tells its stock, no change of it is heard.",
                seen.unheard.shown()
            ),
            "Have its stock told: POST /v1/systems/{name}/snapshots or deltas; or make Onhand master: POST /v1/ownership.",
        );
    }
    if seen.untaken.count > 0 {
        find(
            Warning,
            "untaken",
            format!("{name} is master, and our books do not take what it shows of {}.", seen.untaken.shown()),
            "See why: GET /v1/items/{sku}/explain; what is held is approved or rejected: GET /v1/systems/{name}/snapshots.",
        );
    }
    if seen.rejected.count > 0 {
        let listings = some(&seen.rejected, "listing", "listings");
        find(
            Warning,
            "rejected",
            format!(
                "{name} goes on showing what {listings} showed that should fall to zero, for somebody rejected that: {}.",
                seen.rejected.shown()
            ),
            "Undo what made them zero; or have it asked again: POST /v1/systems/{name}/sync.",
        );
    }
    if seen.same_as.count > 0 {
        find(
            Error,
            "connected_twice",
            format!("{name} is connected as {} too: each of its orders counts twice.", seen.same_as.shown()),
            "Connect one of them elsewhere: POST /v1/connect.",
        );
    }
    if seen.by_itself.count > 0 {
        find(
            Info,
            "orders",
            format!(
                "{name} is master of {} and is sent no orders: it must hear of those that others take of what lies there.",
                seen.by_itself.shown()
            ),
            "Have Onhand send them: POST /v1/systems/{name}/orders with `from_onhand`.",
        );
    }
    if seen.unanswered.count > 0 {
        let orders = some(&seen.unanswered, "order", "orders");
        find(
            Warning,
            "orders",
            format!("{name} does not answer to {orders} that it was sent: {}.", seen.unanswered.shown()),
            "See what it says: GET /v1/orders/{id}; they are sent again until they are answered.",
        );
    }
    if seen.untracked.count > 0 {
        let listings = some(&seen.untracked, "listing", "listings");
        find(
            Warning,
            "tracking",
            format!(
                "{name} does not track stock of {listings}, and sells without end: {}.",
                seen.untracked.shown()
            ),
            "Switch tracking on over there.",
        );
    }
    if seen.doubly_mapped.count > 0 {
        let items = some(&seen.doubly_mapped, "item has", "items have");
        find(
            Warning,
            "doubly_mapped",
            format!(
                "At {name} {items} listings that sell different amounts: {}.",
                seen.doubly_mapped.shown()
            ),
            "See that each multiplier is right: one may be a pack.",
        );
    }
    if seen.gone.count > 0 {
        let listings = some(&seen.gone, "mapped listing", "mapped listings");
        find(
            Warning,
            "gone",
            format!("{name} no longer has {listings}: {}.", seen.gone.shown()),
            "Nothing, if they were removed on purpose; else bring them back over there.",
        );
    }
    if seen.unmapped.count > 0 {
        let wait = some(
            &seen.unmapped,
            "listing waits for somebody to say what it is",
            "listings wait for somebody to say what they are",
        );
        find(
            Warning,
            "unmapped",
            format!("Of {name} {wait}: {}.", seen.unmapped.shown()),
            "Link them, ignore them, or make items of them: POST /v1/systems/{name}/matches.",
        );
    }
    if let Some((severity, sentence, advice)) = webhooks(name, seen.webhooks) {
        find(severity, "webhooks", sentence, advice);
    }
    if let Some((last, others)) = seen.not_taken.split_last() {
        let others = others.join(", ");
        let what = if others.is_empty() { (*last).to_owned() } else { format!("{others} or {last}") };
        find(
            Info,
            "not_taken",
            format!("{name} is sent orders, and takes no {what} from Onhand: it is told of none."),
            "Tell whoever runs it of these yourself; a system that speaks the channel protocol says in `takes` what it takes.",
        );
    }
    if seen.unmapped_locations.count > 0 && seen.has_location {
        let one = "stock location that is none of ours";
        let places = some(&seen.unmapped_locations, one, "stock locations that are none of ours");
        find(
            Info,
            "locations",
            format!(
                "{name} has {places}: {}. What lies there can be sold as well.",
                seen.unmapped_locations.shown()
            ),
            "Map them, or empty them over there.",
        );
    }
    if seen.shared.count > 0 {
        find(
            Warning,
            "shared_location",
            format!(
                "Several stock locations of {name} are one of ours: {}. Each shows all that is there, so {name} may sell it more than once.",
                seen.shared.shown()
            ),
            "Map each to one of its own, or leave all but one out: POST /v1/systems/{name}/locations.",
        );
    }
    if seen.unspoken.count > 0 {
        let places = some(&seen.unspoken, "location is", "locations are");
        find(
            Info,
            "ownership",
            format!("{places} Onhand's only because no rule speaks: {}.", seen.unspoken.shown()),
            "Say who is master: POST /v1/ownership; GET /v1/ownership/recommended says whom we would take.",
        );
    }
    all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    all
}

/// What is to be said of a system's webhooks: without them it is heard as often as it is read, and no later.
fn webhooks(name: &str, webhooks: Webhooks) -> Option<(Severity, String, &'static str)> {
    match webhooks {
        Webhooks::Well => None,
        Webhooks::NoAddress => Some((
            Severity::Info,
            format!(
                "{name} can send webhooks, and has no address to send them to: it is heard when it is read."
            ),
            "Give it one: POST /v1/systems/{name}/webhook.",
        )),
        Webhooks::Silent => Some((
            Severity::Warning,
            format!("{name} was given an address for its webhooks, and none ever came."),
            "Register the address over there, with its secret; a new one: POST /v1/systems/{name}/webhook.",
        )),
        Webhooks::Missed => Some((
            Severity::Warning,
            format!("{name} no longer sends webhooks of all that happens: some was found by reading alone."),
            "Look whether they still point here, and are switched on over there.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Instant {
        Instant::parse("2026-11-23T12:00:00Z").unwrap()
    }

    fn well() -> Checked {
        Checked {
            name: "Shop".to_owned(),
            works: true,
            connected: true,
            has_location: true,
            heard_at: Some(now()),
            ..Checked::default()
        }
    }

    fn some(names: &[&str]) -> Some5 {
        let mut some = Some5::default();
        for name in names {
            some.add(|| (*name).to_owned());
        }
        some
    }

    #[test]
    fn each_thing_that_is_not_as_it_should_be_is_found_once_and_nothing_else() {
        assert_eq!(findings(&well(), now()), []);
        let text = || Some("why".to_owned());
        let cases: Vec<(Checked, &str, Severity)> = vec![
            (Checked { locked: text(), ..well() }, "credentials", Severity::Error),
            (Checked { refused: text(), ..well() }, "permissions", Severity::Error),
            (Checked { unreachable: text(), heard_at: None, ..well() }, "unreachable", Severity::Error),
            (Checked { throttled: true, ..well() }, "throttled", Severity::Info),
            (Checked { has_location: false, ..well() }, "locations", Severity::Error),
            (Checked { heard_at: Some(now().plus_seconds(-301)), ..well() }, "silent", Severity::Error),
            (Checked { ahead_seconds: Some(61), ..well() }, "clock", Severity::Warning),
            (Checked { ahead_seconds: Some(-61), ..well() }, "clock", Severity::Warning),
            (Checked { untracked: some(&["A"]), ..well() }, "tracking", Severity::Warning),
            (Checked { doubly_mapped: some(&["A"]), ..well() }, "doubly_mapped", Severity::Warning),
            (Checked { gone: some(&["A"]), ..well() }, "gone", Severity::Warning),
            (Checked { unmapped: some(&["A"]), ..well() }, "unmapped", Severity::Warning),
            (Checked { webhooks: Webhooks::NoAddress, ..well() }, "webhooks", Severity::Info),
            (Checked { webhooks: Webhooks::Silent, ..well() }, "webhooks", Severity::Warning),
            (Checked { webhooks: Webhooks::Missed, ..well() }, "webhooks", Severity::Warning),
            (Checked { unmapped_locations: some(&["A"]), ..well() }, "locations", Severity::Info),
            (Checked { unspoken: some(&["A"]), ..well() }, "ownership", Severity::Info),
            (Checked { shared: some(&["A"]), ..well() }, "shared_location", Severity::Warning),
            (Checked { unsent: some(&["A"]), ..well() }, "orders", Severity::Error),
            (Checked { unanswered: some(&["A"]), ..well() }, "orders", Severity::Warning),
        ];
        for (seen, check, severity) in cases {
            let found = findings(&seen, now());
            assert_eq!(found.len(), 1, "{seen:?}: {found:?}");
            assert_eq!((found[0].check, found[0].severity), (check, severity));
            assert!(!found[0].sentence.is_empty() && !found[0].advice.is_empty());
        }
    }

    #[test]
    fn what_a_master_does_not_take_is_worth_knowing() {
        let told = |not_taken: &[&'static str]| {
            let found = findings(&Checked { not_taken: not_taken.to_vec(), ..well() }, now());
            found.iter().map(|finding| (finding.severity, finding.sentence.clone())).collect::<Vec<_>>()
        };
        let sentence =
            |what: &str| format!("Shop is sent orders, and takes no {what} from Onhand: it is told of none.");
        assert_eq!(told(&[]), []);
        assert_eq!(told(&["transfers"]), [(Severity::Info, sentence("transfers"))]);
        let all = ["expected receipts", "transfers", "expected returns"];
        assert_eq!(
            told(&all),
            [(Severity::Info, sentence("expected receipts, transfers or expected returns"))]
        );
    }

    #[test]
    fn what_is_just_well_enough_is_no_finding() {
        let cases = [
            Checked { ahead_seconds: Some(60), ..well() },
            Checked { heard_at: Some(now().plus_seconds(-300)), ..well() },
            Checked { heard_at: Some(now().plus_seconds(-301)), works: false, ..well() },
            Checked { webhooks: Webhooks::Well, ..well() },
            Checked { connected: false, has_location: false, heard_at: None, ..well() },
        ];
        for seen in cases {
            assert_eq!(findings(&seen, now()), [], "{seen:?}");
        }
    }

    #[test]
    fn one_is_told_of_as_one() {
        let told = |seen: Checked| findings(&seen, now()).remove(0).sentence;
        let of = |names: &[&str]| {
            [
                told(Checked { unmapped: some(names), ..well() }),
                told(Checked { unmapped_locations: some(names), ..well() }),
                told(Checked { unsent: some(names), ..well() }),
            ]
        };
        assert_eq!(
            of(&["A"]),
            [
                "Of Shop 1 listing waits for somebody to say what it is: A.",
                "Shop has 1 stock location that is none of ours: A. What lies there can be sold as well.",
                "Orders for 1 location where Shop is master cannot be sent: A is none of its stock locations.",
            ]
        );
        assert_eq!(
            of(&["A", "B"]),
            [
                "Of Shop 2 listings wait for somebody to say what they are: A, B.",
                "Shop has 2 stock locations that are none of ours: A, B. What lies there can be sold as well.",
                "Orders for 2 locations where Shop is master cannot be sent: A, B are none of its stock locations.",
            ]
        );
    }

    #[test]
    fn the_worst_comes_first_and_five_are_named() {
        let seen = Checked {
            unspoken: some(&["LONDON"]),
            unmapped: some(&["1", "2", "3", "4", "5", "6"]),
            refused: Some("no".to_owned()),
            ..well()
        };
        let checks: Vec<&str> = findings(&seen, now()).iter().map(|found| found.check).collect();
        assert_eq!(checks, ["permissions", "unmapped", "ownership"]);
        let sentence = &findings(&seen, now())[1].sentence;
        assert_eq!(sentence, "Of Shop 6 listings wait for somebody to say what they are: 1, 2, 3, 4, 5, ….");
        let worst_last = [Severity::Info, Severity::Warning, Severity::Error];
        assert!(worst_last.is_sorted());
        assert_eq!(worst_last.map(Severity::name), ["info", "warning", "error"]);
    }

    #[test]
    fn what_is_said_counts_names_and_tells_which_way() {
        for (seen, sentence) in [
            (Checked { ahead_seconds: Some(90), ..well() }, "Shop's clock is 90 s ahead of ours."),
            (Checked { ahead_seconds: Some(-90), ..well() }, "Shop's clock is 90 s behind ours."),
            (Checked { gone: some(&["A"]), ..well() }, "Shop no longer has 1 mapped listing: A."),
            (
                Checked { gone: some(&["A", "B", "C", "D", "E"]), ..well() },
                "Shop no longer has 5 mapped listings: A, B, C, D, E.",
            ),
        ] {
            assert_eq!(findings(&seen, now())[0].sentence, sentence);
        }
    }
}
