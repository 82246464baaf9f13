/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A counter that a program can read. It counts instructions if QEMU does: a cycle
 * of the guest is then a nanosecond, and an instruction.
 */
#ifndef CYCLES_H
#define CYCLES_H

#include <stdint.h>

#ifdef __x86_64__
#include <x86intrin.h>

static inline uint64_t cycles(void)
{
	return __rdtsc();
}
#elif defined(__aarch64__)
static inline uint64_t cycles(void)
{
	uint64_t count;

	asm volatile("isb; mrs %0, cntvct_el0" : "=r" (count) : : "memory");
	return count;
}
#endif

#endif /* CYCLES_H */
