//! Many points, in shards that can be stopped and gone on with.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::check::{Run, place};
use crate::disk::{Disk, Lie};
use crate::random::Random;

/// How many points are tried before it is written down that they were.
const BLOCK: u64 = 200;

/// Which points to try.
#[derive(Clone, Copy, Debug)]
pub struct Points {
    /// All choices follow from it and a point's number.
    pub seed: u64,
    /// How many points there are in all.
    pub all: u64,
    /// Which share of them is ours, from 0.
    pub shard: u64,
    /// How many shares there are.
    pub shards: u64,
    /// What the disk lies about.
    pub lie: Lie,
}

/// A point after which something is wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Loss {
    /// Its number.
    pub point: u64,
    /// Before which event of the trace the power went.
    pub event: usize,
    /// What is wrong.
    pub found: String,
}

/// How far a shard got.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// The seed, and how many points and shards there are: another choice begins anew.
    pub of: (u64, u64, u64, u64),
    /// Points tried.
    pub tried: u64,
    /// What was found.
    pub losses: Vec<Loss>,
}

impl Points {
    fn id(&self) -> (u64, u64, u64, u64) {
        (self.seed, self.all, self.shard, self.shards)
    }

    /// How many of them are ours.
    pub fn ours(&self) -> u64 {
        self.all / self.shards + u64::from(self.all % self.shards > self.shard)
    }

    /// Tries them, going on from where `progress` is, which is handed out after each block.
    pub fn run(
        &self,
        run: &Run,
        mut progress: Progress,
        report: &mut dyn FnMut(&Progress) -> Result<()>,
    ) -> Result<Progress> {
        if progress.of != self.id() {
            progress = Progress { of: self.id(), ..Progress::default() };
        }
        while progress.tried < self.ours() {
            let upto = self.ours().min(progress.tried + BLOCK);
            progress.losses.extend(self.block(run, progress.tried, upto)?);
            progress.tried = upto;
            report(&progress)?;
        }
        Ok(progress)
    }

    /// In the order of their events, so that the trace is played once.
    fn block(&self, run: &Run, from: u64, upto: u64) -> Result<Vec<Loss>> {
        let mut points: Vec<(usize, u64, Random)> = (from..upto)
            .map(|nth| {
                let point = nth * self.shards + self.shard;
                let mut random = Random::of(self.seed, point);
                (random.index(run.trace.events.len() + 1), point, random)
            })
            .collect();
        points.sort_by_key(|(event, point, _)| (*event, *point));
        let mut disk = Disk::new(self.lie);
        let mut losses = Vec::new();
        for (event, point, mut random) in points {
            disk.play(&run.trace, event);
            let folder = place()?;
            disk.lose(&mut random, folder.path())?;
            // An assertion of ours that fails is found as well.
            let check = AssertUnwindSafe(|| run.check(event, folder.path(), &mut random));
            let found = match catch_unwind(check) {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => "an assertion fails".to_owned(),
            };
            losses.push(Loss { point, event, found });
        }
        Ok(losses)
    }

    /// Makes the files of one point in a directory, to look at them.
    pub fn make(&self, run: &Run, point: u64, directory: &Path) -> Result<usize> {
        let mut random = Random::of(self.seed, point);
        let event = random.index(run.trace.events.len() + 1);
        let mut disk = Disk::new(self.lie);
        disk.play(&run.trace, event);
        disk.lose(&mut random, directory)?;
        Ok(event)
    }
}

impl Progress {
    /// As a file says; none there: nothing was tried.
    pub fn read(path: &Path) -> Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is no progress of ours; name another file", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Into a file, wholly or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let beside = beside(path, ".new");
        std::fs::write(&beside, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(beside, path).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// A file's name with something after it.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// `2/8`: the second of eight, counted from 1.
pub fn parse_shard(text: &str) -> Result<(u64, u64)> {
    let (shard, shards) = text.split_once('/').context("a shard is such as 2/8")?;
    let (shard, shards): (u64, u64) = (shard.parse()?, shards.parse()?);
    ensure!((1..=shards).contains(&shard), "a shard is such as 2/8, from 1 to the number of them");
    Ok((shard - 1, shards))
}
