//! Are the tests tested? Changes the ledger, the store and the sync decisions in one small way at a time, and says which changes no test notices.
//!
//! cargo-mutants says which changes there are. They are woven into a copy of the workspace, hundreds in one build, and the
//! tests run once for each; the first test that fails ends it. What was noticed is kept, and not tried again.

mod weave;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use self::weave::Mutant;
use crate::run::{self, cargo, is_there, timed};

#[derive(Args)]
pub struct Mutants {
    /// Which share of them, chosen by chance: 2/8 is the second of eight
    #[arg(long, default_value = "1/1")]
    shard: String,
    /// Only files whose path has this in it; may be told often
    #[arg(long = "file", value_name = "PART")]
    files: Vec<String>,
    /// Only those whose name or mark has this in it; may be told often
    #[arg(long = "only", value_name = "PART")]
    only: Vec<String>,
    /// Tries those too that were noticed before
    #[arg(long)]
    all: bool,
    /// How many cases a property test tries on each: more takes longer, and finds more
    #[arg(long, default_value_t = 16)]
    cases: u32,
}

/// What was found out, a line each; and the copy of the workspace.
const FOLDER: &str = "target/mutants";
/// Those that change nothing that a test could see: named there by their mark.
const EXPLAINED: &str = "docs/mutants.md";
/// What is changed, how its code asks which change runs, and whose tests must notice.
const PACKAGES: [(&str, &str, &[&str]); 3] = [
    ("onhand-ledger", "crate::mutant()", &["onhand-ledger", "onhand-store", "onhand-engine"]),
    ("onhand-store", "onhand_ledger::mutant()", &["onhand-store", "onhand-engine"]),
    ("onhand-sync", "onhand_ledger::mutant()", &["onhand-sync", "onhand-simulator"]),
];
/// Programs of tests that need a server, or measure what is large.
const PROGRAMS_SKIPPED: [&str; 3] = ["postgres", "nodes", "large"];
/// Tests that load the machine, that need a server, or that write each step of many to disk.
const SKIPPED: [&str; 9] = [
    "crash",
    "race",
    "vendure",
    "medusa_",
    "bench",
    "power",
    "fault",
    "postgres",
    "reopened_without_flushing",
];
/// So many stories of the simulator are played for each case of a property test.
const STORIES: u32 = 20;
/// A mutant may ask for memory until there is none: kibibytes.
const MOST_MEMORY: u64 = 3_000_000;
const MEMORY: &str = "/dev/shm";
const CHOSEN: &str = "
/// Which change of the code runs, by its number.
pub fn mutant() -> u32 {
    static CHOSEN: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| {
        std::env::var(\"ONHAND_MUTANT\").ok().and_then(|number| number.parse().ok()).unwrap_or(0)
    });
    *CHOSEN
}
";

pub fn mutants(choice: &Mutants) -> Result<ExitCode> {
    let mut kept = Kept::open(&run::root().join(FOLDER))?;
    let sources = Sources::read()?;
    let mut mutants = choose(choice, list()?, &kept, &sources)?;
    let tree = run::root().join(FOLDER).join("tree");
    // Woven files are written by the weaver.
    copy_workspace(&tree, |name| PACKAGES.iter().any(|(package, ..)| is_source_of(package, name)))?;
    let programs = loop {
        let lines = weave_all(&tree, &sources, &mutants)?;
        match build(&tree, &lines)? {
            Built::Tests(programs) => break programs,
            Built::Wrong(numbers) => {
                eprintln!("xtask: {} changes do not compile", numbers.len());
                for number in numbers {
                    if let Some(unviable) = mutants.remove(&number) {
                        kept.write(&unviable.mutant, "unviable", "")?;
                    }
                }
            }
        }
    };
    mutants.retain(|_, chosen| !chosen.is_done);
    let mut tests = Tests::measured(programs, choice.cases)?;
    let mut told = BTreeMap::<&str, usize>::new();
    let total = mutants.len();
    for (nth, (number, chosen)) in (1..).zip(mutants) {
        let (result, by) = if chosen.is_woven { tests.tried(number)? } else { ("left out", String::new()) };
        *told.entry(result).or_default() += 1;
        kept.write(&chosen.mutant, result, &by)?;
        if result == "missed" {
            println!("{} {}", chosen.mutant.mark(), chosen.mutant.name);
        }
        eprint!("\rxtask: {nth} of {total}: {told:?}   ");
    }
    eprintln!();
    println!("{}", serde_json::to_string(&told)?);
    Ok(ExitCode::from(u8::from(told.contains_key("missed"))))
}

// ---- which -----------------------------------------------------------------------------------------------------------

