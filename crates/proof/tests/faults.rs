//! Errors of the disk while tables are written behind the log, while checkpoints are made and files opened.

use std::process::Command;

use onhand_proof::fault::Faults;
use onhand_proof::faulty::Faulty;
use onhand_proof::workload::DATABASE;

#[test]
fn faults_under_the_engine_leave_nothing_half_written() {
    let cases = if std::env::var_os("ONHAND_FAULTS").is_some() { 20_000 } else { 250 };
    let folder = tempfile::tempdir().unwrap();
    let faults = Faults::new(folder.path(), &folder.path().join(DATABASE)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_onhand-proof"))
        .args(["faulty", "--seed", "5", "--cases", &cases.to_string()])
        .envs(faults.environment())
        .output()
        .unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    let done: Faulty = serde_json::from_str(&said).unwrap();
    println!("{done:?}");
    assert!(done.met > done.told / 3 && done.failed > done.told, "{done:?}");
}
