//! What drives the engine: the committer's thread, the sweeper, the workers. The only place with timers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use onhand_channels::notice::Teller;
use onhand_channels::signed::Sender;
use onhand_channels::systems_at::SystemsAt;
use onhand_engine::alerts::{Alerts, Due};
use onhand_engine::migrate::is_unfinished;
use onhand_engine::nodes::Connected;
use onhand_engine::seal::SealError;
use onhand_engine::systems::found::discover;
use onhand_engine::systems::{Connection, Connector, connections, seal_connections};
use onhand_engine::worker::{Acknowledged, Pace, Worker};
use onhand_engine::{Clock, DatabaseClock, Handle, Ledger, SystemClock, queue};
use onhand_ledger::model::Stage;
use onhand_ledger::{Body, Command, Instant, SystemId, TenantId};
use onhand_store::{SqliteStore, StoreError, Work};
use onhand_web::{App, Metrics, Sessions};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use crate::connector::{Channels, Folders};
use crate::database::Kept;
use crate::nodes::Nodes;
use crate::seal_keys;

/// Of so many due times the tenants are swept together.
const SWEPT: usize = 256;
/// How often due times are looked for where other nodes make some, too.
const LOOK_FOR_DUE: Duration = Duration::from_millis(500);
/// How often it is looked whose listings are to be discovered again.
const LOOK_FOR_DISCOVERY: Duration = Duration::from_secs(5);
/// How often it is measured how much rules that adapt shall keep back.
const SIZE_BUFFERS: Duration = Duration::from_mins(5);
/// How often the figures of inboxes learn what came to them.
const FOLLOW_INBOXES: Duration = Duration::from_secs(5);
/// How often it is looked which raw documents are kept no longer.
const LOOK_AT_RAW: Duration = Duration::from_hours(1);
/// After a failure it is tried again so soon.
const UNSEEN: Duration = Duration::from_millis(200);

/// A ledger at work in this process.
pub(crate) struct Runtime {
    pub handle: Handle,
    pub app: App,
    pub acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    nodes: Arc<Nodes>,
    committer: std::thread::JoinHandle<()>,
    tasks: JoinSet<()>,
}

/// A committer that panicked answers nobody any more: the process ends, and whoever watches it starts it anew on a
/// log that is whole.
struct EndIfBroken;

impl Drop for EndIfBroken {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the committer is broken: this is a bug. Onhand ends; start it again");
            std::process::abort();
        }
    }
}

