// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for mm/mmu_notifier.c
 *
 * Each test has its own address space without mappings, so only the test
 * invalidates. The invalidations are not tried first, see
 * CONFIG_DEBUG_MMU_NOTIFIER.
 *
 * If a test fails, its tasks may wait forever. Their memory is then not freed.
 */
#include <kunit/test.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/ktime.h>
#include <linux/kthread.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "lockdep_kunit.h"

MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");

/* Only a failing test waits for so long. */
#define PATIENCE	(60 * HZ)

struct test_context {
	struct mm_struct *mm;
	int calls;		/* of callbacks, for their order */
	unsigned int try_first;	/* invalidations, before the test */
};

/* The invalidations that a notifier refuses. */
enum refusal {
	NOTHING,
	NEXT_NONBLOCKING,
	NONBLOCKING,
	EVERYTHING,
};

/* An interval notifier, and the arguments of its callbacks. */
struct test_interval {
	struct mmu_interval_notifier sub;
	struct mmu_interval_notifier_finish finish;
	struct test_context *ctx;
	enum refusal refuse;
	bool two_passes;	/* ask for the second */
	int called;
	int order;
	int finished;
	int finish_order;
	int sections;		/* non-blocking ones, around the last call */
	unsigned long seq;
	struct mmu_notifier_range range;
};

/* A list notifier, and the number of calls of its callbacks. */
struct test_list {
	struct mmu_notifier sub;
	struct test_context *ctx;
	enum refusal refuse;
	bool young;
	bool synchronize;
	int started;
	int ended;
	int asked;		/* about young */
	int flushed;
	int released;
	int order;
	int sections;
};

static int sections(void)
{
#ifdef CONFIG_DEBUG_ATOMIC_SLEEP
	return current->non_block_count;
#else
	return 0;
#endif
}

static bool refuses(enum refusal *refuse,
		    const struct mmu_notifier_range *range)
{
	if (*refuse == EVERYTHING)
		return true;
	if (*refuse == NOTHING || mmu_notifier_range_blockable(range))
		return false;
	if (*refuse == NEXT_NONBLOCKING)
		*refuse = NOTHING;
	return true;
}

static bool interval_call(struct test_interval *interval,
			  const struct mmu_notifier_range *range,
			  unsigned long cur_seq)
{
	interval->called++;
	interval->order = ++interval->ctx->calls;
	interval->sections = sections();
	interval->seq = cur_seq;
	interval->range = *range;
	if (refuses(&interval->refuse, range))
		return false;
	mmu_interval_set_seq(&interval->sub, cur_seq);
	return true;
}

static bool interval_invalidate(struct mmu_interval_notifier *sub,
				const struct mmu_notifier_range *range,
				unsigned long cur_seq)
{
	return interval_call(container_of(sub, struct test_interval, sub),
			     range, cur_seq);
}

static bool interval_start(struct mmu_interval_notifier *sub,
			   const struct mmu_notifier_range *range,
			   unsigned long cur_seq,
			   struct mmu_interval_notifier_finish **finish)
{
	struct test_interval *interval =
		container_of(sub, struct test_interval, sub);

	if (interval->two_passes)
		*finish = &interval->finish;
	return interval_call(interval, range, cur_seq);
}

static void interval_finish(struct mmu_interval_notifier_finish *finish)
{
	struct test_interval *interval =
		container_of(finish, struct test_interval, finish);

	interval->finished++;
	interval->finish_order = ++interval->ctx->calls;
	interval->sections = sections();
}

static const struct mmu_interval_notifier_ops interval_ops = {
	.invalidate = interval_invalidate,
};

static const struct mmu_interval_notifier_ops two_pass_ops = {
	.invalidate_start = interval_start,
	.invalidate_finish = interval_finish,
};

static const struct mmu_interval_notifier_ops one_of_two_ops = {
	.invalidate_start = interval_start,
};

static int list_start(struct mmu_notifier *sub,
		      const struct mmu_notifier_range *range)
{
	struct test_list *list = container_of(sub, struct test_list, sub);

	list->started++;
	list->order = ++list->ctx->calls;
	list->sections = sections();
	if (list->synchronize)
		mmu_notifier_synchronize();
	return refuses(&list->refuse, range) ? -EAGAIN : 0;
}

static void list_end(struct mmu_notifier *sub,
		     const struct mmu_notifier_range *range)
{
	struct test_list *list = container_of(sub, struct test_list, sub);

	list->ended++;
	list->sections = sections();
}

static void list_release(struct mmu_notifier *sub, struct mm_struct *mm)
{
	container_of(sub, struct test_list, sub)->released++;
}

static bool list_flush_young(struct mmu_notifier *sub, struct mm_struct *mm,
			     unsigned long start, unsigned long end)
{
	struct test_list *list = container_of(sub, struct test_list, sub);

	list->asked++;
	return list->young;
}

static bool list_test_young(struct mmu_notifier *sub, struct mm_struct *mm,
			    unsigned long address)
{
	return list_flush_young(sub, mm, address, address + PAGE_SIZE);
}

static void list_flush(struct mmu_notifier *sub, struct mm_struct *mm,
		       unsigned long start, unsigned long end)
{
	container_of(sub, struct test_list, sub)->flushed++;
}

