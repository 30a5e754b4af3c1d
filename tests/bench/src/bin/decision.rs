// A `file:upload` decision through the whole default set, compared with the same rules written for
// Cedar, for regorus and as plain Rust functions. Input conversion included, one run.
//
// Fails if an engine disagrees on any case, if our p50 is above Cedar's, or if two threads decide
// less than 1.7 times as many as one.

use std::cell::RefCell;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use bench::contexts::{all_cases, upload};
use bench::measure::{Samples, print_table, rate};
use bench::rules::cedar::Cedar;
use bench::rules::rego::Rego;
use bench::rules::{Objections, outcome, plain};
use policy_engine::contract::Outcome;
use policy_engine::{
    Compiler, Decision, DecisionOutcome, Engine, EngineConfig, OwnerSettings, PolicySet, SetSpec,
};
use serde_json::json;

const ROUNDS: usize = 40;
const RUNS_PER_ROUND: usize = 2_500;

/// The largest allowed ratio of our median to Cedar's.
const MOST_OF_CEDAR: f64 = 1.0;
/// The smallest allowed ratio of two threads' decisions to one thread's.
const LEAST_SCALING: f64 = 1.7;

#[allow(clippy::print_stdout, reason = "a program talks")]
fn main() -> anyhow::Result<()> {
    let as_json = std::env::args().any(|argument| argument == "--json");
    let set = load_default_set(true)?;
    let cedar = Cedar::new()?;
    let rego = RefCell::new(Rego::new()?);
    let agreed = check_agreement(&set, &cedar, &mut rego.borrow_mut())?;

    let case = upload();
    let owner = set.resolve_owner_settings(&case.owner.stored());
    let without_fuel = load_default_set(false)?;
    let owner_without_fuel = without_fuel.resolve_owner_settings(&case.owner.stored());

    let mut engines: Vec<(&str, Box<dyn Fn()>, Samples)> = vec![
        (
            "plain Rust functions",
            Box::new(|| drop(black_box(plain::decide(black_box(&case))))),
            Samples::default(),
        ),
        (
            "portcullis, 4 fresh sandboxes",
            Box::new(|| drop(black_box(set.decide(black_box(&case.context), &owner)))),
            Samples::default(),
        ),
        (
            "portcullis without fuel",
            Box::new(|| {
                drop(black_box(
                    without_fuel.decide(black_box(&case.context), &owner_without_fuel),
                ))
            }),
            Samples::default(),
        ),
        (
            "regorus 0.14, compiled",
            Box::new(|| drop(black_box(rego.borrow_mut().decide(black_box(&case))))),
            Samples::default(),
        ),
        (
            "cedar-policy 4.14",
            Box::new(|| drop(black_box(cedar.decide(black_box(&case))))),
            Samples::default(),
        ),
    ];
    // In turns, so that other work on the machine affects all of them alike.
    for round in 0..=ROUNDS {
        for (_, run, samples) in &mut engines {
            samples.add(RUNS_PER_ROUND, run);
            if round == 0 {
                *samples = Samples::default();
            }
        }
    }
    let results: Vec<(&str, f64, f64)> = engines
        .iter()
        .map(|(name, _, samples)| {
            (
                *name,
                samples.percentile_us(0.5),
                samples.percentile_us(0.99),
            )
        })
        .collect();
    let p50 = |wanted: &str| {
        results
            .iter()
            .find(|(name, _, _)| name.starts_with(wanted))
            .map_or(f64::NAN, |(_, p50, _)| *p50)
    };
    let (ours, cedars) = (p50("portcullis, 4"), p50("cedar"));
    let of_cedar = ours / cedars;

    let decide = || {
        let (set, context, owner) = (&set, &case.context, &owner);
        move || drop(black_box(set.decide(black_box(context), owner)))
    };
    // In turns, and the best of each: the run that other work on the machine disturbed least.
    let (mut one, mut two) = (0.0_f64, 0.0_f64);
    for _ in 0..20 {
        one = one.max(rate(1, Duration::from_millis(200), decide));
        two = two.max(rate(2, Duration::from_millis(200), decide));
    }
    let scaling = two / one;

    if as_json {
        let engines: Vec<_> = results
            .iter()
            .map(|(name, p50, p99)| json!({"engine": name, "p50_us": p50, "p99_us": p99}))
            .collect();
        println!(
            "{}",
            json!({"bench": "decision", "cases_agreed": agreed, "engines": engines, "of_cedar": of_cedar, "one_thread_per_second": one, "two_threads_per_second": two, "scaling": scaling})
        );
    } else {
        println!(
            "\na file:upload decision through policies/default ({agreed} cases decided alike by all engines)"
        );
        let mut rows = vec![
            ["engine", "p50 µs", "p99 µs", "of Cedar"]
                .map(str::to_owned)
                .to_vec(),
        ];
        rows.extend(results.iter().map(|(name, p50, p99)| {
            vec![
                (*name).to_owned(),
                format!("{p50:.2}"),
                format!("{p99:.2}"),
                format!("{:.2}", p50 / cedars),
            ]
        }));
        print_table(&rows);
        println!(
            "  fuel costs {:.1} % of the median",
            (ours / p50("portcullis without") - 1.0) * 100.0
        );
        println!("  one thread {one:.0}/s, two threads {two:.0}/s: {scaling:.2} times as many");
    }
    ensure!(
        of_cedar <= MOST_OF_CEDAR,
        "the median is {of_cedar:.2} of Cedar's; it may be {MOST_OF_CEDAR} at most"
    );
    ensure!(
        scaling >= LEAST_SCALING,
        "two threads decide {scaling:.2} times as many as one; it must be {LEAST_SCALING} at least"
    );
    Ok(())
}