impl Runtime {
    /// Opens a database and commits what is handed in. No system is spoken with yet.
    pub fn open(kept: impl Into<Kept>) -> anyhow::Result<Self> {
        let kept = kept.into();
        let file = kept.file().map(Path::to_owned);
        let (mut store, options) = kept.into_store();
        if is_unfinished(store.as_mut())? {
            bail!(
                "this database is a copy that is not whole yet: run the same `onhand migrate` again to finish it"
            );
        }
        // Nodes of one database go by one clock, whatever their machines say.
        let clock: Arc<dyn Clock> =
            if store.is_shared() { Arc::new(DatabaseClock::default()) } else { Arc::new(SystemClock) };
        let ledger = Arc::new(Ledger::open(store, clock, options)?);
        seal_keys::provide(ledger.seal(), file.as_deref());
        let (handle, queue) = queue(ledger);
        let committer = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || {
                let _end = EndIfBroken;
                queue.run();
            })
            .context("cannot start the committer")?;
        let connector: Arc<dyn Connector> = Arc::new(Channels::new(Folders::Any, SystemsAt::ANYWHERE)?);
        let app = App {
            handle: handle.clone(),
            keys: Arc::default(),
            connector,
            systems_changed: Arc::new(Notify::new()),
            fair: Arc::default(),
            metrics: Arc::new(Metrics::default()),
            teller: Teller::default(),
            sender: Sender::default(),
            watched: Arc::default(),
            sessions: Arc::default(),
        };
        let nodes = Arc::new(Nodes::new(handle.clone()));
        Ok(Self { handle, app, acknowledged: Arc::default(), nodes, committer, tasks: JoinSet::new() })
    }

    /// An API key may send so many requests a second, unless it says otherwise; 0 is any number.
    pub fn limit(&mut self, rate: u32) {
        self.app.keys = Arc::new(onhand_web::auth::Keys::with_rate(rate));
    }

    /// A session at the pages ends after so many minutes in which nobody used it; whoever is signed in may ask so many times a second,
    /// 0 is any number.
    pub fn people(&mut self, idle_minutes: u32, rate: u32) {
        self.app.sessions = Arc::new(Sessions::new(idle_minutes, rate));
    }

    /// Systems may be there alone. Folders of this machine may be named in this one alone; in none where there is none.
    pub fn systems_at(&mut self, at: SystemsAt, folder: Option<PathBuf>) -> anyhow::Result<()> {
        self.app.connector = Arc::new(Channels::new(Folders::In(folder), at)?);
        Ok(())
    }

    /// Alerts may go to private addresses, or in clear to public ones.
    pub fn may_call(&mut self, may_call_private: bool, may_be_plain: bool) {
        self.app.teller = Teller { may_call_private, may_be_plain };
    }

    /// As [`Runtime::may_call`], of webhooks.
    pub fn may_send(&mut self, may_call_private: bool, may_be_plain: bool) {
        self.app.sender = Sender { may_call_private, may_be_plain };
    }

    /// Open pages are told no more what moves, or they would keep the server from ending.
    pub fn end_pages(&self) {
        self.app.watched.close();
    }

    /// The API.
    pub fn router(&self) -> Router {
        onhand_web::router(self.app.clone())
    }

    /// Seals what was kept in clear before there was a seal. Without a key it stays, and works.
    pub async fn seal_what_is_in_clear(&self) {
        for tenant in tenants_at(&self.handle, Work::Connected).await {
            match seal_connections(&self.handle, tenant).await {
                Ok(0) => {}
                Ok(sealed) => tracing::info!(sealed, "credentials that were kept in clear are sealed now"),
                Err(error) => tracing::error!(%error, "credentials are kept in clear, and cannot be sealed"),
            }
        }
    }

    /// Sweeps what is due, and keeps connected systems equal: those that are this node's.
    pub fn work(&mut self, pace: Pace) {
        self.sweep();
        let nodes = self.nodes.clone();
        self.tasks.spawn(async move { nodes.stay().await });
        self.tasks.spawn(supervise(self.app.clone(), self.nodes.clone(), pace, self.acknowledged.clone()));
        self.tasks.spawn(rediscover(self.app.clone(), self.nodes.clone(), pace));
        self.tasks.spawn(size_buffers(self.handle.clone(), self.nodes.clone()));
        self.tasks.spawn(follow_inboxes(self.handle.clone(), self.nodes.clone()));
    }

    /// Tells people of troubles, looking for them so often: one node of all that speak with systems does.
    pub fn alert(&mut self, every: Duration) {
        self.tasks.spawn(alert(self.app.clone(), self.nodes.clone(), every));
    }

    /// Sends webhooks to whoever subscribed, and again after each of these delays: one node of all that speak with systems does.
    pub fn send_webhooks(&mut self, delays: Vec<u32>) {
        self.tasks.spawn(crate::webhooks::send(self.app.clone(), self.nodes.clone(), delays));
    }

    /// Sweeps what is due; connected systems are another node's.
    pub fn sweep(&mut self) {
        self.tasks.spawn(sweep(self.handle.clone()));
        if self.handle.ledger().is_shared() {
            self.tasks.spawn(look(self.handle.clone(), self.nodes.clone()));
        }
        self.tasks.spawn(wait_for_clocks(self.handle.clone()));
        self.tasks.spawn(settle_snapshots(self.handle.clone()));
        self.tasks.spawn(let_go(self.handle.clone()));
    }

    /// Ends the workers, then commits what waits, then writes the tables.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.tasks.shutdown().await;
        self.nodes.leave().await;
        drop(self.nodes);
        drop(self.app);
        drop(self.handle);
        let committer = self.committer;
        tokio::task::spawn_blocking(move || committer.join())
            .await?
            .map_err(|_| anyhow::anyhow!("the committer ended with a panic; the log is whole"))
    }
}

