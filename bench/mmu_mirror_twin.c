// SPDX-License-Identifier: GPL-2.0
/*
 * The driver of samples/rust/rust_mmu_mirror.rs in C: the same device, with the
 * code to look up pages, to read them and to give them back. It lacks writing,
 * and the parameters to make it misbehave.
 */

#include <linux/highmem.h>
#include <linux/hmm.h>
#include <linux/kref.h>
#include <linux/memremap.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include "../../../samples/rust/rust_mmu_mirror.h"
#include "twin.h"

/* What happened since a device was opened. */
struct stats {
	struct kref ref;
	atomic64_t pages;
	atomic64_t faults;
	atomic64_t retries;
	atomic64_t invalidations;
	atomic64_t nonblock;
	atomic64_t refused;
	atomic64_t dropped;
};

/* An entry of the device's page table is a value: the pfn, and this. */
#define WRITABLE	1

/* A mirror of a range of the address space. */
struct mirror {
	struct kref ref;
	struct mmu_interval_notifier sub;
	unsigned long start;
	unsigned long end;
	struct mutex lock; /* for the page table and its length */
	struct xarray entries;
	u64 len;
	struct stats *stats;
};

/* An open file. */
struct device_file {
	struct mutex lock; /* for mirror */
	struct mirror *mirror;
	struct stats *stats;
};

static void stats_free(struct kref *ref)
{
	kfree(container_of(ref, struct stats, ref));
}

static u64 remove_pages(struct mirror *mirror, unsigned long first,
			unsigned long last)
{
	unsigned long index;
	u64 removed = 0;
	void *entry;

	xa_for_each_range(&mirror->entries, index, entry, first, last) {
		xa_erase(&mirror->entries, index);
		removed++;
	}
	mirror->len -= removed;
	atomic64_sub(removed, &mirror->stats->pages);
	return removed;
}

static bool invalidate(struct mmu_interval_notifier *sub,
		       const struct mmu_notifier_range *range,
		       unsigned long seq)
{
	struct mirror *mirror = container_of(sub, struct mirror, sub);
	unsigned long start = max(range->start, mirror->start);
	unsigned long end = min(range->end, mirror->end);
	struct stats *stats = mirror->stats;

	if (mmu_notifier_range_blockable(range)) {
		atomic64_inc(&stats->invalidations);
		mutex_lock(&mirror->lock);
	} else {
		atomic64_inc(&stats->nonblock);
		if (!mutex_trylock(&mirror->lock)) {
			atomic64_inc(&stats->refused);
			return false;
		}
	}
	mmu_interval_set_seq(sub, seq);
	if (start < end)
		atomic64_add(remove_pages(mirror, start >> PAGE_SHIFT,
					  (end - 1) >> PAGE_SHIFT),
			     &stats->dropped);
	mutex_unlock(&mirror->lock);
	return true;
}

static const struct mmu_interval_notifier_ops ops = {
	.invalidate = invalidate,
};

static void mirror_free(struct kref *ref)
{
	struct mirror *mirror = container_of(ref, struct mirror, ref);

	mmu_interval_notifier_remove(&mirror->sub);
	xa_destroy(&mirror->entries);
	atomic64_sub(mirror->len, &mirror->stats->pages);
	kref_put(&mirror->stats->ref, stats_free);
	kfree(mirror);
}

static int map(struct device_file *file, unsigned long start, unsigned long end)
{
	struct mm_struct *mm = current->mm;
	struct mirror *mirror;
	int ret;

	if (!PAGE_ALIGNED(start | end))
		return -EINVAL;
	if (end > mm->task_size)
		return -EFAULT;

	guard(mutex)(&file->lock);
	if (file->mirror)
		return -EBUSY;
	mirror = kzalloc_obj(*mirror);
	if (!mirror)
		return -ENOMEM;
	kref_init(&mirror->ref);
	mutex_init(&mirror->lock);
	xa_init_flags(&mirror->entries, XA_FLAGS_ALLOC);
	mirror->start = start;
	mirror->end = end;
	mirror->stats = file->stats;
	kref_get(&mirror->stats->ref);
	ret = mmu_interval_notifier_insert(&mirror->sub, mm, start, end - start,
					   &ops);
	if (ret) {
		kref_put(&mirror->stats->ref, stats_free);
		kfree(mirror);
		return ret;
	}
	file->mirror = mirror;
	return 0;
}

