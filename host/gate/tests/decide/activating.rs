//! Activating a set is decided like every other action.

use gate::{ApplySet, Candidate, RollBack, RollBackError};
use storage::policies::ActivationKind;

use super::*;

fn staff(second_factor_at: Option<Timestamp>) -> Caller {
    let mut caller = session(second_factor_at);
    if let Principal::User(user) = &mut caller.principal {
        user.staff = true;
    }
    caller
}

fn candidate(set: &str) -> Candidate {
    let verified = shipped(set).verify(&engine()).unwrap();
    Candidate::judge(verified, false).unwrap_or_else(|refused| panic!("{refused}"))
}

#[tokio::test]
async fn staff_with_a_fresh_factor_make_a_set_the_active_one_and_nobody_else_does() {
    let fixture = Fixture::with("default").await;
    let before = fixture.gate.active_set_number();
    let decide = async |caller: &Caller| {
        let target = ApplySet::new(candidate("strict"), "a drill");
        fixture.gate.decide(&fixture.begin(), caller, target).await
    };
    for nobody in [
        Caller::anonymous(),
        session(Some(NOW)),
        staff(None),
        token_caller(ENROLLED, vec![]),
    ] {
        assert!(decide(&nobody).await.is_err(), "{nobody:?}");
    }
    let storage = fixture.gate.storage();
    assert_eq!(storage.activations(None, 10).await.unwrap().len(), 0);

    let permit = decide(&staff(Some(NOW))).await.unwrap();
    let late = decide(&staff(Some(NOW))).await.unwrap();
    let decision = permit.decision();
    let activated = gate::apply(permit, storage).await.unwrap();
    assert_ne!(Some(activated.number), before);
    let filter = AuditFilter {
        kind: Some(EventKind::PolicySetActivated),
        ..AuditFilter::default()
    };
    let events = storage.events(&filter, None, 10).await.unwrap();
    assert_eq!(events[0].event.decision, Some(decision));

    // An action that the previous set permitted is no longer done.
    let error = gate::apply(late, storage).await.unwrap_err();
    assert_eq!(error.conflict(), Some(storage::Conflict::PoliciesReplaced));
    let active = storage.active_set().await.unwrap().unwrap();
    assert_eq!(
        (active.sequence, active.kind, active.reason.as_str()),
        (activated.sequence, ActivationKind::Apply, "a drill")
    );
}

#[tokio::test]
async fn going_back_names_what_there_is_not() {
    let fixture = Fixture::with("default").await;
    let (storage, first) = (fixture.gate.storage(), fixture.gate.active_set_number());
    let roll_back = async |to| {
        let target = RollBack::new(to, "");
        let permit = fixture
            .gate
            .decide(&fixture.begin(), &staff(Some(NOW)), target)
            .await
            .unwrap();
        gate::roll_back(permit, storage, &engine()).await
    };
    let activate = async |number| {
        let sequence = gate::activate_first(storage, number, NOW).await.unwrap();
        fixture.gate.install_for(sequence, number).await.unwrap();
        sequence
    };
    assert!(matches!(
        roll_back(None).await,
        Err(RollBackError::NothingActive)
    ));
    activate(first.unwrap()).await;
    assert!(matches!(
        roll_back(None).await,
        Err(RollBackError::NothingBefore { active: 1 })
    ));
    assert!(matches!(
        roll_back(Some(7)).await,
        Err(RollBackError::NoSuchSet(7))
    ));
    let strict = activate(fixture.store(shipped("strict")).await).await;
    let activated = roll_back(None).await.unwrap();
    assert_eq!(Some(activated.number), first);
    assert!(activated.sequence > strict);
}

#[test]
fn a_set_that_locks_everybody_out_is_no_candidate_unless_somebody_means_it() {
    let folder = tempfile::tempdir().unwrap();
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/modules");
    std::fs::copy(
        modules.join("restrict-routes.wasm"),
        folder.path().join("restrict-routes.wasm"),
    )
    .unwrap();
    let set = "name = \"closed\"\nsummary = \"Nobody.\"\n[[binding]]\npolicy = \"restrict-routes\"\nmodule = \"restrict-routes.wasm\"\n[binding.settings]\nnone = []\nsession = []\n";
    std::fs::write(folder.path().join("set.toml"), set).unwrap();
    let verified = || {
        let package = SetPackage::read(folder.path()).unwrap();
        package.verify(&engine()).unwrap()
    };
    let Err(refused) = Candidate::judge(verified(), false) else {
        panic!("nobody could read or log in")
    };
    assert!(refused.to_string().contains("nobody could"), "{refused}");
    assert!(Candidate::judge(verified(), true).is_ok());
}
