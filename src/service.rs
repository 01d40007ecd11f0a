//! The service: keeps a site in step while it runs. It decides when; `synchronizer` does the work, on one
//! thread, so that two synchronizations never run at once (decision 0021).

pub mod door;
pub mod journal;
mod news;
pub mod process;
pub mod timing;
mod watch;
mod worker;

pub use news::{Ended, Event, Failed, Now, Step};

use crate::config::Config;
use crate::keeper::{DirKeeper, Lock};
use crate::report::Report;
use crate::sync::{Keeper as _, Options};
use crate::synchronizer::{Error, Synchronizer};
use chrono::Local;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use timing::{Nudge, Plan, Timing, Why};
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio::time::Instant;
use watch::FolderWatch;
use worker::{Done, Job};

/// How often the database is looked at from outside.
const LOOK: Duration = Duration::from_secs(1);
/// How often a folder is looked at that does not tell of changes.
const POLL: Duration = Duration::from_secs(10);
/// That a folder is looked at because it does not tell of changes, for people.
pub fn polled(why: &str) -> String {
    format!("changes of the other sites are looked for every {} seconds, because the folder does not tell of them: {why}", POLL.as_secs())
}

/// How long a synchronization may still take once the service is to end. It may be broken off anywhere.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long the answers to those who asked may take then.
const ANSWER: Duration = Duration::from_millis(150);

/// What is asked of the service.
enum Ask {
    Sync(Box<Options>, Option<oneshot::Sender<Result<Arc<Report>, Failed>>>),
    Stop,
}

/// Makes an address by which the page can be opened once.
type Entrance = Box<dyn Fn() -> String + Send + Sync>;

struct Shared {
    config: PathBuf,
    asks: mpsc::UnboundedSender<Ask>,
    events: broadcast::Sender<Event>,
    now: Mutex<Now>,
    entrance: Mutex<Option<Entrance>>,
}

/// A running service, for those who ask it.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("config", &self.0.config).finish_non_exhaustive()
    }
}

