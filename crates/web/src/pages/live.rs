//! What moves: an open page hears of it, and asks for itself again.
//!
//! Whoever is signed in follows `/live` (server-sent events), which tells that something on the page may have changed, and never what:
//! what the page shows is rendered in one place. One task follows the log for all pages of a tenant, and gathers for a moment, so that a
//! burst is told once; each page hears of what concerns it, and rests between two tellings, the longer the more pages are open, so that
//! all of them together ask for a bounded number of pages a second.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::IntoResponse as _;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use onhand_engine::Ledger;
use onhand_ledger::{Entry, ItemId, Record, Seq, TenantId};
use onhand_store::StoreError;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::Shown;
use super::session::{self, Visitor};
use crate::App;
use crate::blocking::blocking;
use crate::error::Problem;

/// What comes within it is told together.
const GATHER: Duration = Duration::from_millis(40);
/// A page rests so long between two tellings, and so much longer for each page that is open: all of them ask 40 times a second at most.
const REST: Duration = Duration::from_millis(200);
const REST_FOR_EACH: Duration = Duration::from_millis(25);
/// What is only noted (what a system shows) is told of so much later: it comes all the time.
const NOTED: Duration = Duration::from_secs(1);
/// Time alone changes pages too: what is late, how long ago.
const TICK: Duration = Duration::from_secs(30);
/// A browser that is cut off comes back after so long.
const RETRY: Duration = Duration::from_secs(1);
/// Where other nodes write too, the log is looked at so often.
const LOOK: Duration = Duration::from_millis(150);
/// Of more records than that everything may have changed.
const RECORDS: usize = 500;
/// So many pages of a tenant are told of what moves; further ones are not.
const PAGES: usize = 256;
/// A page that is slower than so many tellings is told that it missed some.
const TELLINGS: usize = 64;

/// Where a page hears of what moves.
pub(super) const PATH: &str = "/live";
/// The header with which an open page asks for itself again, by our script (`live.ts`).
pub(super) const AGAIN: &str = "onhand-again";

pub(super) fn routes() -> Router<App> {
    Router::new().route(PATH, get(live))
}

/// What changed.
#[derive(Clone, Default, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is of another part of pages, and all may be so at once"
)]
struct Moved {
    /// Up to where.
    seq: Seq,
    items: BTreeSet<ItemId>,
    /// An item came to be, or has another name.
    names: bool,
    orders: bool,
    /// What waits for a person: a count of it is on every page.
    discrepancies: bool,
    /// Rules, systems, locations.
    settings: bool,
    /// Everything may have.
    all: bool,
    /// Something was noted; nothing else may have changed.
    noted: bool,
}

impl Moved {
    fn of(seq: Seq, records: &[(Seq, Record)]) -> Self {
        let mut moved = Self { seq, ..Self::default() };
        records.iter().flat_map(|(_, record)| &record.entries).for_each(|entry| moved.add(entry));
        moved
    }

    fn add(&mut self, entry: &Entry) {
        match entry {
            Entry::Movement(movement) => _ = self.items.insert(movement.item),
            Entry::Claimed { item, .. } | Entry::Short { item, .. } | Entry::Buffer(_, item, _) => {
                self.items.insert(*item);
            }
            Entry::Lot(_, lot) => _ = self.items.insert(lot.item),
            Entry::Item(item, _) => {
                self.items.insert(*item);
                self.names = true;
            }
            Entry::Listing(_, listing, before) => self.items.extend(listing.item.iter().chain(before)),
            Entry::Count(_, count) => _ = self.items.insert(count.item),
            Entry::Transfer(_, transfer) => self.items.extend(transfer.lines.iter().map(|line| line.item)),
            Entry::Purchase(_, purchase) => self.items.extend(purchase.lines.iter().map(|line| line.item)),
            Entry::Return(_, expected) => self.items.extend(expected.lines.iter().map(|line| line.item)),
            Entry::Order(..) => self.orders = true,
            Entry::Discrepancy(_, known) => {
                self.items.extend(known.item);
                self.discrepancies = true;
            }
            Entry::Location(..)
            | Entry::System(..)
            | Entry::Ownership(..)
            | Entry::Publication(..)
            | Entry::Allocation(..)
            | Entry::SellingStop(..)
            | Entry::Pushing(..) => self.settings = true,
            Entry::SkuFreed(_) | Entry::BarcodeFreed(_) | Entry::Twins(..) => self.names = true,
            Entry::Expires { .. } => self.all = true,
            Entry::Hold(..)
            | Entry::Document(..)
            | Entry::Waiting(..)
            | Entry::Refused
            | Entry::Nothing
            | Entry::Reversed(..)
            | Entry::Meant { .. }
            | Entry::Cost(..)
            | Entry::Session(..)
            | Entry::Seen(..) => {}
        }
    }
}

/// What a page is about.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
enum About {
    /// All there is.
    All,
    /// Items, and what systems show of them.
    Items,
    /// Items in a list.
    Stock,
    Orders,
    Discrepancies,
    /// Rules, systems, locations.
    Settings,
}

