//! Where settings come from: the command line, the environment, a file; the stronger first.
//!
//! A setting is an argument of the program itself or of `serve` that has an environment variable. Its name in the file is
//! the variable's, in small letters and without `ONHAND_`. So there is one list of settings, and each value is read by one
//! parser: what the file says becomes the argument's default. All of a file is checked, also what is overridden.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use clap::builder::OsStr;
use clap::error::ContextKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, FromArgMatches as _};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cli::Cli;

/// The command whose arguments are settings too.
const SERVE: &str = "serve";
const PREFIX: &str = "ONHAND_";
/// It says where the file is.
const FILE: &str = "config";
/// Variables that are no settings and count: the file's own, and secrets of commands.
const OTHERS: [&str; 4] = [FILE, "key", "seal_key", "system_secret"];

/// Why a command line is not run.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The words are none, or ask for help.
    #[error(transparent)]
    Words(#[from] clap::Error),
    /// The file of settings is not as it must be.
    #[error(transparent)]
    File(#[from] anyhow::Error),
}

/// A command line, and where each setting comes from.
pub struct Settings {
    /// What was asked.
    pub cli: Cli,
    /// Name, value and source of each setting, where `serve` was asked for.
    pub told: Vec<Told>,
}

/// A setting as it stands.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// Its name in the file.
    pub name: String,
    /// None where it is not set. A secret is not shown.
    pub value: Option<String>,
    /// `flag`, `environment`, `file` or `default`.
    pub source: &'static str,
}

/// Reads a command line, with the environment and the file of settings if one is named.
pub fn read(words: &[OsString]) -> Result<Settings, Refused> {
    let first = Cli::command().try_get_matches_from(words)?;
    let Some(path) = first.get_one::<std::path::PathBuf>(FILE) else { return settings(&first, &[]) };
    let entries = entries(path)?;
    let command = entries.iter().fold(Cli::command(), |command, entry| entry.set(command));
    settings(&command.try_get_matches_from(words)?, &entries)
}

/// Variables of the environment that look like settings and are none: misspelt, perhaps. No error, since others may make
/// some up for purposes of theirs, as Kubernetes does for each of its services.
pub fn strangers() -> Vec<String> {
    let known: Vec<String> = known().into_iter().map(|one| one.name).collect();
    let is_known = |name: &str| OTHERS.contains(&name) || known.iter().any(|known| known == name);
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let strangers = names
        .filter(|name| name.strip_prefix(PREFIX).is_some_and(|rest| !is_known(&rest.to_ascii_lowercase())));
    strangers.collect()
}

fn settings(matches: &ArgMatches, entries: &[Entry]) -> Result<Settings, Refused> {
    let cli = Cli::from_arg_matches(matches)?;
    let serve = matches.subcommand_matches(SERVE);
    let told =
        serve.map_or_else(Vec::new, |serve| known().iter().map(|one| one.told(serve, entries)).collect());
    Ok(Settings { cli, told })
}

/// A setting there is.
struct Known {
    name: String,
    arg: Arg,
    of_serve: bool,
}

impl Known {
    fn is_switch(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::SetTrue)
    }

    fn told(&self, serve: &ArgMatches, entries: &[Entry]) -> Told {
        let id = self.arg.get_id().as_str();
        let in_file = entries.iter().any(|entry| entry.id == id);
        let source = match serve.value_source(id) {
            Some(ValueSource::CommandLine) => "flag",
            Some(ValueSource::EnvVariable) => "environment",
            _ if in_file => "file",
            _ => "default",
        };
        let raw = serve.get_raw(id).and_then(|mut values| values.next_back());
        let value = match raw {
            Some(value) if self.is_database() => {
                Some(crate::database::Database::from(value.to_owned()).to_string())
            }
            Some(value) => Some(value.to_string_lossy().into_owned()),
            None => None,
        };
        Told { name: self.name.clone(), value, source }
    }

    /// It may have a password in it.
    fn is_database(&self) -> bool {
        self.name == "database"
    }
}

