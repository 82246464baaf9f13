/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Either of the two sample devices, to have the same tests for both:
 * /dev/mmu_mirror, and the test device of HMM.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <lib/test_hmm_uapi.h>

#include "mirror.h"
#include "page.h"

#define DEVICE_PAGE	((long)page_size())

struct device {
	int fd;
	int is_hmm;
};

/* Returns -1 if it fails. The HMM device mirrors all of who opens it. */
static inline int device_open(struct device *device, int is_hmm)
{
	device->is_hmm = is_hmm;
	device->fd = open(is_hmm ? "/dev/hmm_dmirror0" : MIRROR_DEVICE,
			  O_RDWR | O_CLOEXEC);
	return device->fd < 0 ? -1 : 0;
}

static inline int device_map(struct device *device, const void *addr, size_t len)
{
	return device->is_hmm ? 0 : mirror_map(device->fd, addr, len);
}

/*
 * Has the device read or write a page, in @data, and returns how many times it
 * had to look the page up in the process, or a negative error.
 */
static inline int device_page(struct device *device, int write, void *addr,
			      void *data)
{
	struct hmm_dmirror_cmd cmd = {
		.addr = (uintptr_t)addr,
		.ptr = (uintptr_t)data,
		.npages = 1,
	};
	uint64_t faults;
	int ret;

	if (device->is_hmm) {
		ret = ioctl(device->fd, write ? HMM_DMIRROR_WRITE :
			    HMM_DMIRROR_READ_UNLOCKED, &cmd);
		return ret ? -errno : (int)cmd.faults;
	}

	faults = mirror_stats(device->fd).faults;
	ret = write ? mirror_write(device->fd, addr, data, DEVICE_PAGE) :
		      mirror_read(device->fd, addr, data, DEVICE_PAGE);
	return ret ? -errno : (int)(mirror_stats(device->fd).faults - faults);
}

static inline int device_read(struct device *device, void *addr, void *data)
{
	return device_page(device, 0, addr, data);
}

static inline int device_write(struct device *device, void *addr, void *data)
{
	return device_page(device, 1, addr, data);
}

#endif /* DEVICE_H */
