//! Links within the registry, to pages whose addresses may be known at run time only.

use std::borrow::Cow;

/// A link to another page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// A path below the registry's address.
    pub(crate) path: Cow<'static, str>,
    /// The text of the link.
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
