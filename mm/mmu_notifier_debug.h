/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MM_MMU_NOTIFIER_DEBUG_H
#define _MM_MMU_NOTIFIER_DEBUG_H

#include <linux/types.h>

struct mmu_notifier_range;

#ifdef CONFIG_DEBUG_MMU_NOTIFIER
bool mn_debug_try_first(const struct mmu_notifier_range *range);
void mn_debug_insert(void *fn);
void mn_debug_remove(void *fn);
void mn_debug_called(void *fn, bool blockable, bool refused, u64 ns);
#else
static inline bool mn_debug_try_first(const struct mmu_notifier_range *range)
{
	return false;
}

static inline void mn_debug_insert(void *fn) { }
static inline void mn_debug_remove(void *fn) { }

static inline void mn_debug_called(void *fn, bool blockable, bool refused,
				   u64 ns) { }
#endif

#endif /* _MM_MMU_NOTIFIER_DEBUG_H */
