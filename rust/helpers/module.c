// SPDX-License-Identifier: GPL-2.0

#include <linux/module.h>

#include <asm/sections.h>

__rust_helper bool rust_helper_is_kernel_rodata(unsigned long addr)
{
	return is_kernel_rodata(addr);
}

__rust_helper bool rust_helper_module_is_coming(struct module *mod)
{
	return module_is_coming(mod);
}

__rust_helper bool rust_helper_try_module_get(struct module *module)
{
	return try_module_get(module);
}

__rust_helper void rust_helper_module_put(struct module *module)
{
	module_put(module);
}
