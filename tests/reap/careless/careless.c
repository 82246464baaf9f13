// SPDX-License-Identifier: GPL-2.0
/*
 * A driver with the mistakes of svm_range_cpu_invalidate_pagetables() of amdkfd:
 * its notifier takes a mutex, and may put the last user of the address space,
 * without a look at whether it may block. So it gets away with both, until the
 * OOM reaper calls it while the mutex is taken.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

struct careless {
	struct mmu_interval_notifier notifier;
	struct mutex lock;	/* protects what the device has */
};

static bool careless_invalidate(struct mmu_interval_notifier *notifier,
				const struct mmu_notifier_range *range,
				unsigned long seq)
{
	struct careless *careless = container_of(notifier, struct careless, notifier);

	if (range->event == MMU_NOTIFY_RELEASE || !mmget_not_zero(notifier->mm))
		return true;

	mutex_lock(&careless->lock);
	mmu_interval_set_seq(notifier, seq);
	mutex_unlock(&careless->lock);
	mmput(notifier->mm);
	return true;
}

static const struct mmu_interval_notifier_ops careless_ops = {
	.invalidate = careless_invalidate,
};

/* Who opens the device has its memory used. */
static int careless_open(struct inode *inode, struct file *file)
{
	struct careless *careless = kzalloc_obj(*careless);
	int err;

	if (!careless)
		return -ENOMEM;
	mutex_init(&careless->lock);
	err = mmu_interval_notifier_insert(&careless->notifier, current->mm, 0,
					   ULONG_MAX & PAGE_MASK, &careless_ops);
	if (err) {
		kfree(careless);
		return err;
	}
	file->private_data = careless;
	return 0;
}

static int careless_release(struct inode *inode, struct file *file)
{
	struct careless *careless = file->private_data;

	mmu_interval_notifier_remove(&careless->notifier);
	kfree(careless);
	return 0;
}

static const struct file_operations careless_fops = {
	.owner = THIS_MODULE,
	.open = careless_open,
	.release = careless_release,
};

static struct miscdevice careless_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "careless",
	.fops = &careless_fops,
};
module_misc_device(careless_misc);

MODULE_DESCRIPTION("A driver that waits in its MMU notifier, without being allowed to");
MODULE_LICENSE("GPL");
