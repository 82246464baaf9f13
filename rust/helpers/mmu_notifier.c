// SPDX-License-Identifier: GPL-2.0

#include <linux/mmu_notifier.h>

#if defined(CONFIG_MMU_NOTIFIER) && defined(CONFIG_LOCKDEP)
__rust_helper void rust_helper_mmu_notifier_invalidate_map_acquire(void)
{
	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
}

__rust_helper void rust_helper_mmu_notifier_invalidate_map_release(void)
{
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);
}
#endif
