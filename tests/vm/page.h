/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The sizes of a page and of a huge page. On arm64 the kernel decides.
 */
#ifndef PAGE_H
#define PAGE_H

#include <stdio.h>
#include <unistd.h>

/* For arrays: what a page has at least and at most. */
#define MIN_PAGE	4096
#define MAX_PAGE	65536

static inline unsigned long page_size(void)
{
	static unsigned long size;

	if (!size)
		size = sysconf(_SC_PAGESIZE);
	return size;
}

/* 2 MiB if the kernel has no huge pages. */
static inline unsigned long huge_page_size(void)
{
	static unsigned long size;
	FILE *file;

	if (size)
		return size;
	size = 2UL << 20;
	file = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "r");
	if (file) {
		fscanf(file, "%lu", &size);
		fclose(file);
	}
	return size;
}

#endif /* PAGE_H */
