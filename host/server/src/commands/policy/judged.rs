//! Judgements as `policy check`, `policy apply --dry-run` and `policy apply` show them, all alike.

use std::path::Path;

use gate::Judgement;
use serde_json::json;

use crate::answer::{Answer, printable};

/// The refusal of a set that no one can have intended.
pub(super) fn refusal(folder: &Path, judgement: &Judgement) -> Answer {
    let mut json = judgement.to_json();
    json["refused"] = json!(true);
    let remarks = format!(
        "error: {} is refused; nothing was stored and nothing changes\n{}If this is what you want, say --allow-lockout.\n",
        folder.display(),
        lines(judgement)
    );
    Answer::new("", json).with_remarks(remarks).with_code(1)
}

/// Remarks for the author of an accepted set.
pub(super) fn remarks(judgement: &Judgement) -> String {
    let allowed = if judgement.refuses() {
        format!("Accepted because of --allow-lockout:\n{}", lines(judgement))
    } else {
        String::new()
    };
    let notes: String = judgement
        .notes
        .iter()
        .map(|note| format!("note: {note}\n"))
        .collect();
    allowed + &notes
}

/// The problems of the set, below the headline. Policies name themselves and their failures.
fn lines(judgement: &Judgement) -> String {
    judgement
        .to_string()
        .lines()
        .map(|line| format!("  {}\n", printable(line)))
        .collect()
}
