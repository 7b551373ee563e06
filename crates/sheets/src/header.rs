//! What a file's columns must be called, and what most likely went wrong where they are not.

use crate::{FileProblem, Table};

/// Refuses a header that lacks a column, or has one that is not known.
pub fn check_header(table: &Table, own: &[&str], needed: &[&str], also: &str) -> Result<(), FileProblem> {
    for needed in needed {
        if !table.has(needed) {
            return Err(FileProblem(format!(
                "line 1: no column is called `{needed}`{}. Onhand's own columns are {}{also}",
                likely_cause(&table.header, own),
                own.join(", ")
            )));
        }
    }
    if table.mapped {
        return Ok(());
    }
    if let Some(unknown) = table.header.iter().find(|name| !own.contains(&name.as_str())) {
        let cause = likely_cause(&table.header, own);
        return Err(FileProblem(format!(
            "line 1: the column `{unknown}` is not known{cause}; these are: {}. Where it is said which column is which \
             (`--map OURS=THEIRS`, over HTTP `map`), others are left alone",
            own.join(", ")
        )));
    }
    Ok(())
}

/// What most likely went wrong with a header; nothing where it is not known.
fn likely_cause(header: &[String], own: &[&str]) -> String {
    let separator = [(';', "semicolon"), ('\t', "tab"), ('|', "bar")].into_iter().find(|(separator, _)| {
        matches!(header, [only] if only.contains(*separator) && only.split(*separator).any(|name| own.contains(&&*name.trim().to_lowercase())))
    });
    if let Some((_, name)) = separator {
        return format!(": the separator must be a comma, and here it is a {name}");
    }
    let lower: Vec<String> = header.iter().map(|name| name.trim().to_lowercase()).collect();
    if *header != lower && lower.iter().any(|name| own.contains(&name.as_str())) {
        let meant: Vec<&str> = lower.iter().map(String::as_str).filter(|name| own.contains(name)).collect();
        return format!(": columns are lower case without spaces around: {}", meant.join(", "));
    }
    String::new()
}
