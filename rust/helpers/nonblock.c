// SPDX-License-Identifier: GPL-2.0

#include <linux/instruction_pointer.h>
#include <linux/kernel.h>

#ifdef CONFIG_DEBUG_ATOMIC_SLEEP
/*
 * The section is put down to the caller. A helper that is inlined is there
 * already.
 */
#ifdef CONFIG_RUST_INLINE_HELPERS
#define CALLER _THIS_IP_
#else
#define CALLER _RET_IP_
#endif

__rust_helper void rust_helper_non_block_start(void)
{
	non_block_start_at(CALLER);
}

__rust_helper void rust_helper_non_block_end(void)
{
	non_block_end();
}

#undef CALLER
#endif
