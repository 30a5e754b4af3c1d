//! A policy set that decides.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::{Map, Value};
use tracing::{debug, error, warn};

use crate::combine::{Voice, combine};
use crate::contract::{
    Action, Context, ContextView, CredentialKind, Sections, Setting, SettingError, SettingKind,
    SettingValue, Verdict,
};
use crate::decision::{Decision, PolicyIdentity, PolicyRecord};
use crate::engine::EngineInner;
use crate::evaluate::{self, EvaluateFailure, Ran};
use crate::health::{Health, PolicyHealth};
use crate::module::Module;
use crate::probe;
use crate::set::{BindingSpec, SetError, SetSpec};
use crate::settings::{self, OwnerSettings, ResolvedSettings};
use crate::verdict;

/// Evaluations per policy and lane that [`PolicySet::warm`] runs.
const WARM_EVALUATIONS: usize = 200;
/// Overruns after which the probe no longer runs a policy.
const PROBE_OVERRUNS: u32 = 3;

/// The settings that one policy offers to the owners of a project, as a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerForm {
    /// Name of the policy.
    pub policy: String,
    /// Its demand, in one sentence.
    pub summary: String,
    /// The settings it offers, in its order.
    pub settings: Vec<Setting>,
}

/// The settings passed to one bound policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundSettings {
    /// The operator's.
    pub operator: Vec<SettingInForce>,
    /// The owners' of a project.
    pub owner: Vec<SettingInForce>,
}

/// One setting with the value passed to a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingInForce {
    /// Its name.
    pub name: String,
    /// Its possible values.
    pub kind: SettingKind,
    /// Its value.
    pub value: SettingValue,
    /// Whether someone chose it, as opposed to the policy's default.
    pub is_chosen: bool,
}

/// An immutable, numbered list of bindings that makes decisions. Cheap to clone.
///
/// Every policy is called in a fresh sandbox that is discarded after the call, under the engine's
/// [`Budget`](crate::Budget); there is no way to call one without a budget.
#[derive(Clone)]
pub struct PolicySet {
    inner: Arc<Inner>,
}

struct Inner {
    number: u64,
    /// Different for every assembled set of this process; see [`OwnerSettings`].
    identity: u64,
    spec: SetSpec,
    bindings: Vec<Binding>,
    engine: Arc<EngineInner>,
    assembled: Instant,
    /// For each action, a bit for each kind of credential that might be permitted.
    may_permit: Vec<u8>,
}

struct Binding {
    identity: Arc<PolicyIdentity>,
    module: Module,
    operator: Vec<SettingValue>,
    owner_defaults: Vec<SettingValue>,
    /// A bit for each action it hears.
    actions: u64,
    health: Health,
}

const _: () = assert!(
    Action::ALL.len() <= 64 && CredentialKind::ALL.len() <= 8,
    "the bit sets are too small"
);

impl PolicySet {
    /// Binds modules, one for each binding of `spec` in order, after checking the set: names,
    /// digests, narrowing, settings, and each policy's own check of its settings. Blocks for some
    /// milliseconds; call it off the request path.
    ///
    /// # Errors
    /// [`SetError`] names the binding and says what is wrong.
    pub fn assemble(
        number: u64,
        spec: &SetSpec,
        modules: &[Module],
    ) -> Result<PolicySet, SetError> {
        static IDENTITIES: AtomicU64 = AtomicU64::new(1);

        spec.check()?;
        if modules.len() != spec.bindings.len() {
            return Err(SetError::Set(format!(
                "the set has {} bindings and {} modules were given",
                spec.bindings.len(),
                modules.len()
            )));
        }
        let engine = Arc::clone(&modules[0].inner.engine);
        if modules
            .iter()
            .any(|module| !Arc::ptr_eq(&module.inner.engine, &engine))
        {
            return Err(SetError::Set(
                "the modules were loaded by different engines".into(),
            ));
        }
        let bindings = spec
            .bindings
            .iter()
            .zip(modules)
            .map(|(binding, module)| bind(&engine, binding, module))
            .collect::<Result<Vec<_>, _>>()?;
        // The stored set names the exact modules.
        let mut spec = spec.clone();
        for (binding, module) in spec.bindings.iter_mut().zip(modules) {
            binding.digest = Some(module.digest_hex());
        }
        let mut inner = Inner {
            number,
            identity: IDENTITIES.fetch_add(1, Ordering::Relaxed),
            spec,
            bindings,
            engine,
            assembled: Instant::now(),
            may_permit: Vec::new(),
        };
        inner.may_permit = inner.probe();
        Ok(PolicySet {
            inner: Arc::new(inner),
        })
    }

