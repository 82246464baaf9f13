// SPDX-License-Identifier: GPL-2.0

#include <linux/kernel.h>

#ifdef CONFIG_DEBUG_ATOMIC_SLEEP
__rust_helper void rust_helper_non_block_start(void)
{
	/* Not this function, but the one that has the section. */
	non_block_start_at(_RET_IP_);
}

__rust_helper void rust_helper_non_block_end(void)
{
	non_block_end();
}
#endif
