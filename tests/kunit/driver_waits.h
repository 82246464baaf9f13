/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * User space interface of /dev/driver_waits, which is in Rust, and of
 * /dev/driver_waits_twin, which is the same in C.
 *
 * Each open file is a device that uses memory of one process, and its driver is
 * slow to give the memory back. All times are in milliseconds.
 */
#ifndef _DRIVER_WAITS_H
#define _DRIVER_WAITS_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct driver_waits_use - memory, and how the driver gives it back
 * @addr: the first address
 * @len: the number of bytes
 * @notifiers: the number of notifiers; each is for a part of the memory
 * @busy: the number of notifiers, from the first, whose part the device does
 *	not stop using until the blocking callback has waited for it
 * @wait: how long that takes
 * @flags: DRIVER_WAITS_*
 *
 * The last notifier counts the tries. It must not be busy.
 */
struct driver_waits_use {
	__u64 addr;
	__u64 len;
	__u64 notifiers;
	__u64 busy;
	__u64 wait;
	__u64 flags;
};

/* The busy notifiers refuse before they have looked at anything. */
#define DRIVER_WAITS_REFUSES	1
/* The notifiers make refusals good, which those in C cannot. */
#define DRIVER_WAITS_DEFERS	2

/**
 * struct driver_waits_stats - statistics
 * @in_use: parts that the device uses
 * @tries: number of non-blocking invalidations of all parts
 * @refused: callbacks that refused
 * @blocking: callbacks that could wait
 * @held: whether the lock of the first notifier is held by DRIVER_WAITS_HOLD
 */
struct driver_waits_stats {
	__u64 in_use;
	__u64 tries;
	__u64 refused;
	__u64 blocking;
	__u64 held;
};

#define DRIVER_WAITS_MAGIC	'|'

/* Have the device use memory of the calling process, once for each file. */
#define DRIVER_WAITS_USE	_IOW(DRIVER_WAITS_MAGIC, 0xa0, struct driver_waits_use)

/*
 * Hold the lock of the first notifier, as a driver does that holds it over a
 * fault: until the first try plus the milliseconds of the argument, or until a
 * signal.
 */
#define DRIVER_WAITS_HOLD	_IO(DRIVER_WAITS_MAGIC, 0xa1)

/* Get the statistics. */
#define DRIVER_WAITS_STATS	_IOR(DRIVER_WAITS_MAGIC, 0xa2, struct driver_waits_stats)

#endif /* _DRIVER_WAITS_H */