/// Which page listens, and up to where it knows.
#[derive(Deserialize)]
struct Asked {
    of: About,
    /// Their numbers, with commas.
    #[serde(default)]
    items: String,
    #[serde(default)]
    since: Seq,
}

struct Interest {
    about: About,
    items: BTreeSet<ItemId>,
}

impl Interest {
    fn is_in(&self, moved: &Moved) -> bool {
        let about = match self.about {
            About::All => true,
            About::Items => moved.settings || moved.noted || self.has_one_of(&moved.items),
            About::Stock => moved.names || self.has_one_of(&moved.items),
            About::Orders => moved.orders,
            About::Discrepancies => false,
            About::Settings => moved.settings,
        };
        about || moved.all || moved.discrepancies
    }

    fn has_one_of(&self, items: &BTreeSet<ItemId>) -> bool {
        !self.items.is_disjoint(items)
    }
}

/// Where a page of rules, systems or locations listens.
pub(super) const OF_SETTINGS: &str = "/live?of=settings";

/// Where the page of some items listens.
pub(super) fn of_items(about: &str, items: impl Iterator<Item = ItemId>) -> String {
    let items: Vec<_> = items.map(|item| item.0.to_string()).collect();
    format!("/live?of={about}&items={}", items.join(","))
}

/// Who listens.
#[derive(Default)]
pub(super) struct Hubs {
    all: Mutex<HashMap<TenantId, broadcast::Sender<Arc<Moved>>>>,
    /// How many pages are open.
    open: AtomicU32,
    closed: watch::Sender<bool>,
}

