//! Moving in: several files of another system's, or of our own columns, as one import. The catalogue comes first, then kits, then
//! locations and stock, whatever order the files are in; what a row says may rest on any file before it.
//!
//! Files that belong together tell of each other: an item whose stock is counted by batch is tracked by lots, what is composed of
//! others is not counted, and stock that two files tell is counted once.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Seek};

use onhand_ledger::Body;
use onhand_ledger::model::Tracking;
use onhand_sheets::{Bad, FileProblem, Table};

use super::archive;
use super::foreign::{self, Left, Source};
use super::{Plan, Task, What, items, kits, locations, planned, stock};

pub use archive::{MOST_FILES, Named, pack, unpack};

/// Files that were read and checked, ready to be moved in.
#[derive(Debug)]
pub struct MoveIn {
    files: Vec<File>,
    /// What is carried out, in order.
    plans: Vec<Plan>,
    /// Of which file each is.
    of: Vec<usize>,
}

/// A file that is moved in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    /// What it is called.
    pub name: String,
    /// What it is, in words.
    pub kind: &'static str,
    /// Its columns that have values and no place here.
    pub left: Vec<Left>,
}

/// What a file is.
#[derive(Clone, Copy)]
enum Kind {
    Theirs(Source),
    Ours(What),
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Theirs(source) => source.name(),
            Self::Ours(What::Kits) => "kits, in our columns",
            Self::Ours(What::Locations) => "locations, in our columns",
            Self::Ours(What::Stock) => "stock, in our columns",
            Self::Ours(_) => "items, in our columns",
        }
    }

    /// What is taken from it, in order.
    fn whats(self, table: &Table) -> Vec<What> {
        match self {
            Self::Theirs(source) => {
                foreign::KINDS.into_iter().filter(|what| source.offers(table, *what)).collect()
            }
            Self::Ours(what) => vec![what],
        }
    }

    /// The lowest is carried out first. Of stock, a file of nothing else knows better than an inventory.
    const fn rank(self, what: What) -> u8 {
        match (self, what) {
            (Self::Theirs(Source::LinnworksLinks), _) => 1,
            (_, What::Items) => 0,
            (_, What::Kits) => 2,
            (_, What::Locations) => 3,
            (Self::Theirs(Source::LinnworksBatches), _) => 4,
            (Self::Theirs(Source::LinnworksInventory), _) => 6,
            _ => 5,
        }
    }
}

/// What a file is, by its header.
fn kind(table: &Table) -> Option<Kind> {
    if let Some(source) = foreign::recognise(table) {
        return Some(Kind::Theirs(source));
    }
    let knows = |own: &[&str]| table.header.iter().all(|name| own.contains(&name.as_str()));
    let has = |needed: &[&str]| needed.iter().all(|name| table.has(name));
    let what = if has(&kits::OWN) && knows(&kits::OWN) {
        What::Kits
    } else if has(&["code"]) && knows(&locations::OWN) {
        What::Locations
    } else if has(&["sku", "location"]) && (has(&["counted"]) || has(&["on_hand"])) && knows(&stock::OWN) {
        What::Stock
    } else if has(&["sku"]) && knows(&items::OWN) {
        What::Items
    } else {
        return None;
    };
    Some(Kind::Ours(what))
}

/// Reads files, each with its name, and checks all that can be without the ledger.
pub fn read<R: Read + Seek>(files: Vec<(String, R)>) -> Result<MoveIn, FileProblem> {
    let mut names = HashSet::new();
    let mut parts = Vec::new();
    let mut told = Vec::with_capacity(files.len());
    for (name, mut input) in files {
        let problem = |problem: FileProblem| FileProblem(format!("{name}: {}", problem.0));
        if !names.insert(name.clone()) {
            return Err(FileProblem(format!("two files are called {name}; give one another name")));
        }
        let table = onhand_sheets::read(&mut input, None, &[]).map_err(problem)?;
        let kind = kind(&table).ok_or_else(|| problem(unknown(&table)))?;
        let left = if let Kind::Theirs(source) = kind { source.left(&table) } else { Vec::new() };
        let source = if let Kind::Theirs(source) = kind { Some(source) } else { None };
        let whats = kind.whats(&table);
        let mut table = Some(table);
        for what in whats {
            let table = match table.take() {
                Some(table) => table,
                None => {
                    input.rewind().map_err(|error| problem(FileProblem(error.to_string())))?;
                    onhand_sheets::read(&mut input, None, &[]).map_err(problem)?
                }
            };
            let plan = planned(what, table, source, false, None).map_err(problem)?;
            parts.push((kind.rank(what), told.len(), plan));
        }
        told.push(File { name, kind: kind.name(), left });
    }
    if parts.is_empty() {
        return Err(FileProblem("there is no file to move in".to_owned()));
    }
    parts.sort_by(|one, other| (one.0, &told[one.1].name).cmp(&(other.0, &told[other.1].name)));
    let (of, plans) = parts.into_iter().map(|(_, file, plan)| (file, plan)).unzip();
    let mut move_in = MoveIn { files: told, plans, of };
    move_in.settle();
    Ok(move_in)
}