struct Chosen {
    mutant: Mutant,
    is_woven: bool,
    /// Noticed before, or explained. It is woven all the same, so that going on builds nothing.
    is_done: bool,
}

fn list() -> Result<Vec<Mutant>> {
    if !is_there(&mut cargo(["mutants", "--version"])) {
        let mut install = cargo(["install", "cargo-mutants", "--locked"]);
        timed("install cargo-mutants, which is not on this machine", &mut install)?;
    }
    let packages = PACKAGES.iter().flat_map(|(package, ..)| ["--package", *package]);
    let listed = cargo(["mutants", "--list", "--json"]).args(packages).stderr(Stdio::inherit()).output()?;
    ensure!(listed.status.success(), "cargo-mutants could not list them");
    serde_json::from_slice(&listed.stdout).context("cargo-mutants lists in another way than it did")
}

fn choose(
    choice: &Mutants,
    all: Vec<Mutant>,
    kept: &Kept,
    sources: &Sources,
) -> Result<BTreeMap<u32, Chosen>> {
    let (shard, shards) = choice.shard.split_once('/').context("a shard is such as 2/8")?;
    let (shard, shards): (u64, u64) = (shard.parse()?, shards.parse()?);
    ensure!((1..=shards).contains(&shard), "a shard is such as 2/8, from 1 to the number of them");
    let explained = fs::read_to_string(run::root().join(EXPLAINED))?;
    let has = |text: &str, parts: &[String]| parts.is_empty() || parts.iter().any(|part| text.contains(part));
    let chosen: Vec<(String, Mutant)> = all
        .into_iter()
        .map(|mutant| (mutant.mark(), mutant))
        .filter(|(mark, _)| u64::from_str_radix(mark, 16).unwrap_or(0) % shards == shard - 1)
        .filter(|(_, mutant)| has(&mutant.file, &choice.files))
        .filter(|(mark, mutant)| has(&format!("{mark} {}", mutant.name), &choice.only))
        .filter(|(mark, _)| !kept.unviable.contains(mark))
        .collect();
    let mut numbered = BTreeMap::new();
    for (mark, mutant) in chosen {
        let is_done = !choice.all && (kept.is_done(&mark) || explained.contains(mark.as_str()));
        // Tried in the order of their marks: as good as by chance.
        let number = u32::from_str_radix(&mark[..8], 16).context("a mark begins with eight digits")?;
        let text = sources.0.get(&mutant.file).context("what is listed is one of the sources")?;
        let is_woven = weave::is_weavable(text, &mutant);
        numbered.insert(number, Chosen { mutant, is_woven, is_done });
    }
    Ok(numbered)
}

// ---- what was found out ------------------------------------------------------------------------------------------------

struct Kept {
    file: fs::File,
    done: BTreeSet<String>,
    unviable: BTreeSet<String>,
}

impl Kept {
    fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join("results");
        let (mut done, mut unviable) = (BTreeSet::new(), BTreeSet::new());
        for line in fs::read_to_string(&path).unwrap_or_default().lines() {
            // One that was missed is tried again: a test may have come for it.
            if let [mark, result, ..] = line.split('\t').collect::<Vec<_>>()[..] {
                match result {
                    "missed" => done.remove(mark),
                    "unviable" => unviable.insert(mark.to_owned()),
                    _ => done.insert(mark.to_owned()),
                };
            }
        }
        Ok(Self { file: fs::OpenOptions::new().append(true).create(true).open(path)?, done, unviable })
    }

    fn is_done(&self, mark: &str) -> bool {
        self.done.contains(mark)
    }

    fn write(&mut self, mutant: &Mutant, result: &str, by: &str) -> Result<()> {
        writeln!(self.file, "{}\t{result}\t{}\t{by}", mutant.mark(), mutant.name)?;
        Ok(())
    }
}

// ---- the copy ----------------------------------------------------------------------------------------------------------

/// Copies all that git knows, or would take, but what is written otherwise; what is the same stays as it is, so that it is not
/// built again.
pub(crate) fn copy_workspace(tree: &Path, is_written_otherwise: impl Fn(&str) -> bool) -> Result<()> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(run::root())
        .output()?;
    ensure!(listed.status.success(), "git could not list the workspace's files");
    for name in String::from_utf8(listed.stdout)?.split('\0').filter(|name| !name.is_empty()) {
        if let (false, Ok(content)) = (is_written_otherwise(name), fs::read(run::root().join(name))) {
            write_if_other(&tree.join(name), &content)?;
        }
    }
    Ok(())
}

fn is_source_of(package: &str, name: &str) -> bool {
    let folder = package.replace("onhand-", "crates/");
    Path::new(name).extension().is_some_and(|end| end == "rs") && name.starts_with(&format!("{folder}/src/"))
}

