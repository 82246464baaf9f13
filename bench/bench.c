// SPDX-License-Identifier: GPL-2.0
/*
 * What MMU notifiers cost in C and in Rust: both are made to do the same, in
 * turns, several times, and each line of the log says what one case cost one
 * of them. The unit is that of the clock, see bench_clock(). tools/bench.py
 * boots it and does the sums.
 */

#define pr_fmt(fmt) "bench: " fmt

#include <kunit/test.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
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
 * struct layout - what there is when something is measured
 * @kind: gives the kind of a twin's notifiers
 * @bytes: bytes of memory that are mapped and invalidated
 * @hits: interval notifiers in it, one page each
 * @others: the other notifiers of the address space
 */
struct layout {
	const struct kind *(*kind)(const struct twin *twin);
	unsigned long bytes;
	unsigned int hits;
	unsigned int others;
};

/**
 * struct step - something that is measured
 * @name: what it is called in the table
 * @before: what has to be done each time before it
 * @work: what is measured
 * @after: what has to be done each time after it
 * @around: calls the function that it is passed
 * @batch: how often @work is done each time
 */
struct step {
	const char *name;
	void (*before)(struct side *side);
	void (*work)(struct side *side);
	void (*after)(struct side *side);
	void (*around)(struct side *side, void (*f)(void *arg), void *arg);
	unsigned int batch;
};

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
#define MORE		100
#define REPS		101
#else
#define bench_clock()	get_cycles()
#define MORE		1
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
		    const struct layout *layout, const struct step *step)
{
	bool few = layout->hits == MOST || layout->others == MOST;
	unsigned int batch = step->batch > 1 ? step->batch * MORE : 1;
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
				.work = twins[who] ? step->work : nothing,
				.batch = batch,
			};

			kthread_use_mm(side->mm);
			if (twins[who] && step->before)
				step->before(side);
			if (twins[who] && step->around)
				step->around(side, run, &sample);
			else
				run(&sample);
			if (twins[who] && step->after)
				step->after(side);
			kthread_unuse_mm(side->mm);
			costs[who * reps + rep] = sample.cost;
		}
	}

	for (who = 0; who < ARRAY_SIZE(twins); who++) {
		u64 *own = &costs[who * reps];

		sort(own, reps, sizeof(*own), compare, NULL);
		pr_info("cost: case=%s bytes=%lu hits=%u others=%u who=%s batch=%u q1=%llu median=%llu q3=%llu\n",
			step->name, layout->bytes, layout->hits, layout->others,
			twins[who] ? twins[who]->name : "loop", batch,
			own[reps / 4], own[reps / 2], own[reps * 3 / 4]);
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

static const struct kind *interval(const struct twin *twin)
{
	return &twin->interval;
}

static const struct kind *two_pass(const struct twin *twin)
{
	return &twin->two_pass;
}

static const struct kind *list(const struct twin *twin)
{
	return &twin->list;
}

static const struct kind *counted(const struct twin *twin)
{
	return &twin->counted;
}

static const struct kind *arch(const struct twin *twin)
{
	return &twin->arch;
}

static bool is_interval(const struct layout *layout)
{
	return layout->kind == interval || layout->kind == two_pass;
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

	if (is_interval(layout)) {
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
		  const struct layout *layout)
{
	int ret;

	side->twin = twin;
	side->kind = layout->kind(twin);
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

static void measure_steps(struct kunit *test, const struct layout *layout,
			  const struct step *steps, size_t len)
{
	struct side *sides = kunit_kcalloc(test, ARRAY_SIZE(twins),
					   sizeof(*sides), GFP_KERNEL);
	unsigned long work[ARRAY_SIZE(twins)] = {};
	unsigned int who, i;

	KUNIT_ASSERT_NOT_NULL(test, sides);
	for (who = 1; who < ARRAY_SIZE(twins); who++)
		KUNIT_ASSERT_EQ(test, 0,
				set_up(&sides[who], twins[who], layout));
	for (i = 0; i < len; i++)
		measure(test, sides, layout, &steps[i]);
	for (who = 1; who < ARRAY_SIZE(twins); who++) {
		struct side *side = &sides[who];

		for (i = 0; i < side->count; i++)
			work[who] += side->kind->work(slot(side, i));
		tear_down(side, layout);
	}

	/* Else it was not the same that was measured. */
	KUNIT_EXPECT_EQ(test, work[2], work[3]);
	KUNIT_EXPECT_EQ(test, !work[2], !layout->hits);
}

/* A non-blocking section. */

static void do_section(struct side *side)
{
	side->twin->section();
}

static void section(struct kunit *test)
{
	static const struct step steps[] = {
		{ .name = "section", .work = do_section, .batch = 1000 },
	};
	static const struct layout layout = {
		.kind = interval, .bytes = PAGE_SIZE,
	};

	measure_steps(test, &layout, steps, ARRAY_SIZE(steps));
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

static void register_interval(struct kunit *test)
{
	static const struct step steps[] = {
		{ .name = "interval-insert", .work = do_insert_middle,
		  .after = do_remove, .batch = 1 },
		{ .name = "interval-remove", .before = do_insert_middle,
		  .work = do_remove, .batch = 1 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		struct layout layout = {
			.kind = interval, .bytes = PAGE_SIZE,
			.others = counts[i],
		};

		measure_steps(test, &layout, steps, ARRAY_SIZE(steps));
	}
}

static void register_list(struct kunit *test)
{
	static const struct step steps[] = {
		{ .name = "list-register", .work = do_insert,
		  .after = do_remove, .batch = 1 },
		{ .name = "list-unregister", .before = do_insert,
		  .work = do_remove, .batch = 1 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		struct layout layout = {
			.kind = list, .bytes = PAGE_SIZE, .others = counts[i],
		};

		measure_steps(test, &layout, steps, ARRAY_SIZE(steps));
	}
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

static void invalidate(struct kunit *test)
{
	static const struct step steps[] = {
		{ .name = "invalidate", .work = do_invalidate, .batch = 1 },
		{ .name = "madvise", .before = touch, .work = do_dontneed,
		  .batch = 1 },
		{ .name = "mprotect", .before = unprotect_and_touch,
		  .work = do_protect, .after = unprotect, .batch = 1 },
		{ .name = "munmap", .work = unmap_memory,
		  .after = map_and_touch, .batch = 1 },
	};
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (j = 0; j < ARRAY_SIZE(hits); j++) {
			/* With another, or there might be no tree. */
			struct layout layout = {
				.kind = interval, .bytes = sizes[i],
				.hits = hits[j], .others = 1,
			};

			measure_steps(test, &layout, steps, ARRAY_SIZE(steps));
		}
	}
}

/* One that is hit has to be found among others. */
static void find(struct kunit *test)
{
	static const struct step steps[] = {
		{ .name = "find", .work = do_invalidate, .batch = 100 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		struct layout layout = {
			.kind = interval, .bytes = PAGE_SIZE, .hits = 1,
			.others = counts[i],
		};

		measure_steps(test, &layout, steps, ARRAY_SIZE(steps));
	}
}

/* Callbacks: what they cost is what is left without the core. */

static void around_locked(struct side *side, void (*f)(void *arg), void *arg)
{
	side->twin->locked(slot(side, 0), f, arg);
}

static void callback_interval(struct kunit *test)
{
	static const struct step steps[] = {
		{ .name = "interval-invalidate", .work = do_invalidate,
		  .batch = 100 },
		{ .name = "interval-nonblock", .work = do_invalidate_nonblock,
		  .batch = 100 },
		{ .name = "interval-refused", .work = do_invalidate_nonblock,
		  .around = around_locked, .batch = 100 },
	};
	static const struct layout layout = {
		.kind = interval, .bytes = PAGE_SIZE, .hits = 1,
	};

	measure_steps(test, &layout, steps, ARRAY_SIZE(steps));
}

static void callback_two_pass(struct kunit *test)
{
	static const struct step steps[] = {
		{ .name = "two-pass-invalidate", .work = do_invalidate,
		  .batch = 100 },
		{ .name = "two-pass-nonblock", .work = do_invalidate_nonblock,
		  .batch = 100 },
	};
	static const struct layout layout = {
		.kind = two_pass, .bytes = PAGE_SIZE, .hits = 1,
	};

	measure_steps(test, &layout, steps, ARRAY_SIZE(steps));
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

static void callback_list(struct kunit *test)
{
	static const struct step steps[] = {
		{ .name = "list-start", .work = do_invalidate, .batch = 100 },
		{ .name = "list-try-start", .work = do_invalidate_nonblock,
		  .batch = 100 },
		{ .name = "list-clear-flush-young",
		  .work = do_clear_flush_young, .batch = 100 },
		{ .name = "list-clear-young", .work = do_clear_young,
		  .batch = 100 },
		{ .name = "list-test-young", .work = do_test_young,
		  .batch = 100 },
	};
	static const struct layout layout = {
		.kind = list, .bytes = PAGE_SIZE, .hits = 1,
	};

	measure_steps(test, &layout, steps, ARRAY_SIZE(steps));
}

static void callback_counted(struct kunit *test)
{
	static const struct step steps[] = {
		{ .name = "list-start-end", .work = do_invalidate,
		  .batch = 100 },
		{ .name = "list-try-start-end", .work = do_invalidate_nonblock,
		  .batch = 100 },
	};
	static const struct layout layout = {
		.kind = counted, .bytes = PAGE_SIZE, .hits = 1,
	};

	measure_steps(test, &layout, steps, ARRAY_SIZE(steps));
}

static void do_arch_invalidate(struct side *side)
{
	mmu_notifier_arch_invalidate_secondary_tlbs(side->mm, side->addr,
						    side->addr + PAGE_SIZE);
}

static void callback_arch(struct kunit *test)
{
	static const struct step steps[] = {
		{ .name = "arch-invalidate", .work = do_arch_invalidate,
		  .batch = 100 },
	};
	static const struct layout layout = {
		.kind = arch, .bytes = PAGE_SIZE, .hits = 1,
	};

	measure_steps(test, &layout, steps, ARRAY_SIZE(steps));
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

static void readers(struct kunit *test)
{
	static const struct step steps[] = {
		{ .name = "read", .work = do_read, .batch = 100 },
		{ .name = "read-collision", .work = do_collide, .batch = 100 },
	};
	static const struct layout layout = {
		.kind = interval, .bytes = PAGE_SIZE, .hits = 1,
	};

	measure_steps(test, &layout, steps, ARRAY_SIZE(steps));
}

/* The notifier that there is one of for each mm. */

static void do_get_put(struct side *side)
{
	side->twin->got(side->mm, NULL, NULL);
}

/* Until it is freed. */
static void synchronize(struct side *side)
{
	mmu_notifier_synchronize();
}

static void around_got(struct side *side, void (*f)(void *arg), void *arg)
{
	side->twin->got(side->mm, f, arg);
}

static void get_put(struct kunit *test)
{
	static const struct step steps[] = {
		{ .name = "get-put-first", .work = do_get_put,
		  .after = synchronize, .batch = 1 },
		{ .name = "get-put-again", .work = do_get_put,
		  .around = around_got, .after = synchronize, .batch = 100 },
	};
	static const struct layout layout = {
		.kind = interval, .bytes = PAGE_SIZE,
	};

	measure_steps(test, &layout, steps, ARRAY_SIZE(steps));
}

/* Bytes of a registration. */
static void memory(struct kunit *test)
{
	unsigned int who;

	for (who = 1; who < ARRAY_SIZE(twins); who++) {
		const struct twin *twin = twins[who];

		pr_info("size: who=%s interval=%zu two_pass=%zu list=%zu counted=%zu arch=%zu\n",
			twin->name, twin->interval.size, twin->two_pass.size,
			twin->list.size, twin->counted.size, twin->arch.size);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(memory),
	KUNIT_CASE(section),
	KUNIT_CASE(callback_interval),
	KUNIT_CASE(callback_two_pass),
	KUNIT_CASE(callback_list),
	KUNIT_CASE(callback_counted),
	KUNIT_CASE(callback_arch),
	KUNIT_CASE(readers),
	KUNIT_CASE(get_put),
	KUNIT_CASE_SLOW(find),
	KUNIT_CASE_SLOW(register_interval),
	KUNIT_CASE_SLOW(register_list),
	KUNIT_CASE_SLOW(invalidate),
	{}
};

static struct kunit_suite suite = {
	.name = "mmu_notifier_bench",
	.test_cases = cases,
};

kunit_test_suite(suite);