fn unknown(table: &Table) -> FileProblem {
    let there = table.header.join(", ");
    FileProblem(format!(
        "line 1: no export of Linnworks' or SKULabs' is known that has these columns, and they are not Onhand's own for items, kits, \
         locations or stock: {there}. Import it by itself and say which column is which, such as `onhand import stock FILE --map \
         sku=… --map location=… --map counted=…` (docs/moving-in.md)"
    ))
}

impl MoveIn {
    /// What is carried out, in order.
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// The files.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Of which file a plan is, by its place among all.
    ///
    /// # Panics
    ///
    /// Where there is no such plan.
    pub fn file_of(&self, plan: usize) -> usize {
        self.of[plan]
    }

    /// Rows that cannot be imported, in all files.
    pub fn bad(&self) -> usize {
        self.plans.iter().map(|plan| plan.bad.len()).sum()
    }

    fn name_of(&self, plan: usize) -> &str {
        &self.files[self.of[plan]].name
    }

    /// Lets the files tell of each other.
    fn settle(&mut self) {
        self.refuse_items_of_two_files();
        let kits = self.kits();
        let lots = self.lots();
        self.track(&lots);
        let mut counted = HashMap::new();
        for place in 0..self.plans.len() {
            if self.plans[place].what != What::Stock {
                continue;
            }
            let judged: Vec<Judged> = self.plans[place]
                .tasks
                .iter()
                .map(|task| self.judge(place, task, &kits, &lots, &counted))
                .collect();
            let plan = &mut self.plans[place];
            let tasks = std::mem::take(&mut plan.tasks);
            for (task, judged) in tasks.into_iter().zip(judged) {
                let lines = plan.lines(&task);
                let rows = |why: &str| {
                    lines.iter().map(|line| Bad::new(*line, Some("sku"), why)).collect::<Vec<_>>()
                };
                match judged {
                    Judged::Counted(at) => {
                        counted.insert(at, (place, plan.tasks.len()));
                        plan.tasks.push(task);
                    }
                    Judged::PassedOver(why) => plan.skipped.extend(rows(&why)),
                    Judged::Wrong(why) => plan.bad.extend(rows(&why)),
                }
            }
            plan.bad.sort();
            plan.skipped.sort();
            plan.name_places();
        }
    }

    /// An item has one catalogue: which of two would hold is anybody's guess.
    fn refuse_items_of_two_files(&mut self) {
        let mut known = HashMap::<String, (usize, u64)>::new();
        for place in 0..self.plans.len() {
            if self.plans[place].what != What::Items
                || self.plans[place].source == Some(Source::LinnworksLinks)
            {
                continue;
            }
            let tasks = std::mem::take(&mut self.plans[place].tasks);
            let (mut kept, mut bad) = (Vec::with_capacity(tasks.len()), Vec::new());
            for task in tasks {
                let plan = &self.plans[place];
                let (sku, lines) = (plan.sku(&task).to_owned(), plan.lines(&task));
                match known.get(&sku).filter(|(file, _)| *file != self.of[place]) {
                    Some((file, line)) => {
                        let problem = format!(
                            "the SKU `{sku}` is in {} on line {line} too; each once",
                            self.files[*file].name
                        );
                        bad.extend(lines.iter().map(|line| Bad::new(*line, Some("sku"), problem.clone())));
                    }
                    None => {
                        known.entry(sku).or_insert((self.of[place], lines[0]));
                        kept.push(task);
                    }
                }
            }
            let plan = &mut self.plans[place];
            plan.tasks = kept;
            plan.bad.extend(bad);
            plan.bad.sort();
            plan.bad.dedup();
        }
    }