    /// Runs every policy 200 times on every lane, so that the first requests find warm sandboxes.
    /// Blocks for some milliseconds; call it off the request path. The answers of the policies are
    /// ignored.
    pub fn warm(&self) {
        let set = &*self.inner;
        for lane in 0..set.engine.lanes.len() {
            let _time = set.engine.keep_time(lane);
            for binding in &set.bindings {
                let action = Action::ALL
                    .iter()
                    .copied()
                    .find(|action| binding.hears(*action))
                    .unwrap_or(Action::FileUpload);
                let context = probe::favourable(action, CredentialKind::ApiToken);
                for _ in 0..WARM_EVALUATIONS {
                    if let Err(failure) = binding
                        .run(&set.engine, lane, &context, &binding.owner_defaults)
                        .result
                    {
                        // It will fail in the same way in decisions, where it matters.
                        debug!(policy = binding.identity.policy, %failure, "a policy failed while it was warmed up");
                        break;
                    }
                }
            }
        }
    }

    /// The set's number.
    pub fn number(&self) -> u64 {
        self.inner.number
    }

    /// The set as it was written, with the digest of every module filled in.
    pub fn spec(&self) -> &SetSpec {
        &self.inner.spec
    }

    /// The bound policies, in binding order.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<PolicyIdentity>> {
        self.inner.bindings.iter().map(|binding| &binding.identity)
    }

    /// Decides. Never returns an error and never panics: failures are in the decision. Takes
    /// microseconds, at most the time budget of each policy, so an async task may call it directly.
    /// The `settings` of the context's project are ignored: each policy gets its own, from `owner`.
    pub fn decide(&self, context: &Context, owner: &OwnerSettings) -> Decision {
        let set = &*self.inner;
        let lane = set.engine.lane_of_this_thread();
        let _time = set.engine.keep_time(lane);
        let begin = Instant::now();
        let resolved_again;
        let owner = match &owner.resolved {
            Some(resolved) if resolved.identity == set.identity => Some(resolved.as_ref()),
            Some(resolved) => {
                resolved_again = set.resolve(&resolved.stored);
                Some(&resolved_again)
            }
            None => None,
        };

        let mut policies = Vec::with_capacity(set.bindings.len());
        let mut before = begin;
        for (position, binding) in set.bindings.iter().enumerate() {
            if !binding.hears(context.action) {
                continue;
            }
            let chosen = owner
                .and_then(|owner| owner.values.get(position))
                .and_then(Option::as_ref);
            let Ran { result, fuel } = binding.heard(
                set,
                lane,
                before,
                context,
                chosen.unwrap_or(&binding.owner_defaults),
            );
            let now = Instant::now();
            policies.push(PolicyRecord {
                identity: Arc::clone(&binding.identity),
                result,
                nanoseconds: nanoseconds(before, now),
                fuel,
            });
            before = now;
        }
        set.conclude(context, policies, begin)
    }

    /// Why the policy at this position fails; none if it answers or does not hear the action.
    /// Neither suspended nor counted.
    pub(crate) fn try_policy(&self, position: usize, context: &Context) -> Option<EvaluateFailure> {
        let set = &*self.inner;
        let binding = set
            .bindings
            .get(position)
            .filter(|binding| binding.hears(context.action))?;
        let lane = set.engine.lane_of_this_thread();
        let _time = set.engine.keep_time(lane);
        binding
            .run(&set.engine, lane, context, &binding.owner_defaults)
            .result
            .err()
    }

    /// Whether the set could permit this kind of credential for this action at all, so that work
    /// (such as verifying a password) can be skipped if it could not.
    ///
    /// Determined when the set was assembled, by asking it about made-up requests with everything
    /// in their favour: if all are denied or fail, the answer is no. A probe, not a proof: it only
    /// ever saves work by refusing early, and a permission still needs a decision. A set that
    /// permits only under odd circumstances (say, for accounts *without* a second factor) would be
    /// refused early here.
    pub fn may_permit(&self, action: Action, credential: CredentialKind) -> bool {
        self.inner.may_permit[action.position()] & (1 << credential as u8) != 0
    }

    /// The sections of the context that policies which hear this action ask for.
    pub fn sections(&self, action: Action) -> Sections {
        let heard = self
            .inner
            .bindings
            .iter()
            .filter(|binding| binding.hears(action));
        heard.fold(Sections::empty(), |sections, binding| {
            sections | binding.module.descriptor().sections
        })
    }

    /// The settings that policies offer to project owners, in binding order; policies without any
    /// are left out.
    pub fn owner_forms(&self) -> Vec<OwnerForm> {
        let leading = self
            .inner
            .bindings
            .iter()
            .filter(|binding| self.inner.leads(binding));
        leading
            .map(|binding| binding.module.descriptor())
            .filter(|descriptor| !descriptor.owner_settings.is_empty())
            .map(|descriptor| OwnerForm {
                policy: descriptor.name.clone(),
                summary: crate::text::line(&descriptor.summary, 600),
                settings: descriptor.owner_settings.clone(),
            })
            .collect()
    }

    /// Resolves owners' choices, stored as `{"policy": {"setting": value}}`. An unknown or invalid
    /// choice falls back to its default and is listed in [`OwnerSettings::problems`].
    pub fn resolve_owner_settings(&self, stored: &Value) -> OwnerSettings {
        if stored.as_object().is_none_or(Map::is_empty) && (stored.is_object() || stored.is_null())
        {
            return OwnerSettings::default();
        }
        OwnerSettings {
            resolved: Some(Arc::new(self.inner.resolve(stored))),
        }
    }

    /// The settings passed to each bound policy, in binding order, for a decision with these
    /// choices of owners.
    pub fn settings(&self, owner: &OwnerSettings) -> Vec<BoundSettings> {
        let set = &*self.inner;
        let nothing = Value::Object(Map::new());
        let stored = owner
            .resolved
            .as_ref()
            .map_or(&nothing, |resolved| &resolved.stored);
        let resolved = set.resolve(stored);
        let of_binding = |(position, (binding, spec)): (usize, (&Binding, &BindingSpec))| {
            let descriptor = binding.module.descriptor();
            let chosen = resolved
                .values
                .get(position)
                .and_then(Option::as_ref)
                .unwrap_or(&binding.owner_defaults);
            let written = stored.get(&binding.identity.policy);
            BoundSettings {
                operator: in_force(&descriptor.operator_settings, &binding.operator, |name| {
                    spec.settings.contains_key(name)
                }),
                owner: in_force(&descriptor.owner_settings, chosen, |name| {
                    written.is_some_and(|written| written.get(name).is_some())
                }),
            }
        };
        set.bindings
            .iter()
            .zip(&set.spec.bindings)
            .enumerate()
            .map(of_binding)
            .collect()
    }

    /// Checks one policy's form, `{"setting": value}`: kinds and ranges, then the policy's own
    /// `validate-settings`. Missing settings have their default. Blocks for up to the load time
    /// budget.
    ///
    /// # Errors
    /// Every problem, by setting; with an empty setting name where it is about the whole form.
    pub fn check_owner_settings(
        &self,
        policy: &str,
        form: &Value,
    ) -> Result<Vec<SettingValue>, Vec<SettingError>> {
        let whole = |message: &str| {
            vec![SettingError {
                setting: String::new(),
                message: message.into(),
            }]
        };
        let set = &*self.inner;
        let Some(binding) = set.leading(policy) else {
            let known: Vec<String> = self
                .owner_forms()
                .into_iter()
                .map(|form| form.policy)
                .collect();
            return Err(whole(&match known.as_slice() {
                [] => "the active policy set offers nothing to project owners".to_owned(),
                known => format!(
                    "the active policy set has no such policy; settings are offered by {}",
                    known.join(", ")
                ),
            }));
        };
        let form = form
            .as_object()
            .ok_or_else(|| whole("the settings must be an object of names and values"))?;
        let (values, problems) =
            settings::resolve(&binding.module.descriptor().owner_settings, form);
        if !problems.is_empty() {
            return Err(problems
                .into_iter()
                .map(|(setting, message)| SettingError { setting, message })
                .collect());
        }
        let lane = set.engine.lane_of_this_thread();
        let _time = set.engine.keep_time(lane);
        match evaluate::validate_settings(
            &binding.module.inner.lanes[lane],
            &set.engine.budget,
            &binding.operator,
            &values,
        ) {
            Ok(Ok(())) => Ok(values),
            Ok(Err(errors)) => Err(cleaned(errors)),
            Err(failure) => {
                warn!(policy, %failure, "a policy could not check its settings");
                Err(whole(
                    "the policy could not check these settings; tell the operators of the registry",
                ))
            }
        }
    }

    /// Counts of every policy, in binding order.
    pub fn health(&self) -> Vec<PolicyHealth> {
        let now_ms = self.inner.milliseconds(Instant::now());
        self.inner
            .bindings
            .iter()
            .map(|binding| binding.health.report(&binding.identity.policy, now_ms))
            .collect()
    }
}

