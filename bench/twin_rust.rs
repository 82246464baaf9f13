// SPDX-License-Identifier: GPL-2.0

//! The drivers in Rust, as `twin_c.c` has them in C.
//!
//! Their counts wrap, like in C.

use core::{
    convert::Infallible,
    ops,
    ptr, //
};
use kernel::{
    bindings,
    mm::{
        mmu_notifier::{
            interval::{
                self,
                DeferringNotifier,
                Invalidated,
                Invalidation,
                Notifier,
                TryInvalidation,
                TwoPass,
                TwoPassNotifier, //
            },
            list,
            shared::{
                new_registry,
                Object,
                Registry, //
            },
            Range,
            WouldBlock, //
        },
        MmWithUser, //
    },
    new_mutex,
    new_spinlock,
    nonblock::NonBlockGuard,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        lock::mutex::MutexBackend,
        Mutex,
        SpinLock, //
    }, //
};

module! {
    type: TwinRust,
    name: "twin_rust",
    authors: ["The nonblock authors"],
    description: "Drivers to compare with the same in C",
    license: "GPL",
}

struct TwinRust;

impl kernel::Module for TwinRust {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}

/// An interval notifier, which may make its refusals good.
///
/// A driver has either. One type for both would share code that each driver compiles for itself.
#[pin_data]
struct Interval<const DEFERS: bool> {
    /// How many bytes were invalidated.
    #[pin]
    invalidated: Mutex<usize>,
}

/// Returns the bytes of a range. No callback is called for an empty range.
fn bytes(range: ops::Range<usize>) -> usize {
    range.end.wrapping_sub(range.start)
}

fn add(sum: &mut usize, bytes: usize) {
    *sum = sum.wrapping_add(bytes);
}

impl<const DEFERS: bool> Interval<DEFERS> {
    fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            invalidated <- new_mutex!(0),
        })
    }
}

impl<const DEFERS: bool> interval::Operations for Interval<DEFERS> {
    type State = usize;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<usize> {
        &self.invalidated
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        let (mut invalidated, done) = op.lock();
        add(&mut invalidated, bytes(done.range()));
        done
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        let (mut invalidated, done) = op.try_lock()?;
        add(&mut invalidated, bytes(done.range()));
        Ok(done)
    }
}

/// An interval notifier with two passes.
#[pin_data]
struct Passes {
    #[pin]
    invalidated: Mutex<usize>,
    finished: Atomic<usize>,
}

impl Passes {
    fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            invalidated <- new_mutex!(0),
            finished: Atomic::new(0),
        })
    }
}

impl interval::Operations for Passes {
    type State = usize;
    type Backend = MutexBackend;
    type Refusal = WouldBlock;

    fn lock(&self) -> &Mutex<usize> {
        &self.invalidated
    }

    fn invalidate<'op>(&'op self, op: Invalidation<'op, Self>) -> Invalidated<'op> {
        let (mut invalidated, done) = op.lock();
        let bytes = bytes(done.range());
        add(&mut invalidated, bytes);
        self.finished.fetch_add(bytes, Relaxed);
        done
    }

    fn try_invalidate<'op>(
        &'op self,
        op: TryInvalidation<'op, Self>,
        _nb: &NonBlockGuard,
    ) -> Result<Invalidated<'op>, WouldBlock> {
        let (mut invalidated, done) = op.try_lock()?;
        let bytes = bytes(done.range());
        add(&mut invalidated, bytes);
        self.finished.fetch_add(bytes, Relaxed);
        Ok(done)
    }
}

impl TwoPass for Passes {
    /// How many bytes are to be finished.
    type Token = usize;

    fn start<'op>(&'op self, op: Invalidation<'op, Self>) -> (Invalidated<'op>, Option<usize>) {
        let (mut invalidated, done) = op.lock();
        let bytes = bytes(done.range());
        add(&mut invalidated, bytes);
        (done, Some(bytes))
    }

    fn finish(&self, bytes: usize) {
        self.finished.fetch_add(bytes, Relaxed);
    }
}

