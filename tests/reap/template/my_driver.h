/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ioctls of /dev/my_driver.
 */
#ifndef MY_DRIVER_H
#define MY_DRIVER_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct my_range {
	__u64 addr;	/* in the caller's memory, of whole pages */
	__u64 len;
};

struct my_page {
	__u64 addr;	/* in the caller's memory, of a page */
	__u64 buf;	/* where its contents go */
};

/* Has the device use memory of the caller. */
#define MY_MAP	_IOW('|', 0xa0, struct my_range)
/* Reads a page of it, through the device. */
#define MY_READ	_IOW('|', 0xa1, struct my_page)

#endif /* MY_DRIVER_H */
