//! The library for host applications in other languages: a C interface of eleven functions (`include/cfs.h`,
//! `docs/HOST.md`). It holds no logic: every call is one of the library's own. Nothing here panics across the border.

#![expect(unsafe_code, reason = "pointers of another language; each function says what it relies on")]
// The functions are called from outside the crate only.
#![expect(clippy::missing_safety_doc, reason = "what callers must keep to is said in the header, for C")]

use crate::config::Config;
use crate::report::Report;
use crate::service::Failed;
use crate::service::door::{self, Answer, Question};
use crate::sync::Options;
use crate::synchronizer::history::Which;
use crate::synchronizer::{Error, Synchronizer, conflicts};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A site that is open. One thread at a time works with it; others wait.
#[derive(Debug)]
pub struct CfsSite(());

/// The sites that are open, by the numbers that stand for them. What a caller holds is such a number and no address:
/// of one that was closed, or never given, nothing is read.
static OPEN: Mutex<BTreeMap<usize, Arc<Mutex<Synchronizer>>>> = Mutex::new(BTreeMap::new());
/// The next number. Each is given once.
static NEXT: AtomicUsize = AtomicUsize::new(0x1000);

fn opened(site: *const CfsSite) -> Option<Arc<Mutex<Synchronizer>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner).get(&site.addr()).cloned()
}

/// Told how far a synchronization is: what is being done, how much of it, of how much, and the caller's own pointer.
/// The text lives until the function returns.
pub type CfsProgress = Option<unsafe extern "C" fn(what: *const c_char, done: u64, total: u64, user: *mut c_void)>;

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
    /// Whether a call of this thread is under way.
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

fn failed(code: u8, message: &str) -> c_int {
    LAST_ERROR.with(|e| *e.borrow_mut() = c_string(message));
    c_int::from(code)
}

/// Runs a call. Whatever happens in it becomes a code and a message.
fn call(work: impl FnOnce() -> Result<(), Failed>) -> c_int {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => {
            LAST_ERROR.with(|e| *e.borrow_mut() = CString::default());
            0
        }
        Ok(Err(f)) => failed(f.code, &f.message),
        Err(_) => failed(1, "an error inside cfs; nothing was half-done, the next synchronization finishes what was begun"),
    }
}

fn usage(message: &str) -> Failed {
    Failed { code: 2, message: message.to_owned() }
}

/// Text of the caller.
///
/// # Safety
/// Null, or text that ends with a zero byte and lives until the call returns.
unsafe fn text<'a>(p: *const c_char, name: &str) -> Result<&'a str, Failed> {
    if p.is_null() {
        return Err(usage(&format!("{name} is missing")));
    }
    // SAFETY: not null, and the caller keeps to what the header says of texts.
    unsafe { CStr::from_ptr(p) }.to_str().map_err(|_| usage(&format!("{name} is not UTF-8")))
}

/// Gives a text to the caller, who frees it.
///
/// # Safety
/// `out` is null or can be written to.
unsafe fn give(out: *mut *mut c_char, text: &str) -> Result<(), Failed> {
    if out.is_null() {
        return Err(usage("there is no place for the answer"));
    }
    // SAFETY: not null, and the caller keeps to what the header says of places for answers.
    unsafe { *out = c_string(text).into_raw() };
    Ok(())
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, Failed> {
    serde_json::to_string(value).map_err(|e| Failed { code: 1, message: e.to_string() })
}

/// Works with an open site.
fn with<T>(site: *const CfsSite, work: impl FnOnce(&Synchronizer) -> Result<T, Failed>) -> Result<T, Failed> {
    let site = opened(site).ok_or_else(|| usage("the site is not open"))?;
    if BUSY.replace(true) {
        return Err(usage("the progress function must not call cfs"));
    }
    let done = catch_unwind(AssertUnwindSafe(|| work(&site.lock().unwrap_or_else(PoisonError::into_inner))));
    BUSY.set(false);
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The version of the library. It lives as long as the program.
#[unsafe(no_mangle)]
pub extern "C" fn cfs_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Opens the site that a `cfs.toml` describes. Nothing is changed. Gives 0 and the site, or what `cfs` would exit with.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfs_open(config: *const c_char, out: *mut *mut CfsSite) -> c_int {
    call(|| {
        if out.is_null() {
            return Err(usage("there is no place for the site"));
        }
        // SAFETY: not null, and can be written to as the header asks for.
        unsafe { *out = ptr::null_mut() };
        // SAFETY: as the header asks for.
        let file = unsafe { text(config, "the path of cfs.toml") }?;
        let s = Config::load(Path::new(file)).map_err(Error::from).and_then(Synchronizer::open)?;
        let number = NEXT.fetch_add(0x10, Ordering::Relaxed);
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::new(Mutex::new(s)));
        // SAFETY: as above.
        unsafe { *out = ptr::without_provenance_mut(number) };
        Ok(())
    })
}

/// Sync Now. `full` looks at every file. `progress` may be null; it must not call cfs itself. Gives the report as JSON, the
/// document of `cfs sync --json`, with code 4 too; a running service is asked, as `cfs sync` does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfs_sync_now(site: *const CfsSite, full: c_int, progress: CfsProgress, user: *mut c_void, report: *mut *mut c_char) -> c_int {
    call(|| {
        if report.is_null() {
            return Err(usage("there is no place for the report"));
        }
        // SAFETY: not null, and can be written to as the header asks for.
        unsafe { *report = ptr::null_mut() };
        let mut tell = |what: &str, done: u64, total: u64| {
            if let Some(f) = progress {
                let what = c_string(what);
                // SAFETY: the caller's own function, with a text that lives until it returns.
                unsafe { f(what.as_ptr(), done, total, user) };
            }
        };
        let done = with(site, |s| synchronize(s, full != 0, &mut tell))?;
        // SAFETY: as the header asks for.
        unsafe { give(report, &json(&done)?) }?;
        refused(&done)
    })
}

