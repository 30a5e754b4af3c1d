//! How many uploads each uploader may have under way.
//!
//! Places are few, and a body may take minutes to arrive. So each uploader has only a share of
//! them, which shrinks as they fill. While somebody waits for a place, an upload of the uploader
//! with most places gives way. If each has one, an upload gives way that is slow for the time it
//! has had: a crowd of accounts that send slowly on many connections mostly delays its own next
//! uploads. To hold all places takes as many accounts, and a line for as many uploads at a fair
//! pace.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::limit::UPLOADS_WAITING;
use model::{Caller, Principal};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::body::Incoming;

/// An upload keeps its place for this long, however little it sends.
const SPARED: Duration = Duration::from_millis(model::limit::SPARED_TIME.milliseconds());
/// And afterwards if it sends this many bytes a second for each minute that it has lasted: at first
/// the rate of a slow phone, later the rate a large file needs to arrive at all.
const SPARED_BYTES_PER_SECOND: u64 = model::limit::SPARED_UPLOAD.get();
/// Most minutes that raise that rate, so that a large file on a line of 1 Mbit/s still arrives.
const MOST_MINUTES: u64 = 3;
/// How long an upload waits before another one has to give way, and the pause between attempts.
const LOOK: Duration = Duration::from_secs(2);

/// The places for uploads under way.
pub(crate) struct Places {
    all: Semaphore,
    /// For each user or publisher with an upload under way or waiting.
    own: Mutex<HashMap<Uuid, Arc<Own>>>,
    own_size: usize,
    patience: Duration,
    spared: Duration,
    taken: Mutex<Taken>,
}

/// The state of one uploader.
struct Own {
    /// A share of all places.
    share: Arc<Semaphore>,
    /// One place in the queue for all: however many uploads somebody has waiting, the next uploader
    /// waits behind only one.
    queue: Semaphore,
    /// Bounds the uploads that wait for their place: each holds a little memory meanwhile.
    waiting: Semaphore,
}

#[derive(Default)]
struct Taken {
    next: u64,
    uploads: HashMap<u64, Upload>,
}

/// An upload that has a place.
struct Upload {
    uploader: Uuid,
    since: Instant,
    body: Incoming,
    gives_way: Arc<Notify>,
    /// Its body is here: it is done soon, and never gives way.
    has_arrived: bool,
}

/// A place, for as long as it lives.
pub(crate) struct Place<'a> {
    places: &'a Places,
    number: u64,
    gives_way: Arc<Notify>,
    _own: OwnedSemaphorePermit,
    _one_of_all: SemaphorePermit<'a>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// This uploader has too many uploads under way.
    Own { most: usize },
    /// All uploaders together have.
    All,
}

