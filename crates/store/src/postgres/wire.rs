//! Connections, and how a caller that must not wait by `await` waits for them.
//!
//! All of it runs on a small runtime of its own: whoever calls may be on a thread of another one, where blocking on a future
//! panics, and waiting on a channel does not.

use std::collections::HashMap;
use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PostgresUrl;
use crate::StoreError;

/// What every connection is told first. Every statement of ours finds its rows by a key that begins with the tenant: no
/// statistics, or none yet, may have the server read a table from end to end. Nobody waits for ever for a node that
/// hangs while it has a tenant's head: it has it between two round trips, which take milliseconds.
const SETTINGS: &str = "SET search_path = onhand; SET enable_seqscan = off; SET enable_hashjoin = off; \
    SET enable_mergejoin = off; SET enable_bitmapscan = off; SET jit = off; SET plan_cache_mode = force_generic_plan; \
    SET lock_timeout = '6s'; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = '5s'; SET client_min_messages = warning; \
    SET default_transaction_isolation = 'read committed'; SET extra_float_digits = 1; \
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// A server that says nothing for so long is as good as gone, though its connection stands: longer than it may wait for a lock.
const SILENCE: Duration = Duration::from_secs(8);
/// As long as it takes.
pub(super) const HOWEVER_LONG: Duration = Duration::from_hours(24);

/// The runtime, and how to connect.
pub(super) struct Wire {
    pub url: PostgresUrl,
    /// How long a batch is tried, where the server goes away or others are in the way; as long again until it is known
    /// whether one was written.
    pub patience: Duration,
    /// How often a connection was given up because nothing came: others that were made before will be no better.
    silences: Arc<AtomicU64>,
    tls: MakeRustlsConnect,
    // None only while it is dropped.
    runtime: Option<Runtime>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // It may be dropped on a thread of another runtime, where nothing may wait.
            runtime.shutdown_background();
        }
    }
}

impl Wire {
    pub fn new(url: PostgresUrl, patience: Duration) -> Result<Self, StoreError> {
        let tls = url.tls()?;
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("postgres").enable_all().build();
        let runtime =
            runtime.map_err(|error| StoreError::Io { doing: "opened", reason: error.to_string() })?;
        Ok(Self { url, patience, silences: Arc::default(), tls, runtime: Some(runtime) })
    }

    /// Runs it over there, and waits for it here.
    pub fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        end(&self.begin(work))
    }

    /// Begins it over there; [`end`] waits for it.
    pub fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Receiver<Result<T, StoreError>> {
        let (done, when_done) = sync_channel(1);
        let runtime = self.runtime.as_ref().expect("it is there until it is dropped");
        runtime.spawn(async move {
            let _ = done.send(work.await);
        });
        when_done
    }

    pub async fn connect(&self) -> Result<Arc<Connection>, Failure> {
        let connecting = self.url.config.connect(self.tls.clone());
        let Ok(connected) = timeout(SILENCE, connecting).await else {
            let reason = format!("{} takes the connection and says nothing", self.url.hosts());
            return Err(Failure::Silent(StoreError::Io { doing: "opened", reason }));
        };
        let (client, connection) = connected?;
        let driver = tokio::spawn(async move {
            // Whoever waits for an answer is told by the client.
            let _ = connection.await;
        });
        let connection = Connection {
            client,
            driver: driver.abort_handle(),
            made_after: self.silences.load(Ordering::Relaxed),
            silences: self.silences.clone(),
            statements: Mutex::default(),
        };
        connection.run(SETTINGS).await?;
        Ok(Arc::new(connection))
    }
}

/// What came of it.
pub(super) fn end<T>(begun: &Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    let broken =
        |_| StoreError::Io { doing: "used", reason: "a task of ours panicked: this is a bug".to_owned() };
    begun.recv().map_err(broken)?
}

/// A value for a statement.
pub(super) type Parameter = Box<dyn ToSql + Send + Sync>;

/// Parameters of many types, in order.
macro_rules! parameters {
    ($($value:expr),* $(,)?) => { vec![$(Box::new($value) as $crate::postgres::wire::Parameter),*] };
}
pub(super) use parameters;

