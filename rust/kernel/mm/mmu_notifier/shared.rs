// SPDX-License-Identifier: GPL-2.0

//! List notifiers that are shared by all users of an address space.
//!
//! Some drivers have one object per process, for all files that the process opens.
//! [`Registry::get`] finds the object of an address space, or creates it.
//!
//! # Examples
//!
//! ```
//! use kernel::{
//!     mm::{
//!         mmu_notifier::{
//!             list::Operations,
//!             shared::{
//!                 new_registry,
//!                 Object,
//!                 Ref,
//!                 Registry, //
//!             }, //
//!         },
//!         MmWithUser, //
//!     },
//!     sync::atomic::{
//!         Atomic,
//!         Relaxed, //
//!     }, //
//! };
//!
//! /// The driver's data about a process.
//! struct Process {
//!     /// Whether it still runs.
//!     alive: Atomic<bool>,
//! }
//!
//! #[vtable]
//! impl Operations for Process {
//!     type Refusal = core::convert::Infallible;
//!
//!     fn release(&self) {
//!         self.alive.store(false, Relaxed);
//!     }
//! }
//!
//! impl Object for Process {
//!     fn new(_mm: &MmWithUser) -> impl PinInit<Self, Error> {
//!         Ok(Process { alive: Atomic::new(true) })
//!     }
//! }
//!
//! static PROCESSES: Registry<Process> = new_registry!(Process);
//!
//! /// Called when the device is opened; the file keeps the reference.
//! fn open(mm: &MmWithUser) -> Result<Ref<Process>> {
//!     PROCESSES.get(mm)
//! }
//! # // Doctests run in kernel threads, which have no address space.
//! # if let Some(mm) = kernel::current!().mm() {
//! #     open(mm)?;
//! # }
//! # Ok::<(), Error>(())
//! ```

use super::{
    list::{
        Operations,
        Subscription, //
    },
    queue, //
};
use crate::{
    bindings,
    container_of,
    error::from_err_ptr,
    mm::{
        Mm,
        MmWithUser,
        MmapWriteLocked, //
    },
    module::ModuleRef,
    prelude::*,
    sync::SetOnce,
    types::Opaque,
    workqueue::{
        impl_has_work,
        new_work,
        Queue,
        Work,
        WorkItem, //
    }, //
};
use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    }, //
};

/// An object of a [`Registry`], which has one for each address space.
///
/// The callbacks are those of [`Operations`], with two differences:
///
/// - [`Operations::release`] is called once at most, when the address space loses its last user,
///   and not at all if the last [`Ref`] is gone before. So the device must stop using the memory
///   before the last [`Ref`] is dropped.
/// - It is dropped some time after the last [`Ref`], in a work item of its own. Its destructor may
///   sleep.
pub trait Object: Operations {
    /// Creates the object for an address space.
    ///
    /// It is called with the `mmap_lock` of `mm` held for writing, and may sleep. Callbacks may run
    /// before [`Registry::get`] returns. If the object cannot be registered, it is dropped like
    /// one whose last [`Ref`] is gone.
    ///
    /// Corresponds to `alloc_notifier`.
    fn new(mm: &MmWithUser) -> impl PinInit<Self, Error>;
}

