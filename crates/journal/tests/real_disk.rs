//! The same journal on the real file system, with syncs on threads of their own. Not here: faults; they are simulated.

mod holder;

use holder::{backing, chat, credits, open_wish, options, shared};
use journal::{HandleNo, Identity, Journal, JournalFault, LineKey};
use platform::{Disk, RealDisk, SystemClock, SystemEntropy};
use std::sync::Arc;
use types::{Durability, Source};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_charge_and_a_restart_finds_it_all() {
    let directory = tempfile::tempdir().unwrap();
    let directory = RealDisk.directory(directory.path()).unwrap();
    let identity = Identity::open_or_create(directory.as_ref(), "c", &SystemEntropy).unwrap();
    let second = Identity::open_or_create(directory.as_ref(), "c", &SystemEntropy);
    assert!(matches!(second, Err(JournalFault::InUse(_))));

    let (tasks, each) = (8_u32, 500_u64);
    let clock = Arc::new(SystemClock::new());
    let open = || Journal::open(options(), directory.clone(), identity.disk, clock.clone());
    let (journal, _, recovered) = open().await.unwrap();
    assert!(recovered.exact && recovered.lines.is_empty());
    let charging: Vec<_> = (0..tasks)
        .map(|handle| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let wish = open_wish(handle, "w");
                let workspace = wish.workspace.clone();
                let line = LineKey { workspace, number: journal.open_line(wish).await.unwrap() };
                let drawn = vec![(shared(), credits(each)), (backing(Source::Overage, 2), credits(5))];
                journal.install(line.clone(), drawn).await.unwrap();
                assert_eq!(journal.raise_watermark(line.clone(), credits(each)).await, Ok(credits(each)));
                for n in 0..each {
                    let durability = if n % 50 == 0 { Durability::Disk } else { Durability::Local };
                    let permit = journal.reserve().unwrap();
                    permit.charge(chat(handle, 1, durability)).await.unwrap();
                }
                if handle % 2 == 0 {
                    journal.close(line, credits(each)).await.unwrap();
                }
            })
        })
        .collect();
    for one in charging {
        one.await.unwrap();
    }
    journal.sync().await.unwrap();
    let sequence = journal.sequence();
    assert!(sequence > u64::from(tasks) * each);
    drop(journal);

    let (journal, _, recovered) = open().await.unwrap();
    assert!(recovered.exact && recovered.sequence > sequence);
    assert_eq!(recovered.lines.len(), tasks as usize);
    for view in &recovered.lines {
        assert_eq!((view.used, view.unattributed), (credits(each), credits(0)));
        assert_eq!(view.returned, credits(if view.closed { 5 } else { 0 }));
    }
    let mut lines = recovered.lines;
    let open_one = lines.iter_mut().find(|view| !view.closed).unwrap();
    open_one.attached.push((HandleNo(1), 9));
    assert_eq!(journal.attach(open_one.line.clone(), HandleNo(1), 9).await.as_ref(), Ok(&*open_one));
    assert_eq!(journal.lines().await.unwrap(), lines);
}