/// A statement and its values.
pub(super) struct Ask {
    pub sql: &'static str,
    pub parameters: Vec<Parameter>,
}

/// One connection. What is asked at the same time goes out one after the other, and is answered so.
pub(super) struct Connection {
    client: Client,
    driver: AbortHandle,
    made_after: u64,
    silences: Arc<AtomicU64>,
    statements: Mutex<HashMap<&'static str, Statement>>,
}

impl Connection {
    async fn statement(&self, sql: &'static str) -> Result<Statement, Error> {
        if let Some(known) = self.statements.lock().get(sql) {
            return Ok(known.clone());
        }
        let statement = self.answered(self.client.prepare(sql)).await?;
        self.statements.lock().insert(sql, statement.clone());
        Ok(statement)
    }

    /// Has the server know these statements, in one round trip.
    pub async fn prepare(&self, all: &[&'static str]) -> Result<(), Error> {
        let unknown: Vec<&'static str> = {
            let known = self.statements.lock();
            all.iter().copied().filter(|sql| !known.contains_key(sql)).collect()
        };
        together(unknown.into_iter().map(|sql| self.statement(sql)))
            .await
            .into_iter()
            .try_for_each(|done| done.map(drop))
    }

    /// Is it of no use any more?
    pub fn is_gone(&self) -> bool {
        self.client.is_closed() || self.silences.load(Ordering::Relaxed) > self.made_after
    }

    /// Runs SQL that answers nothing.
    pub async fn run(&self, sql: &str) -> Result<(), Error> {
        self.answered(self.client.batch_execute(sql)).await
    }

    /// The first row of what the server answers.
    pub async fn first(&self, sql: &str) -> Result<Option<Row>, Error> {
        let rows = self.answered(self.client.query(sql, &[])).await?;
        Ok(rows.into_iter().next())
    }

    pub async fn ask(&self, ask: &Ask) -> Result<Vec<Row>, Error> {
        self.answered(self.ask_now(ask)).await
    }

    async fn ask_now(&self, ask: &Ask) -> Result<Vec<Row>, Error> {
        let statement = self.statement(ask.sql).await?;
        let parameters = ask.parameters.iter().map(|parameter| parameter.as_ref() as &(dyn ToSql + Sync));
        self.client.query(&statement, &parameters.collect::<Vec<_>>()).await
    }

    /// Waits for an answer. A connection on which none comes is ended, as one that was lost.
    async fn answered<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.answered_within(SILENCE, answer).await
    }

    async fn answered_within<T>(
        &self,
        patience: Duration,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut answer = pin!(answer);
        match timeout(patience, &mut answer).await {
            Ok(answer) => answer,
            Err(_) => {
                self.driver.abort();
                self.silences.fetch_add(1, Ordering::Relaxed);
                answer.await
            }
        }
    }

    /// Asks all of these without waiting in between. `end` goes out last.
    pub async fn ask_all(&self, asks: &[Ask], end: Option<&'static str>) -> Result<Vec<Vec<Row>>, Error> {
        self.answered(self.ask_all_now(asks, end)).await
    }

    /// As [`Connection::ask_all`], where it may take long.
    pub async fn ask_all_however_long(
        &self,
        asks: &[Ask],
        end: Option<&'static str>,
    ) -> Result<Vec<Vec<Row>>, Error> {
        self.answered_within(HOWEVER_LONG, self.ask_all_now(asks, end)).await
    }

    async fn ask_all_now(&self, asks: &[Ask], end: Option<&'static str>) -> Result<Vec<Vec<Row>>, Error> {
        let all: Vec<&'static str> = asks.iter().map(|ask| ask.sql).collect();
        self.prepare(&all).await?;
        let asked = asks.iter().map(|ask| Box::pin(self.ask_now(ask)) as Asked<'_>);
        let ending = end.map(|end| {
            Box::pin(async move { self.client.batch_execute(end).await.map(|()| Vec::new()) }) as Asked<'_>
        });
        let mut answers = together(asked.chain(ending)).await;
        // The first that failed is why all after it did.
        if let Some(failed) = answers.iter().position(Result::is_err) {
            return Err(answers.swap_remove(failed).expect_err("it is one that failed"));
        }
        Ok(answers.into_iter().filter_map(Result::ok).take(asks.len()).collect())
    }
}

