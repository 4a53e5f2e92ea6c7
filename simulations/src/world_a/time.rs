//! Virtual time, and the one thread that runs everything in it: tasks in the order in which they were woken, then the
//! next event, ordered by (microsecond, number). Not here: what the tasks do, and how wrong a node's clock is (`clock`).
//!
//! Tasks belong to groups. A group is a process: it is killed, stands still and goes on as one.

use crate::clock::TrueTime;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A process by number; [`WORLD`] is nobody's.
pub type Group = usize;

/// The group of what stands outside of all nodes; never killed.
pub const WORLD: Group = 0;

type Task = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Clone)]
pub struct Time(Rc<Inner>);

struct Inner {
    truth: TrueTime,
    tasks: RefCell<Vec<Slot>>,
    free: RefCell<Vec<usize>>,
    /// Which of those that ran on this thread.
    number: u64,
    /// By (microsecond, number), with where it stands in `due`.
    events: RefCell<BinaryHeap<Reverse<(u64, u64, usize)>>>,
    due: RefCell<Vec<Option<What>>>,
    due_free: RefCell<Vec<usize>>,
    numbered: Cell<u64>,
    paused: RefCell<Vec<bool>>,
    parked: RefCell<Vec<Vec<Arc<TaskWaker>>>>,
    polls: Cell<u64>,
}

/// What is to be run, of whoever has its time on this thread: a lock for each wake would cost more than most polls.
type Ready = RefCell<VecDeque<Arc<TaskWaker>>>;

thread_local! {
    static READY: Ready = const { RefCell::new(VecDeque::new()) };
}

static TIMES: AtomicU64 = AtomicU64::new(0);

struct Slot {
    group: Group,
    /// With what wakes it, while it is not being run.
    task: Option<(Task, Waker)>,
    waker: Option<Arc<TaskWaker>>,
}

/// Only the thread of its time wakes it: what is shared is written by nobody else.
struct TaskWaker {
    slot: usize,
    time: u64,
    queued: AtomicBool,
    dead: AtomicBool,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.load(Ordering::Relaxed) {
            self.queued.store(true, Ordering::Relaxed);
            READY.with_borrow_mut(|ready| ready.push_back(self));
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.load(Ordering::Relaxed) {
            self.clone().wake();
        }
    }
}

enum What {
    Timer(Rc<RefCell<Option<Waker>>>),
    Call(Box<dyn FnOnce()>),
}

impl Time {
    pub fn new(groups: usize) -> Self {
        Self(Rc::new(Inner {
            truth: TrueTime::default(),
            tasks: RefCell::default(),
            free: RefCell::default(),
            number: TIMES.fetch_add(1, Ordering::Relaxed),
            events: RefCell::default(),
            due: RefCell::default(),
            due_free: RefCell::default(),
            numbered: Cell::new(0),
            paused: RefCell::new(vec![false; groups]),
            parked: RefCell::new((0..groups).map(|_| Vec::new()).collect()),
            polls: Cell::new(0),
        }))
    }

    pub fn now_us(&self) -> u64 {
        self.0.truth.us()
    }

    pub fn now_ms(&self) -> u64 {
        self.now_us() / 1_000
    }

    /// What clocks read.
    pub fn truth(&self) -> TrueTime {
        self.0.truth.clone()
    }

    /// How often a task was run: how much happened.
    pub fn polls(&self) -> u64 {
        self.0.polls.get()
    }

    pub fn spawn(&self, group: Group, task: impl Future<Output = ()> + 'static) {
        self.spawn_boxed(group, Box::pin(task));
    }

    pub fn spawn_boxed(&self, group: Group, task: Task) {
        let free = self.0.free.borrow_mut().pop();
        let mut tasks = self.0.tasks.borrow_mut();
        let slot = free.unwrap_or(tasks.len());
        let (queued, dead) = (AtomicBool::new(false), AtomicBool::new(false));
        let waker = Arc::new(TaskWaker { slot, time: self.0.number, queued, dead });
        let task = Some((task, Waker::from(waker.clone())));
        let entry = Slot { group, task, waker: Some(waker.clone()) };
        match free {
            Some(_) => tasks[slot] = entry,
            None => tasks.push(entry),
        }
        waker.wake();
    }

