//! The combined effect of a token's caveats.

use super::Caveat;

/// What several caveats together allow, as far as it is known without a request. This is the only
/// interpretation of them: all code that shows or decides a token's scope uses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The projects by normalized name; none means all of them. Also empty if projects are named by
    /// id only: that is a restriction, too, but not to a name.
    pub projects: Option<Vec<String>>,
    /// The projects that the lists of names have in common; none without such a list.
    pub names: Option<Vec<String>>,
    /// The projects that the lists of ids have in common; none without such a list.
    pub ids: Option<Vec<String>>,
    /// The trusted publishers that it is for. If two differ, neither may use it.
    pub publishers: Vec<String>,
    /// The earliest expiry, in seconds.
    pub expires_at: Option<i64>,
}

impl Reach {
    /// What these caveats allow.
    pub fn of<'a>(caveats: impl IntoIterator<Item = &'a Caveat>) -> Self {
        let mut reach = Self::default();
        for caveat in caveats {
            match caveat {
                Caveat::Expiration { expires_at, .. } => {
                    reach.expires_at = Some(
                        reach
                            .expires_at
                            .map_or(*expires_at, |sooner| sooner.min(*expires_at)),
                    )
                }
                Caveat::ProjectNames(names) => {
                    reach.projects = Some(narrowed(reach.projects, names));
                    reach.names = Some(narrowed(reach.names, names));
                }
                Caveat::ProjectIds(ids) => {
                    reach.projects = Some(reach.projects.unwrap_or_default());
                    reach.ids = Some(narrowed(reach.ids, ids));
                }
                Caveat::Publisher { id } => {
                    reach.projects = Some(reach.projects.unwrap_or_default());
                    reach.publishers.push(id.clone());
                }
                Caveat::RequestUser(_) | Caveat::LegacyUser => {}
            }
        }
        reach
    }

    /// What stored caveats allow, or the first text that is not understood: a token with such a
    /// caveat is valid nowhere.
    pub fn read(texts: &[String]) -> Result<Self, &str> {
        let caveats = texts
            .iter()
            .map(|text| Caveat::parse(text.as_bytes()).map_err(|_| text.as_str()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::of(&caveats))
    }

    /// Whether the lists of projects have none in common, or one is empty: then no request is
    /// allowed.
    pub fn leaves_no_project(&self) -> bool {
        let is_empty = |left: &Option<Vec<String>>| left.as_ref().is_some_and(Vec::is_empty);
        is_empty(&self.names) || is_empty(&self.ids)
    }

    /// Whether it has expired at this time, in seconds.
    pub fn has_expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }
}

/// Each list narrows what the ones before it left.
fn narrowed(before: Option<Vec<String>>, list: &[String]) -> Vec<String> {
    match before {
        None => list.to_vec(),
        Some(before) => before
            .into_iter()
            .filter(|item| list.contains(item))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caveats_are_read_together() {
        let read = |texts: &[&str]| {
            let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
            Reach::read(&texts).map_err(ToOwned::to_owned)
        };
        let reach = read(&[
            "[0, 20, 0]",
            r#"[1, ["a", "b"]]"#,
            r#"[2, ["i"]]"#,
            "[0, 10, 0]",
        ]);
        let reach = reach.unwrap();
        let names = Some(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!((&reach.projects, &reach.names), (&names, &names));
        assert_eq!(
            (reach.ids.as_deref(), reach.expires_at),
            (Some(&["i".to_owned()][..]), Some(10))
        );
        assert!(!reach.has_expired(9) && reach.has_expired(10) && !reach.leaves_no_project());
        assert_eq!(read(&[r#"[3, "user"]"#]).unwrap(), Reach::default());
        for nothing in [
            &[r#"[1, ["a"]]"#, r#"[1, ["b"]]"#][..],
            &[r#"[2, ["i"]]"#, r#"[2, ["j"]]"#],
            &["[2, []]"],
        ] {
            assert!(read(nothing).unwrap().leaves_no_project(), "{nothing:?}");
        }
        let by_id = read(&[r#"[2, ["i"]]"#]).unwrap();
        assert_eq!((by_id.projects, by_id.names), (Some(Vec::new()), None));
        assert_eq!(read(&["[0, 20, 0]", "[99]"]), Err("[99]".to_owned()));
    }
}
