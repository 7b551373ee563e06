//! Plans carried out, one after the other as if they were one: rehearsed first where a row that is refused shall keep the others
//! out, then handed in behind what people ask for, and told row by row in the order of the file.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use onhand_engine::{BulkReply, CommitError, Committed, Handle, Rehearsal, SubmitError, View};
use onhand_ledger::model::Became;
use onhand_ledger::{Answer, Body, Command, Invalid, Key, Refusal, SystemId, TenantId, Value};
use onhand_store::StoreError;
use tokio::runtime::RuntimeFlavor;
use tokio::sync::{Semaphore, mpsc};

use super::{FileProblem, Make, Plan, Task, What, stock};
use onhand_sheets::Bad;

/// A block is handed in once it is so much work.
const BLOCK: usize = 256;
/// So many blocks are under way at most.
const WINDOW: usize = 8;
/// So many commands are rehearsed while the committer waits.
const REHEARSED: usize = 64;

/// So many commands are rehearsed together at most: what they change is in memory until then, some 7 KB for a new item.
pub const MOST_REHEARSED: usize = 100_000;
/// One file is rehearsed at a time.
static REHEARSAL: Semaphore = Semaphore::const_new(1);

/// What shall be done with a plan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    /// Nothing: only say what would be.
    pub dry_run: bool,
    /// Import the good rows although others are bad; nothing is imported otherwise.
    pub skip_bad_rows: bool,
    /// The same key never imports a row twice, however often it is sent.
    pub key: Option<String>,
}

impl Asked {
    /// Refuses what would have to be rehearsed and is too much for that.
    pub fn check(&self, plans: &[Plan]) -> Result<(), FileProblem> {
        let number: usize = plans.iter().map(|plan| plan.tasks.len()).sum();
        if number > MOST_REHEARSED && (self.dry_run || !self.skip_bad_rows) {
            return Err(FileProblem(format!(
                "the file asks for {number} things, and at most {MOST_REHEARSED} are rehearsed together: split it, or import \
                 exactly the good rows (`--skip-bad-rows`, over HTTP `skip_bad_rows=true`)"
            )));
        }
        Ok(())
    }
}

/// What became of a row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// It is imported (in a dry run: it would be).
    Imported,
    /// It was imported before, under the same key.
    AlreadyImported,
    /// There is such an order: it stays as it is.
    AlreadyThere,
    /// It is not to be imported: the order is another system's or cancelled, the item is a kit and is not counted.
    Skipped,
    /// It is good, and other rows are not: nothing is imported.
    NotImported,
    /// It cannot be imported.
    LeftOut,
}

impl Outcome {
    /// In a word, as reports have it.
    pub const fn name(self, dry_run: bool) -> &'static str {
        match self {
            Self::Imported if dry_run => "would_be_imported",
            Self::Imported => "imported",
            Self::AlreadyImported => "already_imported",
            Self::AlreadyThere => "already_there",
            Self::Skipped => "skipped",
            Self::NotImported => "not_imported",
            Self::LeftOut => "left_out",
        }
    }
}

/// Why a row cannot be imported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// The row itself is not as it must be.
    Row,
    /// It is no command.
    Invalid(Invalid),
    /// The business says no.
    Refused(Refusal),
    /// It waits for a person.
    Waiting,
    /// A bug of ours.
    Bug,
}

/// What became of a row, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowResult {
    /// Its line in the file, or its row in the sheet.
    pub line: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// The column that is wrong, where one is.
    pub column: Option<String>,
    /// What is wrong, and what would be right.
    pub problem: Option<String>,
    /// What kind of problem that is.
    pub why: Option<Why>,
}

impl RowResult {
    const fn plain(line: u64, outcome: Outcome) -> Self {
        Self { line, outcome, column: None, problem: None, why: None }
    }

    fn bad(bad: Bad, outcome: Outcome, why: Option<Why>) -> Self {
        let Bad { line, column, problem } = bad;
        Self { line, outcome, column, problem: Some(problem), why }
    }
}

/// All rows together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// How many things were imported (in a dry run: would be).
    pub imported: usize,
    /// How many of them were counted too.
    pub counted: usize,
    /// How many were imported before, or were there.
    pub already_there: usize,
    /// How many rows were not to be imported.
    pub skipped: usize,
    /// How many rows cannot be imported.
    pub left_out: usize,
    /// Of these, how many the ledger refused.
    pub refused: usize,
    /// Nothing was imported, since rows are bad.
    pub nothing: bool,
}

