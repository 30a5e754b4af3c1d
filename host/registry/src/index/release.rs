//! Pages of a project or a release with its own metadata: the JSON API, and the view for people.

use std::io;
use std::sync::{Arc, Weak};

use gate::Permit;
use model::{ReleaseState, Version};
use serde_json::Value;
use storage::StorageError;
use storage::releases::ReleaseRow;
use turns::Place;

use super::cache::{JsonKey, JsonPage, Making, PeopleView, ProjectEntry, Work};
use super::people::ProjectView;
use super::{Page, ReadError, making, project_json};
use crate::Registry;
use crate::targets::{Found, ReadProject};

impl Registry {
    /// `/pypi/{project}/json`, or with `version` as it appears in the path
    /// `/pypi/{project}/{version}/json`; none is a 404.
    pub async fn json_page(
        &self,
        permit: Permit<ReadProject>,
        version: Option<&str>,
    ) -> Result<Option<Page>, ReadError> {
        let kept = |wanted: &Wanted| {
            let kept = self.inner.cache.json.get(&wanted.key)?;
            wanted.is_beside(&kept.beside).then_some(kept.page)
        };
        let made = self.kept_or_made(
            permit.target(),
            version,
            kept,
            move |registry, wanted, work| async move {
                let Some(found) = registry.find_release(&wanted).await? else {
                    return Ok(None);
                };
                let roles = registry
                    .inner
                    .storage
                    .roles_on(wanted.entry.project.id)
                    .await?;
                let (urls, inner) = (registry.urls(), registry.inner.clone());
                let made = making(work, move || {
                    let Wanted { entry, key, .. } = wanted;
                    let body = project_json::page(
                        &entry,
                        &found.releases,
                        &found.shown(),
                        &roles,
                        key.1.is_none(),
                        &urls,
                    );
                    let page = Page::new(body, entry.project.last_serial, &inner.release_files)?;
                    let beside = Arc::downgrade(&entry);
                    let kept = JsonPage {
                        beside,
                        page: page.clone(),
                    };
                    inner.cache.json.insert(key, kept);
                    Ok(page)
                });
                made.await.map(Some)
            },
        );
        made.await
    }

    /// The view of a project for people or, with `version`, of one release; none is a 404.
    pub async fn project_view(
        &self,
        permit: Permit<ReadProject>,
        version: Option<&str>,
    ) -> Result<Option<Arc<ProjectView>>, ReadError> {
        let kept = |wanted: &Wanted| {
            let kept = self.inner.cache.people.get(&wanted.key)?;
            wanted.is_beside(&kept.beside).then_some(kept.view)
        };
        let made = self.kept_or_made(
            permit.target(),
            version,
            kept,
            move |registry, wanted, work| async move {
                let Some(found) = registry.find_release(&wanted).await? else {
                    return Ok(None);
                };
                let (urls, inner) = (registry.urls(), registry.inner.clone());
                let made = making(work, move || {
                    let Wanted { entry, key, .. } = wanted;
                    let (shown, with_all) = (found.shown(), key.1.is_none());
                    let view = ProjectView::new(&entry, &found.releases, &shown, with_all, &urls);
                    let view = Arc::new(view);
                    let beside = Arc::downgrade(&entry);
                    let kept = PeopleView {
                        beside,
                        view: view.clone(),
                    };
                    inner.cache.people.insert(key, kept);
                    Ok(view)
                });
                made.await.map(Some)
            },
        );
        made.await
    }

