//! Compares the lists of actions: the sheet in `model::action`, and those of the contract, which
//! are separate because host and policies share no crate.

use std::fs;

use policy_engine::DecisionOutcome;
use policy_engine::cases::profile::Caller;
use policy_sdk::ActionSet;

use super::{SETS, shipped, workspace};

/// The actions of `wit/policy.wit`, in its words and its order.
fn of_the_contract() -> Vec<String> {
    let text = fs::read_to_string(workspace().join("wit/policy.wit")).expect("the contract");
    let (_, rest) = text
        .split_once("    enum action {\n")
        .expect("the contract has actions");
    let (body, _) = rest.split_once("\n    }").expect("the list has an end");
    body.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("///"))
        .map(|line| line.trim_end_matches(',').to_owned())
        .collect()
}

#[test]
fn the_three_lists_of_the_contract_have_the_actions_of_the_sheet_in_its_order() {
    let sheet: Vec<&str> = model::Action::ALL
        .iter()
        .map(|action| action.as_str())
        .collect();
    let words: Vec<String> = sheet.iter().map(|text| text.replace(':', "-")).collect();
    assert_eq!(of_the_contract(), words, "wit/policy.wit");
    let host: Vec<&str> = policy_engine::contract::Action::ALL
        .iter()
        .map(|action| action.as_str())
        .collect();
    assert_eq!(host, sheet, "policy_engine::contract");
    let sdk: Vec<&str> = policy_sdk::contract::Action::ALL
        .iter()
        .map(|action| action.as_str())
        .collect();
    assert_eq!(sdk, sheet, "policy-sdk");
}

fn is_for_staff(action: policy_sdk::contract::Action) -> bool {
    let action: model::Action = action.as_str().parse().expect("an action of the sheet");
    action.is_for_staff()
}

/// The host's rule is the guard. But a list with staff's actions among those of all people looks as
/// if they were open, and without the host's rule they would be.
#[test]
fn what_is_for_staff_is_open_to_sessions_only_where_it_was_decided_for_staff() {
    for action in ActionSet::ALL.iter() {
        let text = action.as_str();
        assert!(
            !(restrict_routes::OF_PEOPLE.contains(action) && is_for_staff(action)),
            "{text} is for staff: put it into OF_STAFF"
        );
        assert!(
            !restrict_routes::OF_STAFF.contains(action) || is_for_staff(action),
            "{text} is for everybody: put it into OF_PEOPLE"
        );
    }
}

/// Opening an action to staff is one line; demanding more than a password for it is another, in
/// each set.
#[test]
fn no_shipped_set_lets_a_password_alone_do_what_is_for_staff() {
    let staff = || model::Action::ALL.iter().filter(|one| one.is_for_staff());
    assert!(staff().count() >= 5);
    for name in SETS {
        let set = shipped(name);
        let nothing_chosen = set.resolve_owner_settings(&serde_json::json!({}));
        for action in staff() {
            let asked = action.as_str().parse().expect("an action of the contract");
            let context = Caller::SessionWithoutFactor.context(asked);
            assert_ne!(
                set.decide(&context, &nothing_chosen).outcome,
                DecisionOutcome::Permitted,
                "{name}: {action}"
            );
        }
    }
}

/// The policy's own default is what a session may do; a list in a set would become outdated.
#[test]
fn no_shipped_set_has_a_list_of_its_own_for_sessions() {
    for set in SETS {
        let set = shipped(set);
        let lists = set
            .spec()
            .bindings
            .iter()
            .filter(|binding| binding.policy == "restrict-routes");
        for binding in lists {
            assert!(
                !binding.settings.contains_key("session"),
                "{}",
                set.spec().name
            );
        }
    }
}