    fn at(&self, at_us: u64, what: What) {
        let number = self.0.numbered.get();
        self.0.numbered.set(number + 1);
        let mut due = self.0.due.borrow_mut();
        let slot = self.0.due_free.borrow_mut().pop().unwrap_or(due.len());
        if slot == due.len() {
            due.push(Some(what));
        } else {
            due[slot] = Some(what);
        }
        self.0.events.borrow_mut().push(Reverse((at_us, number, slot)));
    }

    /// Does it in so many microseconds, whoever is dead by then.
    pub fn call_in(&self, us: u64, call: impl FnOnce() + 'static) {
        self.at(self.now_us() + us, What::Call(Box::new(call)));
    }

    pub fn sleep_us(&self, us: u64) -> Sleep {
        Sleep { time: self.clone(), at_us: self.now_us() + us, waker: None }
    }

    pub fn sleep(&self, ms: u64) -> Sleep {
        self.sleep_us(ms * 1_000)
    }

    /// `None` where it takes longer.
    pub async fn within<T>(&self, ms: u64, work: impl Future<Output = T>) -> Option<T> {
        let work = std::pin::pin!(work);
        match futures::future::select(work, self.sleep(ms)).await {
            futures::future::Either::Left((done, _)) => Some(done),
            futures::future::Either::Right(_) => None,
        }
    }

    /// The process dies: its tasks are dropped where they stand.
    pub fn kill(&self, group: Group) {
        self.go_on(group);
        let mut dropped = Vec::new();
        for (slot, entry) in self.0.tasks.borrow_mut().iter_mut().enumerate() {
            if entry.group == group && entry.waker.is_some() {
                dropped.push(entry.task.take());
                if let Some(waker) = entry.waker.take() {
                    waker.dead.store(true, Ordering::Relaxed);
                    self.0.free.borrow_mut().push(slot);
                }
            }
        }
        drop(dropped);
    }

    /// The process stands still.
    pub fn pause(&self, group: Group) {
        self.0.paused.borrow_mut()[group] = true;
    }

    pub fn is_paused(&self, group: Group) -> bool {
        self.0.paused.borrow()[group]
    }

    pub fn go_on(&self, group: Group) {
        self.0.paused.borrow_mut()[group] = false;
        let parked = std::mem::take(&mut self.0.parked.borrow_mut()[group]);
        READY.with_borrow_mut(|ready| ready.extend(parked));
    }

    /// Runs until nothing is left to do before `end_us`, which is the time then.
    pub fn run_until(&self, end_us: u64) {
        loop {
            self.run_ready();
            let next = self.0.events.borrow().peek().map(|Reverse((at_us, ..))| *at_us);
            let Some(at_us) = next.filter(|at_us| *at_us <= end_us) else { break };
            let Some(Reverse((_, _, slot))) = self.0.events.borrow_mut().pop() else { break };
            self.0.truth.set_us(at_us.max(self.now_us()));
            self.0.due_free.borrow_mut().push(slot);
            let Some(what) = self.0.due.borrow_mut()[slot].take() else { continue };
            match what {
                What::Timer(waker) => {
                    let waker = waker.borrow_mut().take();
                    waker.into_iter().for_each(Waker::wake);
                }
                What::Call(call) => call(),
            }
        }
        self.0.truth.set_us(end_us);
    }

    fn run_ready(&self) {
        loop {
            let next = READY.with_borrow_mut(VecDeque::pop_front);
            let Some(waker) = next else { return };
            // What ran on this thread before may have left something behind.
            if waker.time == self.0.number && !waker.dead.load(Ordering::Relaxed) {
                self.run_one(&waker);
            }
        }
    }

