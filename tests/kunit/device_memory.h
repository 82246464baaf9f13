/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _NONBLOCK_KUNIT_DEVICE_MEMORY_H
#define _NONBLOCK_KUNIT_DEVICE_MEMORY_H

#include <linux/types.h>

int nonblock_kunit_device_memory_create(void *owner);
void nonblock_kunit_device_memory_destroy(void);
int nonblock_kunit_device_memory_take(unsigned long addr, bool second);

#endif /* _NONBLOCK_KUNIT_DEVICE_MEMORY_H */
