// SPDX-License-Identifier: GPL-2.0
/*
 * A process has its memory mirrored by an interval notifier, which lets go,
 * and a list notifier, which refuses. It is killed, and process_mrelease(2)
 * asks for its memory. What became of that must not be in the way when the
 * process closes the mirror on its way out.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "held.h"
#include "mirror.h"

#define MEMORY		(1024UL * 1024)
#define REFUSES		"/dev/list_refuses"
#define EXIT_SECONDS	10

static void victim(void)
{
	int mirror = open(MIRROR_DEVICE, O_RDWR);
	pthread_t thread;
	char *mem;

	if (mirror < 0)
		die(MIRROR_DEVICE);
	if (open(REFUSES, O_RDWR) < 0)
		die(REFUSES);
	mem = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		die("mmap");
	if (mirror_map(mirror, mem, MEMORY) ||
	    mirror_prefetch(mirror, mem, MEMORY))
		die("mirror");
	if (pthread_create(&thread, NULL, held_thread, NULL))
		die("pthread_create");
	for (;;)
		pause();
}

int main(void)
{
	int pidfd, released, error, i;
	pid_t pid;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..2\n");
	held = mmap(NULL, sizeof(*held), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (held == MAP_FAILED)
		die("mmap");

	pid = fork();
	if (!pid)
		victim();
	while (!*held) {
		if (waitpid(pid, NULL, WNOHANG))
			return 1;
		nap();
	}
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		die("pidfd_open");
	hold(*held);
	kill(pid, SIGKILL);
	wait_until_held(*held);

	released = syscall(SYS_process_mrelease, pidfd, 0);
	error = errno;
	printf("%s 1 the list notifier refuses\n",
	       released && error == EAGAIN ? "ok" : "not ok");

	ptrace(PTRACE_DETACH, *held, NULL, NULL);
	for (i = 0; i < EXIT_SECONDS * 100; i++) {
		if (waitpid(pid, NULL, WNOHANG) == pid) {
			printf("ok 2 the process exits\n");
			return !released || error != EAGAIN;
		}
		nap();
	}
	printf("not ok 2 the process exits\n");
	return 1;
}
