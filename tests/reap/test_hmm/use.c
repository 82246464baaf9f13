// SPDX-License-Identifier: GPL-2.0
/*
 * Has the test device of HMM, in C or in Rust, mirror memory of this process.
 */
#include <stdio.h>
#include <sys/mman.h>

#include "device.h"
#include "reap.h"

static struct device device;

static int read_page(void *page, void *buf)
{
	return device_read(&device, page, buf) < 0;
}

int main(void)
{
	size_t len = reap_len();
	char *mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static char buf[REAP_MAX_PAGE];

	if (mem == MAP_FAILED || device_open(&device, 1)) {
		perror("/dev/hmm_dmirror0");
		return 1;
	}
	memset(mem, 1, len);
	for (char *page = mem; page < mem + len; page += REAP_PAGE) {
		if (read_page(page, buf)) {
			perror("HMM_DMIRROR_READ_UNLOCKED");
			return 1;
		}
	}
	return reap_stay(mem, len, read_page);
}
