//! Commands for sets and modules in files: no database, no server.

use std::path::Path;

use anyhow::{Context as _, ensure};
use gate::{Candidate, LockedOut, SetPackage};
use policy_engine::contract::Descriptor;
use policy_engine::{Compiler, Engine, EngineConfig, LoadError};
use serde_json::json;

use super::judged;
use super::report::settings_text;
use crate::answer::{Answer, printable};
use crate::configuration::Configuration;
use crate::wiring;

/// Largest module that is read; the engine has its own, smaller limit.
const LARGEST: u64 = 256 << 20;

/// An engine without a cache: nothing is written anywhere.
fn engine(configuration: &Configuration) -> anyhow::Result<Engine> {
    let compiler = Compiler::Process {
        program: wiring::this_program()?,
        arguments: vec![wiring::COMPILE_MODULE.to_owned()],
    };
    let mut config = EngineConfig::new(compiler);
    config.lanes = 1;
    config.budget = wiring::budget(configuration)?;
    Ok(Engine::new(config)?)
}

pub(super) fn check(
    folder: &Path,
    allow_lockout: bool,
    configuration: &Configuration,
) -> anyhow::Result<Answer> {
    let package = SetPackage::read(&super::set_folder(folder))?;
    let verified = package.verify(&engine(configuration)?).with_context(|| {
        format!(
            "{} is refused; nothing was stored and nothing changes",
            folder.display()
        )
    })?;
    let candidate = match Candidate::judge(verified, allow_lockout) {
        Ok(candidate) => candidate,
        Err(LockedOut(judgement)) => return Ok(judged::refusal(folder, &judgement)),
    };
    let (verified, judgement) = (candidate.verified(), candidate.judgement());
    let spec = verified.set().spec();
    let cases = match verified.case_files() {
        0 => "it has no cases".to_owned(),
        1 => "the cases of 1 file hold".to_owned(),
        files => format!("the cases of {files} files hold"),
    };
    let policies = if spec.bindings.len() == 1 {
        "1 policy".to_owned()
    } else {
        format!("{} policies", spec.bindings.len())
    };
    let mut text = format!("set {} is valid: {policies}, {cases}\n", spec.name);
    for policy in verified.set().policies() {
        text.push_str(&format!(
            "  {} {} in grade {}\n",
            policy.policy,
            policy.version,
            policy.grade.as_str()
        ));
    }
    let mut json = json!({
        "name": spec.name, "case-files": verified.case_files(), "refused": false,
        "policies": verified.set().policies().map(|policy| json!({ "policy": policy.policy, "version": policy.version, "digest": policy.digest, "grade": policy.grade.as_str() })).collect::<Vec<_>>(),
    });
    if let (Some(all), Some(judged)) = (json.as_object_mut(), judgement.to_json().as_object_mut()) {
        all.append(judged);
    }
    Ok(Answer::new(text, json).with_remarks(judged::remarks(judgement)))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let size = std::fs::metadata(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .len();
    ensure!(
        size <= LARGEST,
        "{} has {size} bytes, which is no policy module",
        path.display()
    );
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Version and layer of a component, as the bytes after the magic number.
const COMPONENT: [u8; 4] = [0x0d, 0x00, 0x01, 0x00];

pub(super) fn pack(
    core: &Path,
    output: &Path,
    configuration: &Configuration,
) -> anyhow::Result<Answer> {
    let bytes = read(core)?;
    ensure!(
        bytes.starts_with(b"\0asm"),
        "{} is no wasm module",
        core.display()
    );
    ensure!(
        bytes.get(4..8) != Some(&COMPONENT),
        "{} is a component already; `portcullis policy inspect` shows what is in it",
        core.display()
    );
    // Checked first: the encoder's error names what is missing, but not what to do about it.
    let imports = policy_engine::core_imports(&bytes)
        .with_context(|| format!("{} can't be packed as a policy module", core.display()))?;
    ensure!(
        imports.is_empty(),
        "{} can't be packed as a policy module; nothing was written: {}",
        core.display(),
        LoadError::Imports(imports)
    );
    let component = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| anyhow::anyhow!("{error:#}"))
        .with_context(|| format!("{} was not built with the policy SDK", core.display()))?;
    // Better to refuse here what every registry would refuse.
    engine(configuration)?.load(&component).with_context(|| {
        format!("{} can't be packed as a policy module; nothing was written. Build it with the policy SDK for wasm32-unknown-unknown", core.display())
    })?;
    std::fs::write(output, &component)
        .with_context(|| format!("cannot write {}", output.display()))?;
    Ok(Answer::new(
        format!("{} ({} bytes)", output.display(), component.len()),
        json!({ "output": output.display().to_string(), "bytes": component.len(), "digest": gate::package::digest_of(&component).to_string() }),
    ))
}

pub(super) fn inspect(path: &Path, configuration: &Configuration) -> anyhow::Result<Answer> {
    let bytes = read(path)?;
    let digest = gate::package::digest_of(&bytes);
    let module = engine(configuration)?
        .load(&bytes)
        .with_context(|| format!("{} (SHA-256 {digest}) is refused", path.display()))?;
    let budget = wiring::budget(configuration)?;
    let text = describe(
        module.descriptor(),
        bytes.len(),
        &digest.to_string(),
        &budget,
    );
    let json = json!({
        "digest": digest.to_string(), "bytes": bytes.len(), "imports": [], "descriptor": module.descriptor(),
        "budget": { "time-ms": budget.time_ms, "fuel": budget.fuel, "memory-bytes": budget.memory_bytes, "output-bytes": budget.output_bytes },
    });
    Ok(Answer::new(text, json))
}

fn describe(
    descriptor: &Descriptor,
    size: usize,
    digest: &str,
    budget: &policy_engine::Budget,
) -> String {
    let words = |list: Vec<String>| {
        if list.is_empty() {
            "none".to_owned()
        } else {
            list.join(" ")
        }
    };
    let mut text = format!(
        "{} {}\n  {}\n\ndigest    {digest}\nsize      {size} bytes\nimports   none\nactions   {}\nsections  {}\nbudget    {} ms, {} fuel, {} bytes of memory, {} bytes of output\n",
        printable(&descriptor.name),
        printable(&descriptor.version),
        printable(&descriptor.summary),
        words(descriptor.actions.iter().map(ToString::to_string).collect()),
        words(descriptor.sections.words().map(str::to_owned).collect()),
        budget.time_ms,
        budget
            .fuel
            .map_or_else(|| "unbounded".to_owned(), |fuel| fuel.to_string()),
        budget.memory_bytes,
        budget.output_bytes,
    );
    for (who, settings) in [
        ("operators", &descriptor.operator_settings),
        ("project owners", &descriptor.owner_settings),
    ] {
        if !settings.is_empty() {
            text.push_str(&format!(
                "\nsettings for {who}\n{}",
                settings_text(settings)
            ));
        }
    }
    text
}