/// All settings, the program's own first.
fn known() -> Vec<Known> {
    let command = Cli::command();
    let serve = command.find_subcommand(SERVE).expect("it is a command").clone();
    let of = |command: &Command, of_serve: bool| -> Vec<Known> {
        let known = command.get_arguments().filter_map(|arg| {
            let name = arg.get_env()?.to_str()?.strip_prefix(PREFIX)?.to_ascii_lowercase();
            (name != FILE).then(|| Known { name, arg: arg.clone(), of_serve })
        });
        known.collect()
    };
    of(&command, false).into_iter().chain(of(&serve, true)).collect()
}

/// A setting that the file has.
struct Entry {
    id: String,
    value: OsStr,
    of_serve: bool,
}

impl Entry {
    fn set(&self, command: Command) -> Command {
        let set = |command: Command| command.mut_arg(&self.id, |arg| arg.default_value(self.value.clone()));
        if self.of_serve { command.mut_subcommand(SERVE, set) } else { set(command) }
    }
}

fn entries(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let shown = path.display();
    let text =
        std::fs::read_to_string(path).with_context(|| format!("the settings in {shown} cannot be read"))?;
    let at = |span: std::ops::Range<usize>| {
        let line = text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1);
        format!("{shown}, line {line}")
    };
    let table = DeTable::parse(&text).map_err(|error| {
        anyhow!(
            "{}: {}; right is such as `listen = \"127.0.0.1:7171\"`",
            at(error.span().unwrap_or(0..0)),
            error.message()
        )
    })?;
    let known = known();
    let mut entries = Vec::new();
    for (name, value) in table.get_ref() {
        let found = known.iter().find(|one| one.name == name.get_ref().as_ref());
        let Some(one) = found else {
            let names: Vec<String> = known.iter().map(|one| format!("`{}`", one.name)).collect();
            bail!(
                "{}: there is no setting `{}`; there are {}",
                at(name.span()),
                name.get_ref(),
                names.join(", ")
            );
        };
        entries.push(
            entry(one, value).map_err(|wrong| anyhow!("{}: `{}` {wrong}", at(value.span()), one.name))?,
        );
    }
    Ok(entries)
}

fn entry(known: &Known, value: &Spanned<DeValue<'_>>) -> Result<Entry, String> {
    let text = match (value.get_ref(), known.is_switch()) {
        (DeValue::Boolean(on), true) => on.to_string(),
        (_, true) => return Err("must be true or false".to_owned()),
        (DeValue::String(text), false) => text.to_string(),
        (DeValue::Integer(number), false) => number.to_string(),
        (_, false) => return Err("must be text in quotes, or a whole number".to_owned()),
    };
    check(known, &text)?;
    Ok(Entry { id: known.arg.get_id().to_string(), value: OsStr::from(text), of_serve: known.of_serve })
}