fn synchronize(s: &Synchronizer, full: bool, tell: &mut dyn FnMut(&str, u64, u64)) -> Result<Report, Failed> {
    match door::ask(s.config(), &Question::Sync { full, scan: false, confirm: None, timings: false }, tell)? {
        Some(Answer::Report(report)) => Ok(*report),
        Some(Answer::Failed(f)) => Err(f),
        _ => Ok(s.sync_now(&Options { full, ..Options::default() }, &mut |what, done, total| tell(what, done, total))?),
    }
}

/// How things stand, as `cfs status --json` without the service.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfs_status_json(site: *const CfsSite, out: *mut *mut c_char) -> c_int {
    // SAFETY: as the header asks for.
    call(|| unsafe { give(out, &with(site, |s| json(&s.status()?))?) })
}

/// The last synchronizations, the newest first, each with what it did, as `cfs log --json`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfs_runs_json(site: *const CfsSite, last: u64, out: *mut *mut c_char) -> c_int {
    let runs = |s: &Synchronizer| json(&serde_json::json!({ "runs": s.runs(Which { last, ..Which::default() })? }));
    // SAFETY: as the header asks for.
    call(|| unsafe { give(out, &with(site, runs)?) })
}

/// Values that lost against a concurrent edit, as `cfs conflicts --json`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfs_conflicts_json(site: *const CfsSite, out: *mut *mut c_char) -> c_int {
    let list = |s: &Synchronizer| json(&serde_json::json!({ "conflicts": s.conflicts(None)? }));
    // SAFETY: as the header asks for.
    call(|| unsafe { give(out, &with(site, list)?) })
}

/// Decides a conflict: the current value stays (`value` 0), or a superseded one becomes current (counted from 1).
/// `record`, `field` and `mark` as `cfs_conflicts_json` has them, `row` as `table:row` of it. If something was written there since, nothing is
/// decided: look again. Gives 1 where the database refuses what was decided, for now: `cfs_last_error` says why.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfs_resolve(site: *const CfsSite, record: *const c_char, row: *const c_char, field: *const c_char, mark: *const c_char, value: usize) -> c_int {
    call(|| {
        // SAFETY: as the header asks for.
        let (record, row, field, mark) = unsafe { (text(record, "record")?, text(row, "row")?, text(field, "field")?, text(mark, "mark")?) };
        let orders = |s: &Synchronizer| s.decide(s.find(record)?, row, field, mark, conflicts::Choice::Listed(value));
        with(site, |s| carry_out(s, orders(s)?))
    })
}

/// Deletes a record, or with `row` (`table:key`) a row of it, at every site. It can be restored from the trash. `row` and `why` may be
/// null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfs_delete(site: *const CfsSite, record: *const c_char, row: *const c_char, why: *const c_char) -> c_int {
    call(|| {
        // SAFETY: as the header asks for.
        let record = unsafe { text(record, "record") }?;
        // SAFETY: as the header asks for.
        let row = if row.is_null() { None } else { Some(unsafe { text(row, "row") }?) };
        // SAFETY: as the header asks for.
        let why = if why.is_null() { "" } else { unsafe { text(why, "why") }? };
        with(site, |s| carry_out(s, s.delete(s.find(record)?, row, why)?))
    })
}

fn refused(report: &Report) -> Result<(), Failed> {
    report.refused().map_or(Ok(()), |n| Err(Failed { code: 4, message: n.to_owned() }))
}

fn carry_out(s: &Synchronizer, orders: Vec<(crate::id::RecordId, crate::sync::Order)>) -> Result<(), Failed> {
    let ids: Vec<String> = orders.iter().map(|(id, _)| id.to_string()).collect();
    let report = s.sync_now(&Options { orders, ..Options::default() }, &mut |_, _, _| {})?;
    refused(&report)?;
    report.refused_by_host(&ids).map_or(Ok(()), |message| Err(Failed { code: 1, message }))
}

/// Why the last call of this thread failed; empty if it did not. It lives until this thread's next call.
#[unsafe(no_mangle)]
pub extern "C" fn cfs_last_error() -> *const c_char {
    LAST_ERROR.with(|e| e.borrow().as_ptr())
}

/// Frees a text that a call gave. Null is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfs_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: given by a call of ours, and not freed yet, as the header asks for.
        drop(unsafe { CString::from_raw(text) });
    }
}

/// Closes a site. Null is nothing, and so is a site that is closed already; a call with one gives 2. A call of another
/// thread that is under way comes to its end.
#[unsafe(no_mangle)]
pub extern "C" fn cfs_close(site: *mut CfsSite) {
    let site = OPEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&site.addr());
    drop(catch_unwind(AssertUnwindSafe(|| drop(site))));
}
