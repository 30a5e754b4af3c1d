//! All facts that one decision may use.

use serde::{Deserialize, Serialize};
use wasmtime::component::{ComponentType, Lift, Lower};

use super::{
    Action, Assurance, CredentialKind, Factor, Factors, File, Metadata, Principal, Project,
    ProjectStatus, Release, Role, SettingValue, Token, TokenScope, flag_words, words,
};

words! {
    /// The method of the HTTP request.
    Method {
        Get = "get",
        Head = "head",
        Post = "post",
        Put = "put",
        Patch = "patch",
        Delete = "delete",
        Options = "options",
        /// Any other method.
        Other = "other",
    }
}

/// The HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Request {
    /// Identifier of the request and of the decision made for it (a UUID).
    pub id: String,
    /// The route's pattern, for example `/simple/{project}/`.
    pub route: String,
    /// The method.
    pub method: Method,
    /// Address the request came from, without port.
    #[component(name = "remote-address")]
    pub remote_address: String,
    /// The client's `User-Agent`, at most 256 characters; empty if none.
    #[component(name = "user-agent")]
    pub user_agent: String,
}

/// The token that `token-create` would create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewToken {
    /// What it would be restricted to.
    pub scope: TokenScope,
    /// Seconds until it would expire, if ever.
    #[component(name = "expires-in")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

/// The change that `role-grant`, `role-accept` or `role-revoke` would make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RoleChange {
    /// Name of the user whose role changes.
    pub user: String,
    /// The role before.
    pub before: Role,
    /// The role after.
    pub after: Role,
    /// The second factors that user has enrolled.
    #[serde(default)]
    pub factors: Factors,
}

/// The change that the action would make, if that is more than the sections above say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(variant)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Nothing more.
    #[component(name = "nothing")]
    Nothing,
    /// A token would be created.
    #[component(name = "token")]
    Token(NewToken),
    /// A role would change.
    #[component(name = "role")]
    Role(RoleChange),
    /// A second factor would be enrolled or removed.
    #[component(name = "factor")]
    Factor(Factor),
}

wasmtime::component::flags! {
    Sections {
        #[component(name = "request")]
        const REQUEST;
        #[component(name = "principal")]
        const PRINCIPAL;
        #[component(name = "token")]
        const TOKEN;
        #[component(name = "assurance")]
        const ASSURANCE;
        #[component(name = "project")]
        const PROJECT;
        #[component(name = "release")]
        const RELEASE;
        #[component(name = "file")]
        const FILE;
        #[component(name = "metadata")]
        const METADATA;
        #[component(name = "change")]
        const CHANGE;
    }
}

flag_words! {
    Sections {
        REQUEST = "request",
        PRINCIPAL = "principal",
        TOKEN = "token",
        ASSURANCE = "assurance",
        PROJECT = "project",
        RELEASE = "release",
        FILE = "file",
        METADATA = "metadata",
        CHANGE = "change",
    }
}

/// All facts that one decision may use. Plain data, complete before evaluation, without secrets. A
/// section is absent if the policy did not ask for it or the request is not about such a thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ComponentType, Lower, Lift)]
#[component(record)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Context {
    /// What is attempted.
    pub action: Action,
    /// Seconds since 1970-01-01T00:00:00Z. There is no other clock.
    pub now: u64,
    /// What the client presented.
    pub credential: CredentialKind,
    /// The HTTP request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// The caller that the credential identifies.
    pub principal: Principal,
    /// The token that was presented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// The factors that were confirmed, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurance: Option<Assurance>,
    /// The project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Project>,
    /// The release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// The file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<File>,
    /// The file's own metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// The change that the action would make.
    pub change: Change,
}

/// The part of a context that one policy asked for, borrowed from the whole one, to be lowered into
/// its sandbox. Same fields and order as [`Context`].
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(record)]
pub(crate) struct ContextView<'a> {
    pub(crate) action: Action,
    pub(crate) now: u64,
    pub(crate) credential: CredentialKind,
    pub(crate) request: Option<&'a Request>,
    pub(crate) principal: &'a Principal,
    pub(crate) token: Option<&'a Token>,
    pub(crate) assurance: Option<&'a Assurance>,
    pub(crate) project: Option<ProjectView<'a>>,
    pub(crate) release: Option<&'a Release>,
    pub(crate) file: Option<&'a File>,
    pub(crate) metadata: Option<&'a Metadata>,
    pub(crate) change: &'a Change,
}

/// A project with the owner settings of one policy in place of the context's.
#[derive(Clone, Copy, Debug, ComponentType, Lower)]
#[component(record)]
pub(crate) struct ProjectView<'a> {
    pub(crate) name: &'a str,
    pub(crate) exists: bool,
    pub(crate) status: ProjectStatus,
    pub(crate) role: Role,
    pub(crate) settings: &'a [SettingValue],
}

impl<'a> ContextView<'a> {
    /// The part of `context` for a policy that asked for `sections`; `settings` are the choices of
    /// the project's owners for this policy.
    pub(crate) fn new(
        context: &'a Context,
        sections: Sections,
        settings: &'a [SettingValue],
    ) -> Self {
        fn asked<T>(sections: Sections, section: Sections, value: &Option<T>) -> Option<&T> {
            if sections.contains(section) {
                value.as_ref()
            } else {
                None
            }
        }
        ContextView {
            action: context.action,
            now: context.now,
            credential: context.credential,
            request: asked(sections, Sections::REQUEST, &context.request),
            principal: if sections.contains(Sections::PRINCIPAL) {
                &context.principal
            } else {
                &Principal::Anonymous
            },
            token: asked(sections, Sections::TOKEN, &context.token),
            assurance: asked(sections, Sections::ASSURANCE, &context.assurance),
            project: asked(sections, Sections::PROJECT, &context.project).map(|project| {
                ProjectView {
                    name: &project.name,
                    exists: project.exists,
                    status: project.status,
                    role: project.role,
                    settings,
                }
            }),
            release: asked(sections, Sections::RELEASE, &context.release),
            file: asked(sections, Sections::FILE, &context.file),
            metadata: asked(sections, Sections::METADATA, &context.metadata),
            change: if sections.contains(Sections::CHANGE) {
                &context.change
            } else {
                &Change::Nothing
            },
        }
    }
}