/// A list notifier whose start may refuse.
#[pin_data]
struct List {
    #[pin]
    invalidated: Mutex<usize>,
    #[pin]
    asked: SpinLock<usize>,
}

impl List {
    fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            invalidated <- new_mutex!(0),
            asked <- new_spinlock!(0),
        })
    }

    /// Returns whether the device has used the memory: every second time.
    fn young(&self) -> bool {
        let mut asked = self.asked.lock();
        let young = *asked & 1 != 0;
        add(&mut asked, 1);
        young
    }
}

#[vtable]
impl list::Operations for List {
    type Refusal = WouldBlock;

    fn release(&self) {
        *self.invalidated.lock() = 0;
    }

    fn start(&self, range: Range<'_>) {
        add(&mut self.invalidated.lock(), bytes(range.into()));
    }

    fn try_start(&self, range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), WouldBlock> {
        let mut invalidated = self.invalidated.try_lock().ok_or(WouldBlock)?;
        add(&mut invalidated, bytes(range.into()));
        Ok(())
    }

    fn clear_flush_young(&self, _range: ops::Range<usize>, _nb: &NonBlockGuard) -> bool {
        self.young()
    }

    fn clear_young(&self, _range: ops::Range<usize>, _nb: &NonBlockGuard) -> bool {
        self.young()
    }

    fn test_young(&self, _addr: usize, _nb: &NonBlockGuard) -> bool {
        self.young()
    }
}

/// A list notifier that counts starts against ends.
#[pin_data]
struct Counted {
    #[pin]
    count: SpinLock<Count>,
}

struct Count {
    active: usize,
    ended: usize,
}

impl Counted {
    fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            count <- new_spinlock!(Count {
                active: 0,
                ended: 0,
            }),
        })
    }

    fn begin(&self) {
        let mut count = self.count.lock();
        count.active = count.active.wrapping_add(1);
    }
}

#[vtable]
impl list::Operations for Counted {
    type Refusal = Infallible;

    fn start(&self, _range: Range<'_>) {
        self.begin();
    }

    fn try_start(&self, _range: Range<'_>, _nb: &NonBlockGuard) -> Result<(), Infallible> {
        self.begin();
        Ok(())
    }

    fn end(&self, _range: Range<'_>, _nb: &NonBlockGuard) {
        let mut count = self.count.lock();
        count.active = count.active.wrapping_sub(1);
        count.ended = count.ended.wrapping_add(1);
    }
}

/// A list notifier of a device that walks the page tables of the CPU.
#[pin_data]
struct Arch {
    /// Also for the commands to the device.
    #[pin]
    flushed: SpinLock<usize>,
}

impl Arch {
    fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            flushed <- new_spinlock!(0),
        })
    }
}

#[vtable]
impl list::Operations for Arch {
    type Refusal = Infallible;

    fn arch_invalidate(&self, range: ops::Range<usize>, _nb: &NonBlockGuard) {
        add(&mut self.flushed.lock(), bytes(range));
    }
}

/// The one of an mm.
struct Process {
    released: Atomic<usize>,
}

#[vtable]
impl list::Operations for Process {
    type Refusal = Infallible;

    fn release(&self) {
        self.released.store(1, Relaxed);
    }
}

impl Object for Process {
    fn new(_mm: &MmWithUser) -> impl PinInit<Self, Error> {
        Ok(Self {
            released: Atomic::new(0),
        })
    }
}

static PROCESSES: Registry<Process> = new_registry!(Process);

// The interface of all drivers to `bench.c` follows.

/// The contents of a slot of `bench.c`.
trait Slot: Sized {
    /// Registers a notifier.
    fn new(mm: &MmWithUser, range: ops::Range<usize>) -> impl PinInit<Self, Error>;

