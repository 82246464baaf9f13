// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for lockdep reports about MMU notifiers that can wait for the
 * exit of an address space, or at its exit
 *
 * They never drop the last user: the report must not depend on it. See
 * lockdep_kunit.h for when a test provokes a report at all.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>

#include "lockdep_kunit.h"

MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
MODULE_DESCRIPTION("Tests for mmput() in MMU notifiers");
MODULE_LICENSE("GPL");

#if defined(CONFIG_PROVE_LOCKING) && !defined(MODULE)

struct test_context {
	/* A permanent address space, and a removable notifier. */
	struct mm_struct *other;
	struct mmu_interval_notifier other_interval;
	bool removed;

	/*
	 * An address space that is invalidated and exits, and the work of its
	 * callbacks.
	 */
	struct mmu_interval_notifier interval;
	struct mmu_notifier list;
	struct work_struct work;
	struct task_struct *flusher;
	void (*in_interval)(struct test_context *ctx);
	void (*in_interval_at_exit)(struct test_context *ctx);
	void (*in_list)(struct test_context *ctx);
	void (*in_list_at_exit)(struct test_context *ctx);
};

static void call(void (*fn)(struct test_context *ctx), struct test_context *ctx)
{
	if (fn)
		fn(ctx);
}

static bool invalidate(struct mmu_interval_notifier *sub,
		       const struct mmu_notifier_range *range,
		       unsigned long cur_seq)
{
	struct test_context *ctx = container_of(sub, struct test_context,
						interval);

	mmu_interval_set_seq(sub, cur_seq);
	if (range->event == MMU_NOTIFY_RELEASE)
		call(ctx->in_interval_at_exit, ctx);
	else
		call(ctx->in_interval, ctx);
	return true;
}

static const struct mmu_interval_notifier_ops interval_ops = {
	.invalidate = invalidate,
};

static int start(struct mmu_notifier *sub,
		 const struct mmu_notifier_range *range)
{
	struct test_context *ctx = container_of(sub, struct test_context, list);

	call(ctx->in_list, ctx);
	return 0;
}

static void release(struct mmu_notifier *sub, struct mm_struct *mm)
{
	struct test_context *ctx = container_of(sub, struct test_context, list);

	call(ctx->in_list_at_exit, ctx);
}

static const struct mmu_notifier_ops list_ops = {
	.invalidate_range_start = start,
	.release = release,
};

static bool other_invalidate(struct mmu_interval_notifier *sub,
			     const struct mmu_notifier_range *range,
			     unsigned long cur_seq)
{
	return true;
}

static const struct mmu_interval_notifier_ops other_interval_ops = {
	.invalidate = other_invalidate,
};

static void put(struct test_context *ctx)
{
	mmget(ctx->other);
	mmput(ctx->other);
}

static void put_async(struct test_context *ctx)
{
	mmget(ctx->other);
	mmput_async(ctx->other);
}

/* flush_work() does not wait for a completed work item, and lockdep knows. */
static struct test_context *flushed_context(struct work_struct *work)
{
	struct test_context *ctx = container_of(work, struct test_context, work);

	while (READ_ONCE(ctx->flusher->__state) != TASK_UNINTERRUPTIBLE)
		usleep_range(100, 200);
	return ctx;
}

static void put_fn(struct work_struct *work)
{
	put(flushed_context(work));
}

static void put_async_fn(struct work_struct *work)
{
	put_async(flushed_context(work));
}

static void run_and_flush(struct test_context *ctx)
{
	ctx->flusher = current;
	queue_work(system_dfl_wq, &ctx->work);
	flush_work(&ctx->work);
}

static void flush_put(struct test_context *ctx)
{
	INIT_WORK(&ctx->work, put_fn);
	run_and_flush(ctx);
}

static void flush_put_async(struct test_context *ctx)
{
	INIT_WORK(&ctx->work, put_async_fn);
	run_and_flush(ctx);
}

/* This does not wait, because there is no invalidation. */
static void remove_other(struct test_context *ctx)
{
	mmu_interval_notifier_remove(&ctx->other_interval);
	ctx->removed = true;
}

