//! Policies that misbehave in a decision, and the effect on other requests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use policy_engine::contract::{Action, CredentialKind, Obligation};
use policy_engine::{DecisionOutcome, EvaluateFailure, Grade, OwnerSettings, PolicySet};

use crate::fixture::{binding, decide, engine_with, graded, read, set, spec, upload, wasm};

/// Decides with one hostile policy next to one that permits everything.
#[track_caller]
fn failure_of(policy: &str) -> EvaluateFailure {
    let decision = decide(&set(&["permit-all", policy]), &read());
    assert_eq!(decision.outcome, DecisionOutcome::Failed);
    assert_eq!(decision.reasons.len(), 1);
    assert_eq!(decision.reasons[0].code, "policy-failed");
    assert!(decision.reasons[0].message.contains(policy));
    assert!(decision.obligations.is_empty());
    let failure = decision.policies[1].result.clone().unwrap_err();
    let text = failure.to_string();
    assert!(
        !text.contains('\n') && text.len() < 200,
        "one clear line for the operator: {text}"
    );
    failure
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    assert_eq!(
        failure_of("endless-loop"),
        EvaluateFailure::Fuel(20_000_000)
    );
}

#[test]
fn an_endless_loop_runs_out_of_time_where_fuel_is_off() {
    let engine = engine_with(|budget| budget.fuel = None);
    let bindings = vec![binding("endless-loop", Grade::Enforce)];
    let set = PolicySet::assemble(
        1,
        &spec(bindings),
        &[engine.load(&wasm("endless_loop")).unwrap()],
    )
    .unwrap();
    let begin = Instant::now();
    let decision = decide(&set, &read());
    assert_eq!(decision.policies[0].result, Err(EvaluateFailure::Time(10)));
    assert_eq!(decision.policies[0].fuel, 0);
    assert!(
        begin.elapsed() >= Duration::from_millis(5),
        "the whole budget was there to be used"
    );
}

#[test]
fn an_endless_recursion_overflows_its_own_stack_only() {
    let failure = failure_of("endless-recursion");
    assert!(
        matches!(failure, EvaluateFailure::Stack | EvaluateFailure::Trap(_)),
        "{failure}"
    );
}

#[test]
fn a_memory_grabber_gets_no_more_than_its_budget() {
    assert_eq!(
        failure_of("memory-grabber"),
        EvaluateFailure::Memory(16 << 20)
    );
}

#[test]
fn a_huge_answer_is_not_taken() {
    assert_eq!(
        failure_of("huge-output"),
        EvaluateFailure::Output("more than 65536 bytes".into())
    );
}

#[test]
fn a_flood_of_log_lines_is_not_taken() {
    assert!(matches!(
        failure_of("log-flood"),
        EvaluateFailure::Output(_)
    ));
}

#[test]
fn a_trap_is_a_failure() {
    assert!(matches!(failure_of("trap"), EvaluateFailure::Trap(_)));
}

#[test]
fn staging_what_cannot_be_staged_is_a_failure() {
    assert!(
        failure_of("stages-anything")
            .to_string()
            .contains("only file:upload can be staged")
    );
    assert_eq!(
        decide(&set(&["permit-all", "stages-anything"]), &upload()).outcome,
        DecisionOutcome::Staged
    );
}

#[test]
fn an_unknown_obligation_denies() {
    let decision = decide(&set(&["permit-all", "unknown-obligation"]), &read());
    assert_eq!(decision.outcome, DecisionOutcome::Denied);
    assert_eq!(decision.reasons[0].code, "unknown-obligation");
    assert!(decision.reasons[0].message.contains("ask-grandmother"));
    assert!(
        !decision
            .obligations
            .iter()
            .any(|obligation| matches!(obligation, Obligation::Other(_)))
    );
}

#[test]
fn nothing_a_call_leaves_behind_is_seen_by_another() {
    let set = set(&["keeps-state"]);
    set.warm();
    for _ in 0..500 {
        assert_eq!(decide(&set, &read()).outcome, DecisionOutcome::Permitted);
    }
}

#[test]
fn texts_that_play_with_terminals_are_cleaned() {
    let decision = decide(&set(&["dirty-text"]), &read());
    assert_eq!(decision.outcome, DecisionOutcome::Denied);
    assert_eq!(decision.reasons[0].message, "[2Jgone  drawkcab");
    assert_eq!(decision.reasons[0].remedy.chars().count(), 300);
    assert_eq!(
        decision.policies[0].result.as_ref().unwrap().notes,
        ["first ERROR forged second line"]
    );
}

#[test]
fn a_refusal_without_a_reason_gets_a_general_one() {
    let decision = decide(&set(&["permit-all", "deny-all"]), &read());
    assert_eq!(decision.outcome, DecisionOutcome::Denied);
    assert_eq!(decision.reasons[0].code, "refused");
    assert!(decision.reasons[0].message.contains("deny-all"));
}