    /// Returns the sum of the arguments of its callbacks.
    fn work(&self) -> usize;
}

impl Slot for Notifier<Interval<false>> {
    fn new(mm: &MmWithUser, range: ops::Range<usize>) -> impl PinInit<Self, Error> {
        Notifier::new(mm, range, Interval::new())
    }

    fn work(&self) -> usize {
        *self.invalidated.lock()
    }
}

impl Slot for TwoPassNotifier<Passes> {
    fn new(mm: &MmWithUser, range: ops::Range<usize>) -> impl PinInit<Self, Error> {
        TwoPassNotifier::new(mm, range, Passes::new())
    }

    fn work(&self) -> usize {
        *self.invalidated.lock() + self.finished.load(Relaxed)
    }
}

impl Slot for DeferringNotifier<Interval<true>> {
    fn new(mm: &MmWithUser, range: ops::Range<usize>) -> impl PinInit<Self, Error> {
        DeferringNotifier::new(mm, range, Interval::new())
    }

    fn work(&self) -> usize {
        *self.invalidated.lock()
    }
}

impl Slot for list::Notifier<List> {
    fn new(mm: &MmWithUser, _range: ops::Range<usize>) -> impl PinInit<Self, Error> {
        list::Notifier::new(mm, List::new())
    }

    fn work(&self) -> usize {
        *self.invalidated.lock() + *self.asked.lock()
    }
}

impl Slot for list::Notifier<Counted> {
    fn new(mm: &MmWithUser, _range: ops::Range<usize>) -> impl PinInit<Self, Error> {
        list::Notifier::new(mm, Counted::new())
    }

    fn work(&self) -> usize {
        let count = self.count.lock();
        count.active + count.ended
    }
}

impl Slot for list::Notifier<Arch> {
    fn new(mm: &MmWithUser, _range: ops::Range<usize>) -> impl PinInit<Self, Error> {
        list::Notifier::new(mm, Arch::new())
    }

    fn work(&self) -> usize {
        *self.flushed.lock()
    }
}

/// # Safety
///
/// `slot` must have room for a `T`, which is there until it is passed to [`remove`], and `mm` must
/// have users.
unsafe extern "C" fn insert<T: Slot>(
    slot: *mut c_void,
    mm: *mut bindings::mm_struct,
    start: usize,
    end: usize,
) -> c_int {
    // SAFETY: By the caller's contract.
    let mm = unsafe { MmWithUser::from_raw(mm) };

    // SAFETY: By the caller's contract, and it is not moved.
    match unsafe { pin_init::raw_try_init(slot.cast(), T::new(mm, start..end)) } {
        Ok(()) => 0,
        Err(err) => err.to_errno(),
    }
}

/// # Safety
///
/// There must be a `T` in `slot`, which is gone afterwards.
unsafe extern "C" fn remove<T: Slot>(slot: *mut c_void) {
    // SAFETY: By the caller's contract.
    unsafe { ptr::drop_in_place(slot.cast::<T>()) };
}

/// # Safety
///
/// There must be a `T` in `slot`.
unsafe extern "C" fn work<T: Slot>(slot: *mut c_void) -> usize {
    // SAFETY: By the caller's contract.
    unsafe { &*slot.cast::<T>() }.work()
}

/// `struct kind`.
#[repr(C)]
struct Kind {
    size: usize,
    insert: unsafe extern "C" fn(*mut c_void, *mut bindings::mm_struct, usize, usize) -> c_int,
    remove: unsafe extern "C" fn(*mut c_void),
    work: unsafe extern "C" fn(*mut c_void) -> usize,
}

impl Kind {
    const fn new<T: Slot>() -> Self {
        Self {
            size: size_of::<T>(),
            insert: insert::<T>,
            remove: remove::<T>,
            work: work::<T>,
        }
    }
}

/// A function to call in the middle of another, if any.
type Callback = Option<unsafe extern "C" fn(*mut c_void)>;

