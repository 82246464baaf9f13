// SPDX-License-Identifier: GPL-2.0
/*
 * Has memory mirrored until it is killed; creates the file /tmp/holding.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mirror.h"

int main(void)
{
	size_t len = 1UL << 20;
	int fd = open(MIRROR_DEVICE, O_RDWR);
	char *mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (fd < 0 || mem == MAP_FAILED || mirror_map(fd, mem, len) ||
	    mirror_prefetch(fd, mem, len)) {
		perror(MIRROR_DEVICE);
		return 1;
	}
	close(open("/tmp/holding", O_WRONLY | O_CREAT, 0644));
	for (;;)
		pause();
}
