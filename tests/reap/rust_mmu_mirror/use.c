// SPDX-License-Identifier: GPL-2.0
/*
 * Has the sample driver mirror memory of this process.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "mirror.h"
#include "reap.h"

static int fd;

static int read_page(void *page, void *buf)
{
	return mirror_read(fd, page, buf, REAP_PAGE);
}

int main(void)
{
	size_t len = reap_len();
	void *mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	fd = open(MIRROR_DEVICE, O_RDWR);
	if (fd < 0 || mem == MAP_FAILED || mirror_map(fd, mem, len) ||
	    mirror_prefetch(fd, mem, len)) {
		perror(MIRROR_DEVICE);
		return 1;
	}
	return reap_stay(mem, len, read_page);
}
