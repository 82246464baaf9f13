// SPDX-License-Identifier: GPL-2.0

#include <linux/kernel.h>

#ifdef CONFIG_DEBUG_ATOMIC_SLEEP
__rust_helper void rust_helper_non_block_start(void)
{
	non_block_start();
}

__rust_helper void rust_helper_non_block_end(void)
{
	non_block_end();
}
#endif
