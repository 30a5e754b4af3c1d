//! Decisions about reads. What a decision needs is looked up, then decided about, and only then
//! is anything loaded that is large or has to be made.
//!
//! Invariant: for a caller whom the set that serves never lets read, whatever there is, nothing is
//! looked up before that is said; and for a token that is not for a project one row, in the same time
//! but for what it takes to read a row that is there.

use gate::{Permit, Target};
use model::CredentialKind;
use registry::targets::{DownloadFile, ReadList, ReadProject};

use crate::exchange::Exchange;
use crate::problem::Problem;

/// Decides about the list of projects.
pub(crate) async fn read_list(exchange: &Exchange) -> Result<Permit<ReadList>, Problem> {
    exchange.decide(exchange.app.registry.list_to_read()).await
}

/// Decides about what there is of a project, by its normalized name.
pub(crate) async fn read_project(
    exchange: &Exchange,
    normalized: &str,
) -> Result<Permit<ReadProject>, Problem> {
    let (registry, address) = (&exchange.app.registry, exchange.address());
    refuse_unseen(exchange, registry.unseen_project(address, normalized)).await?;
    let target = registry.load_read_project(&exchange.caller, address, normalized);
    let target = target.await.map_err(|error| exchange.not_read(error))?;
    exchange.decide(target).await
}

/// The project that the path names. A name that no project can have is decided about like the
/// list, so that whoever may not read is told so here as everywhere; then there is none.
pub(crate) async fn read_named_project(
    exchange: &Exchange,
) -> Result<Result<Permit<ReadProject>, Nothing>, Problem> {
    match exchange.project() {
        Some(name) => read_project(exchange, name.normalized()).await.map(Ok),
        None => Ok(Err(Nothing(read_list(exchange).await?))),
    }
}

/// Who asked for a name that no project can have may read, and there is nothing.
pub(crate) struct Nothing(#[expect(dead_code, reason = "proof")] Permit<ReadList>);

/// Decides about a file; see [`registry::Registry::load_download`].
pub(crate) async fn read_file(
    exchange: &Exchange,
    digest: (&str, &str, &str),
    name: &str,
) -> Result<Permit<DownloadFile>, Problem> {
    let registry = &exchange.app.registry;
    refuse_unseen(exchange, registry.unseen_download(name)).await?;
    let target = registry.load_download(&exchange.caller, digest, name);
    let target = target.await.map_err(|error| exchange.not_read(error))?;
    // Where not everybody may read, a token that is not for this project has none of its files
    // looked up. Where everybody may, a credential takes nothing away.
    if !may_anybody(exchange, &target) && exchange.is_refused_by_the_core(&target) {
        drop(exchange.decide(target.clone()).await?);
    }
    let target = registry.with_file(target, exchange.address());
    let target = target.await.map_err(|error| exchange.not_read(error))?;
    exchange.decide(target).await
}

/// Whether the set may permit this without a credential: then one that is not accepted, or not
/// enough, is set aside by the gate.
fn may_anybody(exchange: &Exchange, target: &impl Target) -> bool {
    let gate = &exchange.app.gate;
    !gate.never_permits(target.facts().action, CredentialKind::None)
}

/// Decides about what nobody looked at, where the set refuses it whatever it is.
async fn refuse_unseen<T: Target>(exchange: &Exchange, unseen: T) -> Result<(), Problem> {
    let gate = &exchange.app.gate;
    let never = gate.never_permits(unseen.facts().action, exchange.caller.credential);
    if never && !may_anybody(exchange, &unseen) {
        // Permitted all the same if the set was replaced just now: then it is looked up.
        drop(exchange.decide(unseen).await?);
    }
    Ok(())
}
