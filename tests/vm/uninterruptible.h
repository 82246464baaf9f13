/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A thread that cannot be interrupted, not even by SIGKILL: it waits for the lock
 * of a file.
 */
#ifndef UNINTERRUPTIBLE_H
#define UNINTERRUPTIBLE_H

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "page.h"

/* The state of a thread, as one letter. */
static inline char state(pid_t tid)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	file = fopen(path, "r");
	if (file) {
		fscanf(file, "%*d (%*[^)]) %c", &state);
		fclose(file);
	}
	return state;
}

/*
 * A write whose data userfaultfd(2) keeps back holds the lock of the file as
 * long as we like.
 */
struct lock {
	int file;
	int uffd;
	char *page;
	pthread_t writer;
};

static inline void *hold_lock(void *lock)
{
	struct lock *l = lock;

	return (void *)(long)(write(l->file, l->page, 1) == 1);
}

static inline int take_lock(struct lock *lock)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range.len = page_size(),
				       .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffd_msg msg;

	lock->file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	lock->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	lock->page = mmap(NULL, page_size(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)lock->page;
	return lock->file >= 0 && lock->page != MAP_FAILED &&
	       !ioctl(lock->uffd, UFFDIO_API, &api) &&
	       !ioctl(lock->uffd, UFFDIO_REGISTER, &reg) &&
	       !pthread_create(&lock->writer, NULL, hold_lock, lock) &&
	       read(lock->uffd, &msg, sizeof(msg)) == sizeof(msg);
}

static inline int release_lock(struct lock *lock)
{
	struct uffdio_zeropage zero = { .range.start = (uintptr_t)lock->page,
					.range.len = page_size() };
	void *written = NULL;

	ioctl(lock->uffd, UFFDIO_ZEROPAGE, &zero);
	pthread_join(lock->writer, &written);
	return !!written;
}

#endif /* UNINTERRUPTIBLE_H */
