// SPDX-License-Identifier: GPL-2.0
/*
 * Measure the cost of MMU notifiers in C and in Rust: both are made to do the
 * same, in turns, several times. Each line of the log has the cost of one case
 * for one of them, in the unit of bench_clock().
 */

#define pr_fmt(fmt) "bench: " fmt

#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/glob.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/moduleparam.h>
#include <linux/sched/mm.h>
#include <linux/sort.h>
#include <linux/timex.h>
#include <linux/vmalloc.h>
#include <linux/wait_bit.h>

#ifdef CONFIG_UML
#include <os.h>
#endif

#include "../syscalls.h"
#include "twin.h"

#define MOST		100000
#define READ_WRITE	(PROT_READ | PROT_WRITE)

/* Bytes that are invalidated, and notifiers that there are. */
static const unsigned long sizes[] = { SZ_4K, SZ_2M, SZ_1G };
static const unsigned int counts[] = { 0, 10, 1000, MOST };
static const unsigned int hits[] = { 0, 1, 10, 1000, MOST };

/* Who is measured; the first is the loop around what is measured. */
static const struct twin *const twins[] = {
	NULL, &twin_core, &twin_c, &twin_rust
};

/**
 * struct side - an address space, and one twin's notifiers for it
 * @twin: the language
 * @kind: the kind of notifier
 * @mm: the address space
 * @slots: the notifiers
 * @stride: bytes from one to the next
 * @count: how many of them are registered
 * @addr: the first address of the memory that is mapped
 * @size: bytes of it
 * @range: what is invalidated
 * @fillers: list notifiers that do nothing
 */
struct side {
	const struct twin *twin;
	const struct kind *kind;
	struct mm_struct *mm;
	void *slots;
	size_t stride;
	unsigned int count;
	unsigned long addr;
	unsigned long size;
	struct mmu_notifier_range range;
	struct mmu_notifier *fillers;
};

/**
 * struct layout - the memory and the notifiers of a measurement
 * @bytes: bytes of memory that are mapped and invalidated
 * @hits: notifiers in it, one page each
 * @others: the other notifiers of the address space
 */
struct layout {
	unsigned long bytes;
	unsigned int hits;
	unsigned int others;
};

/**
 * enum vary - the quantity that a case varies
 * @NOTHING: it is measured once
 * @OTHERS: other notifiers of the address space
 * @SIZE_AND_HITS: bytes that are invalidated, and notifiers in them
 */
enum vary { NOTHING, OTHERS, SIZE_AND_HITS };

/**
 * struct bench_case - an operation to measure
 * @name: its name in all results
 * @table: where it is shown: its cost without the core in "callbacks", all of
 *	it in "operations", by the number of intervals in "intervals"
 * @kind: the offset of the kind of notifiers in a twin
 * @hits: notifiers in the memory that is invalidated, unless they vary
 * @work: what is measured
 * @vary: what varies
 * @before: the work before each @work
 * @after: the work after each @work
 * @around: calls the function that it is passed
 * @once: @work can be done only once each time
 * @silent: no notifier is called, or each refuses
 */
struct bench_case {
	const char *name;
	const char *table;
	size_t kind;
	unsigned int hits;
	void (*work)(struct side *side);
	enum vary vary;
	void (*before)(struct side *side);
	void (*after)(struct side *side);
	void (*around)(struct side *side, void (*f)(void *arg), void *arg);
	bool once;
	bool silent;
};

/* A pattern: which cases are measured. */
static char *only = "*";
module_param(only, charp, 0);
MODULE_PARM_DESC(only, "Measure only the cases that this pattern matches");

struct sample {
	struct side *side;
	void (*work)(struct side *side);
	unsigned int batch;
	u64 cost;
};

/*
 * With QEMU's -icount shift=0 a cycle is an instruction. User-mode Linux has no
 * counter of cycles, and gets nanoseconds, from the host: its own clock is too
 * coarse. They take more of everything to be worth something.
 */
#ifdef CONFIG_UML
#define bench_clock()	os_nsecs()
#define BATCH		10000
#define REPS		101
#else
#define bench_clock()	get_cycles()
#define BATCH		100
#define REPS		11
#endif