pub(crate) fn write_if_other(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).ok().as_deref() == Some(content) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
    fs::write(path, content)?;
    Ok(())
}

/// Which lines of which files are of which mutant.
type Lines = BTreeMap<String, Vec<(u32, std::ops::Range<usize>)>>;

fn weave_all(tree: &Path, sources: &Sources, mutants: &BTreeMap<u32, Chosen>) -> Result<Lines> {
    let mut by_file = BTreeMap::<&str, Vec<(u32, &Mutant)>>::new();
    for (number, chosen) in mutants {
        if chosen.is_woven {
            by_file.entry(&chosen.mutant.file).or_default().push((*number, &chosen.mutant));
        }
    }
    let mut lines = Lines::new();
    for (name, text) in &sources.0 {
        let mut text = text.clone();
        if let Some(mutants) = by_file.get(name.as_str()) {
            let how = PACKAGES.iter().find(|(package, ..)| is_source_of(package, name));
            let woven = weave::weave(&text, mutants, how.context("only packages are woven")?.1);
            text = woven.text;
            lines.insert(name.clone(), woven.lines);
        }
        if name == "crates/ledger/src/lib.rs" {
            text.push_str(CHOSEN);
        }
        write_if_other(&tree.join(name), text.as_bytes())?;
    }
    Ok(lines)
}

/// The files that are changed, as they were when we began: somebody may go on writing them.
struct Sources(BTreeMap<String, String>);

