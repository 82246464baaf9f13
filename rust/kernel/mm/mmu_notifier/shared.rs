// SPDX-License-Identifier: GPL-2.0

//! List notifiers that are shared by all users of an address space.
//!
//! A driver that keeps one object per process, whoever of the process opens its device, need not
//! look for that object itself: [`Registry::get`] finds the one that belongs to an address space,
//! or creates it.
//!
//! # Examples
//!
//! ```
//! use kernel::{
//!     mm::{
//!         mmu_notifier::{
//!             list::Operations,
//!             shared::{
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
//! /// What the driver knows of a process.
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
//! static PROCESSES: Registry<Process> = Registry::new();
//!
//! /// Called when the device is opened; the file keeps what it returns.
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
    ModuleRef, //
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
    nonblock::non_block,
    prelude::*,
    types::Opaque, //
};
use core::{
    marker::PhantomData,
    mem,
    ops::Deref,
    ptr::NonNull, //
};

/// What a [`Registry`] has one of for each address space.
///
/// The callbacks are those of [`Operations`], with two differences:
///
/// - [`Operations::release`] is called once at most, when the address space loses its last user,
///   and not at all if the last [`Ref`] is gone before. So what the device uses of the memory has
///   to be given up by then.
/// - It is dropped some time after the last [`Ref`], in a context in which it must not sleep.
pub trait Object: Operations {
    /// Creates the object for an address space.
    ///
    /// It is called with the `mmap_lock` of `mm` held for writing, and may sleep. Callbacks may run
    /// before [`Registry::get`] returns. It is dropped at once if the object cannot be registered.
    ///
    /// Corresponds to `alloc_notifier`.
    fn new(mm: &MmWithUser) -> impl PinInit<Self, Error>;
}

/// A kind of object of which there is one for each address space that has any.
///
/// Two registries never share an object, also if their objects are of the same type.
///
/// See the [module](self) for an example.
pub struct Registry<T: Object> {
    kind: Kind,
    _object: PhantomData<fn() -> T>,
}

// SAFETY: Nothing of it is ever written to.
unsafe impl<T: Object> Sync for Registry<T> {}

/// The part of a [`Registry`] that does not depend on the type of its objects.
struct Kind {
    // The C side tells the kinds apart by the address of this. The `Opaque` sees to it that the
    // address is that of no other kind: a constant in its place could be merged with one of another
    // type, but what may be written to, as far as the compiler knows, has its own memory.
    ops: Opaque<bindings::mmu_notifier_ops>,
    /// Frees an object.
    free: unsafe fn(*mut bindings::mmu_notifier),
}

impl<T: Object> Registry<T> {
    /// Creates a registry, for a `static`.
    pub const fn new() -> Self {
        Self {
            kind: Kind {
                ops: Opaque::new(bindings::mmu_notifier_ops {
                    alloc_notifier: Some(Self::alloc_notifier),
                    free_notifier: Some(free_notifier),
                    ..Subscription::<T>::OPS
                }),
                free: Self::free,
            },
            _object: PhantomData,
        }
    }