impl Places {
    /// `own_size` of `all` places for each uploader; an upload without a place waits for
    /// `patience`.
    pub(crate) fn new(all: usize, own_size: usize, patience: Duration) -> Self {
        let own_size = own_size.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            all: Semaphore::new(all.clamp(1, Semaphore::MAX_PERMITS)),
            own: Mutex::default(),
            own_size,
            patience,
            spared: SPARED,
            taken: Mutex::default(),
        }
    }

    /// A place for this caller's upload. The caller's own share comes first, so that waiting for it
    /// blocks no other uploader.
    pub(crate) async fn take(
        &self,
        caller: &Caller,
        body: &Incoming,
    ) -> Result<Place<'_>, NoPlace> {
        let uploader = uploader(caller);
        let own = self.of(uploader);
        let Ok(_waiting) = own.waiting.try_acquire() else {
            return Err(NoPlace::Own {
                most: self.own_size,
            });
        };
        let Ok(Ok(share)) = timeout(self.patience, own.share.clone().acquire_owned()).await else {
            return Err(NoPlace::Own {
                most: self.own_size,
            });
        };
        let deadline = Instant::now() + self.patience;
        let Ok(Ok(_in_queue)) = timeout(self.patience, own.queue.acquire()).await else {
            return Err(NoPlace::Own {
                most: self.held_by(uploader),
            });
        };
        let mut share = Some(share);
        loop {
            // One queue for all. Checking for room does not lose the turn in it.
            let turn = self.all.acquire();
            tokio::pin!(turn);
            let one_of_all = loop {
                let left = deadline.saturating_duration_since(Instant::now()).min(LOOK);
                if let Ok(Ok(one_of_all)) = timeout(left, &mut turn).await {
                    break one_of_all;
                }
                match self.held_by(uploader) {
                    0 if Instant::now() >= deadline => return Err(NoPlace::All),
                    most if Instant::now() >= deadline => return Err(NoPlace::Own { most }),
                    0 => self.make_room(),
                    _ => {}
                }
            };
            // The same uploader may have taken free places since it joined the queue. This place no
            // longer counts as free.
            let held = self.held_by(uploader);
            if held == 0 || 2 * held <= self.all.available_permits() {
                let (number, gives_way) = self.note(uploader, body);
                return Ok(Place {
                    places: self,
                    number,
                    gives_way,
                    _own: share.take().expect("taken once"),
                    _one_of_all: one_of_all,
                });
            }
            drop(one_of_all);
            if Instant::now() >= deadline {
                return Err(NoPlace::Own { most: held });
            }
            tokio::time::sleep(
                deadline
                    .saturating_duration_since(Instant::now())
                    .min(LOOK / 10),
            )
            .await;
        }
    }

    fn of(&self, uploader: Uuid) -> Arc<Own> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        // Permits and uploads that wait for one hold it, too. The rest is at most as many as
        // connections.
        own.retain(|_, own| Arc::strong_count(own) > 1 || Arc::strong_count(&own.share) > 1);
        own.entry(uploader)
            .or_insert_with(|| {
                Arc::new(Own {
                    share: Arc::new(Semaphore::new(self.own_size)),
                    queue: Semaphore::new(1),
                    waiting: Semaphore::new(UPLOADS_WAITING.length()),
                })
            })
            .clone()
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_by(&self, uploader: Uuid) -> usize {
        self.taken()
            .uploads
            .values()
            .filter(|upload| upload.uploader == uploader)
            .count()
    }

    fn note(&self, uploader: Uuid, body: &Incoming) -> (u64, Arc<Notify>) {
        let mut taken = self.taken();
        let (number, gives_way) = (taken.next, Arc::new(Notify::new()));
        taken.next += 1;
        taken.uploads.insert(
            number,
            Upload {
                uploader,
                since: Instant::now(),
                body: body.clone(),
                gives_way: gives_way.clone(),
                has_arrived: false,
            },
        );
        (number, gives_way)
    }

    /// Makes an upload give way to somebody without a place, if one must: the slowest of the
    /// uploaders with most places, or of all that are too slow.
    fn make_room(&self) {
        let mut taken = self.taken();
        let mut holds: HashMap<Uuid, usize> = HashMap::new();
        for upload in taken.uploads.values() {
            *holds.entry(upload.uploader).or_default() += 1;
        }
        let may = |upload: &&Upload| !upload.has_arrived && upload.since.elapsed() >= self.spared;
        // Only of uploads that may give way: an uploader with more places, all spared, must not
        // shield others.
        let most = taken
            .uploads
            .values()
            .filter(may)
            .map(|upload| holds[&upload.uploader])
            .max()
            .unwrap_or(0);
        let must = |upload: &Upload| {
            if most > 1 {
                holds[&upload.uploader] == most
            } else {
                upload.is_slow()
            }
        };
        let gives_way = |upload: &Upload| may(&upload) && must(upload);
        let slowest = taken
            .uploads
            .iter()
            .filter(|(_, upload)| gives_way(upload))
            .min_by_key(|(_, upload)| upload.rate())
            .map(|(number, _)| *number);
        // Removed, so that the next search finds the next slowest.
        if let Some(upload) = slowest.and_then(|slowest| taken.uploads.remove(&slowest)) {
            upload.gives_way.notify_one();
        }
    }
}

impl Upload {
    /// Bytes a second so far.
    fn rate(&self) -> u64 {
        self.body.received() * 1000
            / u64::try_from(self.since.elapsed().as_millis())
                .unwrap_or(u64::MAX)
                .max(1)
    }

    fn is_slow(&self) -> bool {
        let minutes = (self.since.elapsed().as_secs() / 60).clamp(1, MOST_MINUTES);
        self.rate() < SPARED_BYTES_PER_SECOND.saturating_mul(minutes)
    }
}