static const struct mmu_notifier_ops list_ops = {
	.release = list_release,
	.invalidate_range_start = list_start,
	.invalidate_range_end = list_end,
	.clear_flush_young = list_flush_young,
	.clear_young = list_flush_young,
	.test_young = list_test_young,
};

/* A notifier that refuses cannot have an end. */
static const struct mmu_notifier_ops refusing_ops = {
	.invalidate_range_start = list_start,
};

static const struct mmu_notifier_ops flush_ops = {
	.arch_invalidate_secondary_tlbs = list_flush,
};

static const struct mmu_notifier_ops flush_and_start_ops = {
	.arch_invalidate_secondary_tlbs = list_flush,
	.invalidate_range_start = list_start,
};

/*
 * Insert an interval notifier for the pages from @first up to, without, @end.
 */
static struct test_interval *insert(struct kunit *test, unsigned long first,
				    unsigned long end,
				    const struct mmu_interval_notifier_ops *ops)
{
	struct test_context *ctx = test->priv;
	struct test_interval *interval = kzalloc_obj(*interval);

	KUNIT_ASSERT_NOT_NULL(test, interval);
	interval->ctx = ctx;
	KUNIT_ASSERT_EQ(test, 0,
			mmu_interval_notifier_insert(&interval->sub, ctx->mm,
						     first * PAGE_SIZE,
						     (end - first) * PAGE_SIZE,
						     ops));
	return interval;
}

static void remove(struct test_interval *interval)
{
	mmu_interval_notifier_remove(&interval->sub);
	kfree(interval);
}

static struct test_list *list_register(struct kunit *test,
				       const struct mmu_notifier_ops *ops)
{
	struct test_context *ctx = test->priv;
	struct test_list *list = kzalloc_obj(*list);

	KUNIT_ASSERT_NOT_NULL(test, list);
	list->ctx = ctx;
	list->sub.ops = ops;
	KUNIT_ASSERT_EQ(test, 0, mmu_notifier_register(&list->sub, ctx->mm));
	return list;
}

static void list_unregister(struct test_list *list)
{
	mmu_notifier_unregister(&list->sub, list->ctx->mm);
	kfree(list);
}

/* Begin an invalidation of the pages from @first up to, without, @end. */
static struct mmu_notifier_range pages(struct kunit *test, unsigned long first,
				       unsigned long end)
{
	struct test_context *ctx = test->priv;
	struct mmu_notifier_range range;

	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, ctx->mm,
				first * PAGE_SIZE, end * PAGE_SIZE);
	return range;
}

static void invalidate(struct kunit *test, unsigned long first,
		       unsigned long end)
{
	struct mmu_notifier_range range = pages(test, first, end);

	mmu_notifier_invalidate_range_start(&range);
	mmu_notifier_invalidate_range_end(&range);
}

/* A task that calls a function that may have to wait. */
struct waiter {
	struct task_struct *task;
	struct completion done;
	bool started;
	struct test_interval *interval;
	unsigned long seq;
};

static int read_begin_fn(void *data)
{
	struct waiter *waiter = data;

	WRITE_ONCE(waiter->started, true);
	waiter->seq = mmu_interval_read_begin(&waiter->interval->sub);
	complete(&waiter->done);
	return 0;
}

static int remove_fn(void *data)
{
	struct waiter *waiter = data;

	WRITE_ONCE(waiter->started, true);
	mmu_interval_notifier_remove(&waiter->interval->sub);
	complete(&waiter->done);
	return 0;
}

static struct waiter *run(struct kunit *test, int (*fn)(void *),
			  struct test_interval *interval)
{
	struct waiter *waiter = kzalloc_obj(*waiter);

	KUNIT_ASSERT_NOT_NULL(test, waiter);
	init_completion(&waiter->done);
	waiter->interval = interval;
	waiter->task = kthread_create(fn, waiter, "mmu_notifier_waiter");
	KUNIT_ASSERT_FALSE(test, IS_ERR(waiter->task));
	get_task_struct(waiter->task);
	wake_up_process(waiter->task);
	return waiter;
}

/*
 * Wait until the function sleeps or has returned, and return whether it sleeps.
 */
static bool waits(struct waiter *waiter)
{
	while (!completion_done(&waiter->done)) {
		if (READ_ONCE(waiter->started) &&
		    READ_ONCE(waiter->task->__state) == TASK_UNINTERRUPTIBLE)
			return true;
		schedule_timeout_uninterruptible(1);
	}
	return false;
}

/* Wait for the function, and return its result, if any. */
static unsigned long expect_returned(struct kunit *test, struct waiter *waiter)
{
	unsigned long seq;

	KUNIT_ASSERT_NE(test, 0,
			wait_for_completion_timeout(&waiter->done, PATIENCE));
	kthread_stop_put(waiter->task);
	seq = waiter->seq;
	kfree(waiter);
	return seq;
}

static bool collides(struct test_interval *interval, unsigned long seq)
{
	return mmu_interval_read_retry(&interval->sub, seq);
}

