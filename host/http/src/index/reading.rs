//! Decisions about reads. The facts for a decision are looked up, then it is decided, and only then
//! is anything loaded that is large or has to be built.
//!
//! Invariant: a caller whom the active set never lets read is refused before anything is looked up.
//! For a token that is for another project one row is looked up, in the same time except for
//! reading a row that exists.

use gate::{Permit, Target};
use model::CredentialKind;
use registry::targets::{DownloadFile, ReadList, ReadProject};

use crate::exchange::Exchange;
use crate::problem::Problem;

/// Decides about the list of projects.
pub(crate) async fn read_list(exchange: &Exchange) -> Result<Permit<ReadList>, Problem> {
    exchange.decide(exchange.app.registry.list_to_read()).await
}

/// Decides about reading a project, by its normalized name.
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

/// The project that the path names. A name that no project can have is decided about like the list,
/// so that a caller who may not read is refused as usual; a caller who may read gets no project.
pub(crate) async fn read_named_project(
    exchange: &Exchange,
) -> Result<Result<Permit<ReadProject>, Nothing>, Problem> {
    match exchange.project() {
        Some(name) => read_project(exchange, name.normalized()).await.map(Ok),
        None => Ok(Err(Nothing(read_list(exchange).await?))),
    }
}

/// The caller may read, but asked for a name that no project can have.
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
    // If not everybody may read, no file is looked up for a token of another project. If everybody
    // may, a credential takes nothing away.
    if !may_anybody(exchange, &target) && exchange.is_refused_by_the_core(&target) {
        drop(exchange.decide(target.clone()).await?);
    }
    let target = registry.with_file(target, exchange.address());
    let target = target.await.map_err(|error| exchange.not_read(error))?;
    exchange.decide(target).await
}

/// Whether the set may permit this without a credential: then the gate sets a credential aside that
/// is not accepted or not sufficient.
fn may_anybody(exchange: &Exchange, target: &impl Target) -> bool {
    let gate = &exchange.app.gate;
    !gate.never_permits(target.facts().action, CredentialKind::None)
}

/// Decides about something that was not looked up, if the set refuses it whatever it is.
async fn refuse_unseen<T: Target>(exchange: &Exchange, unseen: T) -> Result<(), Problem> {
    let gate = &exchange.app.gate;
    let never = gate.never_permits(unseen.facts().action, exchange.caller.credential);
    if never && !may_anybody(exchange, &unseen) {
        // If the set was just replaced, this may be permitted; then it is looked up.
        drop(exchange.decide(unseen).await?);
    }
    Ok(())
}
