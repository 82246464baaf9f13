// SPDX-License-Identifier: GPL-2.0
/*
 * Locks, and a point to reschedule, that Rust code cannot use yet.
 */

#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/local_lock.h>

#include "locks.h"

static DEFINE_RWLOCK(nonblock_kunit_rwlock);

struct nonblock_kunit_cpu {
	local_lock_t lock;
};

static DEFINE_PER_CPU(struct nonblock_kunit_cpu, nonblock_kunit_cpu) = {
	.lock = INIT_LOCAL_LOCK(lock),
};

void nonblock_kunit_cond_resched(void)
{
	cond_resched();
}

void nonblock_kunit_read_lock(void)
{
	read_lock(&nonblock_kunit_rwlock);
	read_unlock(&nonblock_kunit_rwlock);
}

void nonblock_kunit_write_lock(void)
{
	write_lock(&nonblock_kunit_rwlock);
	write_unlock(&nonblock_kunit_rwlock);
}

void nonblock_kunit_local_lock(void)
{
	local_lock(&nonblock_kunit_cpu.lock);
	local_unlock(&nonblock_kunit_cpu.lock);
}