static void interval_is_half_open(struct kunit *test)
{
	struct test_interval *interval = insert(test, 2, 4, &interval_ops);
	static const struct {
		unsigned long first, end;
		int called;
	} cases[] = {
		{ 0, 2, 0 }, { 1, 3, 1 }, { 2, 3, 1 }, { 3, 4, 1 },
		{ 3, 9, 1 }, { 4, 5, 0 }, { 0, 9, 1 },
	};

	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		interval->called = 0;
		invalidate(test, cases[i].first, cases[i].end);
		KUNIT_EXPECT_EQ_MSG(test, interval->called, cases[i].called,
				    "pages %lu to %lu", cases[i].first,
				    cases[i].end);
	}

	remove(interval);
}

static void insert_checks_the_range(struct kunit *test)
{
	struct test_context *ctx = test->priv;
	struct mmu_interval_notifier sub = {};
	int users = atomic_read(&ctx->mm->mm_count);
	int ret;

	ret = mmu_interval_notifier_insert(&sub, ctx->mm, PAGE_SIZE, 0,
					   &interval_ops);
	KUNIT_EXPECT_EQ(test, ret, -EOVERFLOW);
	KUNIT_EXPECT_NULL(test, sub.mm);

	ret = mmu_interval_notifier_insert(&sub, ctx->mm, -PAGE_SIZE,
					   2 * PAGE_SIZE, &interval_ops);
	KUNIT_EXPECT_EQ(test, ret, -EOVERFLOW);
	KUNIT_EXPECT_NULL(test, sub.mm);
	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->mm->mm_count), users);

	/* The last page does not wrap around. */
	ret = mmu_interval_notifier_insert(&sub, ctx->mm, -PAGE_SIZE, PAGE_SIZE,
					   &interval_ops);
	KUNIT_ASSERT_EQ(test, ret, 0);
	KUNIT_EXPECT_PTR_EQ(test, sub.mm, ctx->mm);
	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->mm->mm_count), users + 1);
	mmu_interval_notifier_remove(&sub);
	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->mm->mm_count), users);
}

static void insert_with_the_mmap_lock(struct kunit *test)
{
	struct test_context *ctx = test->priv;
	struct test_interval interval = { .ctx = ctx };
	int ret;

	mmap_write_lock(ctx->mm);
	ret = mmu_interval_notifier_insert_locked(&interval.sub, ctx->mm, 0,
						  PAGE_SIZE, &interval_ops);
	mmap_write_unlock(ctx->mm);
	KUNIT_ASSERT_EQ(test, ret, 0);

	invalidate(test, 0, 1);
	KUNIT_EXPECT_EQ(test, interval.called, 1);
	mmu_interval_notifier_remove(&interval.sub);
}

static void missing_finish_is_refused(struct kunit *test)
{
	struct test_context *ctx = test->priv;
	struct mmu_interval_notifier sub = {};
	int ret;

	kunit_warning_suppress(test) {
		ret = mmu_interval_notifier_insert(&sub, ctx->mm, 0, PAGE_SIZE,
						   &one_of_two_ops);
		KUNIT_EXPECT_EQ(test, ret, -EINVAL);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
		if (!ret)
			mmu_interval_notifier_remove(&sub);

		/* The same, and it warns only once. */
		mmap_write_lock(ctx->mm);
		ret = mmu_interval_notifier_insert_locked(&sub, ctx->mm, 0,
							  PAGE_SIZE,
							  &one_of_two_ops);
		mmap_write_unlock(ctx->mm);
		KUNIT_EXPECT_EQ(test, ret, -EINVAL);
		if (!ret)
			mmu_interval_notifier_remove(&sub);
	}
	/* Nothing was changed. */
	KUNIT_EXPECT_NULL(test, sub.mm);
	KUNIT_EXPECT_FALSE(test, mm_has_notifiers(ctx->mm));
}

static void no_collision_without_invalidation(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct test_interval *other = insert(test, 1, 2, &interval_ops);
	struct mmu_notifier_range range = pages(test, 1, 2);
	unsigned long seq;

	seq = mmu_interval_read_begin(&interval->sub);
	KUNIT_EXPECT_TRUE(test, seq & 1);
	KUNIT_EXPECT_FALSE(test, collides(interval, seq));

	/* Another range is invalidated, with a notifier of its own. */
	mmu_notifier_invalidate_range_start(&range);
	KUNIT_EXPECT_FALSE(test, collides(interval, seq));
	mmu_notifier_invalidate_range_end(&range);
	KUNIT_EXPECT_FALSE(test, collides(interval, seq));
	KUNIT_EXPECT_EQ(test, other->called, 1);
	KUNIT_EXPECT_EQ(test, interval->called, 0);

	remove(other);
	remove(interval);
}

static void invalidation_collides(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	unsigned long seq = mmu_interval_read_begin(&interval->sub);

	mmu_notifier_invalidate_range_start(&range);
	KUNIT_EXPECT_TRUE(test, interval->seq & 1);
	KUNIT_EXPECT_NE(test, interval->seq, seq);
	KUNIT_EXPECT_TRUE(test, collides(interval, seq));
	mmu_notifier_invalidate_range_end(&range);
	KUNIT_EXPECT_TRUE(test, collides(interval, seq));

	seq = mmu_interval_read_begin(&interval->sub);
	KUNIT_EXPECT_FALSE(test, collides(interval, seq));

	remove(interval);
}

