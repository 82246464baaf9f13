// SPDX-License-Identifier: GPL-2.0
/*
 * Looks for the reports that a test provokes in the kernel log.
 */

#include <linux/kmsg_dump.h>
#include <linux/string.h>

#include "kmsg.h"

/* Where the kernel log ends now. */
u64 nonblock_kunit_log_end(void)
{
	struct kmsg_dump_iter iter;

	kmsg_dump_rewind(&iter);
	return iter.next_seq;
}

/* What was logged since nonblock_kunit_log_end() returned @start. */
struct nonblock_kunit_seen nonblock_kunit_log_since(u64 start,
						    const char *header,
						    const char *detail)
{
	struct kmsg_dump_iter iter = { .cur_seq = start };
	struct nonblock_kunit_seen seen = {};
	char line[256];
	size_t len;

	while (kmsg_dump_get_line(&iter, false, line, sizeof(line), &len)) {
		if (strnstr(line, header, len))
			seen.headers++;
		else if (strnstr(line, "BUG:", len) ||
			 strnstr(line, "WARNING:", len))
			seen.others++;

		if (strnstr(line, detail, len))
			seen.details++;
	}
	return seen;
}
