// SPDX-License-Identifier: GPL-2.0
/* Takes the place of the weak definition, which sleeps. */
#include "kernel.h"

void weak_one(void *p)
{
	*(int *)p = 1;
}

/* Of the same name as one in controls.c, which does not sleep. */
static void same_name(void *p)
{
	mutex_lock(p);
}

void (*volatile other_same_name)(void *) = same_name;