impl Inner {
    fn conclude(&self, context: &Context, policies: Vec<PolicyRecord>, begin: Instant) -> Decision {
        let voices = policies.iter().map(|record| Voice {
            policy: &record.policy,
            grade: record.grade,
            result: record.result.as_ref(),
        });
        let combined = combine(context, voices);
        Decision {
            outcome: combined.outcome,
            reasons: combined.reasons,
            warnings: combined.warnings,
            obligations: combined.obligations,
            policies,
            set_number: self.number,
            nanoseconds: nanoseconds(begin, Instant::now()),
        }
    }

    fn milliseconds(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.assembled).as_millis()).unwrap_or(u64::MAX)
    }

    fn resolve(&self, stored: &Value) -> ResolvedSettings {
        let mut problems = Vec::new();
        let empty = Map::new();
        let stored_map = stored.as_object().unwrap_or_else(|| {
            problems.push(
                "the stored settings are not an object of policies; all defaults are used"
                    .to_owned(),
            );
            &empty
        });
        for policy in stored_map.keys() {
            if !self
                .bindings
                .iter()
                .any(|binding| binding.identity.policy == *policy)
            {
                problems.push(format!(
                    "{}: the active policy set has no such policy",
                    crate::text::line(policy, 64)
                ));
            }
        }
        let values = self.bindings.iter().map(|binding| {
            let policy = &binding.identity.policy;
            let written = stored_map.get(policy)?;
            let leads = self.leads(binding);
            let Some(written) = written.as_object() else {
                if leads {
                    problems.push(format!("{policy}: the stored settings are not an object"));
                }
                return None;
            };
            let (values, mut wrong) =
                settings::resolve(&binding.module.descriptor().owner_settings, written);
            if !leads {
                // The owners filled in the other binding's form.
                wrong.clear();
            }
            problems.extend(
                wrong
                    .into_iter()
                    .map(|(setting, message)| format!("{policy}: {setting}: {message}")),
            );
            Some(values)
        });
        let values = values.collect();
        ResolvedSettings {
            identity: self.identity,
            values,
            problems,
            stored: stored.clone(),
        }
    }

    /// The binding that represents a policy to project owners: if it is bound more than once, the
    /// one with the strictest grade. Their choices go to all of its bindings.
    fn leading(&self, policy: &str) -> Option<&Binding> {
        self.bindings
            .iter()
            .filter(|binding| binding.identity.policy == policy)
            .min_by_key(|binding| binding.identity.grade)
    }

    fn leads(&self, binding: &Binding) -> bool {
        self.leading(&binding.identity.policy)
            .is_some_and(|leading| std::ptr::eq(leading, binding))
    }

    /// Asks the set about favourable requests, for every action and kind of credential.
    fn probe(&self) -> Vec<u8> {
        let lane = self.engine.lane_of_this_thread();
        let _time = self.engine.keep_time(lane);
        // A policy that overruns would do so hundreds of times here; after a few it counts as
        // failed.
        let overruns: Vec<Cell<u32>> = self.bindings.iter().map(|_| Cell::new(0)).collect();
        let heard = |context: &Context| {
            let bindings = self
                .bindings
                .iter()
                .zip(&overruns)
                .filter(|(binding, _)| binding.hears(context.action));
            let records = bindings.map(|(binding, overruns)| {
                let result = loop {
                    if overruns.get() >= PROBE_OVERRUNS {
                        break Err(EvaluateFailure::Suspended(0));
                    }
                    let result = binding
                        .run(&self.engine, lane, context, &binding.owner_defaults)
                        .result;
                    let overrun = result.as_ref().is_err_and(EvaluateFailure::is_overrun);
                    overruns.set(overruns.get() + u32::from(overrun));
                    // Tried again, in case the machine was at fault: the result is valid as long as
                    // the set exists.
                    if !overrun {
                        break result;
                    }
                };
                PolicyRecord {
                    identity: Arc::clone(&binding.identity),
                    result,
                    nanoseconds: 0,
                    fuel: 0,
                }
            });
            self.conclude(context, records.collect(), self.assembled)
                .outcome
        };
        let may = |action, kind| {
            probe::contexts(action, kind)
                .iter()
                .any(|context| probe::may(&heard(context)))
        };
        let kinds = |action| {
            CredentialKind::ALL
                .iter()
                .filter(|kind| may(action, **kind))
                .fold(0, |kinds, kind| kinds | 1 << *kind as u8)
        };
        Action::ALL.iter().map(|action| kinds(*action)).collect()
    }
}