static noinline void run(void *arg)
{
	struct sample *sample = arg;
	u64 start = bench_clock();
	unsigned int i;

	for (i = 0; i < sample->batch; i++)
		sample->work(sample->side);
	sample->cost = bench_clock() - start;
}

static noinline void nothing(struct side *side)
{
}

static int compare(const void *a, const void *b)
{
	return cmp_int(*(const u64 *)a, *(const u64 *)b);
}

static void measure(struct kunit *test, struct side *sides,
		    const struct layout *layout, const struct bench_case *c)
{
	bool few = layout->hits == MOST || layout->others == MOST;
	unsigned int batch = c->once ? 1 : BATCH;
	unsigned int reps = few ? 5 : REPS, rep, who;
	u64 *costs;

	costs = kunit_kcalloc(test, ARRAY_SIZE(twins) * reps, sizeof(*costs),
			      GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, costs);

	for (rep = 0; rep < reps; rep++) {
		for (who = 0; who < ARRAY_SIZE(twins); who++) {
			/* The loop is measured with the first that there is. */
			struct side *side = &sides[max(who, 1)];
			struct sample sample = {
				.side = side,
				.work = twins[who] ? c->work : nothing,
				.batch = batch,
			};

			kthread_use_mm(side->mm);
			if (twins[who] && c->before)
				c->before(side);
			if (twins[who] && c->around)
				c->around(side, run, &sample);
			else
				run(&sample);
			if (twins[who] && c->after)
				c->after(side);
			kthread_unuse_mm(side->mm);
			costs[who * reps + rep] = sample.cost;
		}
	}

	for (who = 0; who < ARRAY_SIZE(twins); who++) {
		u64 *sorted = &costs[who * reps];

		sort(sorted, reps, sizeof(*sorted), compare, NULL);
		pr_info("cost: table=%s case=%s bytes=%lu hits=%u others=%u who=%s batch=%u q1=%llu median=%llu q3=%llu\n",
			c->table, c->name, layout->bytes, layout->hits,
			layout->others, twins[who] ? twins[who]->name : "loop",
			batch, sorted[reps / 4], sorted[reps / 2], sorted[reps * 3 / 4]);
	}
	kunit_kfree(test, costs);
}

static void *slot(struct side *side, unsigned int i)
{
	return side->slots + i * side->stride;
}

/* The slot that is measured is behind all the others. */
static void *spare(struct side *side)
{
	return slot(side, side->count);
}

static void map_memory(struct side *side)
{
	unsigned long addr;

	/* The same each time: it is where the notifiers are. */
	addr = vm_mmap(NULL, side->addr, side->size, READ_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
		       (side->addr ? MAP_FIXED : 0), 0);
	side->addr = IS_ERR_VALUE(addr) ? 0 : addr;
}

/* So that there is something to let go of. */
static void touch(struct side *side)
{
	char byte = 1;

	access_remote_vm(side->mm, side->addr, &byte, 1, FOLL_WRITE);
}

/* List notifiers that do nothing can be put, which need not wait for each. */
static atomic_t fillers_left;

static void filler_free(struct mmu_notifier *filler)
{
	if (atomic_dec_and_test(&fillers_left))
		wake_up_var(&fillers_left);
}

static const struct mmu_notifier_ops filler_ops = {
	.free_notifier = filler_free,
};

static bool is_interval(const struct side *side)
{
	const struct twin *twin = side->twin;

	return side->kind == &twin->interval || side->kind == &twin->two_pass ||
	       side->kind == &twin->deferring;
}

/*
 * Where notifier @i of a layout is: the hits in the memory that is mapped, and
 * the others, one page each, in 1 GiB from the page behind it.
 */
static unsigned long place(const struct side *side, const struct layout *layout,
			   unsigned int i)
{
	if (i < layout->hits)
		return side->addr + i % (layout->bytes / PAGE_SIZE) * PAGE_SIZE;
	return side->addr + layout->bytes +
	       (i - layout->hits + 1UL) * PAGE_SIZE;
}

static void insert(struct side *side, unsigned int i, unsigned long addr)
{
	WARN_ON(side->kind->insert(slot(side, i), side->mm, addr,
				   addr + PAGE_SIZE));
}

