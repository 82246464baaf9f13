// SPDX-License-Identifier: GPL-2.0
/*
 * Makes the device use memory of this process, and stays. `make reap` runs it.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "my_driver.h"
#include "reap.h"

static int device;

/*
 * Reads a page through the device. This is optional: with NULL below, the
 * memory of the device is not compared with that of the process.
 */
static int read_page(void *page, void *buf)
{
	struct my_page arg = { (uintptr_t)page, (uintptr_t)buf };

	return ioctl(device, MY_READ, &arg);
}

int main(void)
{
	size_t len = reap_len();
	char *mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct my_range range = { (uintptr_t)mem, len };

	device = open("/dev/my_driver", O_RDWR);
	if (device < 0 || mem == MAP_FAILED || ioctl(device, MY_MAP, &range)) {
		perror("/dev/my_driver");
		return 1;
	}
	memset(mem, 1, len);
	for (char *page = mem; page < mem + len; page += REAP_PAGE) {
		static char buf[REAP_MAX_PAGE];

		if (read_page(page, buf)) {
			perror("MY_READ");
			return 1;
		}
	}
	return reap_stay(mem, len, read_page);
}