/// Makes each due time an entry at once, so that the feed hears of it by itself. Where several nodes do that at the same time one of them
/// finds nothing to do.
async fn sweep(handle: Handle) {
    let mut feed = handle.ledger().feed();
    loop {
        let ledger = handle.ledger().clone();
        let due = tokio::task::spawn_blocking(move || ledger.due_first(SWEPT)).await;
        let due = match due {
            Ok(Ok(due)) => due,
            Ok(Err(error)) => {
                tracing::warn!(%error, "what is due cannot be seen; it is counted all the same");
                tokio::time::sleep(UNSEEN).await;
                continue;
            }
            Err(_) => return,
        };
        let now = handle.ledger().clock().now();
        let (over, to_come): (Vec<_>, Vec<_>) = due.into_iter().partition(|(_, at)| *at <= now);
        let tenants: BTreeSet<TenantId> = over.into_iter().map(|(tenant, _)| tenant).collect();
        if !tenants.is_empty() {
            let ticks = tenants.into_iter().map(|tenant| {
                let tick =
                    Command { key: None, fingerprint: 0, actor: "onhand".to_owned(), body: Body::Tick };
                let handle = handle.clone();
                async move { handle.submit(tenant, tick).await }
            });
            let swept = ticks.collect::<JoinSet<_>>().join_all().await;
            for error in swept.into_iter().filter_map(Result::err) {
                tracing::warn!(%error, "a due time could not be committed; it is counted all the same");
                tokio::time::sleep(UNSEEN).await;
            }
            continue;
        }
        let left = to_come.first().map(|(_, at)| at.micros() - now.micros());
        let wait = left
            .map_or(Duration::from_hours(1), |left| Duration::from_micros(u64::try_from(left).unwrap_or(0)));
        if handle.ledger().is_shared() {
            // Other nodes make due times, too.
            tokio::time::sleep(wait.min(LOOK_FOR_DUE)).await;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = feed.changed() => if changed.is_err() { return },
        }
    }
}

/// Has the feed tell of what other nodes wrote.
async fn look(handle: Handle, nodes: Arc<Nodes>) {
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let ledger = handle.ledger().clone();
        if !ledger.is_shared() {
            return;
        }
        let tenants = nodes.tenants().await;
        match tokio::task::spawn_blocking(move || ledger.look(&tenants)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "what other nodes wrote cannot be seen; it is tried again")
            }
            Err(_) => return,
        }
    }
}

/// What told of a time ahead of ours is applied once that time has come.
async fn wait_for_clocks(handle: Handle) {
    loop {
        tokio::time::sleep(Duration::from_mins(1)).await;
        for tenant in tenants_at(&handle, Work::Waiting).await {
            if let Err(error) = onhand_engine::systems::retry_ahead(&handle, tenant).await {
                tracing::warn!(%error, "what waits for its time could not be tried; it is tried again");
            }
        }
    }
}

/// Takes snapshots that have waited for long enough, or whose documents are known by now.
async fn settle_snapshots(handle: Handle) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for tenant in tenants_at(&handle, Work::Inbound).await {
            if let Err(error) = onhand_engine::snapshots::settle_all(&handle, tenant).await {
                tracing::warn!(%error, "snapshots that wait could not be looked at; it is tried again");
            }
        }
    }
}

/// Measures now and then how much rules that adapt shall keep back, for whose systems are this node's. Where a tenant's are several
/// nodes', the second finds nothing new.
async fn size_buffers(handle: Handle, nodes: Arc<Nodes>) {
    loop {
        tokio::time::sleep(SIZE_BUFFERS).await;
        for tenant in nodes.tenants().await {
            if let Err(error) = onhand_engine::buffers::size_all(&handle, tenant).await {
                tracing::warn!(%error, "what is kept back cannot be measured; it is tried again");
            }
        }
    }
}

/// Keeps the figures of what stands in the inboxes: one node of all does.
async fn follow_inboxes(handle: Handle, nodes: Arc<Nodes>) {
    loop {
        let tenants = if nodes.is_first() { tenants_at(&handle, Work::Connected).await } else { Vec::new() };
        if tenants.is_empty() {
            handle.ledger().figures().forget();
        }
        for tenant in tenants {
            let ledger = handle.ledger().clone();
            let followed =
                tokio::task::spawn_blocking(move || ledger.figures().follow(&ledger, tenant)).await;
            match followed {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "what stands in the inbox cannot be followed; it is tried again")
                }
                Err(_) => return,
            }
        }
        tokio::time::sleep(FOLLOW_INBOXES).await;
    }
}

/// Lets go of raw documents whose time is over.
async fn let_go(handle: Handle) {
    loop {
        for tenant in tenants_at(&handle, Work::Raw).await {
            match onhand_engine::raw::sweep(&handle, tenant).await {
                Ok(0) => {}
                Ok(gone) => tracing::info!(gone, "raw documents whose orders are closed for long are gone"),
                Err(error) => {
                    tracing::warn!(%error, "raw documents could not be looked at; it is tried again")
                }
            }
        }
        tokio::time::sleep(LOOK_AT_RAW).await;
    }
}