/* Register what there is of a layout. */
static int fill(struct side *side, const struct layout *layout)
{
	unsigned int count = layout->hits + layout->others, i;
	int ret;

	if (is_interval(side)) {
		for (; side->count < count; side->count++)
			insert(side, side->count,
			       place(side, layout, side->count));
		return 0;
	}

	for (; side->count < layout->hits; side->count++)
		insert(side, side->count, side->addr);
	side->fillers = kvcalloc(layout->others, sizeof(*side->fillers),
				 GFP_KERNEL);
	if (!side->fillers)
		return -ENOMEM;
	for (i = 0; i < layout->others; i++) {
		side->fillers[i].ops = &filler_ops;
		ret = mmu_notifier_register(&side->fillers[i], side->mm);
		if (ret)
			return ret;
	}
	return 0;
}

static void empty(struct side *side, const struct layout *layout)
{
	unsigned int i;

	while (side->count)
		side->kind->remove(slot(side, --side->count));

	if (!side->fillers)
		return;
	atomic_set(&fillers_left, layout->others);
	for (i = 0; i < layout->others; i++)
		mmu_notifier_put(&side->fillers[i]);
	wait_var_event(&fillers_left, !atomic_read(&fillers_left));
	kvfree(side->fillers);
}

static int set_up(struct side *side, const struct twin *twin,
		  const struct kind *kind, const struct layout *layout)
{
	int ret;

	side->twin = twin;
	side->kind = kind;
	/* As if each was allocated by itself. */
	side->stride = L1_CACHE_ALIGN(side->kind->size);
	side->size = layout->bytes;
	side->slots = kvcalloc(layout->hits + layout->others + 1, side->stride,
			       GFP_KERNEL);
	side->mm = mm_alloc();
	if (!side->slots || !side->mm)
		return -ENOMEM;
	side->mm->task_size = TASK_SIZE;
	arch_pick_mmap_layout(side->mm, &current->signal->rlim[RLIMIT_STACK]);

	kthread_use_mm(side->mm);
	map_memory(side);
	touch(side);
	ret = side->addr ? fill(side, layout) : -ENOMEM;
	kthread_unuse_mm(side->mm);
	mmu_notifier_range_init(&side->range, MMU_NOTIFY_CLEAR, 0, side->mm,
				side->addr, side->addr + side->size);
	return ret;
}

static void tear_down(struct side *side, const struct layout *layout)
{
	empty(side, layout);
	mmput(side->mm);
	kvfree(side->slots);
}

static void measure_layout(struct kunit *test, const struct bench_case *c,
			   const struct layout *layout)
{
	struct side *sides = kunit_kcalloc(test, ARRAY_SIZE(twins),
					   sizeof(*sides), GFP_KERNEL);
	unsigned long work[ARRAY_SIZE(twins)] = {};
	unsigned int who, i;

	KUNIT_ASSERT_NOT_NULL(test, sides);
	for (who = 1; who < ARRAY_SIZE(twins); who++)
		KUNIT_ASSERT_EQ(test, 0, set_up(&sides[who], twins[who],
						(void *)twins[who] + c->kind,
						layout));
	measure(test, sides, layout, c);
	for (who = 1; who < ARRAY_SIZE(twins); who++) {
		struct side *side = &sides[who];

		for (i = 0; i < side->count; i++)
			work[who] += side->kind->work(slot(side, i));
		tear_down(side, layout);
	}

	/* Else it was not the same that was measured. */
	KUNIT_EXPECT_EQ(test, work[2], work[3]);
	KUNIT_EXPECT_EQ(test, !work[2], c->silent || !layout->hits);
}

/* A non-blocking section. */

static void do_section(struct side *side)
{
	side->twin->section();
}

/* Registration, in the midst of the others. */

static void do_insert(struct side *side)
{
	side->kind->insert(spare(side), side->mm, side->addr,
			   side->addr + PAGE_SIZE);
}

static void do_remove(struct side *side)
{
	side->kind->remove(spare(side));
}

static void do_insert_middle(struct side *side)
{
	unsigned long addr = side->addr + side->size +
			     (side->count / 2 + 1UL) * PAGE_SIZE;

	side->kind->insert(spare(side), side->mm, addr, addr + PAGE_SIZE);
}

/* Invalidations. */

static void do_invalidate(struct side *side)
{
	mmu_notifier_invalidate_range_start(&side->range);
	mmu_notifier_invalidate_range_end(&side->range);
}

