/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Functions for a use.c of `make reap`, whose device uses memory of the process.
 */
#ifndef REAP_H
#define REAP_H

#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "page.h"

/* The size of a page, which is not always 4 KiB, and the largest that it can be. */
#define REAP_PAGE ((size_t)page_size())
#define REAP_MAX_PAGE MAX_PAGE

/* As much memory as all situations need: at least a huge page. */
static inline size_t reap_len(void)
{
	size_t len = 8UL << 20, huge = huge_page_size();

	return huge > len ? huge : len;
}

/*
 * Reads a page of this process through the device, as the device has it: returns
 * 0, or anything else if the device cannot.
 */
typedef int reap_read(void *page, void *buf);

/* Compares a page as the device has it: "same", "stale", or "gone" from the device. */
static inline const char *reap_compare(char *page, reap_read *read)
{
	static char device[REAP_MAX_PAGE], cpu[REAP_MAX_PAGE];
	struct iovec to = { cpu, REAP_PAGE }, from = { page, REAP_PAGE };
	/* The device first: the process would bring a page back. */
	int gone = read(page, device);
	/* Unlike memcpy() this returns if the process does not have the page, either. */
	int has = process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)REAP_PAGE;

	if (gone)
		return has ? "gone" : "same";
	return has && !memcmp(device, cpu, REAP_PAGE) ? "same" : "stale";
}

/*
 * The device uses @len bytes at @mem: has the bench begin, and stays until the
 * bench ends it.
 *
 * With @read, which may be NULL, the bench has pages compared after each change:
 * the device must have the same bytes as the process, or none.
 */
static inline int reap_stay(void *mem, size_t len, reap_read *read)
{
	char line[256], *page;
	unsigned long number;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("ready mem=%p len=%zu compares=%d\n", mem, len, !!read);
	while (fgets(line, sizeof(line), stdin)) {
		if (read && sscanf(line, "compare %lx", &number) == 1) {
			page = (char *)number;
			printf("compared %s\n", reap_compare(page, read));
		}
	}
	return 0;
}

#endif /* REAP_H */
