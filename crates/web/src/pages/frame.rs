//! What every page has around it: the rail with what waits, whoever is at the screen, and the banner while all pushing is stopped.

use std::collections::HashMap;
use std::sync::Arc;

use onhand_engine::find::Names;
use onhand_engine::open::Open;
use onhand_ledger::{Instant, Seq, TenantId};
use parking_lot::Mutex;

use super::live::Hubs;
use super::{assets, words};
use crate::App;
use crate::auth::Caller;
use crate::blocking::blocking;
use crate::error::Problem;
use crate::refused::Refused;
use crate::role::Role;
use crate::users::Tries;
use crate::v1::ask::read;

/// Names that nobody asks for are forgotten after so many seconds.
const NAMES_KEPT: i64 = 3_600;

/// What is open of each tenant whose pages somebody looks at, followed along the log.
#[derive(Default)]
pub struct Watched {
    open: Mutex<HashMap<TenantId, Arc<Mutex<Open>>>>,
    /// The names of their items, and when they were last asked for.
    names: Mutex<HashMap<TenantId, Kept>>,
    /// Who is told what moves.
    pub(super) hubs: Hubs,
    /// Who tried to sign in.
    pub(crate) tries: Tries,
    /// Who was refused lately.
    pub(crate) refused: Refused,
}

/// The names of a tenant's items, once they are read.
struct Kept {
    names: Arc<tokio::sync::Mutex<Option<Names>>>,
    asked: Instant,
}

impl Watched {
    /// The names of all items there are now. They are read whole where nobody asked for an hour.
    pub(super) async fn names<T: Send>(
        &self,
        app: &App,
        tenant: TenantId,
        tell: impl FnOnce(&mut Names) -> T + Send,
    ) -> Result<T, Problem> {
        let ledger = app.handle.ledger();
        let now = ledger.clock().now();
        let names = {
            let mut all = self.names.lock();
            all.retain(|known, kept| *known == tenant || kept.asked.plus_seconds(NAMES_KEPT) > now);
            let kept = all.entry(tenant).or_insert_with(|| Kept { names: Arc::default(), asked: now });
            kept.asked = now;
            kept.names.clone()
        };
        // Whoever waits for them to be read takes nobody's place to read.
        let mut names = names.lock().await;
        let look = || {
            let names = match names.take() {
                Some(mut known) => {
                    known.follow(ledger, tenant)?;
                    names.insert(known)
                }
                None => names.insert(Names::all(ledger, tenant)?),
            };
            Ok::<_, onhand_store::StoreError>(tell(names))
        };
        Ok(blocking(look).await?)
    }

    /// Open pages are told no more: the server ends.
    pub fn close(&self) {
        self.hubs.close();
    }

    /// What is open now, told to whoever asks.
    pub(super) async fn look<T: Send>(
        &self,
        app: &App,
        tenant: TenantId,
        tell: impl FnOnce(&Open, Instant) -> T + Send,
    ) -> Result<T, Problem> {
        let known = self.open.lock().get(&tenant).cloned();
        let look = || {
            let ledger = app.handle.ledger();
            let open = match known {
                Some(open) => open,
                None => {
                    let open = Arc::new(Mutex::new(Open::all(ledger, tenant)?));
                    self.open.lock().entry(tenant).or_insert(open).clone()
                }
            };
            let mut open = open.lock();
            open.follow(ledger, tenant)?;
            Ok::<_, onhand_store::StoreError>(tell(&open, ledger.clock().now()))
        };
        Ok(blocking(look).await?)
    }
}

/// A place in the rail.
pub(super) struct Place {
    pub href: &'static str,
    pub name: &'static str,
    /// How much waits there.
    pub waiting: Option<String>,
    pub is_here: bool,
    /// In the bar of a narrow screen too.
    pub is_first: bool,
}

/// What is around a page.
pub(super) struct Frame {
    pub style: String,
    pub icon: String,
    /// None where it was built without.
    pub script: Option<String>,
    pub places: Vec<Place>,
    /// Whoever is at the screen.
    pub who: String,
    /// What they may do.
    pub role: &'static str,
    /// All pushing is stopped since then.
    pub stopped: Option<words::Time>,
    /// When the page was made.
    pub at: words::Time,
    /// What was searched for.
    pub query: String,
    /// Where the page hears of what moves on it, and up to where it knows.
    pub live: String,
    pub seq: Seq,
}

/// The address, the name, and whether it is in the bar of a narrow screen too: those that are not are behind [`MORE`] there.
const PLACES: [(&str, &str, bool); 8] = [
    ("/", "Overview", true),
    ("/stock", "Stock", true),
    ("/orders", "Orders", false),
    ("/systems", "Systems", false),
    ("/floor", "Floor", true),
    ("/discrepancies", "Discrepancies", true),
    ("/activity", "Activity", false),
    (SETTINGS, "Settings", false),
];
/// Of who says who may what alone.
const SETTINGS: &str = "/settings";
/// Where the rest is on a narrow screen.
pub(super) const MORE: &str = "/more";

impl Frame {
    /// As [`Frame::of`], of a page of which nothing is swapped under whoever types, or scans.
    pub async fn still(app: &App, caller: &Caller, here: &str) -> Result<Self, Problem> {
        Ok(Self { live: String::new(), ..Self::of(app, caller, here).await? })
    }

    /// Of a page in the rail's place of that address.
    pub async fn of(app: &App, caller: &Caller, here: &str) -> Result<Self, Problem> {
        let tell =
            |open: &Open, now: Instant| (open.discrepancies().len(), open.short(), open.late(now).len());
        let (discrepancies, short, late) = app.watched.look(app, caller.tenant, tell).await?;
        let (stopped, now, seq) = read(app, caller, |view| {
            Ok((view.rules()?.pushing_stopped.map(|stopped| stopped.since), view.now, view.seq()))
        })
        .await?;
        let is_shown = |(href, ..): &(&str, &str, bool)| *href != SETTINGS || caller.role == Role::Admin;
        let places = PLACES.into_iter().filter(is_shown).map(|(href, name, is_first)| {
            let waiting = match href {
                "/orders" => short + late,
                "/discrepancies" => discrepancies,
                _ => 0,
            };
            let waiting = (waiting > 0).then(|| words::count(waiting));
            Place { href, name, waiting, is_here: href == here, is_first }
        });
        Ok(Self {
            style: assets::style(),
            icon: assets::icon(),
            script: assets::script(),
            places: places.collect(),
            who: caller.name.clone(),
            role: caller.role.name(),
            stopped: stopped.map(|at| words::Time::of(at, now)),
            at: words::Time::of(now, now),
            query: String::new(),
            live: format!("/live?of={}", about(here)),
            seq,
        })
    }
}

impl Frame {
    /// Is the page behind [`MORE`] on a narrow screen?
    pub fn is_behind_more(&self) -> bool {
        !self.places.iter().any(|place| place.is_here && place.is_first)
    }
}

/// What a page in the rail's place of that address is about, where it does not say it more exactly.
fn about(here: &str) -> &'static str {
    match here {
        "/orders" => "orders",
        "/discrepancies" => "discrepancies",
        _ => "all",
    }
}