/* As the OOM reaper does. */
static void do_invalidate_nonblock(struct side *side)
{
	if (!mmu_notifier_invalidate_range_start_nonblock(&side->range))
		mmu_notifier_invalidate_range_end(&side->range);
}

static void unmap_memory(struct side *side)
{
	vm_munmap(side->addr, side->size);
}

static void map_and_touch(struct side *side)
{
	map_memory(side);
	touch(side);
}

static void do_dontneed(struct side *side)
{
	nonblock_kunit_madvise(side->addr, side->size, MADV_DONTNEED);
}

static void do_protect(struct side *side)
{
	nonblock_kunit_mprotect(side->addr, side->size, PROT_READ);
}

static void unprotect(struct side *side)
{
	nonblock_kunit_mprotect(side->addr, side->size, READ_WRITE);
}

static void unprotect_and_touch(struct side *side)
{
	unprotect(side);
	touch(side);
}

static void around_locked(struct side *side, void (*f)(void *arg), void *arg)
{
	side->twin->locked(slot(side, 0), f, arg);
}

/* The work item waits for the lock, and must not take turns with @f. */
static void unpreempted(void *arg)
{
	preempt_disable();
	run(arg);
	preempt_enable();
}

static void around_deferring_locked(struct side *side, void (*f)(void *arg),
				    void *arg)
{
	side->twin->deferring_locked(slot(side, 0), unpreempted, arg);
}

/* As the OOM reaper does: until the work item is done. */
static void reap(struct side *side)
{
	while (mmu_notifier_invalidate_range_start_nonblock(&side->range))
		msleep(100);
	mmu_notifier_invalidate_range_end(&side->range);
}

static void do_clear_flush_young(struct side *side)
{
	mmu_notifier_clear_flush_young(side->mm, side->addr,
				       side->addr + PAGE_SIZE);
}

static void do_clear_young(struct side *side)
{
	mmu_notifier_clear_young(side->mm, side->addr, side->addr + PAGE_SIZE);
}

static void do_test_young(struct side *side)
{
	mmu_notifier_test_young(side->mm, side->addr);
}

static void do_arch_invalidate(struct side *side)
{
	mmu_notifier_arch_invalidate_secondary_tlbs(side->mm, side->addr,
						    side->addr + PAGE_SIZE);
}

/* Readers. */

static void do_read(struct side *side)
{
	side->twin->read(slot(side, 0), NULL, NULL);
}

static void invalidate_side(void *arg)
{
	do_invalidate(arg);
}

static void do_collide(struct side *side)
{
	side->twin->read(slot(side, 0), invalidate_side, side);
}

/* The notifier that there is one of for each mm. */

static void do_get_put(struct side *side)
{
	side->twin->get_put(side->mm, NULL, NULL);
}

/* Until it is freed. */
static void synchronize(struct side *side)
{
	mmu_notifier_synchronize();
}

static void around_get_put(struct side *side, void (*f)(void *arg), void *arg)
{
	side->twin->get_put(side->mm, f, arg);
}

#define KIND(name) offsetof(struct twin, name)

