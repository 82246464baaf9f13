/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For KUnit tests that provoke a report of lockdep
 *
 * Lockdep is off after a report, until the next boot. So a test provokes a
 * report only if it is the only test of the boot: kunit.filter_glob=SUITE.TEST.
 * In every boot, each test first runs its silent variant.
 */
#ifndef _MM_TESTS_LOCKDEP_KUNIT_H
#define _MM_TESTS_LOCKDEP_KUNIT_H

#include <kunit/test.h>
#include <linux/debug_locks.h>
#include <linux/init.h>
#include <linux/string.h>

static inline bool lockdep_kunit_is_alone(struct kunit *test, const char *suite)
{
	char *line, *rest, *word;
	char wanted[128];
	bool found = false;

	snprintf(wanted, sizeof(wanted), "kunit.filter_glob=%s.%s", suite,
		 test->name);
	line = kunit_kstrdup(test, saved_command_line, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, line);
	for (rest = line; !found && (word = strsep(&rest, " "));)
		found = !strcmp(word, wanted);
	return found;
}

/* Expect no report of lockdep until now, and one from @fn. */
static inline void lockdep_kunit_expect(struct kunit *test, const char *suite,
					const char *report, void (*fn)(void *),
					void *data)
{
	KUNIT_ASSERT_TRUE_MSG(test, debug_locks, "lockdep is off");
	if (!lockdep_kunit_is_alone(test, suite))
		return;

	/* Announce the report to readers of the kernel log. */
	pr_info("expect-report: 1 WARNING: %s\n", report);
	fn(data);
	pr_info("expect-report: end\n");
	KUNIT_EXPECT_FALSE_MSG(test, debug_locks, "nothing was reported");
}

#endif