static int unmap(struct device_file *file)
{
	struct mirror *mirror;

	scoped_guard(mutex, &file->lock)
		mirror = xchg(&file->mirror, NULL);
	if (!mirror)
		return -ENXIO;
	/* Waits for callbacks, so not under the lock. */
	kref_put(&mirror->ref, mirror_free);
	return 0;
}

static void *find(struct mirror *mirror, unsigned long addr, bool write)
{
	void *entry = xa_load(&mirror->entries, addr >> PAGE_SHIFT);

	return entry && (!write || xa_to_value(entry) & WRITABLE) ? entry : NULL;
}

/* Returns with the lock that protects the page table held if it is 0. */
static int look_up_and_lock(struct mirror *mirror, unsigned long addr,
			    bool write, unsigned long *pfn)
{
	struct hmm_range range = {
		.notifier = &mirror->sub,
		.start = addr & PAGE_MASK,
		.end = (addr & PAGE_MASK) + PAGE_SIZE,
		.hmm_pfns = pfn,
		.default_flags = HMM_PFN_REQ_FAULT |
				 (write ? HMM_PFN_REQ_WRITE : 0),
	};
	struct mm_struct *mm = mirror->sub.mm;
	int ret;

	if (!mmget_not_zero(mm))
		return -EFAULT;
	for (;;) {
		ret = hmm_range_fault_unlocked_timeout(&range, 0);
		if (ret)
			break;
		atomic64_inc(&mirror->stats->faults);
		mutex_lock(&mirror->lock);
		if (!mmu_interval_read_retry(&mirror->sub, range.notifier_seq))
			break;
		mutex_unlock(&mirror->lock);
		atomic64_inc(&mirror->stats->retries);
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
	}
	mmput_async(mm);
	return ret;
}

/* The lock that protects the page table is held. */
static int enter(struct mirror *mirror, unsigned long addr, unsigned long hmm_pfn)
{
	unsigned long pfn = hmm_pfn & ~HMM_PFN_FLAGS;
	struct page *page;
	void *entry, *old;

	if (!pfn_valid(pfn))
		return -EFAULT;
	page = pfn_to_page(pfn);
	/* Otherwise with_page() would not find it in the direct map. */
	if (is_pci_p2pdma_page(page) || twin_page_is_secret(page))
		return -EFAULT;
	entry = xa_mk_value(pfn << 1 | (hmm_pfn & HMM_PFN_WRITE ? WRITABLE : 0));
	/* Callbacks take that lock, so the allocation must not reclaim. */
	old = xa_store(&mirror->entries, addr >> PAGE_SHIFT, entry, GFP_ATOMIC);
	if (xa_is_err(old))
		return xa_err(old);
	if (!old) {
		mirror->len++;
		atomic64_inc(&mirror->stats->pages);
	}
	return 0;
}

/*
 * Copy a part of a page to @buf, if there is one, and look the page up in the
 * process if need be.
 */
static int with_page(struct mirror *mirror, unsigned long addr,
		     unsigned long len, bool write, void *buf)
{
	unsigned long pfn = 0;
	void *entry;
	int ret;

	for (;;) {
		mutex_lock(&mirror->lock);
		entry = find(mirror, addr, write);
		if (entry)
			break;
		mutex_unlock(&mirror->lock);
		ret = look_up_and_lock(mirror, addr, write, &pfn);
		if (ret)
			return ret;
		ret = enter(mirror, addr, pfn);
		mutex_unlock(&mirror->lock);
		if (ret)
			return ret;
		if (signal_pending(current))
			return -EINTR;
	}
	if (buf)
		memcpy_from_page(buf, pfn_to_page(xa_to_value(entry) >> 1),
				 offset_in_page(addr), len);
	mutex_unlock(&mirror->lock);
	return 0;
}