impl Binding {
    fn hears(&self, action: Action) -> bool {
        self.actions & (1 << action.position()) != 0
    }

    /// Runs the policy for a decision: counted, and not if it is suspended.
    fn heard(
        &self,
        set: &Inner,
        lane: usize,
        now: Instant,
        context: &Context,
        owner: &[SettingValue],
    ) -> Ran<Verdict> {
        let now_ms = set.milliseconds(now);
        let ran = match self.health.suspension(now_ms) {
            Some(suspended) => Ran {
                result: Err(suspended),
                fuel: 0,
            },
            None => self.run(&set.engine, lane, context, owner),
        };
        let suspended = self.health.count(lane, now_ms, ran.result.as_ref().err());
        if let Err(failure) = &ran.result {
            self.tell_operator(context, failure, suspended);
        }
        ran
    }

    /// Runs the policy in a fresh sandbox and checks its answer.
    fn run(
        &self,
        engine: &EngineInner,
        lane: usize,
        context: &Context,
        owner: &[SettingValue],
    ) -> Ran<Verdict> {
        let sections = self.module.descriptor().sections;
        let view = ContextView::new(context, sections, owner);
        let ran = evaluate::evaluate(
            &self.module.inner.lanes[lane],
            &engine.budget,
            &self.operator,
            view,
        );
        Ran {
            result: ran
                .result
                .and_then(|answer| verdict::check(answer, context.action)),
            fuel: ran.fuel,
        }
    }