static void each_invalidation_has_its_seq(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	unsigned long last = mmu_interval_read_begin(&interval->sub);

	for (int i = 0; i < 3; i++) {
		invalidate(test, 0, 1);
		KUNIT_EXPECT_EQ(test, interval->seq, last + 2);
		last = interval->seq;
	}

	remove(interval);
}

static void read_begin_waits_for_the_end(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct mmu_notifier_range outer = pages(test, 0, 1);
	struct mmu_notifier_range inner = pages(test, 0, 9);
	struct waiter *waiter;
	unsigned long seq;

	mmu_notifier_invalidate_range_start(&outer);
	waiter = run(test, read_begin_fn, interval);
	KUNIT_EXPECT_TRUE(test, waits(waiter));

	/* It is over when the last one is. */
	mmu_notifier_invalidate_range_start(&inner);
	KUNIT_EXPECT_EQ(test, interval->called, 2);
	mmu_notifier_invalidate_range_end(&outer);
	KUNIT_EXPECT_TRUE(test, waits(waiter));
	mmu_notifier_invalidate_range_end(&inner);
	seq = expect_returned(test, waiter);
	KUNIT_EXPECT_FALSE(test, collides(interval, seq));

	remove(interval);
}

static void inserted_while_others_invalidate(struct kunit *test)
{
	struct test_interval *first = insert(test, 8, 9, &interval_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	struct test_interval *interval;
	struct waiter *waiter;

	/* No notifier was called, so the tree may change. */
	mmu_notifier_invalidate_range_start(&range);
	interval = insert(test, 0, 1, &interval_ops);
	KUNIT_EXPECT_EQ(test, interval->called, 0);

	/* The core treats the range as one that includes it. */
	waiter = run(test, read_begin_fn, interval);
	KUNIT_EXPECT_TRUE(test, waits(waiter));
	invalidate(test, 0, 1);
	KUNIT_EXPECT_EQ(test, interval->called, 1);
	KUNIT_EXPECT_TRUE(test, waits(waiter));
	mmu_notifier_invalidate_range_end(&range);
	expect_returned(test, waiter);
	KUNIT_EXPECT_EQ(test, first->called, 0);

	remove(interval);
	remove(first);
}

static void insert_is_deferred(struct kunit *test)
{
	struct test_interval *first = insert(test, 0, 1, &interval_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	struct test_interval *interval;
	struct waiter *waiter;

	/* The tree may not change. */
	mmu_notifier_invalidate_range_start(&range);
	interval = insert(test, 0, 1, &interval_ops);
	invalidate(test, 0, 1);
	KUNIT_EXPECT_EQ(test, first->called, 2);
	KUNIT_EXPECT_EQ(test, interval->called, 0);
	waiter = run(test, read_begin_fn, interval);
	KUNIT_EXPECT_TRUE(test, waits(waiter));
	mmu_notifier_invalidate_range_end(&range);
	expect_returned(test, waiter);

	invalidate(test, 0, 1);
	KUNIT_EXPECT_EQ(test, interval->called, 1);

	remove(interval);
	remove(first);
}

static void deferred_insert_is_removed(struct kunit *test)
{
	struct test_interval *first = insert(test, 0, 1, &interval_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	struct test_interval *interval;
	struct waiter *waiter;

	mmu_notifier_invalidate_range_start(&range);
	interval = insert(test, 0, 1, &interval_ops);
	/* No invalidation has to end first. */
	waiter = run(test, remove_fn, interval);
	expect_returned(test, waiter);
	mmu_notifier_invalidate_range_end(&range);

	invalidate(test, 0, 1);
	KUNIT_EXPECT_EQ(test, first->called, 2);
	KUNIT_EXPECT_EQ(test, interval->called, 0);

	kfree(interval);
	remove(first);
}

static void remove_waits_for_the_end(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	struct waiter *waiter;

	mmu_notifier_invalidate_range_start(&range);
	waiter = run(test, remove_fn, interval);
	KUNIT_EXPECT_TRUE(test, waits(waiter));
	/* Until then it is called. */
	invalidate(test, 0, 1);
	KUNIT_EXPECT_EQ(test, interval->called, 2);
	KUNIT_EXPECT_TRUE(test, waits(waiter));
	mmu_notifier_invalidate_range_end(&range);
	expect_returned(test, waiter);

	invalidate(test, 0, 1);
	KUNIT_EXPECT_EQ(test, interval->called, 2);

	kfree(interval);
}

static void interval_refuses(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct test_list *list = list_register(test, &list_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	struct waiter *waiter;

	interval->refuse = NONBLOCKING;
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, interval->called, 1);
	/* The list notifier is called in any case, and ended at once. */
	KUNIT_EXPECT_LT(test, interval->order, list->order);
	KUNIT_EXPECT_EQ(test, list->started, 1);
	KUNIT_EXPECT_EQ(test, list->ended, 1);

	/* It has no end to wait for. */
	waiter = run(test, remove_fn, interval);
	expect_returned(test, waiter);

	kfree(interval);
	list_unregister(list);
}

static void interval_refuses_between_others(struct kunit *test)
{
	struct test_interval *first = insert(test, 0, 1, &interval_ops);
	struct test_interval *refuses = insert(test, 1, 2, &interval_ops);
	struct test_interval *last = insert(test, 2, 3, &interval_ops);
	struct mmu_notifier_range range = pages(test, 0, 3);
	unsigned long seq = mmu_interval_read_begin(&first->sub);
	struct waiter *waiter;

	refuses->refuse = NONBLOCKING;
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, first->called, 1);
	KUNIT_EXPECT_TRUE(test, collides(first, seq));
	KUNIT_EXPECT_FALSE(test, collides(refuses, seq));
	KUNIT_EXPECT_EQ(test, last->called, 1);
	KUNIT_EXPECT_TRUE(test, collides(last, seq));

	waiter = run(test, read_begin_fn, first);
	expect_returned(test, waiter);

	remove(last);
	remove(refuses);
	remove(first);
}

/* The OOM reaper tries ten times. */
static void refusals_do_not_end_the_round(struct kunit *test)
{
	struct test_list *list = list_register(test, &list_ops);
	struct test_list *busy_list = list_register(test, &refusing_ops);
	struct mmu_notifier_range range = pages(test, 0, 12);
	struct test_interval *busy[12];
	int tries = 0;
	int ret;

	busy_list->refuse = NEXT_NONBLOCKING;
	for (int i = 0; i < ARRAY_SIZE(busy); i++) {
		busy[i] = insert(test, i, i + 1, &interval_ops);
		busy[i]->refuse = NEXT_NONBLOCKING;
	}

	do {
		ret = mmu_notifier_invalidate_range_start_nonblock(&range);
		tries++;
	} while (ret == -EAGAIN && tries < 100);

	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ(test, tries, 2);
	for (int i = 0; i < ARRAY_SIZE(busy); i++)
		KUNIT_EXPECT_EQ(test, busy[i]->called, 2);
	KUNIT_EXPECT_EQ(test, busy_list->started, 2);
	KUNIT_EXPECT_EQ(test, list->started, 2);
	KUNIT_EXPECT_EQ(test, list->ended, 1);
	mmu_notifier_invalidate_range_end(&range);
	KUNIT_EXPECT_EQ(test, list->ended, 2);

	for (int i = 0; i < ARRAY_SIZE(busy); i++)
		remove(busy[i]);
	list_unregister(busy_list);
	list_unregister(list);
}

static void list_refuses_after_intervals(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct test_list *refuses = list_register(test, &refusing_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	struct waiter *waiter;

	refuses->refuse = NONBLOCKING;
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, interval->called, 1);

	waiter = run(test, read_begin_fn, interval);
	expect_returned(test, waiter);
	waiter = run(test, remove_fn, interval);
	expect_returned(test, waiter);

	kfree(interval);
	list_unregister(refuses);
}

static void list_refuses_before_others(struct kunit *test)
{
	struct test_list *last = list_register(test, &list_ops);
	struct test_list *refuses = list_register(test, &refusing_ops);
	struct test_list *first = list_register(test, &list_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);

	refuses->refuse = NONBLOCKING;
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mmu_notifier_invalidate_range_start_nonblock(&range));

	/* All are called, and all started ones are ended. */
	KUNIT_EXPECT_LT(test, first->order, refuses->order);
	KUNIT_EXPECT_LT(test, refuses->order, last->order);
	KUNIT_EXPECT_EQ(test, first->started, 1);
	KUNIT_EXPECT_EQ(test, first->ended, 1);
	KUNIT_EXPECT_EQ(test, last->started, 1);
	KUNIT_EXPECT_EQ(test, last->ended, 1);

	list_unregister(first);
	list_unregister(refuses);
	list_unregister(last);
}

static void nobody_refuses(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct test_list *list = list_register(test, &list_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);

	KUNIT_ASSERT_EQ(test, 0,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, interval->called, 1);
	KUNIT_EXPECT_LT(test, interval->order, list->order);
	KUNIT_EXPECT_EQ(test, list->started, 1);
	KUNIT_EXPECT_EQ(test, list->ended, 0);
	mmu_notifier_invalidate_range_end(&range);
	KUNIT_EXPECT_EQ(test, list->ended, 1);

	list_unregister(list);
	remove(interval);
}

static void refusal_of_a_blockable_range_is_warned_of(struct kunit *test)
{
	struct test_interval *refuses = insert(test, 0, 1, &interval_ops);
	struct test_interval *other = insert(test, 1, 2, &interval_ops);
	struct mmu_notifier_range range = pages(test, 0, 2);

	refuses->refuse = EVERYTHING;
	kunit_warning_suppress(test) {
		mmu_notifier_invalidate_range_start(&range);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	KUNIT_EXPECT_EQ(test, other->called, 1);
	mmu_notifier_invalidate_range_end(&range);

	remove(other);
	remove(refuses);
}

static void list_refusal_of_a_blockable_range_is_warned_of(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct test_list *list = list_register(test, &list_ops);
	struct test_list *refuses = list_register(test, &refusing_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	struct waiter *waiter;

	refuses->refuse = EVERYTHING;
	kunit_warning_suppress(test) {
		mmu_notifier_invalidate_range_start(&range);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}

	/*
	 * The caller does not see the refusal, so the invalidation continues.
	 */
	waiter = run(test, read_begin_fn, interval);
	KUNIT_EXPECT_TRUE(test, waits(waiter));
	KUNIT_EXPECT_EQ(test, list->ended, 0);
	mmu_notifier_invalidate_range_end(&range);
	KUNIT_EXPECT_EQ(test, list->ended, 1);
	expect_returned(test, waiter);

	remove(interval);
	list_unregister(refuses);
	list_unregister(list);
}

static void callbacks_are_in_a_section(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct test_interval *two_pass = insert(test, 1, 2, &two_pass_ops);
	struct test_list *list = list_register(test, &list_ops);
	struct mmu_notifier_range range = pages(test, 0, 2);
	int expected = IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP);

	mmu_notifier_invalidate_range_start(&range);
	KUNIT_EXPECT_EQ(test, interval->sections, 0);
	KUNIT_EXPECT_EQ(test, two_pass->sections, 0);
	KUNIT_EXPECT_EQ(test, list->sections, 0);
	mmu_notifier_invalidate_range_end(&range);
	KUNIT_EXPECT_EQ(test, list->sections, 0);

	KUNIT_EXPECT_EQ(test, 0,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, interval->sections, expected);
	KUNIT_EXPECT_EQ(test, two_pass->sections, expected);
	KUNIT_EXPECT_EQ(test, list->sections, expected);
	list->sections = 0;
	mmu_notifier_invalidate_range_end(&range);
	KUNIT_EXPECT_EQ(test, list->sections, expected);

	two_pass->two_passes = true;
	two_pass->sections = 0;
	KUNIT_EXPECT_EQ(test, 0,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, two_pass->finished, 1);
	KUNIT_EXPECT_EQ(test, two_pass->sections, expected);
	mmu_notifier_invalidate_range_end(&range);

	KUNIT_EXPECT_EQ(test, sections(), 0);

	list_unregister(list);
	remove(two_pass);
	remove(interval);
}

static void unwinding_is_in_a_section(struct kunit *test)
{
	struct test_list *list = list_register(test, &list_ops);
	struct test_list *refuses = list_register(test, &refusing_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	int expected = IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP);

	refuses->refuse = NONBLOCKING;
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, list->ended, 1);
	/* This is the warning of the end, which came last. */
	KUNIT_EXPECT_EQ(test, list->sections, expected);
	KUNIT_EXPECT_EQ(test, sections(), 0);

	list_unregister(refuses);
	list_unregister(list);
}

static void two_passes_in_order(struct kunit *test)
{
	struct test_interval *first = insert(test, 0, 1, &two_pass_ops);
	struct test_interval *single = insert(test, 1, 2, &two_pass_ops);
	struct test_interval *last = insert(test, 2, 3, &two_pass_ops);

	first->two_passes = true;
	last->two_passes = true;
	invalidate(test, 0, 3);

	KUNIT_EXPECT_EQ(test, first->order, 1);
	KUNIT_EXPECT_EQ(test, single->order, 2);
	KUNIT_EXPECT_EQ(test, last->order, 3);
	KUNIT_EXPECT_EQ(test, first->finish_order, 4);
	KUNIT_EXPECT_EQ(test, last->finish_order, 5);
	KUNIT_EXPECT_EQ(test, single->finished, 0);

	remove(last);
	remove(single);
	remove(first);
}

static void two_passes_and_a_refusal(struct kunit *test)
{
	struct test_interval *first = insert(test, 0, 1, &two_pass_ops);
	struct test_interval *refuses = insert(test, 1, 2, &two_pass_ops);
	struct test_interval *last = insert(test, 2, 3, &two_pass_ops);
	struct test_list *list = list_register(test, &list_ops);
	struct mmu_notifier_range range = pages(test, 0, 3);
	struct waiter *waiter;

	first->two_passes = true;
	refuses->two_passes = true;
	refuses->refuse = NONBLOCKING;
	last->two_passes = true;
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, first->finished, 1);
	KUNIT_EXPECT_EQ(test, refuses->finished, 0);
	KUNIT_EXPECT_EQ(test, last->finished, 1);
	/* The second pass comes before the list. */
	KUNIT_EXPECT_LT(test, first->finish_order, last->finish_order);
	KUNIT_EXPECT_LT(test, last->finish_order, list->order);

	waiter = run(test, read_begin_fn, first);
	expect_returned(test, waiter);

	list_unregister(list);
	remove(last);
	remove(refuses);
	remove(first);
}