/* Read a range, or only look it up, for writing, if there is no @to. */
static int access(struct device_file *file, unsigned long addr,
		  unsigned long end, void __user *to)
{
	struct mm_struct *mm = current->mm;
	struct mirror *mirror;
	void *buf = NULL;
	int ret = 0;

	if (to) {
		buf = kzalloc(PAGE_SIZE, GFP_KERNEL);
		if (!buf)
			return -ENOMEM;
	}
	scoped_guard(mutex, &file->lock) {
		mirror = file->mirror;
		if (mirror)
			kref_get(&mirror->ref);
	}
	if (!mirror) {
		kfree(buf);
		return -ENXIO;
	}

	if (mirror->sub.mm != mm)
		ret = -EPERM;
	else if (addr < mirror->start || end > mirror->end)
		ret = -EFAULT;
	while (!ret && addr < end) {
		unsigned long next = min(PAGE_ALIGN(addr + 1), end);

		if (signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		ret = with_page(mirror, addr, next - addr, !to, buf);
		if (!ret && to && copy_to_user(to, buf, next - addr))
			ret = -EFAULT;
		to = to ? to + (next - addr) : NULL;
		addr = next;
	}
	kref_put(&mirror->ref, mirror_free);
	kfree(buf);
	return ret;
}

static int get_stats(struct stats *stats, void __user *to)
{
	struct mmu_mirror_stats copy = {
		.pages = atomic64_read(&stats->pages),
		.faults = atomic64_read(&stats->faults),
		.retries = atomic64_read(&stats->retries),
		.invalidations = atomic64_read(&stats->invalidations),
		.nonblock = atomic64_read(&stats->nonblock),
		.refused = atomic64_read(&stats->refused),
		.dropped = atomic64_read(&stats->dropped),
	};

	return copy_to_user(to, &copy, sizeof(copy)) ? -EFAULT : 0;
}

static bool check_range(u64 addr, u64 len, unsigned long *end)
{
	return !check_add_overflow(addr, len, end) && *end != addr;
}

static long mirror_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct device_file *file = filp->private_data;
	void __user *user = (void __user *)arg;
	struct mmu_mirror_access access_arg;
	struct mmu_mirror_range range;
	unsigned long end;

	switch (cmd) {
	case MMU_MIRROR_UNMAP:
		return unmap(file);
	case MMU_MIRROR_STATS:
		return get_stats(file->stats, user);
	case MMU_MIRROR_MAP:
	case MMU_MIRROR_PREFETCH:
		if (copy_from_user(&range, user, sizeof(range)))
			return -EFAULT;
		if (!check_range(range.addr, range.len, &end))
			return -EINVAL;
		if (cmd == MMU_MIRROR_MAP)
			return map(file, range.addr, end);
		return access(file, range.addr, end, NULL);
	case MMU_MIRROR_READ:
		if (copy_from_user(&access_arg, user, sizeof(access_arg)))
			return -EFAULT;
		if (!check_range(access_arg.addr, access_arg.len, &end))
			return -EINVAL;
		return access(file, access_arg.addr, end,
			      u64_to_user_ptr(access_arg.buf));
	}
	return -ENOTTY;
}

static int mirror_open(struct inode *inode, struct file *filp)
{
	struct device_file *file = kzalloc_obj(*file);

	if (!file)
		return -ENOMEM;
	file->stats = kzalloc_obj(*file->stats);
	if (!file->stats) {
		kfree(file);
		return -ENOMEM;
	}
	kref_init(&file->stats->ref);
	mutex_init(&file->lock);
	filp->private_data = file;
	return 0;
}

static int mirror_release(struct inode *inode, struct file *filp)
{
	struct device_file *file = filp->private_data;

	unmap(file);
	kref_put(&file->stats->ref, stats_free);
	kfree(file);
	return 0;
}

static const struct file_operations fops = {
	.owner = THIS_MODULE,
	.open = mirror_open,
	.release = mirror_release,
	.unlocked_ioctl = mirror_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mmu_mirror",
	.fops = &fops,
};
module_misc_device(device);

MODULE_DESCRIPTION("A software device that mirrors user memory, in C");
MODULE_LICENSE("GPL");
