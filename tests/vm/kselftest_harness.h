/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's harness, which this stands before in the include path, with a
 * time limit for each test that a slow guest can keep to.
 */
#include_next <kselftest_harness.h>

#ifndef _SLOW_HARNESS_H
#define _SLOW_HARNESS_H

/* In seconds; less than what the host waits for a guest without news. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 150

#endif /* _SLOW_HARNESS_H */
