/* SPDX-License-Identifier: GPL-2.0 */
/* As much of a kernel as the controls need: the same names, and the same ways to sleep. */

typedef unsigned int gfp_t;
typedef _Bool bool;
typedef unsigned char u8;
typedef unsigned long size_t;
#define NULL ((void *)0)
#define noinline __attribute__((noinline))
#define GFP_ATOMIC 0x820u
#define GFP_NOWAIT 0x2800u
#define GFP_KERNEL 0xcc0u
#define __GFP_DIRECT_RECLAIM 0x400u
#define __GFP_ZERO 0x100u
#define container_of(p, type, member) ((type *)((char *)(p) - __builtin_offsetof(type, member)))

enum { MMU_NOTIFY_UNMAP, MMU_NOTIFY_CLEAR, MMU_NOTIFY_MIGRATE = 5 };
struct mmu_notifier_range {
	void *mm;
	unsigned long start, end;
	unsigned int flags;
	int event;
	void *owner;
};
struct mmu_interval_notifier { const void *ops; };
struct mmu_notifier { const void *ops; };
struct mmu_interval_notifier_ops {
	bool (*invalidate)(struct mmu_interval_notifier *mni, const struct mmu_notifier_range *range,
			   unsigned long seq);
	bool (*invalidate_start)(struct mmu_interval_notifier *mni, const struct mmu_notifier_range *range,
				 unsigned long seq, void **finish);
	void (*invalidate_finish)(void *finish);
};
struct mmu_notifier_ops {
	void (*release)(struct mmu_notifier *mn, void *mm);
	int (*clear_flush_young)(struct mmu_notifier *mn, void *mm, unsigned long start, unsigned long end);
	int (*clear_young)(struct mmu_notifier *mn, void *mm, unsigned long start, unsigned long end);
	int (*test_young)(struct mmu_notifier *mn, void *mm, unsigned long address);
	int (*invalidate_range_start)(struct mmu_notifier *mn, const struct mmu_notifier_range *range);
	void (*invalidate_range_end)(struct mmu_notifier *mn, const struct mmu_notifier_range *range);
};

static inline bool mmu_notifier_range_blockable(const struct mmu_notifier_range *range)
{
	return range->flags & 1;
}

struct task_struct {
	long state;
	unsigned int flags;
	int non_block_count;
};
extern struct task_struct *current_task;

static inline struct task_struct *get_current(void)
{
	struct task_struct *task;

	asm("movq %%gs:%a1, %0" : "=r"(task) : "i"(&current_task));
	return task;
}

#define current get_current()
#define PF_MEMALLOC 0x800u
#define PF_MEMALLOC_NOFS 0x40000u

static inline unsigned int memalloc_flags_save(unsigned int flags)
{
	unsigned int old = ~current->flags & flags;

	current->flags |= flags;
	return old;
}

static inline void memalloc_flags_restore(unsigned int flags)
{
	current->flags &= ~flags;
}

#define memalloc_noreclaim_save() memalloc_flags_save(PF_MEMALLOC)
#define memalloc_noreclaim_restore(flags) memalloc_flags_restore(flags)
#define non_block_start() (current->non_block_count++)
#define non_block_end() do { if (current->non_block_count-- == 0) warn("no section"); } while (0)

/* Some of these are in kernel.c, others nowhere. */
void __might_sleep(const char *file, int line);
void schedule(void);
long schedule_timeout(long timeout);
void mutex_lock(void *m);
bool mutex_trylock(void *m);
void msleep(unsigned int ms);
void panic(const char *why) __attribute__((noreturn));
void warn(const char *why);
void *slab_alloc(size_t size, gfp_t gfp);
void free_page_of(void *p);
unsigned int scope_begins(gfp_t gfp);
void scope_ends(unsigned int flags);
void section_begins(void);
void section_ends(void);
void nowhere(void);
void weak_one(void *p);

static inline bool gfpflags_allow_blocking(gfp_t gfp)
{
	return !!(gfp & __GFP_DIRECT_RECLAIM);
}

static inline void *kmalloc(size_t size, gfp_t gfp)
{
	if (__builtin_constant_p(size) && size == 0)
		return NULL;
	return slab_alloc(size, gfp);
}

#define wait_event(q, condition) do { if (!(condition)) for (;;) { if (condition) break; schedule(); } } while (0)

#define ARGS struct mmu_interval_notifier *mni, const struct mmu_notifier_range *range, unsigned long seq
/* A callback of this name, whose body follows, and the operations that it belongs to. */
#define CONTROL(f)								\
	static bool f(ARGS);							\
	const struct mmu_interval_notifier_ops f##_ops = { .invalidate = f };	\
	static bool f(ARGS)
