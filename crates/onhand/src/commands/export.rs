//! `onhand export`: what there is, as a file. What is in it the API says.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::cli::{Export, ExportFormat, ExportWhat};
use crate::link::Link;
use crate::output::{say, stdout};

pub(crate) async fn run(link: &Link, asked: &Export, json: bool) -> anyhow::Result<()> {
    let (what, file) = (asked.what, asked.to.as_deref().or(asked.xlsx.as_deref()));
    let format = format(asked)?;
    if json && file.is_none() && what != ExportWhat::Log {
        return objects(link, what).await;
    }
    let mut path = format!("/v1/export/{}?format={}", what.name(), format.name());
    for (name, seq) in [("from_seq", asked.from_seq), ("to_seq", asked.to_seq)] {
        if let Some(seq) = seq {
            path = format!("{path}&{name}={seq}");
        }
    }
    let Some(file) = file else {
        let mut out = stdout();
        link.stream(&path, |part| out.write_all(part)).await?;
        return Ok(out.flush()?);
    };
    // What is there under the name stays until all of the new one is.
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = || format!("cannot write {}", file.display());
    let mut made = tempfile::NamedTempFile::new_in(folder).with_context(cannot)?;
    let mut bytes = 0;
    link.stream(&path, |part| {
        bytes += part.len();
        made.write_all(part)
    })
    .await?;
    made.as_file().sync_all().with_context(cannot)?;
    let made = made.persist(file).with_context(cannot)?;
    readable(&made).with_context(cannot)?;
    if json {
        say(json!({ "file": file.display().to_string(), "bytes": bytes }))?;
    }
    Ok(())
}

/// As files usually are: a temporary one is for its owner alone.
#[cfg(unix)]
fn readable(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

fn format(asked: &Export) -> anyhow::Result<ExportFormat> {
    use ExportFormat::{Csv, Ndjson, Parquet, Xlsx};
    let is_log = asked.what == ExportWhat::Log;
    let ending = asked.to.as_ref().and_then(|file| file.extension()?.to_str()).map(str::to_lowercase);
    let by_name = match ending.as_deref() {
        Some("xlsx") => Some(Xlsx),
        Some("csv") => Some(Csv),
        Some("parquet") => Some(Parquet),
        Some("ndjson" | "jsonl") => Some(Ndjson),
        _ => None,
    };
    let by_what = if is_log { Ndjson } else { Csv };
    let format = match &asked.xlsx {
        Some(_) => Xlsx,
        None => asked.format.or(by_name).unwrap_or(by_what),
    };
    match format {
        Csv | Xlsx if is_log => {
            bail!("the log is no sheet: it is written as JSON lines, or with `--format parquet`")
        }
        Ndjson | Parquet if !is_log => {
            bail!("{} are written as CSV, or with `--format xlsx`", asked.what.name())
        }
        Xlsx | Parquet if asked.to.is_none() && asked.xlsx.is_none() && is_terminal() => {
            bail!("that is nothing to be read on a terminal: name a file with `--to FILE`")
        }
        _ if !is_log && (asked.from_seq.is_some() || asked.to_seq.is_some()) => {
            bail!("--from-seq and --to-seq are of the log")
        }
        _ => Ok(format),
    }
}

fn is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stdout())
}

/// All of a list as the API has it, in one object.
async fn objects(link: &Link, what: ExportWhat) -> anyhow::Result<()> {
    let path = match what {
        ExportWhat::Counts => "stock",
        other => other.name(),
    };
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = link.get(&format!("/v1/{path}?limit=100{cursor}")).await?;
        all.extend(page["data"].as_array().into_iter().flatten().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    Ok(say(json!({ "data": Value::Array(all) }))?)
}