static void invalidate_and_exit(void *data)
{
	struct test_context *ctx = data;
	struct mm_struct *mm = mm_alloc();
	struct mmu_notifier_range range;

	if (WARN_ON(!mm))
		return;
	mmgrab(mm);

	ctx->removed = false;
	ctx->list.ops = &list_ops;
	WARN_ON(mmu_notifier_register(&ctx->list, mm));
	WARN_ON(mmu_interval_notifier_insert(&ctx->interval, mm, 0, PAGE_SIZE,
					     &interval_ops));
	WARN_ON(mmu_interval_notifier_insert(&ctx->other_interval, ctx->other,
					     0, PAGE_SIZE,
					     &other_interval_ops));

	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, mm, 0, PAGE_SIZE);
	mmu_notifier_invalidate_range_start(&range);
	mmu_notifier_invalidate_range_end(&range);
	mmput(mm);

	if (!ctx->removed)
		mmu_interval_notifier_remove(&ctx->other_interval);
	mmu_interval_notifier_remove(&ctx->interval);
	mmu_notifier_unregister(&ctx->list, mm);
	mmdrop(mm);
}

#define RECURSIVE	"possible recursive locking detected"
#define CIRCULAR	"possible circular locking dependency detected"

/* Run the silent variant in a callback, and then the reported one. */
static void expect(struct kunit *test, const char *report,
		   void (**in)(struct test_context *ctx),
		   void (*silent)(struct test_context *ctx),
		   void (*reported)(struct test_context *ctx))
{
	*in = silent;
	invalidate_and_exit(test->priv);
	*in = reported;
	lockdep_kunit_expect(test, "mmput_lockdep", report, invalidate_and_exit,
			     test->priv);
}

static void put_in_interval(struct kunit *test)
{
	struct test_context *ctx = test->priv;

	expect(test, RECURSIVE, &ctx->in_interval, put_async, put);
}

static void put_in_interval_at_exit(struct kunit *test)
{
	struct test_context *ctx = test->priv;

	expect(test, RECURSIVE, &ctx->in_interval_at_exit, put_async, put);
}

static void put_in_list(struct kunit *test)
{
	struct test_context *ctx = test->priv;

	expect(test, RECURSIVE, &ctx->in_list, put_async, put);
}

static void put_in_list_at_exit(struct kunit *test)
{
	struct test_context *ctx = test->priv;

	expect(test, RECURSIVE, &ctx->in_list_at_exit, put_async, put);
}

static void flush_of_put_in_list_at_exit(struct kunit *test)
{
	struct test_context *ctx = test->priv;

	expect(test, CIRCULAR, &ctx->in_list_at_exit, flush_put_async,
	       flush_put);
}

/* The walk over the intervals is over when the list is called. */
static void interval_removed_in_interval_at_exit(struct kunit *test)
{
	struct test_context *ctx = test->priv;

	ctx->in_list_at_exit = remove_other;
	invalidate_and_exit(ctx);
	ctx->in_list_at_exit = NULL;
	expect(test, RECURSIVE, &ctx->in_interval_at_exit, NULL, remove_other);
}

static int mmput_test_init(struct kunit *test)
{
	struct test_context *ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);

	if (!ctx)
		return -ENOMEM;
	ctx->other = mm_alloc();
	if (!ctx->other)
		return -ENOMEM;
	test->priv = ctx;
	return 0;
}

static void mmput_test_exit(struct kunit *test)
{
	struct test_context *ctx = test->priv;

	if (ctx)
		mmput(ctx->other);
}

static struct kunit_case mmput_lockdep_test_cases[] = {
	KUNIT_CASE(put_in_interval),
	KUNIT_CASE(put_in_interval_at_exit),
	KUNIT_CASE(put_in_list),
	KUNIT_CASE(put_in_list_at_exit),
	KUNIT_CASE(flush_of_put_in_list_at_exit),
	KUNIT_CASE(interval_removed_in_interval_at_exit),
	{}
};

static struct kunit_suite mmput_lockdep_test_suite = {
	.name = "mmput_lockdep",
	.init = mmput_test_init,
	.exit = mmput_test_exit,
	.test_cases = mmput_lockdep_test_cases,
};

kunit_test_suite(mmput_lockdep_test_suite);

#endif