impl std::iter::Sum for Summary {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            imported: sum.imported + one.imported,
            counted: sum.counted + one.counted,
            already_there: sum.already_there + one.already_there,
            skipped: sum.skipped + one.skipped,
            left_out: sum.left_out + one.left_out,
            refused: sum.refused + one.refused,
            nothing: sum.nothing || one.nothing,
        })
    }
}

/// What a command came to.
type Came = Result<Outcome, (String, Why)>;

/// Runs what may block where it keeps nobody else waiting.
fn blocking<T>(run: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(run),
        _ => run(),
    }
}

/// Carries plans out, each after those before it, and tells what became of each row, with the place of its plan. One bad row keeps
/// the rows of all of them out, unless the good ones shall be imported. Whoever does not listen any more does not stop it.
pub async fn run(
    handle: &Handle,
    tenant: TenantId,
    actor: &str,
    plans: &[Plan],
    asked: &Asked,
    report: mpsc::Sender<(usize, RowResult)>,
) -> Result<Vec<Summary>, SubmitError> {
    let is_one = plans.len() == 1;
    let runs = plans.iter().enumerate().map(|(place, plan)| {
        let part = if is_one { String::new() } else { format!("{place}.") };
        Run { handle, tenant, actor, plan, asked, place, part }
    });
    let runs: Vec<Run<'_>> = runs.collect();
    let may_be_stopped = !asked.skip_bad_rows;
    let mut summaries = Vec::with_capacity(runs.len());
    if asked.dry_run || may_be_stopped {
        let all = {
            let _alone = REHEARSAL.acquire().await.expect("it is never closed");
            rehearse(&runs).await?
        };
        let is_bad = |(_, came): &(&Task, Came)| came.is_err();
        let has_bad = plans.iter().any(|plan| !plan.bad.is_empty()) || all.iter().flatten().any(is_bad);
        let nothing = may_be_stopped && has_bad;
        if asked.dry_run || nothing {
            for (run, all) in runs.iter().zip(all) {
                let mut told = Told::new(run, report.clone());
                for (task, came) in all {
                    let came = came.map(|outcome| match outcome {
                        Outcome::Imported if nothing => Outcome::NotImported,
                        other => other,
                    });
                    told.came(task, came).await;
                }
                summaries.push(told.end(nothing).await);
            }
            return Ok(summaries);
        }
    }
    for run in &runs {
        let mut told = Told::new(run, report.clone());
        let (settled, tasks) = run.sorted_out()?;
        for (task, outcome) in settled {
            told.came(task, Ok(outcome)).await;
        }
        run.commit(&tasks, &mut told).await?;
        summaries.push(told.end(false).await);
    }
    Ok(summaries)
}

/// What each command of each plan would come to, after all those before it.
async fn rehearse<'a>(runs: &[Run<'a>]) -> Result<Vec<Vec<(&'a Task, Came)>>, CommitError> {
    let (mut rehearsal, mut all) = (None, Vec::with_capacity(runs.len()));
    for run in runs {
        let (settled, tasks) = run.sorted_out()?;
        // Where one is refused, so is each count there, with the reason.
        run.rehearse(run.first(), &mut rehearsal).await?;
        let mut came: Vec<_> = settled.into_iter().map(|(task, outcome)| (task, Ok(outcome))).collect();
        for part in tasks.chunks(REHEARSED) {
            let commands = part.iter().map(|task| run.task(task)).collect();
            let results = run.rehearse(commands, &mut rehearsal).await?;
            came.extend(part.iter().copied().zip(results));
        }
        all.push(came);
    }
    Ok(all)
}

/// What becomes of each row of a plan whose bad rows keep the others out, by line.
pub(super) fn without_the_ledger(plan: &Plan) -> Vec<RowResult> {
    let lines = plan.tasks.iter().flat_map(|task| plan.lines(task));
    let good = lines.map(|line| (line, RowResult::plain(line, Outcome::NotImported)));
    let bad = plan.bad.iter().cloned().map(|bad| RowResult::bad(bad, Outcome::LeftOut, Some(Why::Row)));
    let skipped = plan.skipped.iter().cloned().map(|row| RowResult::bad(row, Outcome::Skipped, None));
    let told = bad.chain(skipped).map(|row| (row.line, row));
    good.chain(told).collect::<BTreeMap<u64, RowResult>>().into_values().collect()
}

