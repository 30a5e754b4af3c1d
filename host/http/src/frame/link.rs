//! Links within the registry, to pages whose addresses may be known at run time only.

use std::borrow::Cow;

/// Where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// A path below the registry's address.
    pub(crate) path: Cow<'static, str>,
    /// What the link says.
    pub(crate) text: Cow<'static, str>,
}

impl Link {
    pub(crate) fn new(
        path: impl Into<Cow<'static, str>>,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (path, text) = (path.into(), text.into());
        Self { path, text }
    }
}
