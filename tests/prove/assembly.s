# SPDX-License-Identifier: GPL-2.0
	.text
	.globl copies
	.type copies, @function
copies:
	rep movsb
	ret
	.size copies, . - copies

	.globl sleeps
	.type sleeps, @function
sleeps:
	call mutex_lock
	ret
	.size sleeps, . - sleeps

	.globl jumps
	.type jumps, @function
jumps:
	jmp sleeps
	.size jumps, . - jumps

	.globl allocates
	.type allocates, @function
allocates:
	call allocates_in_c
	ret
	.size allocates, . - allocates