impl Sources {
    fn read() -> Result<Self> {
        let mut all = BTreeMap::new();
        for (package, ..) in PACKAGES {
            for path in files(&run::root().join(package.replace("onhand-", "crates/")).join("src"))? {
                let name = path.strip_prefix(run::root())?.to_string_lossy().into_owned();
                all.insert(name, fs::read_to_string(path)?);
            }
        }
        Ok(Self(all))
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

// ---- building ----------------------------------------------------------------------------------------------------------

enum Built {
    /// The programs of tests.
    Tests(Vec<PathBuf>),
    /// Changes that do not compile.
    Wrong(BTreeSet<u32>),
}

fn build(tree: &Path, lines: &Lines) -> Result<Built> {
    let mut build = cargo(["test", "--no-run", "--lib", "--tests", "--message-format", "json"]);
    let changed =
        PACKAGES.iter().filter(|(package, ..)| lines.keys().any(|name| is_source_of(package, name)));
    let tested_with: BTreeSet<&str> =
        changed.flat_map(|(.., tested_with)| tested_with.iter().copied()).collect();
    for package in tested_with {
        build.args(["--package", package]);
    }
    build.current_dir(tree).env("CARGO_TARGET_DIR", run::root().join(FOLDER).join("target"));
    eprintln!("xtask: build {} woven files", lines.len());
    let built = build.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    let (mut tests, mut wrong, mut others) = (Vec::new(), BTreeSet::new(), Vec::new());
    for line in String::from_utf8_lossy(&built.stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        // A package's own program is built beside its tests.
        if let (Some(program), true) = (message["executable"].as_str(), message["profile"]["test"] == true) {
            tests.push(PathBuf::from(program));
        }
        if message["message"]["level"] == "error" {
            let culprits = culprits(&message["message"], lines);
            if culprits.is_empty() {
                others.push(message["message"]["rendered"].as_str().unwrap_or_default().to_owned());
            }
            wrong.extend(culprits);
        }
    }
    if built.status.success() {
        return Ok(Built::Tests(tests));
    }
    ensure!(!wrong.is_empty(), "it does not build, and not because of a change:\n{}", others.join("\n"));
    Ok(Built::Wrong(wrong))
}

/// Whose lines an error points to.
fn culprits(message: &Value, lines: &Lines) -> BTreeSet<u32> {
    let spans = message["spans"].as_array().into_iter().flatten();
    let mut found = BTreeSet::new();
    for span in spans.filter(|span| span["is_primary"] == true) {
        let (file, line) = (span["file_name"].as_str().unwrap_or_default(), span["line_start"].as_u64());
        let line = line.and_then(|line| usize::try_from(line).ok()).unwrap_or(0);
        let of_file = lines.get(file).into_iter().flatten();
        found.extend(of_file.filter(|(_, range)| range.contains(&line)).map(|(number, _)| *number));
    }
    found
}

// ---- trying ------------------------------------------------------------------------------------------------------------

struct Test {
    program: PathBuf,
    takes: Duration,
    /// How many mutants it noticed.
    noticed: u32,
}

struct Tests {
    all: Vec<Test>,
    cases: u32,
}

enum End {
    Passed,
    /// The test that failed, where it could say so.
    Failed(String),
    TooLong,
}

impl Tests {
    /// All tests on the unchanged code: they must pass, and how long they take is how long they may take.
    fn measured(programs: Vec<PathBuf>, cases: u32) -> Result<Self> {
        let mut tests = Vec::new();
        for program in programs.into_iter().filter(|program| !PROGRAMS_SKIPPED.contains(&&*name(program))) {
            let begun = now();
            match run_tests(&program, (0, cases), Duration::from_mins(10))? {
                End::Passed => {}
                End::Failed(test) => bail!("{test} of {} fails on the unchanged code", program.display()),
                End::TooLong => bail!("{} takes too long on the unchanged code", program.display()),
            }
            tests.push(Test { program, takes: begun.elapsed(), noticed: 0 });
        }
        let total: Duration = tests.iter().map(|test| test.takes).sum();
        eprintln!("xtask: the unchanged code passes, in {:.1} s", total.as_secs_f32());
        for test in &tests {
            eprintln!("xtask:   {:6.2} s  {}", test.takes.as_secs_f32(), name(&test.program));
        }
        Ok(Self { all: tests, cases })
    }

    /// Which test notices a change, if any. Those that noticed most in the least time come first.
    fn tried(&mut self, number: u32) -> Result<(&'static str, String)> {
        let worth = |test: &Test| f64::from(test.noticed + 1) / (test.takes.as_secs_f64() + 0.05);
        self.all.sort_by(|one, other| worth(other).total_cmp(&worth(one)));
        for test in &mut self.all {
            // Others may work on the machine too.
            let may_take = Duration::from_mins(1) + test.takes * 5;
            let program = name(&test.program);
            match run_tests(&test.program, (number, self.cases), may_take)? {
                End::Passed => {}
                End::Failed(by) => {
                    test.noticed += 1;
                    return Ok(("caught", format!("{program}::{by}")));
                }
                End::TooLong => {
                    test.noticed += 1;
                    return Ok(("timed out", program));
                }
            }
        }
        Ok(("missed", String::new()))
    }
}

/// The program's name without what cargo adds.
fn name(program: &Path) -> String {
    let stem = program.file_stem().unwrap_or_default().to_string_lossy();
    stem.rsplit_once('-').map_or(&*stem, |(name, _)| name).to_owned()
}

fn run_tests(program: &Path, (number, cases): (u32, u32), may_take: Duration) -> Result<End> {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {MOST_MEMORY}; exec \"$0\" \"$@\"")]).arg(program);
    for skipped in SKIPPED {
        command.args(["--skip", skipped]);
    }
    let folder = folder_of(program);
    command
        .current_dir(folder)
        .env("ONHAND_MUTANT", number.to_string())
        .env("PROPTEST_CASES", cases.to_string())
        .env("ONHAND_SEEDS", (cases * STORIES).to_string());
    // A woven function has a place on the stack for each of its copies.
    command.env("RUST_MIN_STACK", "67108864").env("ONHAND_WITHOUT_POSTGRESQL", "1");
    // Nothing here is lost with the power: files that are only in memory will do.
    if Path::new(MEMORY).is_dir() {
        command.env("TMPDIR", MEMORY);
    }
    // What failed need not be made small.
    command.env("PROPTEST_MAX_SHRINK_ITERS", "0").env("RUST_BACKTRACE", "0");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let end = watch(&mut child, may_take)?;
    child.kill().ok();
    child.wait()?;
    Ok(end)
}

/// Tests find files of theirs from the folder of their package, whose copy they were built in.
fn folder_of(program: &Path) -> PathBuf {
    let name = name(program);
    let package =
        PACKAGES.iter().map(|(package, ..)| *package).find(|package| package.replace('-', "_") == name);
    let package = package.unwrap_or("onhand-engine").replace("onhand-", "crates/");
    run::root().join(FOLDER).join("tree").join(package)
}

/// Until the first test fails.
fn watch(child: &mut Child, may_take: Duration) -> Result<End> {
    let (send, lines) = mpsc::channel();
    let out = child.stdout.take().context("its output is ours")?;
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(std::result::Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    let until = now() + may_take;
    loop {
        match lines.recv_timeout(until.saturating_duration_since(now())) {
            Ok(line) => {
                if let Some(test) =
                    line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
                {
                    return Ok(End::Failed(test.to_owned()));
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => return Ok(End::TooLong),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let passed = child.wait()?.success();
                return Ok(if passed { End::Passed } else { End::Failed("(it ended)".to_owned()) });
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long tests take is what a mutant that never ends is told by"
)]
fn now() -> Instant {
    Instant::now()
}