static void range_has_no_owner(struct kunit *test)
{
	struct test_context *ctx = test->priv;
	struct mmu_notifier_range range;

	memset(&range, 0xff, sizeof(range));
	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, ctx->mm, 0, 1);
	KUNIT_EXPECT_NULL(test, range.owner);

	mmu_notifier_range_init_owner(&range, MMU_NOTIFY_MIGRATE, 0, ctx->mm, 0,
				      1, ctx);
	KUNIT_EXPECT_PTR_EQ(test, range.owner, ctx);
}

static void release_at_exit(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &two_pass_ops);
	struct test_list *list = list_register(test, &list_ops);
	struct test_context *ctx = test->priv;
	struct mm_struct *mm = ctx->mm;
	struct waiter *waiter;

	interval->two_passes = true;
	/* A test may check it later. */
	mmgrab(mm);
	mmput(mm);
	ctx->mm = NULL;

	KUNIT_EXPECT_EQ(test, list->released, 1);
	KUNIT_EXPECT_EQ(test, list->started, 0);
	KUNIT_EXPECT_EQ(test, interval->called, 1);
	KUNIT_EXPECT_EQ(test, interval->finished, 1);
	KUNIT_EXPECT_EQ(test, (int)interval->range.event, MMU_NOTIFY_RELEASE);
	KUNIT_EXPECT_EQ(test, interval->range.start, 0);
	KUNIT_EXPECT_EQ(test, interval->range.end, ULONG_MAX);
	KUNIT_EXPECT_TRUE(test, mmu_notifier_range_blockable(&interval->range));

	waiter = run(test, read_begin_fn, interval);
	expect_returned(test, waiter);

	mmu_notifier_unregister(&list->sub, mm);
	KUNIT_EXPECT_EQ(test, list->released, 1);
	kfree(list);
	remove(interval);
	mmdrop(mm);
}