type Asked<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>, Error>> + Send + 'a>>;

/// Drives all of these at once, begun in their order.
async fn together<F: Future>(all: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<(Pin<Box<F>>, Option<F::Output>)> =
        all.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        let mut ready = true;
        for (future, done) in &mut running {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(output) => *done = Some(output),
                    Poll::Pending => ready = false,
                }
            }
        }
        if ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, done)| done).collect()
}

/// Why the server did not do it.
pub(super) enum Failure {
    /// The connection is gone, or the server ends it: whether a statement that was under way is done is not known.
    Lost(Error),
    /// It takes connections and says nothing.
    Silent(StoreError),
    /// It was in another's way, and was taken back: the same again may well do.
    Crossed(Error),
    /// The server says no.
    Refused(Error),
    /// Ours.
    Ours(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Ours(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        // <https://www.postgresql.org/docs/current/errcodes-appendix.html>
        match error.as_db_error() {
            None => Self::Lost(error),
            Some(told) => match told.code().code() {
                code if code.starts_with("08") || code.starts_with("57P") || code == "25P03" => {
                    Self::Lost(error)
                }
                "40001" | "40P01" | "55P03" | "57014" => Self::Crossed(error),
                _ => Self::Refused(error),
            },
        }
    }
}

impl Failure {
    pub fn told(self, doing: &'static str, url: &PostgresUrl) -> StoreError {
        match self {
            Self::Ours(error) | Self::Silent(error) => error,
            Self::Lost(error) | Self::Crossed(error) | Self::Refused(error) => told(doing, &error, url),
        }
    }
}

/// What a person can do about it.
pub(super) fn told(doing: &'static str, error: &Error, url: &PostgresUrl) -> StoreError {
    let (user, database, hosts) = (url.user(), url.database(), url.hosts());
    let code = error.code();
    let reason = match code {
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => {
            format!(
                "there is no database `{database}` at {hosts}; make it (createdb {database}), or name another"
            )
        }
        Some(code) if *code == SqlState::INVALID_PASSWORD => {
            format!(
                "{hosts} does not take this password of the user `{user}`; give the right one in the address or in PGPASSWORD"
            )
        }
        Some(code) if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            format!(
                "{hosts} does not let the user `{user}` in ({}); name another, or allow it in pg_hba.conf",
                plain(error)
            )
        }
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
            format!(
                "the user `{user}` may not do that in `{database}` ({}); grant it CREATE on the database",
                plain(error)
            )
        }
        Some(code) if ["XX001", "XX002"].contains(&code.code()) => {
            return StoreError::Damaged(format!("{} (see the server's log)", plain(error)));
        }
        _ if doing == "opened" && plain(error).contains("certificate") => {
            format!(
                "the certificate of {hosts} is not taken ({}); name the one that signed it with sslrootcert=FILE, or give the \
                 server one that is signed for its name. sslmode=prefer takes any",
                plain(error)
            )
        }
        _ if doing == "opened" && url.needs_tls() && plain(error).contains("TLS") => {
            format!(
                "{hosts} does not speak TLS ({}), without which the password and all that is kept would be readable on the way; \
                 turn it on there (`ssl = on`), or say sslmode=disable where nobody else is on that way",
                plain(error)
            )
        }
        _ if doing == "opened" && error.as_db_error().is_none() => {
            format!(
                "{hosts} cannot be reached ({}); start PostgreSQL there, or name another host",
                plain(error)
            )
        }
        _ => plain(error),
    };
    StoreError::Io { doing, reason }
}

/// The error in the words of whoever knew it best.
pub(super) fn plain(error: &Error) -> String {
    if let Some(told) = error.as_db_error() {
        let hint = told.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        return format!("{}{hint}", told.message());
    }
    match error.source() {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}
