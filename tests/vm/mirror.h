/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ioctls of /dev/mmu_mirror as functions.
 */
#ifndef _MIRROR_H
#define _MIRROR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "rust_mmu_mirror.h"

#define MIRROR_DEVICE "/dev/mmu_mirror"

static inline int mirror_map(int fd, const void *addr, size_t len)
{
	struct mmu_mirror_range range = { (uintptr_t)addr, len };

	return ioctl(fd, MMU_MIRROR_MAP, &range);
}

static inline int mirror_unmap(int fd)
{
	return ioctl(fd, MMU_MIRROR_UNMAP);
}

static inline int mirror_prefetch(int fd, const void *addr, size_t len)
{
	struct mmu_mirror_range range = { (uintptr_t)addr, len };

	return ioctl(fd, MMU_MIRROR_PREFETCH, &range);
}

static inline int mirror_read(int fd, const void *addr, void *buf, size_t len)
{
	struct mmu_mirror_access access = {
		(uintptr_t)addr, len, (uintptr_t)buf
	};

	return ioctl(fd, MMU_MIRROR_READ, &access);
}

static inline int mirror_write(int fd, void *addr, const void *buf, size_t len)
{
	struct mmu_mirror_access access = {
		(uintptr_t)addr, len, (uintptr_t)buf
	};

	return ioctl(fd, MMU_MIRROR_WRITE, &access);
}

/* All ones if it fails, which no test expects. */
static inline struct mmu_mirror_stats mirror_stats(int fd)
{
	struct mmu_mirror_stats stats;

	if (ioctl(fd, MMU_MIRROR_STATS, &stats))
		memset(&stats, 0xff, sizeof(stats));
	return stats;
}

/*
 * Whether munmap() and the like may call the driver as the OOM reaper does, see
 * CONFIG_DEBUG_MMU_NOTIFIER.
 */
static inline bool tried_first(void)
{
	FILE *file = fopen("/sys/module/mmu_notifier/parameters/try_first", "r");
	unsigned int every = 0;

	if (file) {
		if (fscanf(file, "%u", &every) != 1)
			every = 0;
		fclose(file);
	}
	return every;
}

#endif /* _MIRROR_H */