/// Reads a value as the command line would.
fn check(known: &Known, text: &str) -> Result<(), String> {
    if known.is_switch() {
        return Ok(());
    }
    let flag = format!("--{}={text}", known.arg.get_long().unwrap_or_default());
    let Err(error) = Cli::command().try_get_matches_from(["onhand", SERVE, &flag]) else { return Ok(()) };
    let why = match (std::error::Error::source(&error), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => source.to_string(),
        (None, Some(valid)) => format!("it must be one of: {valid}"),
        (None, None) => error.kind().to_string(),
    };
    Err(if known.is_database() { why } else { format!("cannot be `{text}`: {why}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_file(text: &str, words: &[&str]) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("onhand.toml");
        std::fs::write(&path, text).unwrap();
        let mut all = vec!["onhand".into(), "--config".into(), path.clone().into_os_string()];
        all.extend(words.iter().map(OsString::from));
        read(&all).map_err(|refused| refused.to_string().replace(path.to_str().unwrap(), "FILE"))
    }

    fn told(settings: &Settings, name: &str) -> (Option<String>, &'static str) {
        let told = settings.told.iter().find(|told| told.name == name).unwrap();
        (told.value.clone(), told.source)
    }

    #[test]
    fn a_flag_is_stronger_than_the_file_and_the_file_than_what_is_usual() {
        let file = "listen = \"127.0.0.1:1\"\nreconcile_seconds = 7\nno_sync = true\ndatabase = \"a.db\"\nlog_format = \"json\"";
        let settings = read_file(file, &["serve", "--listen", "127.0.0.1:2"]).unwrap();
        assert_eq!(told(&settings, "listen"), (Some("127.0.0.1:2".to_owned()), "flag"));
        assert_eq!(told(&settings, "reconcile_seconds"), (Some("7".to_owned()), "file"));
        assert_eq!(told(&settings, "no_sync"), (Some("true".to_owned()), "file"));
        assert_eq!(told(&settings, "rate"), (Some("50000".to_owned()), "default"));
        assert_eq!(told(&settings, "tls_cert"), (None, "default"));
        assert_eq!(settings.cli.db.to_string(), "a.db");
        assert_eq!(settings.cli.log_format, crate::cli::LogFormat::Json);
        let crate::cli::Command::Serve(serve) = settings.cli.command else { panic!() };
        assert!(serve.no_sync && serve.listen.port() == 2 && serve.reconcile_seconds == 7);
    }

    #[test]
    fn other_commands_take_what_is_theirs_and_leave_the_rest() {
        let settings = read_file("database = \"a.db\"\nlisten = \"127.0.0.1:1\"", &["verify"]).unwrap();
        assert_eq!(settings.cli.db.to_string(), "a.db");
        assert_eq!(settings.told, []);
    }

    #[test]
    fn a_password_is_not_told() {
        let settings = read_file("database = \"postgres://u:secret@h/d\"", &["serve"]).unwrap();
        let (shown, _) = told(&settings, "database");
        assert!(!shown.unwrap().contains("secret"));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        let cases = [
            ("lisen = 1", "FILE, line 1: there is no setting `lisen`; there are `database`, `log`, "),
            ("\n[tls]\ncert = 1", "FILE, line 2: there is no setting `tls`; there are "),
            ("listen = \"here\"", "FILE, line 1: `listen` cannot be `here`: invalid socket address syntax"),
            (
                "reconcile_seconds = 0",
                "FILE, line 1: `reconcile_seconds` cannot be `0`: 0 is not in 1..=86400",
            ),
            ("\n\nno_sync = \"yes\"", "FILE, line 3: `no_sync` must be true or false"),
            ("listen = [1]", "FILE, line 1: `listen` must be text in quotes, or a whole number"),
            (
                "log_format = \"xml\"",
                "FILE, line 1: `log_format` cannot be `xml`: it must be one of: text, json",
            ),
            (
                "otlp_endpoint = \"x\"",
                "`otlp_endpoint` cannot be `x`: it must be such as http://127.0.0.1:4318",
            ),
            ("log = \"a=b=c\"", "`log` cannot be `a=b=c`: "),
            ("listen = 127.0.0.1", "FILE, line 1: "),
            ("rate = 1\nrate = 2", "FILE, line 2: duplicate key"),
        ];
        for (file, expected) in cases {
            // Also what a flag overrides.
            let says = read_file(file, &["serve", "--listen", "127.0.0.1:0"]).err().expect(file);
            assert!(says.contains(expected), "{file}: {says}");
        }
        let missing = read(&["onhand", "--config", "/no/such.toml", "serve"].map(OsString::from));
        let says = format!("{:#}", anyhow::Error::from(missing.err().unwrap()));
        assert!(says.contains("/no/such.toml cannot be read"), "{says}");
    }
}
