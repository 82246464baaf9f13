// SPDX-License-Identifier: GPL-2.0
/*
 * A library for LD_PRELOAD that attaches a device to each process of a program:
 * /dev/mmu_mirror mirrors its whole address space.
 *
 * Before the program changes a range of its memory, the device reads some of
 * the pages that are there. It must read the same bytes as the CPU. Otherwise
 * the library ends the program, with a warning in the kernel log.
 *
 * The file named by ATTACH_COUNT gets a byte for each compared page. With
 * ATTACH_WRONG, the device seems to read something else.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "mirror.h"

#define PAGE 4096UL
#define FIRST (16 * PAGE)
/* Processes have 56 bits with five-level page tables, otherwise 47. */
#define LAST_5_LEVELS ((1UL << 56) - PAGE)
#define LAST ((1UL << 47) - PAGE)
/* The number of pages that are compared in a range. */
#define SOME 4
/* Programs close files that they did not open, but rarely up to this one. */
#define DEVICE_FD 900
/* Another thread may write to a page between the two reads. */
#define TRIES 100

static int device = -1;
static pid_t owner;

static bool mirror_all(int fd)
{
	void *first = (void *)FIRST;

	return !mirror_map(fd, first, LAST_5_LEVELS - FIRST) ||
	       !mirror_map(fd, first, LAST - FIRST);
}

static void attach(void)
{
	int fd = open(MIRROR_DEVICE, O_RDWR | O_CLOEXEC);

	owner = getpid();
	/* A child still has the device of its parent. */
	device = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, DEVICE_FD);
	close(fd);
	if (device >= 0 && !mirror_all(device))
		device = -1;
}

static void __attribute__((constructor)) begin(void)
{
	attach();
	pthread_atfork(NULL, NULL, attach);
}

static void append(const char *file, const char *text, size_t len)
{
	int fd = file ? open(file, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;

	if (fd >= 0 && write(fd, text, len) != (ssize_t)len)
		abort();
	close(fd);
}

static void wrong(const char *what, const void *page)
{
	char line[100];

	append("/dev/kmsg", line, snprintf(line, sizeof(line),
					   "WARNING: attach: %s at %p\n", what, page));
	/* The program may catch abort(). */
	_exit(99);
}

/* Read as the CPU does, but without a signal if the page cannot be read. */
static bool cpu_reads(char *page, char *buf)
{
	struct iovec local = { buf, PAGE }, remote = { page, PAGE };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == PAGE;
}

static bool device_reads(char *page, char *buf)
{
	if (!mirror_read(device, page, buf, PAGE))
		return true;
	/* With another error, the program closed the file. */
	if (errno != EFAULT)
		device = -1;
	return false;
}

static void compare_page(char *page)
{
	/* A program may have small stacks. */
	static __thread char cpu[PAGE], dev[PAGE];
	bool readable, read;
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		readable = cpu_reads(page, cpu);
		read = device_reads(page, dev);
		if (device < 0)
			return;
		if (read && getenv("ATTACH_WRONG"))
			dev[0] = ~cpu[0];
		if (readable == read && (!read || !memcmp(cpu, dev, PAGE)))
			break;
	}
	if (tries == TRIES)
		wrong(!read ? "the device cannot read" :
		      !readable ? "the device reads, and the CPU cannot" :
		      "the device reads something else", page);
	if (read)
		append(getenv("ATTACH_COUNT"), ".", 1);
}

/* Compare pages that are there: the device must not make new ones. */
static void compare(void *addr, size_t len)
{
	int saved = errno;
	char *start = (char *)((uintptr_t)addr & -PAGE);
	size_t pages = len / PAGE, step = pages / SOME + 1;
	unsigned char there;

	if (owner != getpid() || device < 0)
		return;
	for (size_t i = 0; i < pages; i += step) {
		if (!mincore(start + i * PAGE, PAGE, &there) && there & 1)
			compare_page(start + i * PAGE);
	}
	errno = saved;
}

int munmap(void *addr, size_t len)
{
	compare(addr, len);
	return syscall(SYS_munmap, addr, len);
}

int madvise(void *addr, size_t len, int advice)
{
	compare(addr, len);
	return syscall(SYS_madvise, addr, len, advice);
}

int mprotect(void *addr, size_t len, int prot)
{
	compare(addr, len);
	return syscall(SYS_mprotect, addr, len, prot);
}

void *mremap(void *addr, size_t old_len, size_t new_len, int flags, ...)
{
	void *to = NULL;
	va_list args;

	/* MREMAP_DONTUNMAP has the address, too. */
	va_start(args, flags);
	to = va_arg(args, void *);
	va_end(args);
	compare(addr, old_len);
	return (void *)syscall(SYS_mremap, addr, old_len, new_len, flags, to);
}