    /// What is made a kit here.
    fn kits(&self) -> HashSet<String> {
        let bodies = self.plans.iter().flat_map(|plan| {
            let makes_kits = plan.what == What::Kits || (plan.what == What::Items && plan.source.is_none());
            plan.tasks.iter().filter(move |_| makes_kits).filter_map(|task| plan.body(task).ok())
        });
        bodies.filter_map(|body| kit_of(&body)).collect()
    }

    /// What is counted by lot here, and in which file.
    fn lots(&self) -> HashMap<String, usize> {
        let mut lots = HashMap::new();
        for (place, plan) in self.plans.iter().enumerate().filter(|(_, plan)| plan.what == What::Stock) {
            let rows = plan.tasks.iter().map(|task| plan.table.record(task.make.rows()[0]));
            for row in rows.filter(|row| !row.field("lot").is_empty()) {
                lots.entry(row.field("sku").to_owned()).or_insert(place);
            }
        }
        lots
    }

    /// Items that are counted by lot are tracked so: an export of an inventory need not say it.
    fn track(&mut self, lots: &HashMap<String, usize>) {
        for row in self.plans.iter_mut().flat_map(|plan| &mut plan.listed) {
            if lots.contains_key(&row.item.sku) {
                row.item.tracking = Some(Tracking::Lots);
            }
        }
    }

    /// What becomes of a count, after those before it.
    fn judge(
        &self,
        place: usize,
        task: &Task,
        kits: &HashSet<String>,
        lots: &HashMap<String, usize>,
        counted: &HashMap<(String, String), (usize, usize)>,
    ) -> Judged {
        let plan = &self.plans[place];
        let row = plan.table.record(task.make.rows()[0]);
        let [sku, location] = ["sku", "location"].map(|column| row.field(column).to_owned());
        if plan.source.is_some() && kits.contains(&sku) {
            return Judged::PassedOver(stock::IS_A_KIT.to_owned());
        }
        let has_no_lot = row.field("lot").is_empty() && row.field("serial").is_empty();
        if let Some(by_lot) = lots.get(&sku).filter(|_| has_no_lot) {
            return Judged::PassedOver(format!("is counted by lot, in {}", self.name_of(*by_lot)));
        }
        let at = (sku, location);
        let Some((before, task_before)) = counted.get(&at).filter(|(before, _)| *before != place) else {
            return Judged::Counted(at);
        };
        let name = self.name_of(*before);
        let is_inventory = plan.source == Some(Source::LinnworksInventory);
        if is_inventory
            || lines_of(plan, task)
                == lines_of(&self.plans[*before], &self.plans[*before].tasks[*task_before])
        {
            return Judged::PassedOver(format!("is counted in {name}"));
        }
        Judged::Wrong(format!(
            "`{}` at `{}` is counted in {name} too, and differs; take it out of one",
            at.0, at.1
        ))
    }
}

/// What becomes of a count.
enum Judged {
    /// It is taken, of an item at a location.
    Counted((String, String)),
    PassedOver(String),
    Wrong(String),
}

fn lines_of(plan: &Plan, task: &Task) -> Vec<onhand_ledger::command::Line> {
    match plan.body(task) {
        Ok(Body::Count(count)) => count.lines,
        Ok(Body::Group(bodies)) => match bodies.into_iter().next() {
            Some(Body::Count(count)) => count.lines,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The kit that a command makes.
fn kit_of(body: &Body) -> Option<String> {
    match body {
        Body::PutItem(put) => put.kit.as_ref().filter(|kit| !kit.is_empty()).map(|_| put.sku.clone()),
        Body::Group(bodies) => bodies.iter().find_map(kit_of),
        _ => None,
    }
}

/// What files have, in words: for fuzzing. What is no archive is one file.
pub(super) fn read_in_words(input: &[u8]) -> String {
    let files = unpack(std::io::Cursor::new(input));
    let files = files.unwrap_or_else(|_| vec![("a.csv".to_owned(), std::io::Cursor::new(input.to_vec()))]);
    match read(files) {
        Err(problem) => problem.0,
        Ok(move_in) => {
            let asked = move_in
                .plans
                .iter()
                .flat_map(|plan| plan.tasks.iter().map(|task| plan.body(task).expect("it was read before")));
            let asked: Vec<Body> = asked.collect();
            let bad = move_in.plans.iter().map(|plan| (&plan.bad, &plan.skipped, &plan.said, &plan.places));
            format!("{:?} {asked:?} {:?}", move_in.files, bad.collect::<Vec<_>>())
        }
    }
}