    /// The cached value, or the result of `make`, which runs to the end even if no one waits any
    /// longer, since reading a release's metadata takes as long as building pages from it.
    async fn kept_or_made<T, Made>(
        &self,
        target: &ReadProject,
        version: Option<&str>,
        kept: impl Fn(&Wanted) -> Option<T>,
        make: impl FnOnce(Self, Wanted, (Place, Work)) -> Made,
    ) -> Result<Option<T>, ReadError>
    where
        T: Send + 'static,
        Made: Future<Output = Result<Option<T>, ReadError>> + Send + 'static,
    {
        let ReadProject { asker, project } = target;
        match &project.found {
            Found::Nothing => return Ok(None),
            Found::Row { .. } => {}
            Found::Entry(entry) => {
                let Some(wanted) = Wanted::of(entry, version) else {
                    return Ok(None);
                };
                if let Some(kept) = kept(&wanted) {
                    return Ok(Some(kept));
                }
            }
        }
        let (cache, name) = (&self.inner.cache, project.normalized.as_str());
        loop {
            // While nothing is in memory that is not cached anyway.
            let place = cache
                .place(Making::Release, project.is_small(), asker)
                .await?;
            let Some((place, entry)) = self.entry_beside(place, asker, name).await? else {
                return Ok(None);
            };
            let Some(wanted) = Wanted::of(&entry, version) else {
                return Ok(None);
            };
            drop(entry);
            if let Some(kept) = kept(&wanted) {
                return Ok(Some(kept));
            }
            match cache.begin(Making::Release, name) {
                Ok(work) => {
                    let made = tokio::spawn(make(self.clone(), wanted, (place, work)));
                    return made
                        .await
                        .map_err(|error| ReadError::Page(io::Error::other(error)))?;
                }
                Err(begun) => {
                    drop((place, wanted));
                    begun.ended(asker).await?;
                }
            }
        }
    }

    /// The requested release with its metadata; for a project, all its releases.
    async fn find_release(&self, wanted: &Wanted) -> Result<Option<FoundRelease>, StorageError> {
        let (storage, project) = (&self.inner.storage, wanted.entry.project.id);
        // The page of one version does not load thousands of others.
        let releases = match &wanted.version {
            Some(version) => {
                let found = storage.release(project, version).await?;
                Vec::from_iter(found.filter(|found| found.state == ReleaseState::Published))
            }
            None => storage.published_releases(project).await?,
        };
        let shown = project_json::shown(&releases, wanted.version.as_ref());
        let Some(position) =
            shown.and_then(|shown| releases.iter().position(|release| release.id == shown.id))
        else {
            return Ok(None);
        };
        let metadata = self.release_metadata(releases[position].id).await?;
        Ok(Some(FoundRelease {
            releases,
            position,
            metadata,
        }))
    }
}

/// The requested page: of a project, or of one of its releases.
#[derive(Clone)]
struct Wanted {
    entry: Arc<ProjectEntry>,
    key: JsonKey,
    version: Option<Version>,
}

impl Wanted {
    /// None if readers see no such thing.
    fn of(entry: &Arc<ProjectEntry>, version: Option<&str>) -> Option<Self> {
        if !project_json::is_shown(entry.project.status) {
            return None;
        }
        // Only existing versions become keys, in one spelling: neither random ones nor trailing
        // zeros fill memory or cause a page to be built again.
        let version = match version {
            Some(text) => {
                let wanted = Version::parse(text).ok()?;
                let place = entry.versions.binary_search(&wanted).ok()?;
                Some(entry.versions[place].clone())
            }
            None => None,
        };
        let name = entry.project.name.normalized().to_owned();
        let key = (name, version.as_ref().map(Version::to_string));
        Some(Self {
            entry: entry.clone(),
            key,
            version,
        })
    }

    fn is_beside(&self, entry: &Weak<ProjectEntry>) -> bool {
        entry
            .upgrade()
            .is_some_and(|entry| Arc::ptr_eq(&entry, &self.entry))
    }
}

/// The data of a release's pages.
struct FoundRelease {
    releases: Vec<ReleaseRow>,
    /// Position of the release that is shown.
    position: usize,
    metadata: Value,
}

impl FoundRelease {
    fn shown(&self) -> project_json::Shown<'_> {
        project_json::Shown {
            release: &self.releases[self.position],
            metadata: &self.metadata,
        }
    }
}
