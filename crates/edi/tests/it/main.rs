//! What is read and written, as bytes and as documents.

mod edifact;
mod properties;
mod x12_answers;
mod x12_envelope;
mod x12_in;
mod x12_out;

use onhand_edi::x12;

/// An interchange of one set: `body` is its segments, each ended by `~`.
fn x12_of(functional: &str, kind: &str, body: &str) -> String {
    let count = body.matches('~').count() + 2;
    format!(
        "ISA*00*          *00*          *ZZ*WAREHOUSE      *ZZ*DEPOSITOR      *261129*1015*U*00401*000000007*0*P*>~\n\
         GS*{functional}*WAREHOUSE*DEPOSITOR*20261129*1015*3*X*004010~\n\
         ST*{kind}*0001~{body}SE*{count}*0001~\nGE*1*3~\nIEA*1*000000007~\n"
    )
}

/// The only document of an interchange that nothing is wrong with.
fn x12_document(functional: &str, kind: &str, body: &str) -> x12::Document {
    let receipt = x12::receive(x12_of(functional, kind, body).as_bytes());
    assert_eq!(receipt.problems, [], "{body}");
    assert_eq!(
        receipt.acknowledgments.iter().filter(|answer| answer.verdict != x12::Verdict::Accepted).count(),
        0
    );
    receipt.documents.into_iter().next().expect("a document").1
}

/// What is wrong with an interchange of one set, in words.
fn x12_problems(functional: &str, kind: &str, body: &str) -> Vec<String> {
    let receipt = x12::receive(x12_of(functional, kind, body).as_bytes());
    assert_eq!(receipt.documents, [], "{body}");
    receipt.problems.iter().map(ToString::to_string).collect()
}

/// Does one of the sentences have both parts in it?
#[track_caller]
fn assert_told(problems: &[String], place: &str, told: &str) {
    assert!(
        problems.iter().any(|problem| problem.contains(place) && problem.contains(told)),
        "{place}: {told}\n{problems:#?}"
    );
}