impl Place<'_> {
    /// The body is here.
    pub(crate) fn arrived(&self) {
        if let Some(upload) = self.places.taken().uploads.get_mut(&self.number) {
            upload.has_arrived = true;
        }
    }

    /// Waits until another uploader needs the place more.
    pub(crate) async fn gives_way(&self) {
        self.gives_way.notified().await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.places.taken().uploads.remove(&self.number);
    }
}

/// Whose share it is. All anonymous callers have one share; their uploads are refused before they
/// get here.
fn uploader(caller: &Caller) -> Uuid {
    match &caller.principal {
        Principal::User(user) => user.id.0,
        Principal::Publisher { id, .. } => *id,
        Principal::Anonymous => Uuid::nil(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::BodyLimits;
    use axum::body::Body;
    use model::{Assurance, CredentialKind};

    fn publisher(id: u128) -> Caller {
        let principal = Principal::Publisher {
            id: Uuid::from_u128(id),
            provider: "test".to_owned(),
            claims: Vec::new(),
        };
        Caller {
            credential: CredentialKind::PublisherToken,
            principal,
            token: None,
            session: None,
            assurance: Assurance::NONE,
        }
    }

    /// A body of which nothing has arrived.
    fn body() -> Incoming {
        Incoming::new(Body::from(vec![0; 10]), BodyLimits::OF_TESTS)
    }

    impl Places {
        async fn place(&self, id: u128) -> Result<Place<'_>, NoPlace> {
            self.take(&publisher(id), &body()).await
        }
    }

    #[tokio::test]
    async fn one_uploader_never_holds_the_places_of_others() {
        let places = Places::new(5, 2, Duration::from_millis(10));
        let first = places.place(1).await.ok().unwrap();
        let _second = places.place(1).await.ok().unwrap();
        assert_eq!(
            places.place(1).await.err().unwrap(),
            NoPlace::Own { most: 2 }
        );
        let _others = (
            places.place(2).await.ok().unwrap(),
            places.place(3).await.ok().unwrap(),
            places.place(4).await.ok().unwrap(),
        );
        assert_eq!(places.place(5).await.err().unwrap(), NoPlace::All);
        drop(first);
        assert!(places.place(5).await.is_ok());
    }

    #[tokio::test]
    async fn the_fewer_places_are_left_the_fewer_one_uploader_may_have() {
        let places = Places::new(16, 8, Duration::from_millis(1));
        let mut held = Vec::new();
        for id in 1..5 {
            for _ in 0..8 {
                held.extend(places.place(id).await.ok());
            }
        }
        let each: Vec<usize> = (1..5)
            .map(|id| places.held_by(Uuid::from_u128(id)))
            .collect();
        assert_eq!(each, [6, 4, 2, 2]);
        assert!(
            places.place(9).await.is_ok(),
            "and somebody else has one: {each:?}"
        );
    }

    #[tokio::test]
    async fn an_upload_that_brings_nothing_gives_way_to_one_that_waits() {
        let spared = Places::new(1, 1, Duration::from_millis(10));
        let _slow = spared.place(1).await.ok().unwrap();
        assert_eq!(
            spared.place(2).await.err().unwrap(),
            NoPlace::All,
            "each is spared for a while"
        );
        let places = Places {
            spared: Duration::ZERO,
            ..Places::new(1, 1, Duration::from_secs(30))
        };
        let slow = places.place(1).await.ok().unwrap();
        let (caller, body) = (publisher(2), body());
        let gives_way = async move {
            slow.gives_way().await;
            drop(slow);
        };
        let (taken, ()) = tokio::join!(places.take(&caller, &body), gives_way);
        assert!(taken.is_ok());
    }

    #[tokio::test]
    async fn whoever_has_more_places_gives_one_to_somebody_who_has_none() {
        let places = Places {
            spared: Duration::ZERO,
            ..Places::new(5, 2, Duration::from_secs(30))
        };
        let (one, other) = (
            places.place(1).await.ok().unwrap(),
            places.place(2).await.ok().unwrap(),
        );
        let second = places.place(1).await.ok().unwrap();
        // However quickly they arrive.
        places
            .taken()
            .uploads
            .values_mut()
            .for_each(|upload| upload.body.set_received(1 << 40));
        places.make_room();
        assert_eq!(places.held_by(Uuid::from_u128(1)), 1);
        assert_eq!(
            places.held_by(Uuid::from_u128(2)),
            1,
            "the one upload of somebody else goes on"
        );
        drop((one, other, second));
    }

    #[tokio::test]
    async fn nobody_shields_the_places_of_others_by_holding_more() {
        let places = Places {
            spared: Duration::ZERO,
            ..Places::new(8, 8, Duration::from_secs(30))
        };
        let shield = (
            places.place(1).await.ok().unwrap(),
            places.place(1).await.ok().unwrap(),
        );
        let slow = places.place(2).await.ok().unwrap();
        shield.0.arrived();
        shield.1.arrived();
        places.make_room();
        assert_eq!(
            (
                places.held_by(Uuid::from_u128(1)),
                places.held_by(Uuid::from_u128(2))
            ),
            (2, 0)
        );
        drop((shield, slow));
    }

    #[tokio::test(start_paused = true)]
    async fn of_one_uploader_few_uploads_wait() {
        let places = Places::new(1, 1, Duration::from_secs(30));
        let _held = places.place(1).await.ok().unwrap();
        let (started, waiting) = (Instant::now(), UPLOADS_WAITING.length() + 10);
        let ended: Vec<Duration> = futures_util::future::join_all((0..waiting).map(async |_| {
            assert!(places.place(1).await.is_err());
            started.elapsed()
        }))
        .await;
        assert_eq!(
            ended.iter().filter(|ended| ended.is_zero()).count(),
            10,
            "the others wait for their time"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_upload_must_bring_grows_with_its_time() {
        let places = Places::new(1, 1, Duration::from_millis(10));
        let place = places.place(1).await.ok().unwrap();
        let set_received = |bytes: u64| {
            places
                .taken()
                .uploads
                .values_mut()
                .for_each(|upload| upload.body.set_received(bytes))
        };
        tokio::time::advance(Duration::from_secs(90)).await;
        set_received(90 * SPARED_BYTES_PER_SECOND);
        places.make_room();
        assert_eq!(places.taken().uploads.len(), 1);
        tokio::time::advance(Duration::from_secs(90)).await;
        set_received(180 * SPARED_BYTES_PER_SECOND);
        places.make_room();
        assert_eq!(
            places.taken().uploads.len(),
            0,
            "three minutes take three times as much"
        );
        drop(place);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_keeps_their_turn() {
        let places = Places::new(1, 8, Duration::from_secs(30));
        let first = places.place(1).await.ok().unwrap();
        let (caller, body_of_waiting) = (publisher(2), body());
        let waiting = async {
            let taken = places.take(&caller, &body_of_waiting).await;
            (taken.is_ok(), Instant::now())
        };
        // Others come while it checks for room, and end up behind it in the queue.
        let others = async {
            tokio::time::sleep(LOOK * 2 + LOOK / 2).await;
            let (caller, body) = (publisher(3), body());
            let later = places.take(&caller, &body);
            tokio::pin!(later);
            assert!(timeout(LOOK * 2, &mut later).await.is_err());
            drop(first);
            later.await.is_ok().then(Instant::now)
        };
        let ((is_taken, at), later) = tokio::join!(waiting, others);
        assert!(is_taken && later.is_some_and(|later| at <= later));
    }

    #[tokio::test]
    async fn who_waits_gets_the_next_place_of_its_own() {
        let places = Places::new(4, 1, Duration::from_secs(30));
        let held = places.place(1).await.ok().unwrap();
        let (taken, ()) = tokio::join!(places.place(1), async move { drop(held) });
        assert!(taken.is_ok());
    }

    #[tokio::test]
    async fn uploaders_that_have_finished_are_forgotten() {
        let places = Places::new(4, 2, Duration::from_millis(10));
        for id in 0..100 {
            drop(places.place(id).await.ok().unwrap());
        }
        assert_eq!(
            (
                places.own.lock().unwrap().len(),
                places.taken().uploads.len()
            ),
            (1, 0)
        );
    }
}