struct Run<'a> {
    handle: &'a Handle,
    tenant: TenantId,
    actor: &'a str,
    plan: &'a Plan,
    asked: &'a Asked,
    /// Of the plan among all.
    place: usize,
    /// What its keys begin with, where it is not alone.
    part: String,
}

impl<'a> Run<'a> {
    fn command(&self, name: &str, body: Body) -> Command {
        let key = self.asked.key.as_ref().map(|key| format!("{key}:{}{name}", self.part));
        Command::keyed(key, self.actor, body)
    }

    fn first(&self) -> Vec<Command> {
        let name = |place: usize| if place == 0 { "first".to_owned() } else { format!("first{place}") };
        let bodies = self.plan.first().into_iter().enumerate();
        bodies.map(|(place, body)| self.command(&name(place), body)).collect()
    }

    fn task(&self, task: &Task) -> Command {
        let body = self.plan.body(task).unwrap_or(Body::Tick);
        let line = self.plan.lines(task).first().copied().unwrap_or_default();
        let part = if matches!(task.make, Make::Second(_)) { "+" } else { "" };
        self.command(&format!("{line}{part}"), body)
    }

    fn came(&self, result: Result<(Answer, bool), CommitError>) -> Result<Came, CommitError> {
        let no = |text: String, why| Ok(Err((text, why)));
        match result {
            Ok((Answer::Refused(refusal), _)) => {
                let is_there = matches!(refusal, Refusal::ReferenceTaken { .. });
                if is_there && self.plan.what == What::Orders {
                    return Ok(Ok(Outcome::AlreadyThere));
                }
                let refusal = match refusal {
                    Refusal::InGroup { refusal, .. } => *refusal,
                    refusal => refusal,
                };
                no(refusal.to_string(), Why::Refused(refusal))
            }
            Ok((Answer::Waiting(_, sentence), _)) => no(sentence, Why::Waiting),
            Ok((_, true)) => Ok(Ok(Outcome::AlreadyImported)),
            Ok((_, false)) => Ok(Ok(Outcome::Imported)),
            Err(CommitError::Invalid(invalid)) => {
                let invalid = match invalid {
                    Invalid::InGroup { invalid, .. } => *invalid,
                    invalid => invalid,
                };
                no(invalid.to_string(), Why::Invalid(invalid))
            }
            Err(error @ CommitError::Bug) => no(error.to_string(), Why::Bug),
            Err(error @ CommitError::Store(_)) => Err(error),
        }
    }