static void release_at_unregister(struct kunit *test)
{
	struct test_list *list = list_register(test, &list_ops);

	mmu_notifier_unregister(&list->sub, list->ctx->mm);
	KUNIT_EXPECT_EQ(test, list->released, 1);

	invalidate(test, 0, 1);
	KUNIT_EXPECT_EQ(test, list->started, 0);
	kfree(list);
}

static void young_is_any_or_the_first(struct kunit *test)
{
	struct test_list *last = list_register(test, &list_ops);
	struct test_list *first = list_register(test, &list_ops);
	struct test_context *ctx = test->priv;
	struct mm_struct *mm = ctx->mm;

	KUNIT_EXPECT_FALSE(test, mmu_notifier_test_young(mm, 0));
	first->young = true;
	KUNIT_EXPECT_TRUE(test, mmu_notifier_test_young(mm, 0));
	KUNIT_EXPECT_EQ(test, first->asked, 2);
	KUNIT_EXPECT_EQ(test, last->asked, 1);

	/* To clear, the core must call all notifiers. */
	KUNIT_EXPECT_TRUE(test, mmu_notifier_clear_young(mm, 0, PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test,
			  mmu_notifier_clear_flush_young(mm, 0, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, first->asked, 4);
	KUNIT_EXPECT_EQ(test, last->asked, 3);

	list_unregister(first);
	list_unregister(last);
}

static void secondary_tlbs_are_flushed(struct kunit *test)
{
	struct test_list *list = list_register(test, &flush_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);

	mmu_notifier_invalidate_range_start(&range);
	KUNIT_EXPECT_EQ(test, list->flushed, 0);
	mmu_notifier_arch_invalidate_secondary_tlbs(list->ctx->mm, 0,
						    PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, list->flushed, 1);
	mmu_notifier_invalidate_range_end(&range);
	list_unregister(list);
}

static void flush_and_start_exclude_each_other(struct kunit *test)
{
	struct test_list list = { .sub.ops = &flush_and_start_ops };
	struct test_context *ctx = test->priv;

	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, -EINVAL,
				mmu_notifier_register(&list.sub, ctx->mm));
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
}

/* Data shared with the free callback, which can be late. */
static struct {
	atomic_t left;
	struct completion freeing;
	struct completion freed;
	int left_after_synchronize;
} shared;

static struct mmu_notifier *shared_alloc(struct mm_struct *mm)
{
	struct mmu_notifier *new = kzalloc_obj(*new);

	return new ?: ERR_PTR(-ENOMEM);
}

static void shared_free(struct mmu_notifier *sub)
{
	u64 end = ktime_get_ns() + 100 * NSEC_PER_MSEC;

	complete(&shared.freeing);
	/* Longer than a grace period, whose end is no reason to return. */
	while (ktime_get_ns() < end)
		cpu_relax();
	kfree(sub);
	atomic_dec(&shared.left);
	complete(&shared.freed);
}

static const struct mmu_notifier_ops shared_ops = {
	.alloc_notifier = shared_alloc,
	.free_notifier = shared_free,
};

static int shared_put(void *sub)
{
	mmu_notifier_put(sub);
	return 0;
}

static int shared_synchronize(void *unused)
{
	/*
	 * Not earlier: a worker of the other CPU would have to end the grace
	 * period, and could not while it runs the callback.
	 */
	wait_for_completion_timeout(&shared.freeing, PATIENCE);
	mmu_notifier_synchronize();
	shared.left_after_synchronize = atomic_read(&shared.left);
	return 0;
}

static void synchronize_waits_for_free(struct kunit *test)
{
	struct test_context *ctx = test->priv;
	struct mmu_notifier *sub, *again;

	/*
	 * call_srcu() can have a queue of callbacks on each CPU. If it has,
	 * this takes some grace periods.
	 */
	for (int i = 0; i < 8; i++)
		list_unregister(list_register(test, &list_ops));

	init_completion(&shared.freeing);
	init_completion(&shared.freed);
	atomic_set(&shared.left, 1);
	sub = mmu_notifier_get(&shared_ops, ctx->mm);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sub);
	again = mmu_notifier_get(&shared_ops, ctx->mm);
	KUNIT_EXPECT_PTR_EQ(test, again, sub);
	mmu_notifier_put(again);
	mmu_notifier_synchronize();
	KUNIT_EXPECT_EQ(test, atomic_read(&shared.left), 1);

	KUNIT_EXPECT_EQ(test, 0, smp_call_on_cpu(cpumask_last(cpu_online_mask),
						 shared_put, sub, false));
	KUNIT_EXPECT_EQ(test, 0, smp_call_on_cpu(cpumask_first(cpu_online_mask),
						 shared_synchronize, NULL,
						 false));
	KUNIT_EXPECT_EQ(test, shared.left_after_synchronize, 0);

	/* It must not run after the test. */
	KUNIT_EXPECT_NE(test, 0,
			wait_for_completion_timeout(&shared.freed, PATIENCE));
}