/// Tells people of troubles, and when they are over. Who does not answer keeps nobody else waiting.
async fn alert(app: App, nodes: Arc<Nodes>, every: Duration) {
    let mut known = BTreeMap::<TenantId, Alerts>::new();
    let mut telling = JoinSet::new();
    let mut busy = BTreeSet::<(TenantId, String)>::new();
    loop {
        tokio::time::sleep(every).await;
        while let Some(done) = telling.try_join_next() {
            let Ok(done) = done else { return };
            busy.remove(&done);
        }
        if !nodes.is_first() {
            continue;
        }
        let tenants = tenants_at(&app.handle, Work::Alerting).await;
        known.retain(|tenant, _| tenants.contains(tenant));
        for tenant in tenants {
            let mut alerts = known.remove(&tenant).unwrap_or_default();
            let ledger = app.handle.ledger().clone();
            let looked = tokio::task::spawn_blocking(move || {
                let due = alerts.look(&ledger, tenant);
                (alerts, due)
            });
            let Ok((alerts, due)) = looked.await else { return };
            known.insert(tenant, alerts);
            match due {
                Ok(due) => {
                    for due in due {
                        if busy.insert((tenant, due.target.name.clone())) {
                            telling.spawn(tell(app.clone(), tenant, due));
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "what is to be told cannot be seen; it is tried again"),
            }
        }
    }
}

async fn tell(app: App, tenant: TenantId, due: Due) -> (TenantId, String) {
    let name = due.target.name.clone();
    let told = match &due.notice {
        None => Ok(()),
        Some(notice) => app.teller.tell(&due.target.way, notice).await,
    };
    if let Err(error) = &told {
        tracing::error!(target = name, error, "an alert could not be told; it is tried again");
    }
    let notes = due.notes(told.as_ref().copied().map_err(String::as_str));
    if !notes.is_empty()
        && let Err(error) = app.handle.submit_with(tenant, None, notes).await
    {
        tracing::warn!(%error, "what was told could not be kept: it is told again, under the same id");
    }
    (tenant, name)
}

/// Whose work of a kind there is; nobody's where that cannot be read now.
pub(crate) async fn tenants_at(handle: &Handle, work: Work) -> Vec<TenantId> {
    let ledger = handle.ledger().clone();
    match tokio::task::spawn_blocking(move || ledger.tenants_at(work)).await {
        Ok(Ok(tenants)) => tenants,
        Ok(Err(error)) => {
            tracing::error!(%error, "whose work there is cannot be read; it is tried again");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

/// Looks now and then for what connected systems have for sale.
async fn rediscover(app: App, nodes: Arc<Nodes>, pace: Pace) {
    let mut resting = BTreeMap::<(TenantId, SystemId), Instant>::new();
    loop {
        tokio::time::sleep(LOOK_FOR_DISCOVERY).await;
        for tenant in nodes.tenants().await {
            let due = onhand_engine::systems::due_for_discovery(&app.handle, tenant, pace.discover_ms);
            let due = due.unwrap_or_else(|error| {
                tracing::warn!(%error, "which systems are to be looked at cannot be read; it is tried again");
                Vec::new()
            });
            let now = app.handle.ledger().clock().now();
            for (id, system, connection) in due {
                if !nodes.is_ours((tenant, id))
                    || resting.get(&(tenant, id)).is_some_and(|until| *until > now)
                {
                    continue;
                }
                let done = async {
                    let channel = app.connector.connect(&system.name, &connection)?;
                    discover(&app.handle, channel.as_ref(), tenant, &system.name, id, true).await
                };
                if let Err(error) = done.await {
                    tracing::warn!(system = system.name, %error, "what it has for sale cannot be looked at; it is tried again");
                    resting.insert((tenant, id), now.plus_micros(pace.discover_ms.min(60_000) * 1_000));
                }
            }
        }
    }
}

/// Runs a worker for each connected system that is this node's, new ones too.
async fn supervise(app: App, nodes: Arc<Nodes>, pace: Pace, acknowledged: Arc<Mutex<Vec<Acknowledged>>>) {
    let mut given = nodes.changes();
    let mut running = BTreeMap::<(TenantId, SystemId), (Connection, AbortHandle)>::new();
    let mut workers = JoinSet::new();
    let mut locked = BTreeMap::<(TenantId, SystemId), SealError>::new();
    loop {
        let changed = app.systems_changed.notified();
        given.mark_unchanged();
        running.retain(|system, (_, worker)| {
            let is_ours = nodes.is_ours(*system);
            if !is_ours {
                // It ends by itself too; were it given back at once there would be two.
                worker.abort();
            }
            is_ours
        });
        for tenant in nodes.tenants().await {
            let ledger = app.handle.ledger();
            let known = match ledger.read(tenant, |view| connections(view, ledger.seal())) {
                Ok(known) => known,
                Err(error) => {
                    tracing::error!(%error, "the connections cannot be read");
                    continue;
                }
            };
            for (id, system, connection) in known {
                if !nodes.is_ours((tenant, id)) {
                    continue;
                }
                let connection = match connection {
                    Ok(connection) => connection,
                    Err(error) => {
                        // It is shown to need somebody, too: whoever reads of it sees the same.
                        if locked.insert((tenant, id), error.clone()) != Some(error.clone()) {
                            tracing::error!(tenant = tenant.0, system = system.name, %error, "a system's credentials do not open");
                        }
                        continue;
                    }
                };
                locked.remove(&(tenant, id));
                // Nothing is heard of it before somebody has said what is what.
                if system.stage == Stage::Connecting {
                    continue;
                }
                match running.get(&(tenant, id)) {
                    Some((same, worker)) if *same == connection && !worker.is_finished() => continue,
                    // It can only have ended by a panic, which is logged; its state is kept, so it goes on from there.
                    Some((same, _)) if *same == connection => {
                        tracing::error!(
                            system = system.name,
                            "a system's worker had ended; it is started again"
                        );
                    }
                    // Never two workers of one system.
                    Some((_, worker)) => worker.abort(),
                    None => {}
                }
                let started =
                    app.connector.connect(&system.name, &connection).map_err(anyhow::Error::from).and_then(
                        |channel| Ok(Worker::new(app.handle.clone(), tenant, id, system, channel, pace)?),
                    );
                match started {
                    Ok(worker) => {
                        let run = run_ours(
                            (tenant, id),
                            nodes.clone(),
                            worker,
                            app.handle.clone(),
                            acknowledged.clone(),
                        );
                        running.insert((tenant, id), (connection, workers.spawn(run)));
                    }
                    Err(error) => tracing::error!(%error, "a system's worker cannot start"),
                }
            }
        }
        tokio::select! {
            () = changed => {}
            _ = given.changed() => {}
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
    }
}

/// Runs a worker for as long as its system is this node's.
async fn run_ours(
    system: Connected,
    nodes: Arc<Nodes>,
    worker: Worker,
    handle: Handle,
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
) {
    tokio::select! {
        biased;
        () = nodes.lost(system) => {}
        () = run_worker(worker, handle, acknowledged) => {}
    }
}

pub(crate) async fn run_worker(
    mut worker: Worker,
    handle: Handle,
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
) {
    let mut feed = handle.ledger().feed();
    loop {
        feed.mark_unchanged();
        let next = worker.step().await;
        keep_acknowledged(&mut acknowledged.lock(), &mut worker.acknowledged);
        let left = next.micros() - handle.ledger().clock().now().micros();
        let wait = Duration::from_micros(u64::try_from(left).unwrap_or(0));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = feed.changed() => if changed.is_err() { return },
        }
    }
}

/// For figures: whoever wants them takes them in time.
fn keep_acknowledged(kept: &mut Vec<Acknowledged>, new: &mut Vec<Acknowledged>) {
    const MOST: usize = 100_000;
    if kept.len() + new.len() > MOST {
        kept.clear();
    }
    kept.append(new);
}

/// Opens a database file for this process alone, or makes one.
pub(crate) fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    let cannot = |reason: String| StoreError::Io { doing: "opened", reason };
    // SQLite opens a file that it may only read, and fails at the first change.
    if is_refused(&File::options().read(true).write(true).open(path)) {
        return Err(cannot(format!("{} cannot be written by this user", path.display())));
    }
    SqliteStore::open(path).map_err(|error| match error {
        StoreError::Io { doing: "opened", reason } => cannot(obstacle(path).unwrap_or(reason)),
        other => other,
    })
}

/// The folder that a file is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What a person can do about the folder of a database that cannot be opened: SQLite and the system name only files
/// of theirs.
fn obstacle(path: &Path) -> Option<String> {
    let folder = folder_of(path);
    let found = folder.metadata();
    let shown = folder.display();
    if !is_refused(&found) && !found.is_ok_and(|found| found.is_dir()) {
        return Some(format!("the folder {shown} is not there; make it, or name another file"));
    }
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    is_refused(&File::options().write(true).create(true).truncate(false).open(lock))
        .then(|| format!("the folder {shown} cannot be written by this user; allow it, or name another file"))
}

fn is_refused<T>(done: &io::Result<T>) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    done.as_ref().is_err_and(|error| matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem))
}