    #[cold]
    fn tell_operator(&self, context: &Context, failure: &EvaluateFailure, suspended: bool) {
        let identity = &*self.identity;
        let request = context.request.as_ref().map_or("", |request| &request.id);
        let (policy, digest, grade, action) = (
            &identity.policy,
            &identity.digest,
            identity.grade.as_str(),
            context.action.as_str(),
        );
        if suspended {
            error!(
                policy,
                digest,
                grade,
                action,
                request,
                "policy `{policy}` {failure}; it is suspended now and its decisions fail, roll back or fix it"
            );
        } else if !matches!(failure, EvaluateFailure::Suspended(_)) {
            // The failure is in the decision, and its caller reports it.
            debug!(
                policy,
                digest, grade, action, request, "policy `{policy}` {failure}"
            );
        }
    }
}

/// Checks one binding against its module.
fn bind(engine: &EngineInner, spec: &BindingSpec, module: &Module) -> Result<Binding, SetError> {
    let wrong = |message: String| SetError::binding(&spec.policy, message);
    let descriptor = module.descriptor();
    let digest = module.digest_hex();
    if descriptor.name != spec.policy {
        return Err(wrong(format!(
            "the module {} is the policy `{}`; correct `policy` or `module`",
            spec.module, descriptor.name
        )));
    }
    if let Some(expected) = &spec.digest
        && *expected != digest
    {
        return Err(wrong(format!(
            "the module {} has the digest {digest}, the set asks for {expected}",
            spec.module
        )));
    }
    let actions = spec.actions.as_ref().unwrap_or(&descriptor.actions);
    if let Some(widened) = actions
        .iter()
        .find(|action| !descriptor.actions.contains(action))
    {
        return Err(wrong(format!(
            "it does not want to hear `{widened}`; `actions` may only narrow what the module names"
        )));
    }
    let written = spec
        .settings
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let (operator, problems) = settings::resolve(&descriptor.operator_settings, &written);
    if !problems.is_empty() {
        let problems = problems
            .iter()
            .map(|(name, message)| format!("setting `{name}`: {message}"))
            .collect::<Vec<_>>();
        return Err(wrong(problems.join("; ")));
    }
    let lane = engine.lane_of_this_thread();
    let _time = engine.keep_time(lane);
    match evaluate::validate_settings(&module.inner.lanes[lane], &engine.budget, &operator, &[]) {
        Ok(Ok(())) => {}
        Ok(Err(errors)) => {
            let errors = cleaned(errors)
                .into_iter()
                .map(|error| format!("setting `{}`: {}", error.setting, error.message))
                .collect::<Vec<_>>();
            return Err(wrong(errors.join("; ")));
        }
        Err(failure) => return Err(wrong(format!("its `validate-settings` {failure}"))),
    }
    let identity = PolicyIdentity {
        policy: descriptor.name.clone(),
        version: descriptor.version.clone(),
        digest,
        grade: spec.grade,
    };
    Ok(Binding {
        identity: Arc::new(identity),
        module: module.clone(),
        operator,
        owner_defaults: descriptor
            .owner_settings
            .iter()
            .map(|setting| setting.default.clone())
            .collect(),
        actions: actions
            .iter()
            .fold(0, |set, action| set | 1 << action.position()),
        health: Health::new(engine.lanes.len()),
    })
}

fn in_force(
    offered: &[Setting],
    values: &[SettingValue],
    is_chosen: impl Fn(&str) -> bool,
) -> Vec<SettingInForce> {
    let one = |(setting, value): (&Setting, &SettingValue)| SettingInForce {
        name: setting.name.clone(),
        kind: setting.kind.clone(),
        value: value.clone(),
        is_chosen: is_chosen(&setting.name),
    };
    offered.iter().zip(values).map(one).collect()
}

/// A policy's errors about settings, bounded and safe to show. Never empty, because a refusal needs
/// a text.
fn cleaned(errors: Vec<SettingError>) -> Vec<SettingError> {
    let mut errors: Vec<SettingError> = errors
        .into_iter()
        .take(48)
        .map(|error| SettingError {
            setting: crate::text::line(&error.setting, 64),
            message: crate::text::line(&error.message, 300),
        })
        .collect();
    if errors.is_empty() {
        errors.push(SettingError {
            setting: String::new(),
            message: "the policy refuses these settings and does not say why".into(),
        });
    }
    errors
}

fn nanoseconds(begin: Instant, end: Instant) -> u64 {
    u64::try_from(end.saturating_duration_since(begin).as_nanos()).unwrap_or(u64::MAX)
}