static int mmu_notifier_test_init(struct kunit *test)
{
	struct test_context *ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);

	if (!ctx)
		return -ENOMEM;
	ctx->mm = mm_alloc();
	if (!ctx->mm)
		return -ENOMEM;
#ifdef CONFIG_DEBUG_MMU_NOTIFIER
	ctx->try_first = READ_ONCE(mmu_notifier_try_first);
	WRITE_ONCE(mmu_notifier_try_first, 0);
#endif
	test->priv = ctx;
	return 0;
}

static void mmu_notifier_test_exit(struct kunit *test)
{
	struct test_context *ctx = test->priv;

	if (!ctx)
		return;
#ifdef CONFIG_DEBUG_MMU_NOTIFIER
	WRITE_ONCE(mmu_notifier_try_first, ctx->try_first);
#endif
	if (ctx->mm)
		mmput(ctx->mm);
}

static struct kunit_case mmu_notifier_test_cases[] = {
	KUNIT_CASE(interval_is_half_open),
	KUNIT_CASE(insert_checks_the_range),
	KUNIT_CASE(insert_with_the_mmap_lock),
	KUNIT_CASE(missing_finish_is_refused),
	KUNIT_CASE(no_collision_without_invalidation),
	KUNIT_CASE(invalidation_collides),
	KUNIT_CASE(each_invalidation_has_its_seq),
	KUNIT_CASE(read_begin_waits_for_the_end),
	KUNIT_CASE(inserted_while_others_invalidate),
	KUNIT_CASE(insert_is_deferred),
	KUNIT_CASE(deferred_insert_is_removed),
	KUNIT_CASE(remove_waits_for_the_end),
	KUNIT_CASE(interval_refuses),
	KUNIT_CASE(interval_refuses_between_others),
	KUNIT_CASE(refusals_do_not_end_the_round),
	KUNIT_CASE(list_refuses_after_intervals),
	KUNIT_CASE(list_refuses_before_others),
	KUNIT_CASE(nobody_refuses),
	KUNIT_CASE(refusal_of_a_blockable_range_is_warned_of),
	KUNIT_CASE(list_refusal_of_a_blockable_range_is_warned_of),
	KUNIT_CASE(callbacks_are_in_a_section),
	KUNIT_CASE(unwinding_is_in_a_section),
	KUNIT_CASE(two_passes_in_order),
	KUNIT_CASE(two_passes_and_a_refusal),
	KUNIT_CASE(range_has_no_owner),
	KUNIT_CASE(release_at_exit),
	KUNIT_CASE(release_at_unregister),
	KUNIT_CASE(young_is_any_or_the_first),
	KUNIT_CASE(secondary_tlbs_are_flushed),
	KUNIT_CASE(flush_and_start_exclude_each_other),
	KUNIT_CASE(synchronize_waits_for_free),
	{}
};

