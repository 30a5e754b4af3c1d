//! SQL text. Every statement of the crate is written with [`statements!`], which lists it,
//! so that a test can prepare all of them on both databases.

/// One SQL statement, with `$1`, `$2`, … for values, in the text of each database.
pub(crate) struct Statement {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

impl Statement {
    /// For [`statements!`] only: a statement created elsewhere would escape the test.
    pub(crate) const fn written_by_the_macro(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { sqlite, postgres }
    }
}

/// Declares the statements of one noun, and `STATEMENTS`, the list of them. `NAME = text;` is the
/// same text for both databases, `NAME = sqlite text, postgres text;` is for differing texts.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sqlite:expr $(, $postgres:expr)?;)*) => {
        $($(#[$doc])* const $name: $crate::statement::Statement = {
            let sqlite: &'static str = $sqlite;
            #[allow(unused_variables)]
            let postgres: &'static str = sqlite;
            $(let postgres: &'static str = $postgres;)?
            $crate::statement::Statement::written_by_the_macro(sqlite, postgres)
        };)*

        pub(crate) const STATEMENTS: &[(&str, &$crate::statement::Statement)] = &[$((stringify!($name), &$name)),*];
    };
}
pub(crate) use statements;