/// A kind of object, with at most one object for each address space.
///
/// It is created by [`new_registry!`]. Two registries never share an object, even if their objects
/// are of the same type.
///
/// See the [module](self) for an example.
pub struct Registry<T: Object>(&'static Kind<T>);

/// Creates a [`Registry`].
///
/// Each occurrence in the source is another kind of object.
///
/// See the [module](crate::mm::mmu_notifier::shared) for an example.
#[macro_export]
macro_rules! new_registry {
    ($object:ty) => {{
        static KIND: $crate::mm::mmu_notifier::shared::Kind<$object> = {
            /// # Safety
            ///
            /// As for [`Kind::alloc`].
            unsafe extern "C" fn alloc(
                mm: *mut $crate::bindings::mm_struct,
            ) -> *mut $crate::bindings::mmu_notifier {
                // SAFETY: By the caller's contract.
                unsafe { KIND.alloc(mm) }
            }

            // SAFETY: This is the value of a `static`, and the function calls the `alloc` of that.
            unsafe { $crate::mm::mmu_notifier::shared::Kind::new(alloc) }
        };
        $crate::mm::mmu_notifier::shared::Registry::new(&KIND)
    }};
}
pub use new_registry;

/// The callbacks of a [`Registry`].
///
/// The C side distinguishes the kinds of objects by the address of their callbacks. So the
/// callbacks are in a `static`: a constant has no address of its own.
///
/// # Invariants
///
/// - It is a `static`.
/// - The `alloc_notifier` of its table calls [`Kind::alloc`] for it.
#[doc(hidden)]
pub struct Kind<T: Object> {
    table: Table,
    _object: PhantomData<fn() -> T>,
}

/// The part of a [`Kind`] that does not depend on the type of its objects.
struct Table {
    ops: bindings::mmu_notifier_ops,
    /// Queues the work item that drops an unused object.
    free: unsafe fn(*mut bindings::mmu_notifier),
}

impl<T: Object> Kind<T> {
    /// # Safety
    ///
    /// - It must become the value of a `static`.
    /// - `alloc` must call [`Kind::alloc`] for that.
    pub const unsafe fn new(
        alloc: unsafe extern "C" fn(*mut bindings::mm_struct) -> *mut bindings::mmu_notifier,
    ) -> Self {
        // INVARIANT: By the caller's contract.
        Self {
            table: Table {
                ops: bindings::mmu_notifier_ops {
                    alloc_notifier: Some(alloc),
                    free_notifier: Some(free_notifier),
                    ..Subscription::<T>::OPS
                },
                free: Self::free,
            },
            _object: PhantomData,
        }
    }

    /// Creates an object, for the C side.
    ///
    /// # Safety
    ///
    /// The `mmap_lock` of `mm` must be held for writing, and it must have users.
    pub unsafe fn alloc(
        &'static self,
        mm: *mut bindings::mm_struct,
    ) -> *mut bindings::mmu_notifier {
        // SAFETY: By the caller's contract.
        let mm = unsafe { MmWithUser::from_raw(mm) };

        match Shared::new(self, mm) {
            Ok(object) => {
                // It is not moved until it is freed: the caller leaves it to the C side.
                //
                // SAFETY: As above.
                let object = KBox::into_raw(unsafe { Pin::into_inner_unchecked(object) });
                // SAFETY: It is valid, and the field is in bounds of it.
                Opaque::cast_into(unsafe { &raw const (*object).subscription.inner })
            }
            Err(err) => err.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// `subscription` must be what [`Self::alloc`] returned, and not be used afterwards.
    unsafe fn free(subscription: *mut bindings::mmu_notifier) {
        // SAFETY: By the caller's contract it is the `inner` of such an object.
        let object = unsafe { Shared::<T>::from_inner(subscription) };
        // SAFETY: By the caller's contract it was leaked in `Self::alloc`, is not used any more,
        // and was not moved since.
        let object = unsafe { Pin::new_unchecked(KBox::from_raw(object.cast_mut())) };

        let queue = object.queue;
        queue.enqueue(object);
    }
}

/// Queues the work item that drops an object.
///
/// This function is in the kernel itself: the work item keeps the module of the object, but may end
/// before the function returns.
///
/// # Safety
///
/// The `ops` of `subscription` must be those of a [`Table`], and it must be as for the `free` of
/// that.
#[inline(never)]
unsafe extern "C" fn free_notifier(subscription: *mut bindings::mmu_notifier) {
    // SAFETY: By the caller's contract it is valid.
    let ops = unsafe { (*subscription).ops };
    // It cannot fail, because the object has a reference, too.
    let _module = ModuleRef::get(ops.addr());

    // SAFETY: By the caller's contract it is in a `Table`, which is `'static` except for the
    // unloading of its module.
    let table = unsafe { &*container_of!(ops, Table, ops) };
    // SAFETY: By the caller's contract.
    unsafe { (table.free)(subscription) };
}

/// An object, and the work item that drops it.
///
/// # Invariants
///
/// `_module` is a reference to the module of its [`Kind`].
#[pin_data]
struct Shared<T: Object> {
    #[pin]
    subscription: Subscription<T>,
    #[pin]
    work: Work<Self>,
    /// The queue of the work item.
    queue: &'static Queue,
    // The last field is dropped last, after the destructor of the data.
    _module: ModuleRef,
}

impl_has_work! {
    impl{T: Object} HasWork<Self> for Shared<T> { self.work }
}

impl<T: Object> WorkItem for Shared<T> {
    type Pointer = Pin<KBox<Self>>;

    fn run(this: Pin<KBox<Self>>) {
        drop(this);
    }
}

impl<T: Object> Shared<T> {
    fn new(kind: &'static Kind<T>, mm: &MmWithUser) -> Result<Pin<KBox<Self>>> {
        let ops = &kind.table.ops;

        KBox::try_pin_init(
            try_pin_init!(Self {
                // If a later step fails, the field initialized first is dropped last.
                //
                // INVARIANT: The table is in its `Kind`.
                _module: ModuleRef::get(ptr::from_ref(ops).addr())?,
                queue: queue::get_or_create(
                    &QUEUE,
                    c"mmu_notifier_free",
                    bindings::wq_flags_WQ_UNBOUND,
                )?,
                work <- new_work!("mmu_notifier::shared::Object"),
                subscription <- Subscription::new(ops, T::new(mm)),
            }),
            GFP_KERNEL,
        )
    }

    /// # Safety
    ///
    /// `inner` must be that of a `Self`.
    #[inline]
    unsafe fn from_inner(inner: *mut bindings::mmu_notifier) -> *const Self {
        // SAFETY: By the caller's contract.
        let subscription = unsafe { Subscription::<T>::from_inner(inner) };

        // SAFETY: By the caller's contract.
        unsafe { container_of!(subscription, Self, subscription) }
    }
}

/// The queue of the work items that drop objects.
///
/// It is not one of the system's workqueues, because [`synchronize`] flushes it.
static QUEUE: SetOnce<&'static Queue> = SetOnce::new();

impl<T: Object> Registry<T> {
    /// Creates a registry, for [`new_registry!`].
    #[doc(hidden)]
    pub const fn new(kind: &'static Kind<T>) -> Self {
        Self(kind)
    }

    /// Gets the object of an address space, and creates it if there is none.
    ///
    /// It sleeps and takes the `mmap_lock` of `mm`. Callers must hold neither this lock nor a lock
    /// of the callbacks.
    ///
    /// Equivalent to the C function `mmu_notifier_get()`.
    ///
    /// # Errors
    ///
    /// - The error of [`Object::new`].
    /// - [`ENOMEM`] if there is no memory for the object, or for the notifiers of the address
    ///   space.
    /// - [`EINTR`] if a signal is pending for the current task, and the object does not exist yet.
    /// - [`EOVERFLOW`] if there are 2^32 - 1 references to the object.
    /// - [`ENODEV`] if there is no reference to the driver's module, and the object does not exist
    ///   yet; see [`ModuleRef::get`].
    pub fn get(&self, mm: &MmWithUser) -> Result<Ref<T>> {
        self.get_locked(&mm.mmap_write_lock())
    }

    /// Gets the object of an address space whose `mmap_lock` is held for writing.
    ///
    /// Like [`Registry::get`], for example for a driver's `mmap` callback.
    ///
    /// Equivalent to the C function `mmu_notifier_get_locked()`.
    ///
    /// # Errors
    ///
    /// Those of [`Registry::get`].
    pub fn get_locked(&self, mmap: &MmapWriteLocked) -> Result<Ref<T>> {
        // The pointer is derived from that to all of the table, because the C side passes it on to
        // `free_notifier`, which goes back from it.
        let table = &raw const self.0.table;
        // SAFETY: `table` is valid, and the field is in bounds of it.
        let ops = unsafe { &raw const (*table).ops };
        // SAFETY: The mmap lock is held for writing, the address space has users, and the table is
        // `'static`. Its callbacks may be called for the object from its `alloc_notifier`.
        let subscription = unsafe { bindings::mmu_notifier_get_locked(ops, mmap.mm().as_raw()) };
        let subscription = from_err_ptr(subscription)?;

        // SAFETY: The C side found it by the address of this table, so that by the type invariants
        // of `Kind` it was returned by the `alloc` of this type.
        let object = unsafe { Subscription::<T>::from_inner(subscription) };
        // INVARIANT: The reference that the call above returned is that of the new object.
        //
        // SAFETY: It is the address of an object.
        Ok(Ref(unsafe { NonNull::new_unchecked(object.cast_mut()) }))
    }
}

/// A reference to the object of an address space.
///
/// It keeps the address space's `struct mm_struct`, but not its users.
///
/// Dropping it does not sleep, and may be done in callbacks, for example in
/// [`Operations::release`] by an object that has a reference to itself, but not in interrupts. The
/// object is dropped some time after the last reference is gone. Until then callbacks may run, and
/// the module cannot be unloaded: see [`synchronize`].
///
/// A reference that is leaked keeps the object and the module forever.
///
/// Dereferences to the object.
///
/// # Examples
///
/// ```
/// use kernel::mm::mmu_notifier::shared::{
///     Object,
///     Ref, //
/// };
///
/// /// Returns whether the process still runs.
/// fn is_alive<T: Object>(process: &Ref<T>) -> bool {
///     process.mm().mmget_not_zero().is_some()
/// }
/// ```
///
/// # Invariants
///
/// The object was returned by `mmu_notifier_get_locked()`, for this reference.
pub struct Ref<T: Object>(NonNull<Subscription<T>>);

// SAFETY: A reference may be put by any task, and the object is `Send`.
unsafe impl<T: Object> Send for Ref<T> {}
// SAFETY: A shared reference gives access to the object, which is `Sync`.
unsafe impl<T: Object> Sync for Ref<T> {}

impl<T: Object> Ref<T> {
    /// Returns the address space of the object.
    ///
    /// It may have lost its users; see [`Mm::mmget_not_zero`].
    #[inline]
    pub fn mm(&self) -> &Mm {
        // SAFETY: By the type invariant the object is not freed. It was registered, so its `mm` is
        // set, does not change, and is kept for as long.
        unsafe { Mm::from_raw((*self.0.as_ref().inner.get()).mm) }
    }
}

impl<T: Object> Deref for Ref<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type invariant the object is not freed while this reference exists.
        unsafe { &self.0.as_ref().data }
    }
}

impl<T: Object> Drop for Ref<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a reference, and it is not used afterwards. The
        // pointer is derived from that to all of the object, because the C side passes it on to
        // `Kind::free`.
        unsafe {
            bindings::mmu_notifier_put(Opaque::cast_into(&raw const (*self.0.as_ptr()).inner))
        };
    }
}

/// Waits until all objects without a [`Ref`] have been dropped.
///
/// For example, a driver that drops its last reference when a file is closed can call it there. The
/// module can then be unloaded without a delay.
///
/// It sleeps, and must not be called in a callback, nor by the destructor of an object.
///
/// Corresponds to the C function `mmu_notifier_synchronize()`.
///
/// # Examples
///
/// ```
/// use kernel::mm::mmu_notifier::shared::{
///     synchronize,
///     Object,
///     Ref, //
/// };
///
/// /// Called when the file is closed.
/// fn close<T: Object>(process: Ref<T>) {
///     drop(process);
///     synchronize();
/// }
/// ```
#[doc(alias = "mmu_notifier_synchronize")]
pub fn synchronize() {
    // Their work items are queued when this returns.
    //
    // SAFETY: It may be called whenever it is allowed to sleep.
    unsafe { bindings::mmu_notifier_synchronize() };

    if let Some(queue) = QUEUE.copy() {
        // CAST: `Queue` is transparent.
        let queue = ptr::from_ref(queue).cast_mut().cast();
        // SAFETY: It is never destroyed, and may be flushed whenever it is allowed to sleep.
        unsafe { bindings::__flush_workqueue(queue) };
    }
}