static struct kunit_suite mmu_notifier_test_suite = {
	.name = "mmu_notifier",
	.init = mmu_notifier_test_init,
	.exit = mmu_notifier_test_exit,
	.test_cases = mmu_notifier_test_cases,
};

kunit_test_suite(mmu_notifier_test_suite);

#if defined(CONFIG_PROVE_LOCKING) && !defined(MODULE)

static void synchronize_in_callback(void *data)
{
	struct test_list *list = data;
	struct mmu_notifier_range range;

	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, list->ctx->mm, 0,
				PAGE_SIZE);
	list->synchronize = true;
	mmu_notifier_invalidate_range_start(&range);
	list->synchronize = false;
	mmu_notifier_invalidate_range_end(&range);
}

/* It would wait for itself if a notifier had just been put. */
static void synchronize_in_callback_is_reported(struct kunit *test)
{
	struct test_list *list = list_register(test, &list_ops);

	invalidate(test, 0, 1);
	mmu_notifier_synchronize();
	lockdep_kunit_expect(test, "mmu_notifier_lockdep",
			     "possible recursive locking detected",
			     synchronize_in_callback, list);
	list_unregister(list);
}

static struct kunit_case mmu_notifier_lockdep_test_cases[] = {
	KUNIT_CASE(synchronize_in_callback_is_reported),
	{}
};

static struct kunit_suite mmu_notifier_lockdep_test_suite = {
	.name = "mmu_notifier_lockdep",
	.init = mmu_notifier_test_init,
	.exit = mmu_notifier_test_exit,
	.test_cases = mmu_notifier_lockdep_test_cases,
};

kunit_test_suite(mmu_notifier_lockdep_test_suite);

#endif

MODULE_DESCRIPTION("Tests for MMU notifiers");
MODULE_LICENSE("GPL");
