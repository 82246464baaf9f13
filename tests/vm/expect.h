/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Checks that print the expected and the actual value as comments.
 */
#ifndef EXPECT_H
#define EXPECT_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline int expect(int good, const char *what, const char *how,
			 long long expected, long long got)
{
	if (!good)
		printf("# %s: expected %s%lld, got %lld\n", what, how, expected, got);
	return good;
}

#define expect_is(got, expected)					\
	expect((long long)(got) == (long long)(expected), #got, "",	\
	       expected, got)
#define expect_at_least(got, least)					\
	expect((long long)(got) >= (long long)(least), #got, "at least ",	\
	       least, got)

/*
 * Seconds until a missing event is a failure. The first process of the guest
 * measures how slow the guest is.
 */
static inline int patience(void)
{
	const char *slowness = getenv("slowness");

	return 20 * (slowness ? atoi(slowness) : 1);
}

/* Whether @condition becomes true, which it must now. */
#define BECOMES(condition)						\
	({								\
		int _left = patience() * 100;				\
		while (!(condition) && _left--)				\
			usleep(10000);					\
		_left >= 0;						\
	})

#endif /* EXPECT_H */
