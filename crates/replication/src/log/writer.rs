//! Gathers the writes of all groups and commits them together. Not here: which writes there are.
//!
//! While one transaction is synced the next one fills. No write is ever tried again: after an error nothing is known
//! of the disk, so every later write fails too, and the groups stop.

use super::Counters;
use super::database::{LogDatabase, Write};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};

/// Told once the write is on disk, or never will be.
pub(crate) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

struct Request {
    group: u16,
    write: Write,
    done: Option<Done>,
}

/// The queue in front of the writer. Clones are the same queue.
#[derive(Clone)]
pub(crate) struct LogWriter(Arc<Queue>);

struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
    counters: Counters,
}

struct Waiting {
    requests: Vec<Request>,
    closed: bool,
    /// Present as long as the writer runs; dropped at its end.
    ended: Option<oneshot::Receiver<()>>,
}

impl LogWriter {
    /// Starts the writer: on a thread, or as a task where the disk is simulated (`inline`).
    pub(crate) fn start(database: Arc<LogDatabase>, inline: bool) -> io::Result<Self> {
        let (end, ended) = oneshot::channel();
        let waiting = Waiting { requests: Vec::new(), closed: false, ended: Some(ended) };
        let queue =
            Queue { waiting: Mutex::new(waiting), wake: Notify::new(), counters: Counters::default() };
        let writer = Self(Arc::new(queue));
        let run = writer.clone().run(database, end);
        if inline {
            tokio::spawn(run);
        } else {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            let thread = std::thread::Builder::new().name("raft-log".to_owned());
            thread.spawn(move || runtime.block_on(run))?;
        }
        Ok(writer)
    }

    /// Queues a write and calls `done` once it is on disk.
    pub(crate) fn write(&self, group: u16, write: Write, done: Done) {
        let refused = {
            let mut waiting = self.waiting();
            if waiting.closed {
                Some(done)
            } else {
                waiting.requests.push(Request { group, write, done: Some(done) });
                None
            }
        };
        match refused {
            None => self.0.wake.notify_one(),
            Some(done) => done(Err(io::Error::other("the log is closed"))),
        }
    }