/// The default set as the server would load it.
fn load_default_set(fuel: bool) -> anyhow::Result<PolicySet> {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let mut config = EngineConfig::new(Compiler::InProcess);
    config.lanes = 2;
    if !fuel {
        config.budget.fuel = None;
    }
    let engine = Engine::new(config)?;
    let path = policies.join("default/set.toml");
    let spec = SetSpec::parse(
        &std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?,
    )?;
    let modules = spec
        .bindings
        .iter()
        .map(|binding| {
            let path = policies.join("modules").join(&binding.module);
            let wasm = std::fs::read(&path).with_context(|| {
                format!(
                    "cannot read {}; run cargo xtask build-plugins",
                    path.display()
                )
            })?;
            engine
                .load(&wasm)
                .with_context(|| format!("{}", path.display()))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let set = PolicySet::assemble(1, &spec, &modules)?;
    set.warm();
    Ok(set)
}

/// Every engine must agree on every case, or there is nothing to compare.
fn check_agreement(set: &PolicySet, cedar: &Cedar, rego: &mut Rego) -> anyhow::Result<usize> {
    let cases = all_cases();
    let mut outcomes = std::collections::BTreeSet::new();
    for case in &cases {
        let owner: OwnerSettings = set.resolve_owner_settings(&case.owner.stored());
        ensure!(
            owner.problems().is_empty(),
            "the default set does not offer {:?}: {:?}",
            case.owner,
            owner.problems()
        );
        let decision = set.decide(&case.context, &owner);
        let expected = (outcome_of(&decision), objections_of(&decision));
        outcomes.insert(expected.0);
        for (engine, objections) in [
            ("plain Rust", plain::decide(case)),
            ("Cedar", cedar.decide(case)?),
            ("regorus", rego.decide(case)?),
        ] {
            let said = (outcome(&objections), objections);
            ensure!(
                said == expected,
                "{engine} says {said:?}, the policies say {expected:?} of {case:#?}"
            );
        }
    }
    ensure!(
        outcomes.len() == 4,
        "the cases do not reach every outcome: {outcomes:?}"
    );
    Ok(cases.len())
}

fn outcome_of(decision: &Decision) -> &'static str {
    match decision.outcome {
        DecisionOutcome::Permitted => "permitted",
        DecisionOutcome::Staged => "staged",
        DecisionOutcome::Required(_) => "required",
        DecisionOutcome::Denied => "denied",
        DecisionOutcome::Failed => "failed",
    }
}

fn objections_of(decision: &Decision) -> Objections {
    let mut found = Objections::new();
    for record in &decision.policies {
        if let Ok(verdict) = &record.result
            && !matches!(verdict.outcome, Outcome::Permit | Outcome::Abstain)
        {
            found.extend(
                verdict
                    .reasons
                    .iter()
                    .map(|reason| format!("{}/{}", record.policy, reason.code)),
            );
        }
    }
    found
}
