use onhand_simulator::seeds::{Progress, seeds};
fn main() {
    let file = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let first: u64 = std::env::args().nth(2).unwrap().parse().unwrap();
    let many: u64 = std::env::args().nth(3).unwrap().parse().unwrap();
    let threads: usize = std::env::args().nth(4).unwrap().parse().unwrap();
    std::panic::set_hook(Box::new(|_| {}));
    let begun = Progress::read(&file, first).unwrap();
    let done = seeds(many, threads, begun, &mut |progress, failures| {
        for failure in failures {
            eprintln!("seed {}:\n{}", failure.seed, failure.told);
        }
        progress.write(&file)
    })
    .unwrap();
    println!("{} {:?}", serde_json::to_string(&done.report).unwrap(), done.failed);
}