fn locked<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stamp(at: chrono::DateTime<Local>) -> String {
    at.to_utc().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

impl Handle {
    /// Synchronizes, after the one that is running, and gives what came of it.
    pub async fn sync_now(&self, options: Options) -> Result<Arc<Report>, Failed> {
        let (tx, rx) = oneshot::channel();
        let ended = || Failed { code: 1, message: "the service is ending; try again".into() };
        self.0.asks.send(Ask::Sync(Box::new(options), Some(tx))).map_err(|_| ended())?;
        rx.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Asks for a synchronization and does not wait for it.
    pub fn ask(&self) {
        drop(self.0.asks.send(Ask::Sync(Box::default(), None)));
    }

    /// Ends the service.
    pub fn stop(&self) {
        drop(self.0.asks.send(Ask::Stop));
    }

    /// What happens from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.0.events.subscribe()
    }

    /// What it is doing.
    pub fn now(&self) -> Now {
        locked(&self.0.now).clone()
    }

    /// Its configuration.
    pub fn config(&self) -> &Path {
        &self.0.config
    }

    /// Opens the site, for a question.
    pub fn open(&self) -> Result<Synchronizer, Error> {
        Synchronizer::open(Config::load(&self.0.config)?)
    }

    /// Says where its own log is.
    pub fn set_log(&self, dir: &Path) {
        locked(&self.0.now).log = Some(dir.display().to_string());
    }

    /// Says how the page is entered.
    pub fn set_entrance(&self, entrance: impl Fn() -> String + Send + Sync + 'static) {
        *locked(&self.0.entrance) = Some(Box::new(entrance));
    }

    /// An address by which the page can be opened once, if there is a page.
    pub fn entrance(&self) -> Option<String> {
        locked(&self.0.entrance).as_ref().map(|f| f())
    }

    fn tell(&self, event: Event) {
        {
            let mut now = locked(&self.0.now);
            match &event {
                Event::Started(why) => now.running = Some(*why),
                Event::Progress(step) => now.step = Some(*step),
                Event::Done(report) => now.end(Ended { at: stamp(Local::now()), report: Some(report.clone()), failed: None }),
                Event::Failed(f) => now.end(Ended { at: stamp(Local::now()), report: None, failed: Some(f.clone()) }),
            }
        }
        // Nobody need listen.
        drop(self.0.events.send(event));
    }
}

/// A service that is set up and not yet running.
#[derive(Debug)]
pub struct Service {
    handle: Handle,
    asks: mpsc::UnboundedReceiver<Ask>,
    door: door::Door,
    database: PathBuf,
    folder: PathBuf,
    id: String,
    plan: Plan,
    _lock: [Lock; 2],
}

impl Service {
    /// Sets up the service of a configured site. Refused while another one has the database.
    pub fn new(config_file: &Path) -> Result<Service, Error> {
        let config = Config::load(config_file)?;
        let plan = plan(&config)?;
        let (database, folder) = (config.database.clone(), config.folder.clone());
        let keeper = DirKeeper::new(config.state_dir.as_deref())?;
        let id = database_id(&database, &keeper)?;
        // Neither two services on one database, under two configurations, nor two of one, whose database was replaced.
        let taken = |id: &str| keeper.lock_for(id, "service").map_err(Error::from)?.map_err(|pid| Error::Serving { pid });
        let lock = [taken(&id)?, taken(&door::id(config_file))?];
        let (asks, receiver) = mpsc::unbounded_channel();
        let now = Now { pid: std::process::id(), since: stamp(Local::now()), ..Now::default() };
        let shared = Shared {
            config: std::path::absolute(config_file).unwrap_or_else(|_| config_file.to_owned()),
            asks,
            events: broadcast::channel(256).0,
            now: Mutex::new(now),
            entrance: Mutex::new(None),
        };
        let door = door::Door::new(keeper.dir(), config_file).map_err(|source| crate::sync::Error::Keeper { path: keeper.dir().display().to_string(), source })?;
        Ok(Service { handle: Handle(Arc::new(shared)), asks: receiver, door, database, folder, id, plan, _lock: lock })
    }

    /// The id by which the state directory knows its database.
    pub fn database_id(&self) -> &str {
        &self.id
    }

    /// What asks it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until it is stopped, or the program of that process id has ended.
    pub async fn run(mut self, while_pid: Option<u32>) {
        let news = Arc::new(Notify::new());
        let mut watch = FolderWatch::new(&self.folder, news.clone());
        let (jobs, mut done) = worker::start(self.handle.clone());
        self.door.open(&self.handle);
        let mut timing = Timing::default();
        timing.plan(self.plan.clone(), Instant::now(), &Local::now());
        let mut waiting: Vec<Ask> = vec![Ask::Sync(Box::default(), None)];
        let mut why = Why::Start;
        let mut busy = false;
        let mut looks = watch::looks(&self.database);
        let mut look = tokio::time::interval(LOOK);
        let mut polled = Instant::now();
        let mut left = 0;
        if let Some(w) = &watch.without {
            tracing::warn!(reason = %w, every_s = POLL.as_secs(), "the folder does not tell of changes; it is looked at instead");
        }
        loop {
            if !busy && let Some(job) = next_job(&mut waiting, why) {
                timing.started();
                busy = true;
                if jobs.send(job).is_err() {
                    break;
                }
            }
            timing.look_at_clock(Instant::now(), &Local::now());
            {
                let mut now = locked(&self.handle.0.now);
                // To the second: the two clocks are read one after the other.
                now.next = timing.due().map(|(at, _)| {
                    let at = Local::now() + at.saturating_duration_since(Instant::now()) + Duration::from_millis(500);
                    at.to_utc().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
                });
                now.failures = timing.failures();
                now.polling.clone_from(&watch.without);
            }
            let due = timing.due().filter(|_| !busy);
            tokio::select! {
                ask = self.asks.recv() => match ask {
                    Some(Ask::Stop) | None => break,
                    Some(ask) => {
                        waiting.push(ask);
                        why = Why::Asked;
                    }
                },
                () = news.notified() => timing.nudge(Nudge::Folder, Instant::now()),
                // A long sleep is cut: the clock may be set, or the computer have slept.
                () = sleep(due.map(|(at, _)| at)), if due.is_some() => {
                    if let Some((at, w)) = due && at <= Instant::now() {
                        why = w;
                        waiting.push(Ask::Sync(Box::default(), None));
                    }
                }
                ended = done.recv() => {
                    let Some(ended) = ended else { break };
                    busy = false;
                    self.ended(&ended, &mut timing);
                    // What the host wrote while it ran; what no synchronization takes up does not make it run for ever.
                    if ended.left > 0 && ended.left != left {
                        timing.nudge(Nudge::Database, Instant::now());
                    }
                    left = ended.left;
                    looks = ended.looks;
                    watch.renew(&self.folder);
                }
                _ = look.tick() => {
                    if while_pid.is_some_and(|pid| !process::runs(pid)) {
                        tracing::info!("the program it ran with has ended");
                        break;
                    }
                    if !busy {
                        let new = watch::looks(&self.database);
                        if new != looks {
                            looks = new;
                            timing.nudge(Nudge::Database, Instant::now());
                        }
                    }
                    // Only while it fails: a drive of the network that hangs would stop whoever asks of it.
                    if !busy && timing.failures() > 0 && watch.renew(&self.folder) {
                        timing.nudge(Nudge::Folder, Instant::now());
                    }
                    if watch.without.is_some() && polled.elapsed() >= POLL {
                        polled = Instant::now();
                        timing.nudge(Nudge::Folder, Instant::now());
                    }
                }
            }
        }
        self.door.close();
        if busy {
            drop(tokio::time::timeout(PATIENCE, done.recv()).await);
            // Who asked for it is still to be told.
            tokio::time::sleep(ANSWER).await;
        }
        tracing::info!("ended");
    }

    /// Takes over what a synchronization found of the configuration, and plans the next.
    fn ended(&mut self, ended: &Done, timing: &mut Timing) {
        let (now, clock) = (Instant::now(), Local::now());
        timing.ended(ended.well, now, &clock);
        if let Some(config) = &ended.config {
            self.folder.clone_from(&config.folder);
            self.database.clone_from(&config.database);
            match plan(config) {
                Ok(plan) if ended.well => timing.plan(plan, now, &clock),
                Ok(_) => {}
                Err(e) => tracing::error!(error = %e, "the times in the configuration cannot be read; the former ones hold"),
            }
        }
    }
}

fn plan(config: &Config) -> Result<Plan, Error> {
    Plan::new(config.auto_sync_minutes, &config.sync_at.0).map_err(Error::Usage)
}

/// Where the service of a database that is not running kept its log, if it ever ran under this state directory.
pub fn last_log(config: &Config) -> Option<PathBuf> {
    let keeper = DirKeeper::new(config.state_dir.as_deref()).ok()?;
    let dir = journal::directory(keeper.dir(), &database_id(&config.database, &keeper).ok()?);
    dir.is_dir().then_some(dir)
}

/// The id by which the state directory knows a database. Refused where another account's does.
fn database_id(database: &Path, keeper: &DirKeeper) -> Result<String, Error> {
    let conn = crate::synchronizer::open_database(database)?;
    if crate::state::layout(&conn)?.is_none() {
        return Err(crate::sync::Error::NotSetUp.into());
    }
    let state = crate::state::State::new(&conn, crate::id::Uuid::nil());
    let id = crate::xml::hex(&state.meta::<Vec<u8>>("database")?.ok_or(crate::sync::Error::NotSetUp)?);
    if keeper.read(&id)?.is_empty() {
        crate::sync::check_account(&conn, &state, keeper, &id)?;
    }
    Ok(id)
}

/// The next synchronization: what was asked without more is answered by one.
fn next_job(waiting: &mut Vec<Ask>, why: Why) -> Option<Job> {
    let mut job: Option<Job> = None;
    let mut rest = Vec::new();
    for ask in std::mem::take(waiting) {
        let Ask::Sync(options, reply) = ask else { continue };
        match &mut job {
            None => job = Some(Job { options: *options, replies: reply.into_iter().collect(), why }),
            Some(j) if joins(&j.options, &options) => {
                j.options.full |= options.full;
                j.options.scan |= options.scan;
                j.options.timings |= options.timings;
                j.replies.extend(reply);
            }
            Some(_) => rest.push(Ask::Sync(options, reply)),
        }
    }
    *waiting = rest;
    job
}

/// Whether two asks are answered by one synchronization: neither carries a person's decision.
fn joins(a: &Options, b: &Options) -> bool {
    let plain = |o: &Options| o.confirm.is_none() && !o.rebuild && o.orders.is_empty();
    plain(a) && plain(b)
}

async fn sleep(until: Option<Instant>) {
    match until {
        Some(at) => tokio::time::sleep_until(at.min(Instant::now() + Duration::from_secs(60))).await,
        None => std::future::pending().await,
    }
}

/// 256 bits that nobody can guess, in hexadecimal digits.
pub fn secret() -> String {
    let mut bytes = [0_u8; 32];
    // Without chance there is no key to the page; the text is never equal to one that was given.
    if getrandom::fill(&mut bytes).is_err() {
        return String::new();
    }
    crate::xml::hex(&bytes)
}
