/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _NONBLOCK_KUNIT_KMSG_H
#define _NONBLOCK_KUNIT_KMSG_H

#include <linux/types.h>

/* How many lines of the kernel log contained what. */
struct nonblock_kunit_seen {
	unsigned int headers;	/* the expected first line of a report */
	unsigned int details;	/* the expected detail */
	unsigned int others;	/* the first line of any other report */
};

u64 nonblock_kunit_log_end(void);
struct nonblock_kunit_seen nonblock_kunit_log_since(u64 start,
						    const char *header,
						    const char *detail);

#endif /* _NONBLOCK_KUNIT_KMSG_H */