    /// What is settled without asking: orders that are there already, which stay as they are whatever there is of their items now,
    /// and kits, which are not counted for other systems; and the rest.
    fn sorted_out(&self) -> Result<(Vec<(&'a Task, Outcome)>, Vec<&'a Task>), CommitError> {
        let (mut settled, mut rest) = (Vec::new(), Vec::with_capacity(self.plan.tasks.len()));
        for part in self.plan.tasks.chunks(REHEARSED) {
            let outcomes = blocking(|| {
                self.handle.ledger().read(self.tenant, |view| {
                    part.iter().map(|task| self.is_settled(view, task)).collect::<Result<Vec<_>, _>>()
                })
            })?;
            for (task, outcome) in part.iter().zip(outcomes) {
                match outcome {
                    Some(outcome) => settled.push((task, outcome)),
                    None => rest.push(task),
                }
            }
        }
        Ok((settled, rest))
    }

    fn is_settled(&self, view: &mut View<'_>, task: &Task) -> Result<Option<Outcome>, StoreError> {
        if let Some(name) = self.plan.reference(task) {
            return Ok(is_an_order(view, name)?.then_some(Outcome::AlreadyThere));
        }
        match self.plan.counted_for_others(task) {
            Some(sku) => Ok(is_a_kit(view, sku)?.then_some(Outcome::Skipped)),
            None => Ok(None),
        }
    }

    /// What commands would come to, after those that were rehearsed before. The committer waits as long.
    async fn rehearse(
        &self,
        commands: Vec<Command>,
        rehearsal: &mut Option<Rehearsal>,
    ) -> Result<Vec<Came>, CommitError> {
        let came = blocking(|| {
            self.handle.ledger().read(self.tenant, |view| {
                let rehearsal = rehearsal.get_or_insert_with(|| Rehearsal::begin(view));
                let mut came = Vec::with_capacity(commands.len());
                for command in &commands {
                    let result = rehearsal.decide(view, command);
                    came.push(result.map(|rehearsed| (rehearsed.answer, rehearsed.replayed)));
                }
                Ok::<_, StoreError>(came)
            })
        })?;
        tokio::task::yield_now().await;
        came.into_iter().map(|result| self.came(result)).collect()
    }

    /// Hands all of it in, and tells what comes of it.
    async fn commit(&self, tasks: &[&Task], told: &mut Told<'_>) -> Result<(), SubmitError> {
        for first in self.first() {
            // Where it is refused, so is each count there, with the reason.
            self.handle.submit(self.tenant, first).await?;
        }
        let mut under_way: VecDeque<(&[&Task], BulkReply)> = VecDeque::new();
        let mut rest = tasks;
        while !rest.is_empty() || !under_way.is_empty() {
            if !rest.is_empty() && under_way.len() < WINDOW {
                let (mut commands, mut work) = (Vec::new(), 0);
                while work < BLOCK && commands.len() < rest.len() {
                    let command = self.task(rest[commands.len()]);
                    work += command.body.work();
                    commands.push(command);
                }
                let (part, after) = rest.split_at(commands.len());
                rest = after;
                under_way.push_back((part, self.handle.begin_bulk(self.tenant, commands).await?));
                continue;
            }
            let Some((part, reply)) = under_way.pop_front() else { break };
            for (task, result) in part.iter().zip(reply.wait().await?) {
                let result = result.map(|Committed { answer, replayed, .. }| (answer, replayed));
                told.came(task, self.came(result)?).await;
            }
        }
        Ok(())
    }
}

/// Is there an order of ours of that name?
fn is_an_order(view: &mut View<'_>, reference: &str) -> Result<bool, StoreError> {
    let known = view.get(&Key::Document(SystemId::ONHAND, reference.to_owned()))?;
    Ok(matches!(known, Some(Value::Document(known)) if matches!(known.became, Became::Order(_))))
}

/// Is there an item of that name, and is it a kit?
fn is_a_kit(view: &mut View<'_>, sku: &str) -> Result<bool, StoreError> {
    Ok(view.item_by_sku(sku)?.is_some_and(|(_, item)| !item.kit.is_empty()))
}

/// What is told, in the order of lines: rows that are ready wait for those before them.
struct Told<'a> {
    plan: &'a Plan,
    /// Of the plan among all.
    place: usize,
    report: mpsc::Sender<(usize, RowResult)>,
    /// By line; of those that are not told yet.
    ready: BTreeMap<u64, RowResult>,
    /// Lines of which a second part is still to come.
    open: BTreeSet<u64>,
    /// All lines that are told of, in order.
    lines: Vec<u64>,
    next: usize,
    summary: Summary,
}

impl<'a> Told<'a> {
    fn new(run: &Run<'a>, report: mpsc::Sender<(usize, RowResult)>) -> Self {
        let (plan, place) = (run.plan, run.place);
        let bad = plan.bad.iter().cloned().map(|bad| RowResult::bad(bad, Outcome::LeftOut, Some(Why::Row)));
        let skipped = plan.skipped.iter().cloned().map(|row| RowResult::bad(row, Outcome::Skipped, None));
        let ready: BTreeMap<u64, RowResult> = bad.chain(skipped).map(|row| (row.line, row)).collect();
        let mut lines: Vec<u64> = plan.tasks.iter().flat_map(|task| plan.lines(task)).collect();
        lines.extend(ready.keys());
        lines.sort_unstable();
        lines.dedup();
        let seconds = plan.tasks.iter().filter(|task| matches!(task.make, Make::Second(_)));
        let open = seconds.flat_map(|task| plan.lines(task)).collect();
        let (left_out, skipped) = (plan.bad.len(), plan.skipped.len());
        let summary = Summary { skipped, left_out, ..Summary::default() };
        Self { plan, place, report, ready, open, lines, next: 0, summary }
    }

    async fn came(&mut self, task: &Task, came: Came) {
        let lines = self.plan.lines(task);
        let is_second = matches!(task.make, Make::Second(_));
        let before = lines.first().and_then(|line| self.ready.get(line)).map(|ready| ready.outcome);
        match came {
            // What was wrong with the first part stays said.
            _ if is_second && before == Some(Outcome::LeftOut) => {}
            Ok(_) if is_second => {}
            Ok(outcome) => {
                self.count(task, outcome);
                for line in &lines {
                    self.ready.insert(*line, self.result(*line, outcome));
                }
            }
            Err((text, why)) => {
                if before == Some(Outcome::Imported) {
                    self.summary.imported -= 1;
                }
                self.leave_out(task, &lines, &text, &why);
            }
        }
        if is_second {
            for line in &lines {
                self.open.remove(line);
            }
        }
        self.tell().await;
    }

