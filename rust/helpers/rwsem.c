// SPDX-License-Identifier: GPL-2.0

#include <linux/lockdep.h>
#include <linux/rwsem.h>

__rust_helper void rust_helper_rwsem_assert_is_held(struct rw_semaphore *sem)
{
	lockdep_assert_held_write(sem);
}