impl Hubs {
    /// Everybody who listens is told no more: the server ends.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Until the server ends.
    async fn closed(&self) {
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Listens to what changes of a tenant, from now on; none where too many do.
    async fn listen(app: &App, tenant: TenantId) -> Result<Option<broadcast::Receiver<Arc<Moved>>>, Problem> {
        let ledger = app.handle.ledger();
        let seq = blocking(|| head(ledger, tenant)).await?;
        let mut all = app.watched.hubs.all.lock();
        if let Some(hub) = all.get(&tenant) {
            return Ok((hub.receiver_count() < PAGES).then(|| hub.subscribe()));
        }
        let (hub, heard) = broadcast::channel(TELLINGS);
        all.insert(tenant, hub.clone());
        tokio::spawn(follow(app.clone(), tenant, hub, seq));
        Ok(Some(heard))
    }

    /// Nobody listens to a hub any more: it is taken away.
    fn is_left(&self, tenant: TenantId, hub: &broadcast::Sender<Arc<Moved>>) -> bool {
        let mut all = self.all.lock();
        let is_left = hub.receiver_count() == 0;
        if is_left {
            all.remove(&tenant);
        }
        is_left
    }

    fn rest(&self) -> Duration {
        REST.max(REST_FOR_EACH * self.open.load(Ordering::Relaxed))
    }
}

/// A page that is open, for as long as it is.
struct Opened(App);

impl Opened {
    fn new(app: &App) -> Self {
        app.watched.hubs.open.fetch_add(1, Ordering::Relaxed);
        Self(app.clone())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.watched.hubs.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn head(ledger: &Ledger, tenant: TenantId) -> Result<Seq, StoreError> {
    ledger.read(tenant, |view| Ok(view.seq()))
}

/// What changed after a `seq`; none if nothing did.
fn moved_since(ledger: &Ledger, tenant: TenantId, seq: Seq) -> Result<Option<Moved>, StoreError> {
    ledger.read(tenant, |view| {
        let head = view.seq();
        if head <= seq {
            return Ok(None);
        }
        let records = view.records_after(seq, RECORDS + 1)?;
        let mut moved = Moved::of(head, &records);
        moved.all |= records.len() > RECORDS;
        Ok(Some(moved))
    })
}

/// Tells all pages of a tenant what changes, until nobody listens.
async fn follow(app: App, tenant: TenantId, hub: broadcast::Sender<Arc<Moved>>, mut seq: Seq) {
    let ledger = app.handle.ledger();
    let (mut feed, mut noted) = (ledger.feed(), ledger.noted());
    let mut told_of_notes = Instant::now();
    let mut is_noted = false;
    loop {
        let until_noted = if is_noted { told_of_notes + NOTED } else { Instant::now() + TICK };
        tokio::select! {
            changed = feed.changed() => if changed.is_err() { break },
            of = noted.recv() => {
                is_noted |= !matches!(of, Ok(of) if of != tenant);
                if !is_noted || Instant::now() < told_of_notes + NOTED {
                    continue;
                }
            }
            () = sleep(LOOK), if ledger.is_shared() => {}
            () = sleep_until(until_noted) => {}
            () = app.watched.hubs.closed() => break,
        }
        if app.watched.hubs.is_left(tenant, &hub) {
            return;
        }
        sleep(GATHER).await;
        feed.mark_unchanged();
        let moved = match blocking(|| moved_since(ledger, tenant, seq)).await {
            Ok(moved) => moved,
            Err(error) => {
                tracing::warn!(%error, "pages are not told what changed: the log cannot be read just now");
                sleep(NOTED).await;
                continue;
            }
        };
        let is_due = is_noted && Instant::now() >= told_of_notes + NOTED;
        let moved = match moved {
            Some(moved) => Moved { noted: is_due, ..moved },
            None if is_due => Moved { seq, noted: true, ..Moved::default() },
            None => continue,
        };
        if is_due {
            (is_noted, told_of_notes) = (false, Instant::now());
        }
        seq = moved.seq;
        // Whether anybody is left is seen at the next turn.
        let _ = hub.send(Arc::new(moved));
    }
    app.watched.hubs.all.lock().remove(&tenant);
}

async fn live(
    State(app): State<App>,
    Visitor(caller): Visitor,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Shown {
    let items = asked.items.split(',').filter_map(|item| item.parse().ok()).map(ItemId).collect();
    let interest = Interest { about: asked.of, items };
    let Some(heard) = Hubs::listen(&app, caller.tenant).await? else {
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    };
    // A browser that was cut off says what it heard last.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let since = asked.since.max(last.unwrap_or_default());
    let missed = blocking(|| moved_since(app.handle.ledger(), caller.tenant, since)).await?;
    let missed = missed.filter(|missed| interest.is_in(missed)).map(|missed| missed.seq);
    let (tell, told) = mpsc::channel(1);
    let listening =
        Listening { app: Opened::new(&app), headers, interest, heard, tell, seq: missed.unwrap_or(since) };
    tokio::spawn(listening.tell(missed.is_some()));
    let events = ReceiverStream::new(told).map(Ok::<_, Infallible>);
    let mut response = Sse::new(events).keep_alive(KeepAlive::default()).into_response();
    // <https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering>: nothing is kept back on the way.
    let name = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(name, HeaderValue::from_static("no"));
    Ok(response)
}

/// An open page that is told.
struct Listening {
    app: Opened,
    headers: HeaderMap,
    interest: Interest,
    heard: broadcast::Receiver<Arc<Moved>>,
    tell: mpsc::Sender<Event>,
    /// The newest that it was told of.
    seq: Seq,
}

impl Listening {
    async fn tell(self, is_behind: bool) {
        let Self { app: Opened(ref app), ref headers, ref interest, ref tell, mut heard, mut seq } = self;
        // Of an event without data browsers tell nobody: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
        let event =
            |name: &str, seq: Seq| Event::default().event(name).id(seq.to_string()).data(seq.to_string());
        if tell.send(event("hello", seq).retry(RETRY)).await.is_err() {
            return;
        }
        let (mut moved, mut tick) = (is_behind, Instant::now() + TICK);
        loop {
            if moved {
                drain(&mut heard, &mut seq);
                if tell.send(event("moved", seq)).await.is_err() {
                    return;
                }
            }
            let rested = Instant::now() + app.watched.hubs.rest();
            moved = tokio::select! {
                () = tell.closed() => return,
                () = app.watched.hubs.closed() => return,
                moved = async {
                    if moved {
                        sleep_until(rested).await;
                    }
                    next(&mut heard, interest, &mut seq).await
                } => moved,
                () = sleep_until(tick) => match session::known(app, headers).await {
                    Ok(Some(_)) => {
                        tick = Instant::now() + TICK;
                        true
                    }
                    // Signed out, or its key is gone: nothing more is told.
                    Ok(None) | Err(_) => return,
                },
            };
            if !moved {
                return;
            }
        }
    }
}

/// Waits for what concerns a page; false where nothing is to be heard any more.
async fn next(heard: &mut broadcast::Receiver<Arc<Moved>>, interest: &Interest, seq: &mut Seq) -> bool {
    loop {
        match heard.recv().await {
            Ok(moved) if interest.is_in(&moved) => {
                *seq = moved.seq.max(*seq);
                return true;
            }
            Ok(_) => {}
            Err(broadcast::error::RecvError::Lagged(_)) => return true,
            Err(broadcast::error::RecvError::Closed) => return false,
        }
    }
}

/// What has come by now is told of with what is told.
fn drain(heard: &mut broadcast::Receiver<Arc<Moved>>, seq: &mut Seq) {
    loop {
        match heard.try_recv() {
            Ok(moved) => *seq = moved.seq.max(*seq),
            Err(broadcast::error::TryRecvError::Lagged(_)) => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_hears_of_what_it_shows_and_of_what_waits_for_a_person() {
        let hears = |about, moved: &Moved| Interest { about, items: [ItemId(7)].into() }.is_in(moved);
        let item = |id| Moved { items: [ItemId(id)].into(), ..Moved::default() };
        for about in [About::Items, About::Stock] {
            assert!(hears(about, &item(7)) && !hears(about, &item(8)), "{about:?}");
        }
        let noted = Moved { noted: true, ..Moved::default() };
        assert!(hears(About::Items, &noted) && !hears(About::Stock, &noted));
        assert!(!hears(About::Orders, &item(7)) && !hears(About::Discrepancies, &item(7)));
        let waits = Moved { discrepancies: true, ..Moved::default() };
        for about in [About::All, About::Items, About::Stock, About::Orders, About::Discrepancies] {
            assert!(hears(about, &waits), "{about:?}");
        }
    }
}
