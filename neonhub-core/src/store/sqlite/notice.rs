//! Hearing of commits by other processes from the system, which reports every write to the log file.
//!
//! Where the system reports nothing, the committer's look every 250 ms remains.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod inotify {
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch};

    /// Writes within this time are one notice: a busy writer must not keep this thread busy too.
    const GATHER: Duration = Duration::from_millis(1);

    /// Ends the watching when dropped.
    #[derive(Debug)]
    pub(in super::super) struct Notice {
        fd: Arc<OwnedFd>,
        watch: i32,
    }

    impl Drop for Notice {
        fn drop(&mut self) {
            // Removing the watch is itself an event, and the last one that the thread reads.
            let _ = remove_watch(&*self.fd, self.watch);
        }
    }

    pub(in super::super) fn watch(store: &Path, look: impl Fn() -> bool + Send + 'static) -> Option<Notice> {
        let mut log = store.as_os_str().to_owned();
        log.push("-wal");
        let fd = Arc::new(init(CreateFlags::CLOEXEC).ok()?);
        let watch = add_watch(&*fd, Path::new(&log), WatchFlags::MODIFY).ok()?;
        let notice = Notice { fd: Arc::clone(&fd), watch };
        let thread = std::thread::Builder::new().name("neonhub-notice".into()).spawn(move || {
            let mut buffer = [MaybeUninit::<u8>::uninit(); 1024];
            let mut events = Reader::new(&*fd, &mut buffer);
            while let Ok(event) = events.next() {
                if event.events().contains(ReadFlags::IGNORED) {
                    return;
                }
                if events.is_buffer_empty() {
                    std::thread::sleep(GATHER);
                    if !look() {
                        return;
                    }
                }
            }
        });
        thread.ok().map(|_| notice)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) use inotify::{Notice, watch};

/// Nothing is reported on this system.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[derive(Debug)]
pub(super) struct Notice;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn watch(_store: &std::path::Path, _look: impl Fn() -> bool + Send + 'static) -> Option<Notice> {
    None
}
