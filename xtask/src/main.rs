//! The project's own chores: `cargo xtask help` lists them.
//!
//! They need nothing but cargo to start, install what is missing, and say so. They are no part of Onhand.

mod browser;
mod fuzz;
mod mutants;
mod package;
mod planted;
mod proof;
mod run;
mod schemathesis;
mod servers;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Xtask {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Runs the tests: documentation examples first, then all others with nextest, whose summary comes last
    Test(test::Choice),
    /// Makes the Debian package, from an optimised build, in target/debian
    Package(package::Making),
    /// Tries the Debian package: installs, runs, upgrades, removes and purges it. As root, on a machine of nobody's
    PackageTest(package::Trial),
    /// Takes the power away from the store at many points of a recorded run, and says what was lost
    PowerLoss(proof::PowerLoss),
    /// Tries mutated inputs on a parser
    Fuzz(fuzz::Fuzz),
    /// Lets each operation on the database's files fail under a real server
    IoErrors(proof::IoErrors),
    /// Changes the ledger and the store in small ways, and says which changes no test notices
    Mutants(mutants::Mutants),
    /// Tries the API as its own description says that it may be asked: no answer may be our fault
    Schemathesis(schemathesis::Trial),
    /// Plants bugs in the engine and its decisions, and says at which seed the simulator finds each
    Planted(planted::Planted),
}

fn main() -> ExitCode {
    let outcome = match Xtask::parse().chore {
        Chore::Test(choice) => test::run(&choice),
        Chore::Package(making) => package::package(&making),
        Chore::PackageTest(trial) => package::test(&trial),
        Chore::PowerLoss(choice) => proof::power_loss(&choice),
        Chore::Fuzz(choice) => fuzz::fuzz(&choice),
        Chore::IoErrors(choice) => proof::io_errors(&choice),
        Chore::Mutants(choice) => mutants::mutants(&choice),
        Chore::Schemathesis(trial) => schemathesis::run(&trial),
        Chore::Planted(choice) => planted::planted(&choice),
    };
    // Not returned from main: that would print a backtrace wherever RUST_BACKTRACE is set.
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
