// SPDX-License-Identifier: GPL-2.0

#include <linux/instruction_pointer.h>
#include <linux/lockdep.h>

#ifdef CONFIG_LOCKDEP
/*
 * A report names the address of the caller. A helper that is inlined is there
 * already.
 */
#ifdef CONFIG_RUST_INLINE_HELPERS
#define CALLER _THIS_IP_
#else
#define CALLER _RET_IP_
#endif

__rust_helper void rust_helper_lock_map_acquire(struct lockdep_map *map,
						bool trylock, int read)
{
	lock_acquire(map, 0, trylock, read, 1, NULL, CALLER);
}

__rust_helper void rust_helper_lock_map_release(struct lockdep_map *map)
{
	lock_release(map, CALLER);
}

__rust_helper void rust_helper_lock_map_assert_held(struct lockdep_map *map)
{
	lockdep_assert(lock_is_held(map) != LOCK_STATE_NOT_HELD);
}

#undef CALLER
#endif
