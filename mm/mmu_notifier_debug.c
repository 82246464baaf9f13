// SPDX-License-Identifier: GPL-2.0
/*
 * Call MMU notifiers like the OOM reaper at every invalidation, and count their
 * calls.
 */

#include <linux/debugfs.h>
#include <linux/hash.h>
#include <linux/math64.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <kunit/visibility.h>

#include "mmu_notifier_debug.h"

#ifdef MODULE_PARAM_PREFIX
#undef MODULE_PARAM_PREFIX
#endif
#define MODULE_PARAM_PREFIX "mmu_notifier."

/* One in N blockable invalidations is tried first; 0 means none. */
unsigned int mmu_notifier_try_first = 1;
EXPORT_SYMBOL_IF_KUNIT(mmu_notifier_try_first);
module_param_named(try_first, mmu_notifier_try_first, uint, 0644);

bool mn_debug_try_first(const struct mmu_notifier_range *range)
{
	static atomic_t count;
	unsigned int every = READ_ONCE(mmu_notifier_try_first);

	if (!every || !mmu_notifier_range_blockable(range))
		return false;
	return (unsigned int)atomic_inc_return(&count) % every == 0;
}

/*
 * The tables of callbacks, each identified by its first callback. An entry is
 * never freed. If a driver gets the address of an unloaded one, its entry
 * begins with zeroes.
 */
#define TABLE_BITS 8

static struct mn_table {
	void *fn;
	atomic_t registered;
	atomic_long_t may_block;
	atomic_long_t must_not_block;
	atomic_long_t refused;
	atomic64_t longest;
} tables[1 << TABLE_BITS];

static struct mn_table *mn_table(void *fn)
{
	u32 at = hash_ptr(fn, TABLE_BITS);

	/* The table has no such callback. */
	if (!fn)
		return NULL;

	for (int i = 0; i < ARRAY_SIZE(tables); i++) {
		struct mn_table *table = &tables[(at + i) % ARRAY_SIZE(tables)];
		void *old = cmpxchg(&table->fn, NULL, fn);

		if (!old || old == fn)
			return table;
	}
	/* The array is full, and this callback is not counted. */
	return NULL;
}

void mn_debug_insert(void *fn)
{
	struct mn_table *table = mn_table(fn);

	if (table)
		atomic_inc(&table->registered);
}

void mn_debug_remove(void *fn)
{
	struct mn_table *table = mn_table(fn);

	if (table)
		atomic_dec(&table->registered);
}

void mn_debug_called(void *fn, bool blockable, bool refused, u64 ns)
{
	struct mn_table *table = mn_table(fn);
	s64 longest;

	if (!table)
		return;

	atomic_long_inc(blockable ? &table->may_block : &table->must_not_block);
	if (refused)
		atomic_long_inc(&table->refused);
	longest = atomic64_read(&table->longest);
	while (longest < ns &&
	       !atomic64_try_cmpxchg(&table->longest, &longest, ns))
		;
}

static int mmu_notifier_show(struct seq_file *m, void *v)
{
	seq_puts(m, "registered may_block must_not_block refused longest_us callback\n");
	for (int i = 0; i < ARRAY_SIZE(tables); i++) {
		struct mn_table *table = &tables[i];
		int registered = atomic_read(&table->registered);
		long may = atomic_long_read(&table->may_block);
		long must_not = atomic_long_read(&table->must_not_block);

		if (!registered && !may && !must_not)
			continue;
		seq_printf(m, "%10d %9ld %14ld %7ld %10llu %ps\n", registered,
			   may, must_not, atomic_long_read(&table->refused),
			   div_u64(atomic64_read(&table->longest),
				   NSEC_PER_USEC), table->fn);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(mmu_notifier);

/* Another module may get the addresses of this one. */
static int mn_debug_module(struct notifier_block *self, unsigned long state,
			   void *data)
{
	struct module *mod = data;

	if (state != MODULE_STATE_GOING)
		return NOTIFY_DONE;

	for (int i = 0; i < ARRAY_SIZE(tables); i++) {
		struct mn_table *table = &tables[i];

		if (!within_module((unsigned long)table->fn, mod))
			continue;
		atomic_set(&table->registered, 0);
		atomic_long_set(&table->may_block, 0);
		atomic_long_set(&table->must_not_block, 0);
		atomic_long_set(&table->refused, 0);
		atomic64_set(&table->longest, 0);
	}
	return NOTIFY_OK;
}

static struct notifier_block mn_debug_module_nb = {
	.notifier_call = mn_debug_module,
};

static int __init mn_debug_init(void)
{
	debugfs_create_file("mmu_notifier", 0400, NULL, NULL,
			    &mmu_notifier_fops);
	return register_module_notifier(&mn_debug_module_nb);
}
late_initcall(mn_debug_init);
