//! Counting: a blank sheet, on which whatever is found at a place is written; blind, unless its opener shows what should be there.
//!
//! What was scanned is in hand until its number is known: each further scan of it is one more, a number says all of it, and another item
//! ends it. Then it is a look of the session (`onhand_ledger::command::Sight`) as of when it was scanned last. Where its stock moved since
//! and the number differs, the ledger asks for another look; nothing is booked before somebody applies the session.

use onhand_engine::View;
use onhand_ledger::answer::SightedLine;
use onhand_ledger::command::{OpenSession, Sight, Sighting};
use onhand_ledger::model::{Recount, Seen, Session, SessionState, Tracking};
use onhand_ledger::{
    Answer, Body, Instant, ItemId, Key, LocationId, LotId, Precision, Quantity, Seq, SessionId, StockState,
    Value,
};
use onhand_store::StoreError;

use super::super::words;
use super::meant::{Found, Meant, item, meant};
use super::standing::{Scan, Standing};
use super::{Fate, Said, Step, Task};

/// So many sessions are offered, of so many that are looked at, the newest first.
const SESSIONS: usize = 20;
const EXAMINED: usize = 200;
/// So many lines of a session are looked at, and so many of the last told beside those that somebody must look at again.
const LINES: usize = 2_000;
const LAST: usize = 5;

/// The sheet of a count.
pub(super) struct Sheet {
    /// The session's number; none before one is chosen.
    pub session: Option<Counting>,
    /// Those that are open here: the address and what it is called.
    pub open: Vec<(String, String)>,
    pub hand: Option<Hand>,
}

/// A session that is counted in.
pub(super) struct Counting {
    pub id: SessionId,
    pub at: String,
    pub blind: bool,
    pub counted: String,
    /// Listed, and seen by nobody yet.
    pub left: Vec<String>,
    pub lines: Vec<Line>,
    pub looks_again: usize,
}

/// What was seen of an item.
pub(super) struct Line {
    pub sku: String,
    pub name: String,
    pub lot: String,
    pub quantity: String,
    /// Why somebody must look again.
    pub again: Option<&'static str>,
}

/// What is in hand.
pub(super) struct Hand {
    pub sku: String,
    pub name: String,
    pub lot: String,
    pub n: String,
    /// Its lot is to be scanned first.
    pub wants_lot: bool,
    /// How much there should be, where that is shown.
    pub expected: Option<String>,
}

/// What is seen of an item, and not told yet.
struct InHand {
    found: Found,
    lot: String,
    n: Quantity,
    seen: Option<Instant>,
}

impl InHand {
    fn of(view: &mut View<'_>, standing: &Standing) -> Result<Option<Self>, StoreError> {
        Ok(item(view, &standing.item)?.map(|found| Self {
            found,
            lot: standing.lot.clone(),
            n: Quantity::parse(&standing.n, Precision::FINEST).unwrap_or_default(),
            seen: Instant::parse(&standing.seen).ok(),
        }))
    }

    fn wants_lot(&self) -> bool {
        self.found.is_tracked() && self.lot.is_empty()
    }

    /// Tells the session how much of it was seen.
    fn look(self, session: SessionId, quantity: Quantity, at: Instant) -> Body {
        let line = Sighting {
            sku: self.found.item.sku,
            quantity,
            lot: Some(self.lot).filter(|lot| !lot.is_empty()),
            serials: None,
            seen_at: Some(self.seen.unwrap_or(at)),
        };
        Body::Sight(Sight { session, lines: vec![line] })
    }
}

fn session(view: &mut View<'_>, of: &str) -> Result<Option<(SessionId, Session)>, StoreError> {
    let Ok(id) = of.parse::<Seq>().map(SessionId) else { return Ok(None) };
    Ok(match view.get(&Key::Session(id))? {
        Some(Value::Session(session)) => Some((id, *session)),
        _ => None,
    })
}

fn code_of(view: &mut View<'_>, location: LocationId) -> Result<String, StoreError> {
    Ok(view.location(location)?.map_or_else(|| location.to_string(), |location| location.code))
}