    /// Gets the object of an address space, which is created if need be.
    ///
    /// It sleeps and takes the `mmap_lock` of `mm`, so neither that lock nor one that the callbacks
    /// take may be held.
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
    /// - [`ENODEV`] if the driver's module is being loaded or unloaded, and the object does not
    ///   exist yet.
    pub fn get(&'static self, mm: &MmWithUser) -> Result<Ref<T>> {
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
    pub fn get_locked(&'static self, mmap: &MmapWriteLocked) -> Result<Ref<T>> {
        // The pointer is derived from that to all of `kind`, because the C side passes it on to
        // `free_notifier`, which goes back from it.
        let kind = &raw const self.kind;
        // SAFETY: `kind` is valid, and the field is in bounds of it.
        let ops = Opaque::cast_into(unsafe { &raw const (*kind).ops });
        // SAFETY: The mmap lock is held for writing, the address space has users, and the table is
        // `'static`. Its callbacks may be called for what its `alloc_notifier` returns.
        let subscription = unsafe { bindings::mmu_notifier_get_locked(ops, mmap.mm().as_raw()) };
        let subscription = from_err_ptr(subscription)?;

        // SAFETY: The C side found it by the address of this registry's table, so that it was
        // returned by `alloc_notifier` of this type.
        let object = unsafe { Subscription::<T>::from_inner(subscription) };
        // INVARIANT: The reference that the call above returned is that of the new object.
        //
        // SAFETY: It is the address of an object.
        Ok(Ref(unsafe { NonNull::new_unchecked(object.cast_mut()) }))
    }

    /// # Safety
    ///
    /// The `mmap_lock` of `mm` must be held for writing, and it must have users.
    unsafe extern "C" fn alloc_notifier(
        mm: *mut bindings::mm_struct,
    ) -> *mut bindings::mmu_notifier {
        // SAFETY: By the caller's contract.
        let mm = unsafe { MmWithUser::from_raw(mm) };

        match Self::alloc(mm) {
            Ok(object) => {
                let object = KBox::into_raw(object);
                // SAFETY: It is valid, and the field is in bounds of it.
                Opaque::cast_into(unsafe { &raw const (*object).inner })
            }
            Err(err) => err.to_ptr(),
        }
    }

    fn alloc(mm: &MmWithUser) -> Result<KBox<Subscription<T>>> {
        // The table is not known here, but `Kind::free`, which is in the same module.
        let module = ModuleRef::get((Self::free as *const ()).addr())?;
        // The C side sets the table.
        let init = Subscription::new(&Subscription::<T>::OPS, T::new(mm));
        let object = KBox::try_pin_init(init, GFP_KERNEL)?;

        // It is that of the object from now on.
        mem::forget(module);
        // SAFETY: It is not moved until it is freed: the caller leaves it to the C side.
        Ok(unsafe { Pin::into_inner_unchecked(object) })
    }

    /// # Safety
    ///
    /// `subscription` must be what `Self::alloc_notifier` returned, and not be used afterwards.
    unsafe fn free(subscription: *mut bindings::mmu_notifier) {
        // SAFETY: By the caller's contract it is the `inner` of such an object.
        let object = unsafe { Subscription::<T>::from_inner(subscription) };

        // SAFETY: By the caller's contract it was allocated in `Self::alloc`, is not used any more,
        // and was not moved since.
        let object = unsafe { Pin::new_unchecked(KBox::from_raw(object.cast_mut())) };
        // If the registration failed it could sleep here, but else not.
        non_block(|_nb| drop(object));
    }
}

impl<T: Object> Default for Registry<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Frees an object, and then lets go of the module.
///
/// Here rather than in the module, which may be unloaded as soon as its last reference is put.
///
/// # Safety
///
/// The `ops` of `subscription` must be those of a [`Kind`], and it must be as for its `free`.
#[inline(never)]
unsafe extern "C" fn free_notifier(subscription: *mut bindings::mmu_notifier) {
    // SAFETY: By the caller's contract `ops` is in a `Kind`, which is `'static` but for the
    // unloading of its module. Each object has a reference to that.
    let kind = unsafe { &*container_of!(Opaque::cast_from((*subscription).ops), Kind, ops) };
    // SAFETY: This is the reference of the object, taken when it was allocated. It is not used
    // again, as each object is freed once.
    let module = unsafe { ModuleRef::from_leaked((kind.free as *const ()).addr()) };

    // SAFETY: By the caller's contract.
    unsafe { (kind.free)(subscription) };
    drop(module);
}

/// A reference to the object of an address space.
///
/// It keeps the address space's `struct mm_struct`, but not its users.
///
/// Dropping it does not sleep, and may be done in callbacks, for example in
/// [`Operations::release`] by an object that has a reference to itself, but not in interrupts. The
/// object is freed some time after the last reference is gone. Until then callbacks may run, and
/// the module cannot be unloaded: see [`synchronize`].
///
/// A reference that is leaked keeps the object and the module for ever.
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
/// /// Whether the process still runs.
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
    /// The address space of the object.
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
        // `Registry::free`.
        unsafe {
            bindings::mmu_notifier_put(Opaque::cast_into(&raw const (*self.0.as_ptr()).inner))
        };
    }
}

/// Waits until the objects whose last [`Ref`] is gone have been freed.
///
/// A driver that gives up its last reference when a file is closed may call it there, if it is to
/// be possible to unload the module at once.
///
/// It sleeps, and must not be called in a callback.
///
/// Equivalent to the C function `mmu_notifier_synchronize()`.
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
#[inline]
pub fn synchronize() {
    // SAFETY: It may be called whenever it is allowed to sleep.
    unsafe { bindings::mmu_notifier_synchronize() };
}
