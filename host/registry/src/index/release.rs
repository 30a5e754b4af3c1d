//! Pages of a project or a release with what it says of itself: the JSON API, and what people
//! are shown.

use std::io;
use std::sync::{Arc, Weak};

use gate::Permit;
use model::{ReleaseState, Version};
use serde_json::Value;
use storage::StorageError;
use storage::releases::ReleaseRow;

use super::cache::{Holds, JsonKey, JsonPage, KeptOr, Making, PeopleView, ProjectEntry, Work};
use super::people::ProjectView;
use super::places::Asker;
use super::{Page, ReadError, making, project_json};
use crate::Registry;
use crate::targets::ReadProject;

impl Registry {
    /// `/pypi/{project}/json`, or with `version` as it stands in the path
    /// `/pypi/{project}/{version}/json`; none is a 404.
    pub async fn json_page(
        &self,
        permit: Permit<ReadProject>,
        version: Option<&str>,
    ) -> Result<Option<Page>, ReadError> {
        let Some(wanted) = Wanted::of(&permit, version) else {
            return Ok(None);
        };
        let kept = |registry: &Self| {
            let kept = registry.inner.cache.json.get(&wanted.key)?;
            wanted.is_beside(&kept.beside).then_some(kept.page)
        };
        let made = self.kept_or_made(&wanted, kept, move |registry, wanted, work| async move {
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
        });
        made.await
    }

    /// What people are shown of a project or, with `version`, of one release; none is a 404.
    pub async fn project_view(
        &self,
        permit: Permit<ReadProject>,
        version: Option<&str>,
    ) -> Result<Option<Arc<ProjectView>>, ReadError> {
        let Some(wanted) = Wanted::of(&permit, version) else {
            return Ok(None);
        };
        let kept = |registry: &Self| {
            let kept = registry.inner.cache.people.get(&wanted.key)?;
            wanted.is_beside(&kept.beside).then_some(kept.view)
        };
        let made = self.kept_or_made(&wanted, kept, move |registry, wanted, work| async move {
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
        });
        made.await
    }

    /// What is kept, or what `make` makes: to its end, also if nobody waits for it any
    /// more, since reading what a release says of itself takes as long as making pages of it.
    async fn kept_or_made<T, Made>(
        &self,
        wanted: &Wanted,
        kept: impl Fn(&Self) -> Option<T>,
        make: impl FnOnce(Self, Wanted, Work) -> Made,
    ) -> Result<Option<T>, ReadError>
    where
        T: Send + 'static,
        Made: Future<Output = Result<Option<T>, ReadError>> + Send + 'static,
    {
        let kept_or_work = self.inner.cache.kept_or_work(
            Making::Release,
            &wanted.key.0,
            &wanted.asker,
            Holds::Entry,
            || kept(self),
        );
        let work = match kept_or_work.await? {
            KeptOr::Kept(kept) => return Ok(Some(kept)),
            KeptOr::ToMake(work) => work,
        };
        let made = tokio::spawn(make(self.clone(), wanted.clone(), work));
        made.await
            .map_err(|error| ReadError::Page(io::Error::other(error)))?
    }

    /// The release that is wanted, with what it says of itself; of a project all its releases.
    async fn find_release(&self, wanted: &Wanted) -> Result<Option<Found>, StorageError> {
        let (storage, project) = (&self.inner.storage, wanted.entry.project.id);
        // The page of one version costs nothing for the thousands of others.
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
        Ok(Some(Found {
            releases,
            position,
            metadata,
        }))
    }
}

/// What is asked for: a project, or one of its releases.
#[derive(Clone)]
struct Wanted {
    asker: Asker,
    entry: Arc<ProjectEntry>,
    key: JsonKey,
    version: Option<Version>,
}

impl Wanted {
    /// None if there is no such thing that readers see.
    fn of(permit: &Permit<ReadProject>, version: Option<&str>) -> Option<Self> {
        let entry = permit.target().project.entry.clone()?;
        if !project_json::is_shown(entry.project.status) {
            return None;
        }
        // Only versions that exist become keys, in one spelling: neither random ones nor zeros at
        // the end fill memory, or have a page made once more.
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
            asker: permit.target().asker,
            entry,
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

/// What pages of a release are made of.
struct Found {
    releases: Vec<ReleaseRow>,
    /// Which of them is shown.
    position: usize,
    metadata: Value,
}

impl Found {
    fn shown(&self) -> project_json::Shown<'_> {
        project_json::Shown {
            release: &self.releases[self.position],
            metadata: &self.metadata,
        }
    }
}
