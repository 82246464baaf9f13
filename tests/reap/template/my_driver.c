// SPDX-License-Identifier: GPL-2.0
/*
 * A device that reads memory of a process through a page table of its own. It
 * lets go of pages without blocking, if it has to.
 */
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/hmm.h>
#include <linux/miscdevice.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "my_driver.h"

/* An open file. */
struct my_device {
	struct mmu_interval_notifier notifier;
	struct mutex lock;		/* protects the entries of table */
	unsigned long *table;		/* what HMM returns, 0 if there is nothing */
	unsigned long start, end;	/* the memory that is used */
};

static unsigned long *entry(struct my_device *my, unsigned long addr)
{
	return &my->table[(addr - my->start) >> PAGE_SHIFT];
}

static bool my_invalidate(struct mmu_interval_notifier *notifier,
			  const struct mmu_notifier_range *range,
			  unsigned long seq)
{
	struct my_device *my = container_of(notifier, struct my_device, notifier);
	unsigned long addr;

	/* The OOM reaper does not wait for the lock: it tries again later. */
	if (mmu_notifier_range_blockable(range))
		mutex_lock(&my->lock);
	else if (!mutex_trylock(&my->lock))
		return false;

	mmu_interval_set_seq(notifier, seq);
	for (addr = max(range->start, my->start); addr < min(range->end, my->end);
	     addr += PAGE_SIZE)
		*entry(my, addr) = 0;
	mutex_unlock(&my->lock);
	return true;
}

static const struct mmu_interval_notifier_ops my_ops = {
	.invalidate = my_invalidate,
};

/* Looks a page up, and returns with the lock held if that works. */
static int look_up(struct my_device *my, unsigned long addr)
{
	unsigned long pfn;
	struct hmm_range range = {
		.notifier = &my->notifier,
		.start = addr,
		.end = addr + PAGE_SIZE,
		.hmm_pfns = &pfn,
		.default_flags = HMM_PFN_REQ_FAULT,
	};
	int err;

	for (;;) {
		range.notifier_seq = mmu_interval_read_begin(range.notifier);
		mmap_read_lock(my->notifier.mm);
		err = hmm_range_fault(&range);
		mmap_read_unlock(my->notifier.mm);
		if (err && (err != -EBUSY || fatal_signal_pending(current)))
			return err;
		if (err)
			continue;

		mutex_lock(&my->lock);
		if (!mmu_interval_read_retry(range.notifier, range.notifier_seq)) {
			*entry(my, addr) = pfn;
			return 0;
		}
		mutex_unlock(&my->lock);
	}
}

static int my_read(struct my_device *my, struct my_page *arg)
{
	void *copy;
	int err = 0;

	if (!my->table || my->notifier.mm != current->mm)
		return -EPERM;
	if (arg->addr < my->start || arg->addr >= my->end || offset_in_page(arg->addr))
		return -EINVAL;
	copy = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;

	mutex_lock(&my->lock);
	if (!*entry(my, arg->addr)) {
		mutex_unlock(&my->lock);
		err = look_up(my, arg->addr);
	}
	if (!err) {
		/* What is in the table is valid as long as the lock is held. */
		memcpy_from_page(copy, hmm_pfn_to_page(*entry(my, arg->addr)), 0, PAGE_SIZE);
		mutex_unlock(&my->lock);
		/* This may fault, and so call the notifier. */
		if (copy_to_user(u64_to_user_ptr(arg->buf), copy, PAGE_SIZE))
			err = -EFAULT;
	}
	kfree(copy);
	return err;
}

static int my_map(struct my_device *my, struct my_range *arg)
{
	int err;

	if (my->table)
		return -EBUSY;
	if (!arg->len || offset_in_page(arg->addr | arg->len))
		return -EINVAL;
	my->table = kvcalloc(arg->len >> PAGE_SHIFT, sizeof(*my->table), GFP_KERNEL);
	if (!my->table)
		return -ENOMEM;
	my->start = arg->addr;
	my->end = arg->addr + arg->len;
	err = mmu_interval_notifier_insert(&my->notifier, current->mm, arg->addr,
					   arg->len, &my_ops);
	if (err) {
		kvfree(my->table);
		my->table = NULL;
	}
	return err;
}

static long my_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct my_device *my = file->private_data;
	struct my_range range;
	struct my_page page;

	switch (cmd) {
	case MY_MAP:
		if (copy_from_user(&range, (void __user *)arg, sizeof(range)))
			return -EFAULT;
		return my_map(my, &range);
	case MY_READ:
		if (copy_from_user(&page, (void __user *)arg, sizeof(page)))
			return -EFAULT;
		return my_read(my, &page);
	default:
		return -ENOTTY;
	}
}

static int my_open(struct inode *inode, struct file *file)
{
	struct my_device *my = kzalloc_obj(*my);

	if (!my)
		return -ENOMEM;
	mutex_init(&my->lock);
	file->private_data = my;
	return 0;
}

static int my_release(struct inode *inode, struct file *file)
{
	struct my_device *my = file->private_data;

	if (my->table)
		mmu_interval_notifier_remove(&my->notifier);
	kvfree(my->table);
	kfree(my);
	return 0;
}

static const struct file_operations my_fops = {
	.owner = THIS_MODULE,
	.open = my_open,
	.unlocked_ioctl = my_ioctl,
	.release = my_release,
};

static struct miscdevice my_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "my_driver",
	.fops = &my_fops,
};
module_misc_device(my_misc);

MODULE_DESCRIPTION("A device that reads memory of a process");
MODULE_LICENSE("GPL");