pub(super) fn step(view: &mut View<'_>, scan: &Scan) -> Result<Step, StoreError> {
    let standing = &scan.standing;
    let Some((id, session)) = session(view, &standing.of)? else { return begin(view, scan) };
    if session.state != SessionState::Open {
        let standing = Standing { of: String::new(), ..standing.clone() }.empty_handed();
        let why = format!("Count {id} has ended: start another for what you scan now.");
        return Ok(Step::Stand(standing, Said::new(Fate::Wrong, why)));
    }
    let at = scan.made_at(view.now);
    let mut hand = InHand::of(view, standing)?;
    if let Some(told) = hand.take_if(|hand| !hand.wants_lot()) {
        match all_of_it(scan, told.n) {
            Some(Ok(quantity)) => {
                return Ok(Step::act(told.look(id, quantity, at), standing.clone().empty_handed()));
            }
            Some(Err(why)) => return Ok(Step::stay(scan, Fate::Wrong, why)),
            None => hand = Some(told),
        }
    }
    match meant(view, &scan.code)? {
        Meant::Item(found) => Ok(seen(scan, (id, &session), hand, *found, at)),
        Meant::Place(place, location) => place_scanned(view, scan, &session, place, &location.code),
        Meant::Nothing(why) => Ok(unknown(scan, id, hand, &why, at)),
    }
}

/// No count is chosen yet: one is opened, or the place where.
fn begin(view: &mut View<'_>, scan: &Scan) -> Result<Step, StoreError> {
    let standing = scan.standing.clone().empty_handed();
    if !scan.sheet.is_empty() {
        if standing.at.is_empty() {
            return Ok(Step::stay(scan, Fate::Wrong, "Scan the place that you count first."));
        }
        let location = standing.at.clone();
        let open = OpenSession { location, blind: Some(scan.sheet == "blind"), ..OpenSession::default() };
        return Ok(Step::act(Body::OpenSession(open), standing));
    }
    Ok(match meant(view, &scan.code)? {
        Meant::Place(_, location) => {
            let text = format!("You count at {}. Start a count, or go on with one.", location.code);
            let standing = Standing { at: location.code, of: String::new(), ..standing };
            Step::Stand(standing, Said::new(Fate::Known, text))
        }
        Meant::Item(found) => {
            let why = format!("{} is known, and not counted: start a count first.", found.item.sku);
            Step::stay(scan, Fate::Wrong, why)
        }
        Meant::Nothing(why) => Step::stay(scan, Fate::Unknown, why),
    })
}

/// How much there is in all of what is in hand, where that is said: as a number of its own, as `=12`, or by nothing more.
fn all_of_it(scan: &Scan, n: Quantity) -> Option<Result<Quantity, String>> {
    let (number, code) = (scan.number.trim(), scan.code.trim());
    let said = if number.is_empty() { code.strip_prefix('=').map(str::trim) } else { Some(number) };
    match said {
        Some(said) => Some(counted(said)),
        None => code.is_empty().then_some(Ok(n)),
    }
}

fn counted(text: &str) -> Result<Quantity, String> {
    let quantity = Quantity::parse(text, Precision::FINEST).map_err(|error| format!("How many: {error}."))?;
    if quantity.is_negative() { Err("How many: 0 or more.".to_owned()) } else { Ok(quantity) }
}

/// A short number that is no code says how much there is; a lot of what is in hand may be called anything.
fn unknown(scan: &Scan, id: SessionId, hand: Option<InHand>, why: &str, at: Instant) -> Step {
    let code = scan.code.trim();
    let Some(mut hand) = hand else { return Step::stay(scan, Fate::Unknown, why) };
    if hand.wants_lot() {
        code.clone_into(&mut hand.lot);
        if hand.found.item.tracking == Tracking::Serials {
            let after = scan.standing.clone().empty_handed();
            return Step::act(hand.look(id, Quantity::ONE, at), after);
        }
        let text = format!("{}, lot {code}: {}.", hand.found.item.sku, hand.n);
        let standing = Standing { lot: code.to_owned(), ..scan.standing.clone() };
        return Step::Stand(standing, Said::new(Fate::Known, text));
    }
    let is_number = code.len() <= 6 && code.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match counted(code) {
        Ok(quantity) if is_number => {
            Step::act(hand.look(id, quantity, at), scan.standing.clone().empty_handed())
        }
        _ => Step::stay(scan, Fate::Unknown, why),
    }
}

