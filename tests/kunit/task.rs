// SPDX-License-Identifier: GPL-2.0

//! Other tasks for tests.

use kernel::{
    bindings,
    current,
    new_spinlock,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc,
        Completion, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
    workqueue, //
};

/// A function that runs in a task of its own.
///
/// It may be started with a lock held that callbacks take, and so no allocation here reclaims.
pub(crate) struct Task(Arc<Completion>);

impl Task {
    pub(crate) fn run(f: impl FnOnce() + Send + 'static) -> Result<Self> {
        let done = Arc::pin_init(Completion::new(), GFP_ATOMIC)?;
        let complete = done.clone();

        workqueue::system_unbound().try_spawn(GFP_ATOMIC, move || {
            f();
            complete.complete_all();
        })?;
        Ok(Self(done))
    }

    /// Like [`Task::run`], but returns when the function sleeps, for example to wait for a lock.
    ///
    /// Fails if the function does not sleep.
    pub(crate) fn run_until_it_sleeps(f: impl FnOnce() + Send + 'static) -> Result<Self> {
        let runner = Arc::pin_init(new_spinlock!(None), GFP_ATOMIC)?;
        let returned = Arc::new(Atomic::new(false), GFP_ATOMIC)?;
        let (this, done) = (runner.clone(), returned.clone());

        let task = Self::run(move || {
            *this.lock() = Some(ARef::from(&**kernel::current!()));
            f();
            // The worker sleeps after that, too.
            done.store(true, Release);
        })?;
        let is_asleep = || runner.lock().as_deref().is_some_and(sleeps) && !returned.load(Acquire);

        if wait_until(is_asleep) {
            Ok(task)
        } else {
            Err(ETIMEDOUT)
        }
    }

    /// Waits until the function has returned.
    pub(crate) fn wait(self) {
        self.0.wait_for_completion();
    }
}

/// Waits until `f` returns `true`, but not forever; whether it did.
pub(crate) fn wait_until(f: impl Fn() -> bool) -> bool {
    for _ in 0..5000 {
        if f() {
            return true;
        }
        fsleep(Delta::from_millis(1));
    }
    false
}

/// Returns whether `task` sleeps.
pub(crate) fn sleeps(task: &kernel::task::Task) -> bool {
    // SAFETY: The reference keeps the task, and the fields are always there; they may change
    // meanwhile.
    let (state, queued) = unsafe {
        (
            (&raw const (*task.as_ptr()).__state).read_volatile(),
            (&raw const (*task.as_ptr()).on_rq).read_volatile(),
        )
    };

    // A task that is about to sleep, and then does not, has the state already.
    state != bindings::TASK_RUNNING && queued == 0
}

/// Starts a task that wakes the sleeping current task, once `begun` is completed.
pub(crate) fn waker(begun: &Arc<Completion>) -> Result<Task> {
    let begun = begun.clone();
    let sleeper = ARef::from(&**current!());

    Task::run(move || {
        begun.wait_for_completion();
        wait_until(|| sleeps(&sleeper));
        sleeper.wake_up();
    })
}