    fn run_one(&self, waker: &Arc<TaskWaker>) {
        let slot = waker.slot;
        let (group, task) = {
            let mut tasks = self.0.tasks.borrow_mut();
            let group = tasks[slot].group;
            if self.0.paused.borrow()[group] {
                self.0.parked.borrow_mut()[group].push(waker.clone());
                return;
            }
            (group, tasks[slot].task.take())
        };
        let Some((mut task, wakes_it)) = task else { return };
        waker.queued.store(false, Ordering::Relaxed);
        self.0.polls.set(self.0.polls.get() + 1);
        let polled = task.as_mut().poll(&mut Context::from_waker(&wakes_it));
        let mut tasks = self.0.tasks.borrow_mut();
        if waker.dead.load(Ordering::Relaxed) {
            // It killed its own group.
            drop(tasks);
            return;
        }
        if polled.is_pending() {
            debug_assert_eq!(tasks[slot].group, group);
            tasks[slot].task = Some((task, wakes_it));
        } else {
            waker.dead.store(true, Ordering::Relaxed);
            tasks[slot].waker = None;
            self.0.free.borrow_mut().push(slot);
            drop(tasks);
            drop(task);
        }
    }

    /// Drops all there is, so that nothing of a run outlives it.
    pub fn clear(&self) {
        let tasks = std::mem::take(&mut *self.0.tasks.borrow_mut());
        drop(tasks);
        self.0.events.borrow_mut().clear();
        let due = std::mem::take(&mut *self.0.due.borrow_mut());
        drop(due);
    }
}

/// Until its time has come.
pub struct Sleep {
    time: Time,
    at_us: u64,
    waker: Option<Rc<RefCell<Option<Waker>>>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.time.now_us() >= self.at_us {
            return Poll::Ready(());
        }
        match &self.waker {
            Some(waker) => *waker.borrow_mut() = Some(context.waker().clone()),
            None => {
                let waker = Rc::new(RefCell::new(Some(context.waker().clone())));
                self.time.at(self.at_us, What::Timer(waker.clone()));
                self.waker = Some(waker);
            }
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(waker) = &self.waker {
            *waker.borrow_mut() = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(time: &Time, group: Group, ms: u64, notes: &Rc<RefCell<Vec<(u64, u64)>>>) {
        let (time_then, notes) = (time.clone(), notes.clone());
        time.spawn(group, async move {
            time_then.sleep(ms).await;
            notes.borrow_mut().push((time_then.now_ms(), ms));
        });
    }

    #[test]
    fn what_is_due_first_happens_first_and_a_killed_process_does_nothing_more() {
        let (time, notes) = (Time::new(3), Rc::default());
        for (group, ms) in [(1, 30), (1, 10), (2, 20)] {
            noted(&time, group, ms, &notes);
        }
        time.run_until(15_000);
        time.kill(1);
        time.run_until(50_000);
        assert_eq!(*notes.borrow(), [(10, 10), (20, 20)]);
        assert_eq!(time.now_ms(), 50);
    }

    #[test]
    fn who_stands_still_goes_on_late() {
        let (time, notes) = (Time::new(2), Rc::default());
        noted(&time, 1, 10, &notes);
        time.run_until(1_000);
        time.pause(1);
        time.run_until(40_000);
        assert!(notes.borrow().is_empty());
        time.go_on(1);
        time.run_until(41_000);
        assert_eq!(*notes.borrow(), [(40, 10)]);
    }

    #[test]
    fn waiting_has_a_bound() {
        let (time, notes) = (Time::new(1), Rc::<RefCell<Vec<Option<u64>>>>::default());
        let (time_then, notes_then) = (time.clone(), notes.clone());
        time.spawn(WORLD, async move {
            for ms in [5, 50] {
                let slept = async {
                    time_then.sleep(ms).await;
                    ms
                };
                let done = time_then.within(20, slept).await;
                notes_then.borrow_mut().push(done);
            }
        });
        time.run_until(100_000);
        assert_eq!(*notes.borrow(), [Some(5), None]);
    }
}