/// # Safety
///
/// `f` must be safe to call with `arg`.
#[inline]
unsafe fn call(f: Callback, arg: *mut c_void) {
    if let Some(f) = f {
        // SAFETY: By the caller's contract.
        unsafe { f(arg) };
    }
}

extern "C" fn section() {
    let _nb = NonBlockGuard::new();
}

/// # Safety
///
/// There must be a `Notifier<Interval<false>>` in `slot`, and `f` be safe to call with `arg`.
unsafe extern "C" fn locked(slot: *mut c_void, f: Callback, arg: *mut c_void) {
    // SAFETY: By the caller's contract.
    let notifier = unsafe { &*slot.cast::<Notifier<Interval<false>>>() };

    let _guard = notifier.invalidated.lock();
    // SAFETY: By the caller's contract.
    unsafe { call(f, arg) };
}

/// # Safety
///
/// There must be a `DeferringNotifier<Interval<true>>` in `slot`, and `f` be safe to call with
/// `arg`.
unsafe extern "C" fn deferring_locked(slot: *mut c_void, f: Callback, arg: *mut c_void) {
    // SAFETY: By the caller's contract.
    let notifier = unsafe { &*slot.cast::<DeferringNotifier<Interval<true>>>() };

    let _guard = notifier.invalidated.lock();
    // SAFETY: By the caller's contract.
    unsafe { call(f, arg) };
}

/// # Safety
///
/// As for [`locked`].
unsafe extern "C" fn read(slot: *mut c_void, f: Callback, arg: *mut c_void) -> bool {
    // SAFETY: By the caller's contract.
    let notifier = unsafe { &*slot.cast::<Notifier<Interval<false>>>() };

    let seq = notifier.read_begin();
    // SAFETY: By the caller's contract.
    unsafe { call(f, arg) };
    seq.lock().is_some()
}

/// # Safety
///
/// `mm` must have users, and `f` be safe to call with `arg`.
unsafe extern "C" fn get_put(mm: *mut bindings::mm_struct, f: Callback, arg: *mut c_void) -> c_int {
    // SAFETY: By the caller's contract.
    let mm = unsafe { MmWithUser::from_raw(mm) };

    match PROCESSES.get(mm) {
        Ok(_process) => {
            // SAFETY: By the caller's contract.
            unsafe { call(f, arg) };
            0
        }
        Err(err) => err.to_errno(),
    }
}

/// `struct twin`.
#[repr(C)]
pub struct Twin {
    name: *const u8,
    interval: Kind,
    two_pass: Kind,
    deferring: Kind,
    list: Kind,
    counted: Kind,
    arch: Kind,
    section: extern "C" fn(),
    locked: unsafe extern "C" fn(*mut c_void, Callback, *mut c_void),
    deferring_locked: unsafe extern "C" fn(*mut c_void, Callback, *mut c_void),
    read: unsafe extern "C" fn(*mut c_void, Callback, *mut c_void) -> bool,
    get_put: unsafe extern "C" fn(*mut bindings::mm_struct, Callback, *mut c_void) -> c_int,
}

// SAFETY: Nothing of it is ever written to.
unsafe impl Sync for Twin {}

/// The drivers.
#[no_mangle]
#[allow(non_upper_case_globals)]
pub static twin_rust: Twin = Twin {
    name: c"rust".to_bytes_with_nul().as_ptr(),
    interval: Kind::new::<Notifier<Interval<false>>>(),
    two_pass: Kind::new::<TwoPassNotifier<Passes>>(),
    deferring: Kind::new::<DeferringNotifier<Interval<true>>>(),
    list: Kind::new::<list::Notifier<List>>(),
    counted: Kind::new::<list::Notifier<Counted>>(),
    arch: Kind::new::<list::Notifier<Arch>>(),
    section,
    locked,
    deferring_locked,
    read,
    get_put,
};