    /// A row that is not bad, with what is said of it nevertheless.
    fn result(&self, line: u64, outcome: Outcome) -> RowResult {
        let said = match outcome {
            Outcome::Skipped => Some(Bad::new(line, None, stock::IS_A_KIT)),
            Outcome::Imported => self.plan.said.get(&line).cloned(),
            _ => None,
        };
        said.map_or_else(|| RowResult::plain(line, outcome), |said| RowResult::bad(said, outcome, None))
    }

    fn count(&mut self, task: &Task, outcome: Outcome) {
        match outcome {
            Outcome::Imported => {
                self.summary.imported += 1;
                self.summary.counted += usize::from(self.plan.counts(task));
            }
            Outcome::AlreadyImported | Outcome::AlreadyThere => self.summary.already_there += 1,
            Outcome::Skipped => self.summary.skipped += self.plan.lines(task).len(),
            _ => {}
        }
    }

    fn leave_out(&mut self, task: &Task, lines: &[u64], text: &str, why: &Why) {
        let blamed = self.blamed(task, why);
        for (place, line) in lines.iter().enumerate() {
            let bad = match blamed.filter(|blamed| *blamed != place) {
                None => Bad::new(*line, self.column(task, why), text),
                Some(other) => {
                    let (one, wrong) = (self.plan.what.one(), lines[other]);
                    Bad::new(*line, None, format!("line {wrong} of the same {one} is wrong"))
                }
            };
            self.ready.insert(*line, RowResult::bad(bad, Outcome::LeftOut, Some(why.clone())));
        }
        self.summary.left_out += lines.len();
        self.summary.refused += lines.len();
    }

    /// The row of a command that is to blame, where one is.
    fn blamed(&self, task: &Task, why: &Why) -> Option<usize> {
        let rows = task.make.rows();
        if rows.len() < 2 {
            return None;
        }
        let sku = match why {
            Why::Invalid(Invalid::UnknownSku(sku) | Invalid::UnknownLot { sku, .. }) => sku,
            Why::Invalid(Invalid::TooPrecise { sku, .. }) => sku,
            Why::Refused(Refusal::Insufficient(missing)) if missing.len() == 1 => &missing[0].sku,
            _ => return None,
        };
        let column = if self.plan.what == What::Kits { "component" } else { "sku" };
        rows.iter().position(|row| self.plan.table.record(*row).field(column) == sku)
    }

    /// The column that a refusal speaks of.
    fn column(&self, task: &Task, why: &Why) -> Option<&'static str> {
        match why {
            Why::Invalid(Invalid::UnknownSku(sku)) if self.plan.what == What::Kits => {
                let row = task.make.rows().first().map(|row| self.plan.table.record(*row));
                let is_the_kit = row.is_some_and(|row| row.field("kit") == sku);
                Some(if is_the_kit { "kit" } else { "component" })
            }
            why => column(why, self.plan.what),
        }
    }

    /// Tells what is ready and waits for nothing before it.
    async fn tell(&mut self) {
        while let Some(line) = self.lines.get(self.next).copied() {
            if self.open.contains(&line) {
                return;
            }
            let Some(ready) = self.ready.remove(&line) else { return };
            let _ = self.report.send((self.place, ready)).await;
            self.next += 1;
        }
    }

    async fn end(mut self, nothing: bool) -> Summary {
        self.tell().await;
        Summary { nothing, ..self.summary }
    }
}

/// The column that a refusal speaks of, as a row of most files has it.
fn column(why: &Why, what: What) -> Option<&'static str> {
    let quantity = if what == What::Stock { "counted" } else { "quantity" };
    match why {
        Why::Invalid(Invalid::UnknownSku(_)) => Some("sku"),
        Why::Invalid(Invalid::UnknownLocation(_)) if what == What::Locations => Some("parent"),
        Why::Invalid(Invalid::UnknownLocation(_)) => Some("location"),
        Why::Invalid(Invalid::UnknownLot { .. }) => Some("lot"),
        Why::Invalid(Invalid::TooPrecise { .. } | Invalid::TooLarge { .. }) => Some(quantity),
        Why::Invalid(Invalid::Field { field, .. } | Invalid::TooFarAhead { field, .. }) => Some(*field),
        Why::Refused(Refusal::Insufficient(_)) => Some(quantity),
        _ => None,
    }
}