#[test]
fn hostile_policies_that_only_observe_change_nothing() {
    let hostile = [
        "endless-loop",
        "memory-grabber",
        "trap",
        "unknown-obligation",
        "huge-output",
        "deny-all",
    ];
    let mut bindings = vec![("permit-all", Grade::Enforce)];
    bindings.extend(hostile.map(|policy| (policy, Grade::Observe)));
    let decision = decide(&graded(&bindings), &read());
    assert_eq!(
        (
            decision.outcome,
            decision.reasons.len(),
            decision.warnings.len()
        ),
        (DecisionOutcome::Permitted, 0, 0)
    );
    assert_eq!(decision.policies.len(), 7);
}

#[test]
fn a_warning_tells_the_person_and_lets_through() {
    let decision = decide(
        &graded(&[("permit-all", Grade::Enforce), ("deny-all", Grade::Warn)]),
        &read(),
    );
    assert_eq!(decision.outcome, DecisionOutcome::Permitted);
    assert_eq!(decision.warnings[0].code, "refused");
}

#[test]
fn a_policy_that_overruns_again_and_again_is_suspended_and_fails_at_once() {
    let set = set(&["permit-all", "endless-loop"]);
    for _ in 0..5 {
        assert_eq!(
            decide(&set, &read()).policies[1].result,
            Err(EvaluateFailure::Fuel(20_000_000))
        );
    }
    let decision = decide(&set, &read());
    assert!(matches!(
        decision.policies[1].result,
        Err(EvaluateFailure::Suspended(_))
    ));
    // Not skipped: its decisions fail.
    assert_eq!(decision.outcome, DecisionOutcome::Failed);
    let health = set.health();
    assert_eq!(
        (health[0].suspended, health[1].suspended, health[1].failures),
        (false, true, 6)
    );
}

#[test]
fn a_policy_that_traps_is_not_suspended() {
    let set = set(&["trap"]);
    for _ in 0..20 {
        assert!(matches!(
            decide(&set, &read()).policies[0].result,
            Err(EvaluateFailure::Trap(_))
        ));
    }
}

#[test]
fn what_could_never_be_permitted_is_known_beforehand() {
    assert!(set(&["permit-all"]).may_permit(Action::IndexRead, CredentialKind::BasicPassword));
    assert!(
        !set(&["permit-all", "deny-all"])
            .may_permit(Action::IndexRead, CredentialKind::BasicPassword)
    );
    assert!(!set(&["trap"]).may_permit(Action::IndexRead, CredentialKind::BasicPassword));
    // Requirements that a real request may meet are no obstacle.
    assert!(set(&["permit-all", "echo"]).may_permit(Action::FileUpload, CredentialKind::ApiToken));
}

#[test]
fn a_decision_survives_storage() {
    let decision = decide(&set(&["permit-all", "trap", "deny-all"]), &read());
    let stored = serde_json::to_string(&decision).unwrap();
    assert_eq!(
        serde_json::from_str::<policy_engine::Decision>(&stored).unwrap(),
        decision
    );
}

/// While one thread runs a hostile policy repeatedly, the decisions of another continue: they are
/// right, and only those that lost the processor are slower than the budget.
#[test]
fn no_hostile_policy_slows_a_decision_on_another_thread() {
    for hostile in [
        "endless-loop",
        "endless-recursion",
        "memory-grabber",
        "huge-output",
        "log-flood",
        "trap",
    ] {
        let good = set(&["permit-all"]);
        good.warm();
        let bad = set(&[hostile]);
        let done = AtomicBool::new(false);
        let mut times = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(decide(&bad, &read()).outcome, DecisionOutcome::Failed);
                }
            });
            let times: Vec<Duration> = (0..300)
                .map(|_| {
                    let begin = Instant::now();
                    assert_eq!(decide(&good, &read()).outcome, DecisionOutcome::Permitted);
                    begin.elapsed()
                })
                .collect();
            done.store(true, Ordering::Relaxed);
            times
        });
        times.sort_unstable();
        let slow = times[times.len() * 9 / 10];
        assert!(
            slow < Duration::from_millis(10),
            "beside {hostile} a tenth of the decisions took {slow:?} or more"
        );
    }
}

#[test]
fn many_threads_decide_rightly_at_once() {
    let permits = set(&["permit-all", "keeps-state"]);
    let denies = set(&["permit-all", "deny-all"]);
    std::thread::scope(|scope| {
        // More threads than lanes: they share, and still get their own sandboxes.
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..300 {
                    assert_eq!(
                        permits.decide(&upload(), &OwnerSettings::default()).outcome,
                        DecisionOutcome::Permitted
                    );
                    assert_eq!(
                        denies.decide(&upload(), &OwnerSettings::default()).outcome,
                        DecisionOutcome::Denied
                    );
                }
            });
        }
    });
    assert_eq!(permits.health()[0].evaluations, 1800);
}
