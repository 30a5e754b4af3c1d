//! Settings: from what people wrote to what a policy is given.

/// What the owners of one project chose, resolved for one policy set. Used with another
/// set it is resolved again, so it can never be wrong, only slower.
#[derive(Clone, Debug, Default)]
pub struct OwnerSettings {
    problems: Vec<String>,
}

impl OwnerSettings {
    /// What was stored and does not fit the set any more; the default is used there.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}
