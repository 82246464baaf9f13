/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mmu_notifier

#if !defined(_TRACE_MMU_NOTIFIER_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_MMU_NOTIFIER_H

#include <linux/mmu_notifier.h>
#include <linux/tracepoint.h>

#define MMU_NOTIFIER_EVENTS				\
	EM(MMU_NOTIFY_UNMAP,		"unmap")	\
	EM(MMU_NOTIFY_CLEAR,		"clear")	\
	EM(MMU_NOTIFY_PROTECTION_VMA,	"protection_vma")	\
	EM(MMU_NOTIFY_PROTECTION_PAGE,	"protection_page")	\
	EM(MMU_NOTIFY_SOFT_DIRTY,	"soft_dirty")	\
	EM(MMU_NOTIFY_RELEASE,		"release")	\
	EM(MMU_NOTIFY_MIGRATE,		"migrate")	\
	EMe(MMU_NOTIFY_EXCLUSIVE,	"exclusive")

#undef EM
#undef EMe
#define EM(a, b)	TRACE_DEFINE_ENUM(a);
#define EMe(a, b)	TRACE_DEFINE_ENUM(a);

MMU_NOTIFIER_EVENTS

#undef EM
#undef EMe
#define EM(a, b)	{ a, b },
#define EMe(a, b)	{ a, b }

DECLARE_EVENT_CLASS(mmu_notifier_range,

	TP_PROTO(const struct mmu_notifier_range *range),

	TP_ARGS(range),

	TP_STRUCT__entry(
		__field(struct mm_struct *, mm)
		__field(unsigned long, start)
		__field(unsigned long, end)
		__field(int, event)
		__field(bool, blockable)
	),

	TP_fast_assign(
		__entry->mm = range->mm;
		__entry->start = range->start;
		__entry->end = range->end;
		__entry->event = range->event;
		__entry->blockable = mmu_notifier_range_blockable(range);
	),

	TP_printk("mm=%p range=0x%lx-0x%lx event=%s blockable=%d",
		  __entry->mm, __entry->start, __entry->end,
		  __print_symbolic(__entry->event, MMU_NOTIFIER_EVENTS),
		  __entry->blockable)
);

/* Before the first callback of an invalidation. */
DEFINE_EVENT(mmu_notifier_range, mmu_notifier_start,
	TP_PROTO(const struct mmu_notifier_range *range),
	TP_ARGS(range)
);

/* Before the callbacks at the end of an invalidation. */
DEFINE_EVENT(mmu_notifier_range, mmu_notifier_end,
	TP_PROTO(const struct mmu_notifier_range *range),
	TP_ARGS(range)
);

/* After the callbacks at the start of an invalidation. */
TRACE_EVENT(mmu_notifier_started,

	TP_PROTO(const struct mmu_notifier_range *range, unsigned int intervals,
		 unsigned int lists, int ret),

	TP_ARGS(range, intervals, lists, ret),

	TP_STRUCT__entry(
		__field(struct mm_struct *, mm)
		__field(unsigned int, intervals)
		__field(unsigned int, lists)
		__field(int, ret)
	),

	TP_fast_assign(
		__entry->mm = range->mm;
		__entry->intervals = intervals;
		__entry->lists = lists;
		__entry->ret = ret;
	),

	TP_printk("mm=%p intervals=%u lists=%u ret=%d", __entry->mm,
		  __entry->intervals, __entry->lists, __entry->ret)
);

/* After a callback that invalidates. The time is in nanoseconds. */
TRACE_EVENT(mmu_notifier_callback,

	TP_PROTO(void *fn, const struct mmu_notifier_range *range, bool refused,
		 u64 ns),

	TP_ARGS(fn, range, refused, ns),

	TP_STRUCT__entry(
		__field(void *, fn)
		__field(struct mm_struct *, mm)
		__field(unsigned long, start)
		__field(unsigned long, end)
		__field(int, event)
		__field(bool, blockable)
		__field(bool, refused)
		__field(u64, ns)
	),

	TP_fast_assign(
		__entry->fn = fn;
		__entry->mm = range->mm;
		__entry->start = range->start;
		__entry->end = range->end;
		__entry->event = range->event;
		__entry->blockable = mmu_notifier_range_blockable(range);
		__entry->refused = refused;
		__entry->ns = ns;
	),

	TP_printk("%ps mm=%p range=0x%lx-0x%lx event=%s blockable=%d refused=%d ns=%llu",
		  __entry->fn, __entry->mm, __entry->start, __entry->end,
		  __print_symbolic(__entry->event, MMU_NOTIFIER_EVENTS),
		  __entry->blockable, __entry->refused, __entry->ns)
);

/*
 * A notifier comes or goes. The range of a list notifier is the address space;
 * fn is the first callback that the notifier has. An interval notifier that
 * comes or goes in the middle of an invalidation waits for its end.
 */
DECLARE_EVENT_CLASS(mmu_notifier_subscription,

	TP_PROTO(void *fn, struct mm_struct *mm, unsigned long start,
		 unsigned long last, bool deferred),

	TP_ARGS(fn, mm, start, last, deferred),

	TP_STRUCT__entry(
		__field(void *, fn)
		__field(struct mm_struct *, mm)
		__field(unsigned long, start)
		__field(unsigned long, last)
		__field(bool, deferred)
	),

	TP_fast_assign(
		__entry->fn = fn;
		__entry->mm = mm;
		__entry->start = start;
		__entry->last = last;
		__entry->deferred = deferred;
	),

	TP_printk("%ps mm=%p start=0x%lx last=0x%lx deferred=%d", __entry->fn,
		  __entry->mm, __entry->start, __entry->last, __entry->deferred)
);

DEFINE_EVENT(mmu_notifier_subscription, mmu_notifier_insert,
	TP_PROTO(void *fn, struct mm_struct *mm, unsigned long start,
		 unsigned long last, bool deferred),
	TP_ARGS(fn, mm, start, last, deferred)
);

DEFINE_EVENT(mmu_notifier_subscription, mmu_notifier_remove,
	TP_PROTO(void *fn, struct mm_struct *mm, unsigned long start,
		 unsigned long last, bool deferred),
	TP_ARGS(fn, mm, start, last, deferred)
);

/* A reader has waited for the end of an invalidation; the time is in ns. */
TRACE_EVENT(mmu_notifier_collision,

	TP_PROTO(void *fn, struct mm_struct *mm, u64 ns),

	TP_ARGS(fn, mm, ns),

	TP_STRUCT__entry(
		__field(void *, fn)
		__field(struct mm_struct *, mm)
		__field(u64, ns)
	),

	TP_fast_assign(
		__entry->fn = fn;
		__entry->mm = mm;
		__entry->ns = ns;
	),

	TP_printk("%ps mm=%p ns=%llu", __entry->fn, __entry->mm, __entry->ns)
);

#undef EM
#undef EMe

#endif /* _TRACE_MMU_NOTIFIER_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
