/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * User space interface of the rust_mmu_mirror sample, /dev/mmu_mirror.
 *
 * The device works on the memory of a process through its own page table, the
 * mirror. Each open file is a device with at most one mirror, which belongs to
 * the process that set it up. Another process, for example a child that
 * inherited the file, cannot read or write with it.
 *
 * All addresses are those of the process, all sizes are in bytes, and fields
 * called "reserved" must be zero.
 *
 * An ioctl that is not listed here fails with ENOTTY. An argument that cannot
 * be read or written fails with EFAULT.
 */
#ifndef _RUST_MMU_MIRROR_H
#define _RUST_MMU_MIRROR_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct mmu_mirror_range - a range of addresses
 * @addr: the first address
 * @len: the number of bytes
 */
struct mmu_mirror_range {
	__u64 addr;
	__u64 len;
};

/**
 * struct mmu_mirror_access - an access of the device
 * @addr: the first address that the device reads or writes
 * @len: the number of bytes
 * @buf: the address of a buffer of @len bytes: the target of
 *	MMU_MIRROR_READ, the source of MMU_MIRROR_WRITE
 */
struct mmu_mirror_access {
	__u64 addr;
	__u64 len;
	__u64 buf;
};

/**
 * struct mmu_mirror_stats - statistics since the file was opened
 * @pages: pages in the page table now
 * @faults: pages that the device looked up in the process
 * @retries: look-ups that were repeated after an invalidation
 * @invalidations: callbacks that could sleep
 * @nonblock: callbacks that could not sleep
 * @refused: callbacks of @nonblock that the driver refused
 * @dropped: pages that callbacks removed from the page table
 */
struct mmu_mirror_stats {
	__u64 pages;
	__u64 faults;
	__u64 retries;
	__u64 invalidations;
	__u64 nonblock;
	__u64 refused;
	__u64 dropped;
};

#define MMU_MIRROR_MAGIC	'|'

/*
 * Mirror a range of the calling process, which need not be mapped. No page is
 * looked up yet.
 *
 * EBUSY	the file has a mirror already
 * EINVAL	the range is empty, wraps around, or is not made of whole pages
 * EFAULT	part of the range is above the mappable addresses
 * EINTR	a signal is pending
 * ENOMEM	no memory
 */
#define MMU_MIRROR_MAP		_IOW(MMU_MIRROR_MAGIC, 0x90, struct mmu_mirror_range)

/*
 * End the mirror. The statistics continue.
 *
 * ENXIO	there is no mirror
 */
#define MMU_MIRROR_UNMAP	_IO(MMU_MIRROR_MAGIC, 0x91)

/*
 * Make the device read or write memory through its page table. Missing pages
 * are looked up in the process. If a look-up waits for userfaultfd(2), the
 * device waits, too. PREFETCH only looks the pages up, for writing. After an
 * error, the part before it is done.
 *
 * ENXIO	there is no mirror
 * EPERM	the mirror belongs to another process
 * EINVAL	the range is empty or wraps around
 * EFAULT	part of the range is not mirrored, has no memory, or may not be
 *		accessed that way by the process
 * EHWPOISON	the memory is broken
 * EINTR	a signal is pending
 * ENOMEM	no memory
 */
#define MMU_MIRROR_READ		_IOW(MMU_MIRROR_MAGIC, 0x92, struct mmu_mirror_access)
#define MMU_MIRROR_WRITE	_IOW(MMU_MIRROR_MAGIC, 0x93, struct mmu_mirror_access)
#define MMU_MIRROR_PREFETCH	_IOW(MMU_MIRROR_MAGIC, 0x94, struct mmu_mirror_range)

/*
 * Get the statistics. Any process with the file may do so.
 */
#define MMU_MIRROR_STATS	_IOR(MMU_MIRROR_MAGIC, 0x95, struct mmu_mirror_stats)

#endif /* _RUST_MMU_MIRROR_H */