/// An item was seen: one more of what is in hand, or the next.
fn seen(
    scan: &Scan,
    (id, session): (SessionId, &Session),
    hand: Option<InHand>,
    found: Found,
    at: Instant,
) -> Step {
    if session.items.as_ref().is_some_and(|items| !items.contains(&found.id)) {
        let why = format!("{} is not on the list of this count. Put it aside.", found.item.sku);
        return Step::stay(scan, Fate::Wrong, why);
    }
    let is_more = hand.as_ref().is_some_and(|hand| hand.found.id == found.id && !hand.wants_lot());
    let before = hand.as_ref().filter(|_| is_more).map_or(Quantity::ZERO, |hand| hand.n);
    let Some(n) = before.checked_add(found.each).filter(|n| n.is_acceptable()) else {
        return Step::stay(scan, Fate::Wrong, "That is more than there can be.");
    };
    let sku = found.item.sku.clone();
    let lot = if is_more { scan.standing.lot.clone() } else { String::new() };
    let after =
        Standing { item: sku.clone(), lot, n: n.to_string(), seen: at.to_string(), ..scan.standing.clone() };
    let text = match found.item.tracking {
        Tracking::Lots if !is_more => format!("Now scan the lot of {sku}."),
        Tracking::Serials => format!("Now scan the serial number of {sku}."),
        _ => format!("{sku}: {}. Scan on, or say how many there are.", words::number(n)),
    };
    match hand.filter(|hand| !is_more && !hand.wants_lot()) {
        Some(told) => {
            let quantity = told.n;
            Step::act(told.look(id, quantity, at), after)
        }
        None => Step::Stand(after, Said::new(Fate::Known, text)),
    }
}

fn place_scanned(
    view: &mut View<'_>,
    scan: &Scan,
    session: &Session,
    place: LocationId,
    code: &str,
) -> Result<Step, StoreError> {
    let is_there =
        place == session.location || (session.inside && view.sites()?.is_in(place, session.location));
    if is_there {
        return Ok(Step::stay(scan, Fate::Known, format!("{code} is what you count.")));
    }
    let counted = code_of(view, session.location)?;
    let why =
        format!("{code} is the wrong place: this count is of {counted}. Go there, or start another count.");
    Ok(Step::stay(scan, Fate::Wrong, why))
}

/// What is said of a look, or of a count that was opened; none of any other answer.
pub(super) fn said(answer: &Answer) -> Option<Said> {
    match answer {
        Answer::Session(id) => {
            Some(Said::new(Fate::Known, format!("Count {id} is open. Scan the first thing you see.")))
        }
        Answer::Sighted(_, lines) => lines.first().map(sighted),
        _ => None,
    }
}

fn sighted(line: &SightedLine) -> Said {
    let (sku, quantity) = (&line.sku, words::number(line.quantity));
    match line.recount {
        None => Said::new(Fate::Known, format!("{sku}: {quantity} counted.")),
        Some(recount) => {
            Said::new(Fate::Again, format!("Count {sku} again: {}. You saw {quantity}.", because(recount)))
        }
    }
}

const fn because(recount: Recount) -> &'static str {
    match recount {
        Recount::Moved => "its stock moved meanwhile",
        Recount::Large => "the difference is large",
        Recount::Disagree => "somebody else saw another number",
    }
}

/// The sheet as it is; none of another task.
pub(super) fn sheet(
    view: &mut View<'_>,
    task: Task,
    standing: &Standing,
) -> Result<Option<Sheet>, StoreError> {
    if task != Task::Count {
        return Ok(None);
    }
    let chosen = session(view, &standing.of)?.filter(|(_, session)| session.state == SessionState::Open);
    let Some((id, session)) = chosen else {
        return Ok(Some(Sheet { session: None, open: open_here(view, standing)?, hand: None }));
    };
    let hand = InHand::of(view, standing)?.map(|hand| shown(view, &session, hand)).transpose()?;
    Ok(Some(Sheet { session: Some(counting(view, id, &session)?), open: Vec::new(), hand }))
}