static const struct bench_case cases[] = {
	{ "section", "callbacks", KIND(interval), 0, do_section },

	{ "interval_invalidate", "callbacks", KIND(interval), 1,
	  do_invalidate },
	{ "interval_try_invalidate", "callbacks", KIND(interval), 1,
	  do_invalidate_nonblock },
	{ "interval_try_invalidate_refused", "callbacks", KIND(interval), 1,
	  do_invalidate_nonblock, .around = around_locked, .silent = true },

	{ "two_pass_invalidate", "callbacks", KIND(two_pass), 1,
	  do_invalidate },
	{ "two_pass_try_invalidate", "callbacks", KIND(two_pass), 1,
	  do_invalidate_nonblock },

	{ "deferring_try_invalidate", "callbacks", KIND(deferring), 1,
	  do_invalidate_nonblock },
	{ "deferring_try_invalidate_refused", "callbacks", KIND(deferring), 1,
	  do_invalidate_nonblock, .around = around_deferring_locked,
	  .after = reap, .once = true },

	{ "list_start", "callbacks", KIND(list), 1, do_invalidate },
	{ "list_try_start", "callbacks", KIND(list), 1,
	  do_invalidate_nonblock },
	{ "list_start_end", "callbacks", KIND(counted), 1, do_invalidate },
	{ "list_try_start_end", "callbacks", KIND(counted), 1,
	  do_invalidate_nonblock },
	{ "list_clear_flush_young", "callbacks", KIND(list), 1,
	  do_clear_flush_young },
	{ "list_clear_young", "callbacks", KIND(list), 1, do_clear_young },
	{ "list_test_young", "callbacks", KIND(list), 1, do_test_young },
	{ "list_arch_invalidate", "callbacks", KIND(arch), 1,
	  do_arch_invalidate },

	{ "interval_read", "operations", KIND(interval), 1, do_read,
	  .silent = true },
	{ "interval_read_collision", "operations", KIND(interval), 1,
	  do_collide },
	{ "shared_get_put_first", "operations", KIND(interval), 0, do_get_put,
	  .after = synchronize, .once = true },
	{ "shared_get_put_again", "operations", KIND(interval), 0, do_get_put,
	  .around = around_get_put, .after = synchronize },
	{ "interval_insert", "operations", KIND(interval), 0,
	  do_insert_middle, .vary = OTHERS, .after = do_remove, .once = true },
	{ "interval_remove", "operations", KIND(interval), 0, do_remove,
	  .vary = OTHERS, .before = do_insert_middle, .once = true },
	{ "list_register", "operations", KIND(list), 0, do_insert,
	  .vary = OTHERS, .after = do_remove, .once = true },
	{ "list_unregister", "operations", KIND(list), 0, do_remove,
	  .vary = OTHERS, .before = do_insert, .once = true },

	{ "find", "intervals", KIND(interval), 1, do_invalidate,
	  .vary = OTHERS },
	{ "invalidate", "intervals", KIND(interval), 0, do_invalidate,
	  .vary = SIZE_AND_HITS, .once = true },
	{ "madvise", "intervals", KIND(interval), 0, do_dontneed,
	  .vary = SIZE_AND_HITS, .before = touch, .once = true },
	{ "mprotect", "intervals", KIND(interval), 0, do_protect,
	  .vary = SIZE_AND_HITS, .before = unprotect_and_touch,
	  .after = unprotect, .once = true },
	{ "munmap", "intervals", KIND(interval), 0, unmap_memory,
	  .vary = SIZE_AND_HITS, .after = map_and_touch, .once = true },
};

#undef KIND

KUNIT_ARRAY_PARAM_DESC(bench, cases, name);

static void cost(struct kunit *test)
{
	const struct bench_case *c = test->param_value;
	struct layout layout = { .bytes = PAGE_SIZE, .hits = c->hits };
	unsigned int i, j;

	if (!glob_match(only, c->name))
		kunit_skip(test, "not asked for");

	switch (c->vary) {
	case NOTHING:
		measure_layout(test, c, &layout);
		break;
	case OTHERS:
		for (i = 0; i < ARRAY_SIZE(counts); i++) {
			layout.others = counts[i];
			measure_layout(test, c, &layout);
		}
		break;
	case SIZE_AND_HITS:
		/* With another, or there might be no tree. */
		layout.others = 1;
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			for (j = 0; j < ARRAY_SIZE(hits); j++) {
				layout.bytes = sizes[i];
				layout.hits = hits[j];
				measure_layout(test, c, &layout);
			}
		}
		break;
	}
}

/* Bytes of a registration. */
static void memory(struct kunit *test)
{
	unsigned int who;

	for (who = 1; who < ARRAY_SIZE(twins); who++) {
		const struct twin *twin = twins[who];

		pr_info("size: who=%s interval=%zu two_pass=%zu deferring=%zu list=%zu counted=%zu arch=%zu\n",
			twin->name, twin->interval.size, twin->two_pass.size,
			twin->deferring.size, twin->list.size,
			twin->counted.size, twin->arch.size);
	}
}

static struct kunit_case kunit_cases[] = {
	KUNIT_CASE(memory),
	KUNIT_CASE_PARAM_ATTR(cost, bench_gen_params,
			      { .speed = KUNIT_SPEED_SLOW }),
	{}
};

static struct kunit_suite suite = {
	.name = "mmu_notifier_bench",
	.test_cases = kunit_cases,
};

kunit_test_suite(suite);