    /// Queues a write that may wait for the next one that may not.
    pub(crate) fn write_some_time(&self, group: u16, write: Write) {
        let mut waiting = self.waiting();
        if !waiting.closed {
            waiting.requests.push(Request { group, write, done: None });
        }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Writes what waits, takes no more, and returns when the writer has ended.
    pub(crate) async fn close(&self) {
        let ended = {
            let mut waiting = self.waiting();
            waiting.closed = true;
            waiting.ended.take()
        };
        self.0.wake.notify_one();
        if let Some(ended) = ended {
            // An error means that the sender was dropped, which is the end too.
            let _ = ended.await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().expect("nothing panics while the queue is held")
    }

    async fn run(self, database: Arc<LogDatabase>, end: oneshot::Sender<()>) {
        let mut failed = None;
        loop {
            let (requests, closed) = {
                let mut waiting = self.waiting();
                (std::mem::take(&mut waiting.requests), waiting.closed)
            };
            if requests.iter().any(|request| request.done.is_some()) || (closed && !requests.is_empty()) {
                self.commit(&database, requests, &mut failed);
            } else if closed {
                break;
            } else {
                self.put_back(requests);
                self.0.wake.notified().await;
            }
        }
        drop(database);
        let _ = end.send(());
    }

    /// What may wait goes back, in front of what came meanwhile.
    fn put_back(&self, requests: Vec<Request>) {
        let mut waiting = self.waiting();
        let came = std::mem::replace(&mut waiting.requests, requests);
        waiting.requests.extend(came);
    }

    fn commit(&self, database: &LogDatabase, requests: Vec<Request>, failed: &mut Option<String>) {
        if failed.is_none() {
            let writes = requests.iter().map(|request| (request.group, &request.write));
            match database.commit(writes) {
                Ok(()) => self.count(&requests),
                Err(error) => {
                    tracing::error!(%error, "the log cannot be written; all groups of this node stop");
                    *failed = Some(error.to_string());
                }
            }
        }
        for done in requests.into_iter().filter_map(|request| request.done) {
            done(match failed {
                None => Ok(()),
                Some(why) => Err(io::Error::other(format!("the log cannot be written: {why}"))),
            });
        }
    }

    fn count(&self, requests: &[Request]) {
        self.0.counters.committed();
        for request in requests {
            if let Write::Append(entries) = &request.write {
                self.0.counters.appended(entries.len(), entries.iter().map(|(_, bytes)| bytes.len()).sum());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::database::Fact;
    use super::*;
    use platform::{Disk, MemDisk};
    use std::path::Path;

    fn database(disk: &MemDisk) -> Arc<LogDatabase> {
        let directory = disk.directory(Path::new("/d")).unwrap();
        Arc::new(LogDatabase::open(&directory, 1024 * 1024).unwrap())
    }

    fn append(writer: &LogWriter, group: u16, index: u64) -> oneshot::Receiver<io::Result<()>> {
        let (tell, told) = oneshot::channel();
        let entries = vec![(index, vec![7; 100])];
        writer.write(group, Write::Append(entries), Box::new(move |result| tell.send(result).unwrap()));
        told
    }

    #[tokio::test]
    async fn what_waits_is_one_commit_and_one_sync() {
        let disk = MemDisk::new();
        let database = database(&disk);
        let writer = LogWriter::start(database.clone(), true).unwrap();
        let waiting: Vec<_> = (0..9).map(|group| append(&writer, group, 1)).collect();
        let before = disk.syncs();
        for told in waiting {
            told.await.unwrap().unwrap();
        }
        let counts = writer.counters().read();
        let expected = super::super::LogCounts { appends: 9, entries: 9, bytes: 900, commits: 1 };
        assert_eq!(counts, expected);
        assert_eq!(disk.syncs() - before, 1);
        for group in 0..9 {
            assert_eq!(database.entries(group, 0..9, usize::MAX).unwrap(), [vec![7; 100]]);
        }
    }

    #[tokio::test]
    async fn what_may_wait_rides_with_the_next_in_order() {
        let disk = MemDisk::new();
        let database = database(&disk);
        let writer = LogWriter::start(database.clone(), true).unwrap();
        writer.write_some_time(1, Write::Fact(Fact::Committed, vec![1]));
        writer.write_some_time(1, Write::Fact(Fact::Committed, vec![2]));
        tokio::task::yield_now().await;
        assert_eq!(database.fact(1, Fact::Committed).unwrap(), None);
        append(&writer, 2, 1).await.unwrap().unwrap();
        assert_eq!(database.fact(1, Fact::Committed).unwrap(), Some(vec![2]));
        writer.write_some_time(1, Write::Fact(Fact::Committed, vec![3]));
        writer.close().await;
        assert_eq!(database.fact(1, Fact::Committed).unwrap(), Some(vec![3]));
        assert!(append(&writer, 2, 2).await.unwrap().is_err(), "closed");
    }

    #[tokio::test]
    async fn after_a_failed_sync_and_a_restart_the_power_may_fail() {
        let disk = MemDisk::new();
        let first = database(&disk);
        let writer = LogWriter::start(first.clone(), true).unwrap();
        append(&writer, 1, 1).await.unwrap().unwrap();
        disk.fail_syncs(1);
        let (tell, told) = oneshot::channel();
        // Many pages, which no later commit writes again.
        let many = (1..=500).map(|index| (index, vec![9; 1_000])).collect();
        writer.write(2, Write::Append(many), Box::new(move |result| tell.send(result).unwrap()));
        told.await.unwrap().unwrap_err();
        writer.close().await;
        disk.kill();
        drop((writer, first));

        let again = database(&disk);
        let entries =
            |database: &LogDatabase, group| database.entries(group, 0..u64::MAX, usize::MAX).unwrap();
        let known = entries(&again, 2);
        let writer = LogWriter::start(again.clone(), true).unwrap();
        for index in 2..=10 {
            append(&writer, 1, index).await.unwrap().unwrap();
        }
        disk.power_loss(platform::Unsynced::Lost);
        let last = database(&disk);
        assert_eq!(entries(&last, 1).len(), 10);
        assert!(entries(&last, 2) == known, "{} entries were there", known.len());
    }

    #[tokio::test]
    async fn a_failed_sync_is_never_tried_again() {
        let disk = MemDisk::new();
        let database = database(&disk);
        let writer = LogWriter::start(database, true).unwrap();
        append(&writer, 1, 1).await.unwrap().unwrap();
        disk.fail_syncs(1);
        append(&writer, 1, 2).await.unwrap().unwrap_err();
        let why = append(&writer, 2, 1).await.unwrap().unwrap_err().to_string();
        assert!(why.contains("as the test wished"), "{why}");
    }
}
