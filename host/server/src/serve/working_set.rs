//! The policy set that a server begins with.
//!
//! The active one in the database; the newest earlier one that loads, if that is broken; a folder,
//! if none was ever active. Without any, the server runs and refuses.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gate::{Gate, SetPackage};
use model::audit::Actor;
use policy_engine::Engine;
use storage::policies::ActivationRow;

use super::watch::Watch;

/// Where a first set can come from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The folder that was named for a first start.
    pub(super) policies: Option<PathBuf>,
    /// The folder that is watched.
    pub(super) watched: Option<PathBuf>,
}

impl Source {
    /// The folder to begin with if no set was ever active.
    fn first_folder(&self) -> Option<PathBuf> {
        let named = self.policies.clone().or_else(|| self.watched.clone());
        named.or_else(|| {
            Path::new(DEFAULT_FOLDER)
                .join("set.toml")
                .is_file()
                .then(|| PathBuf::from(DEFAULT_FOLDER))
        })
    }
}

/// The folder for a first start if none is named and it exists.
const DEFAULT_FOLDER: &str = "policies/default";

/// Most activations to go back through if the active set is broken.
const LOOK_BACK: u32 = 1000;

/// The set that the server serves now.
#[derive(Debug)]
pub(super) enum WorkingSet {
    /// The active set.
    Active { number: u64, name: String },
    /// An earlier set, because the active one could not be loaded.
    Earlier {
        number: u64,
        name: String,
        broken: i64,
    },
    /// A set read from a folder, and now active.
    First {
        number: u64,
        name: String,
        folder: PathBuf,
    },
    /// None, and the reason.
    None(String),
}

impl WorkingSet {
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Active { number, name } => format!("set {number} ({name})"),
            Self::Earlier {
                number,
                name,
                broken,
            } => format!(
                "set {number} ({name}), because the active set {broken} is broken, see the log"
            ),
            Self::First {
                number,
                name,
                folder,
            } => format!("set {number} ({name}), from {}", folder.display()),
            Self::None(why) => format!("NONE: {why}"),
        }
    }
}

/// Installs the set to begin with.
pub(super) async fn install(
    gate: &Gate,
    engine: &Engine,
    source: &Source,
    watch: Option<&mut Watch>,
) -> anyhow::Result<WorkingSet> {
    if let Some(active) = gate.storage().active_set().await? {
        let working = install_active(gate, &active).await?;
        if let Some(folder) = &source.policies {
            tracing::warn!(
                "--policies {} is for a first start only; `portcullis policy apply` replaces the active set",
                folder.display()
            );
        }
        return Ok(working);
    }
    let (folder, number) = match (watch, source.first_folder()) {
        (Some(watch), Some(folder)) => match watch.read().await {
            Ok(number) => (folder, number),
            // It is read again later: the tool that delivers the policies may come after this
            // start.
            Err(error) => return Ok(WorkingSet::None(format!("what is in {} is refused: {error}", folder.display()))),
        },
        (None, Some(folder)) => {
            let first = begin_with(gate, engine, &folder).await;
            let number = first.with_context(|| format!("cannot begin with the policy set in {}", folder.display()))?;
            (folder, number)
        }
        (_, None) => return Ok(WorkingSet::None("no policy set was ever active; make one active with `portcullis policy apply <folder>`".to_owned())),
    };
    let name = gate.active_spec().map(|spec| spec.name).unwrap_or_default();
    Ok(WorkingSet::First {
        number,
        name,
        folder,
    })
}

async fn install_active(gate: &Gate, active: &ActivationRow) -> anyhow::Result<WorkingSet> {
    let Err(error) = try_install(gate, active, active.set_number).await else {
        return Ok(WorkingSet::Active {
            number: u64::try_from(active.set_number)?,
            name: active.set_name.clone(),
        });
    };
    tracing::error!(set = active.set_number, %error, "THE ACTIVE POLICY SET CANNOT BE LOADED; looking for the newest earlier one that can");
    let mut tried = vec![active.set_number];
    for earlier in gate.storage().activations(None, LOOK_BACK).await? {
        if tried.contains(&earlier.set_number) {
            continue;
        }
        tried.push(earlier.set_number);
        if try_install(gate, active, earlier.set_number).await.is_ok() {
            tracing::error!(
                serving = earlier.set_number,
                active = active.set_number,
                "SERVING AN EARLIER POLICY SET; apply a working one with `portcullis policy apply` or `policy rollback`"
            );
            return Ok(WorkingSet::Earlier {
                number: u64::try_from(earlier.set_number)?,
                name: earlier.set_name,
                broken: active.set_number,
            });
        }
    }
    Ok(WorkingSet::None(format!(
        "neither the active set {} nor any earlier one can be loaded: {error}",
        active.set_number
    )))
}

/// Serves a set in response to the current activation.
async fn try_install(gate: &Gate, active: &ActivationRow, number: i64) -> Result<(), String> {
    let number =
        u64::try_from(number).map_err(|_| format!("{number} is no number of a policy set"))?;
    gate.install_for(active.sequence, number)
        .await
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// Validates the set in a folder, stores it, activates it and serves it, all on the server's own
/// behalf. Returns its number. A set that `policy apply` would refuse is reported, not refused: a
/// new registry has no one yet who could be locked out.
async fn begin_with(gate: &Gate, engine: &Engine, folder: &Path) -> anyhow::Result<u64> {
    let package = SetPackage::read(folder)?;
    let engine = engine.clone();
    let (verified, judgement) = tokio::task::spawn_blocking(move || {
        package.verify(&engine).map(|verified| {
            let judgement = verified.judge();
            (verified, judgement)
        })
    })
    .await??;
    for line in judgement.to_string().lines() {
        tracing::warn!(folder = %folder.display(), "`portcullis policy apply` would refuse this set: {line}");
    }
    let number = verified
        .store(gate.storage(), &Actor::System, gate.clock().now())
        .await?;
    let activation = gate::activate_first(gate.storage(), number, gate.clock().now()).await?;
    gate.install_for(activation, number).await?;
    Ok(number)
}
