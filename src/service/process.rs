//! Other processes, and the end of this one.

/// Whether a process is running. One that may not be asked is.
#[cfg(unix)]
pub(super) fn runs(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|p| rustix::process::test_kill_process(p) != Err(rustix::io::Errno::SRCH) && !has_ended(p))
}

/// Whether a process has ended and whoever started it did not ask for its end yet: so proc(5) says where there is one.
#[cfg(unix)]
fn has_ended(pid: rustix::process::Pid) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.iter().rposition(|b| *b == b')').and_then(|end| stat.get(end + 2));
    matches!(state, Some(b'Z' | b'X'))
}

/// Whether a process is running. One that may not be asked is.
#[cfg(windows)]
#[expect(unsafe_code, reason = "calls of the system that take a number and a handle; the handle is checked, and closed once")]
pub(super) fn runs(pid: u32) -> bool {
    use windows_sys::Win32::Foundation::{CloseHandle, ERROR_ACCESS_DENIED, GetLastError, WAIT_OBJECT_0};
    use windows_sys::Win32::System::Threading::{OpenProcess, PROCESS_SYNCHRONIZE, WaitForSingleObject};
    // SAFETY: none of the calls takes a pointer of ours.
    unsafe {
        let process = OpenProcess(PROCESS_SYNCHRONIZE, 0, pid);
        if process.is_null() {
            return GetLastError() == ERROR_ACCESS_DENIED;
        }
        // It is signalled from its end on, also while somebody still has a handle of it.
        let ended = WaitForSingleObject(process, 0) == WAIT_OBJECT_0;
        CloseHandle(process);
        !ended
    }
}

/// Waits until a person or the system asks this process to end.
pub async fn asked_to_end() {
    #[cfg(unix)]
    let other = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut s) => drop(s.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    // The window is closed, or the computer is shut down.
    #[cfg(windows)]
    let other = async {
        use tokio::signal::windows::{ctrl_break, ctrl_close, ctrl_shutdown};
        let (Ok(mut closed), Ok(mut down), Ok(mut stop)) = (ctrl_close(), ctrl_shutdown(), ctrl_break()) else { return std::future::pending().await };
        tokio::select! { _ = closed.recv() => {}, _ = down.recv() => {}, _ = stop.recv() => {} }
    };
    tokio::select! { _ = tokio::signal::ctrl_c() => {}, () = other => {} }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_runs_until_its_end() {
        assert!(super::runs(std::process::id()));
        let mut child = std::process::Command::new(if cfg!(windows) { "cmd" } else { "true" }).args(if cfg!(windows) { &["/c", "exit"][..] } else { &[] }).spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        drop(child);
        assert!(!super::runs(pid));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_has_ended_runs_no_more_though_nobody_asked_for_its_end() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let start = std::time::Instant::now();
        while super::runs(child.id()) {
            assert!(start.elapsed().as_secs() < 30, "it has ended long ago");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        child.wait().unwrap();
    }
}