fn shown(view: &mut View<'_>, session: &Session, hand: InHand) -> Result<Hand, StoreError> {
    let expected = if session.blind || hand.found.is_tracked() {
        None
    } else {
        let shelves = view.shelves(hand.found.id, Some(session.location), None)?;
        let here = shelves.iter().filter(|(place, _)| session.inside || **place == session.location);
        let physical = here.flat_map(|(_, shelf)| StockState::PHYSICAL.map(|state| shelf.of(state)));
        Some(words::number(physical.sum()))
    };
    Ok(Hand {
        wants_lot: hand.wants_lot(),
        sku: hand.found.item.sku,
        name: hand.found.item.name,
        lot: hand.lot,
        n: hand.n.to_string(),
        expected,
    })
}

/// The counts that are open at a location, around or inside it.
fn open_here(view: &mut View<'_>, standing: &Standing) -> Result<Vec<(String, String)>, StoreError> {
    let Some((at, _)) = standing.place(view)? else { return Ok(Vec::new()) };
    let sites = view.sites()?;
    let (from, to) = (Key::Session(SessionId(0)), Key::Session(SessionId(Seq::MAX >> 1)));
    let mut open = Vec::new();
    for (key, value) in view.range(&from, &to, true, EXAMINED)? {
        let (Key::Session(id), Value::Session(session)) = (key, value) else { continue };
        let is_here = sites.is_in(session.location, at) || sites.is_in(at, session.location);
        if session.state != SessionState::Open || !is_here || open.len() == SESSIONS {
            continue;
        }
        let standing = Standing { of: id.to_string(), ..standing.clone() }.empty_handed();
        let code = code_of(view, session.location)?;
        let blind = if session.blind { ", blind" } else { "" };
        let title = format!("Count {id} at {code}{blind}, by {}", session.opened_by);
        open.push((standing.href(Task::Count), title));
    }
    Ok(open)
}

fn counting(view: &mut View<'_>, id: SessionId, session: &Session) -> Result<Counting, StoreError> {
    let from = Key::Seen(id, ItemId(0), LotId(0));
    let to = Key::Seen(id, ItemId(Seq::MAX >> 1), LotId(0));
    let mut all: Vec<(ItemId, LotId, Seen)> = Vec::new();
    for (key, value) in view.range(&from, &to, false, LINES)? {
        if let (Key::Seen(_, item, lot), Value::Seen(seen)) = (key, value) {
            all.push((item, lot, *seen));
        }
    }
    let counted = if all.is_empty() { "nothing yet".to_owned() } else { words::many(all.len(), "line") };
    let mut left = Vec::new();
    for item in session.items.iter().flatten() {
        if all.iter().all(|(other, ..)| other != item) {
            left.extend(view.item(*item)?.map(|item| item.sku));
        }
    }
    let looks_again = all.iter().filter(|(.., seen)| seen.recount.is_some()).count();
    let seen_last = |seen: &Seen| seen.looks.last().map(|look| look.seen_at);
    all.sort_by_key(|(.., seen)| std::cmp::Reverse((seen.recount.is_some(), seen_last(seen))));
    all.truncate(looks_again.max(LAST));
    let mut lines = Vec::new();
    for (item, lot, seen) in all {
        let (Some(item), Some(look)) = (view.item(item)?, seen.looks.last()) else { continue };
        lines.push(Line {
            sku: item.sku,
            name: item.name,
            lot: view.lot(lot)?.map_or_else(String::new, |lot| lot.code),
            quantity: words::number(look.quantity),
            again: seen.recount.map(because),
        });
    }
    let at = code_of(view, session.location)?;
    Ok(Counting { id, at, blind: session.blind, counted, left, lines, looks_again })
}
