; SPDX-License-Identifier: GPL-2.0
; Results of calls.
; PROVED of_constant
; PROVED of_argument
; ALARM of_argument_other: __might_sleep
; ALARM of_recursion: __might_sleep
; ALARM of_no_body: __might_sleep
; ALARM of_wide_argument: __might_sleep
; ALARM of_recursion_that_ends: __might_sleep
; axiom absent unknown # it has no body

target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

define void @__might_sleep() {
  ret void
}

define internal i32 @zero() {
  ret i32 0
}

define internal i32 @same(i32 %x) {
  ret i32 %x
}

define internal i32 @recursive(i32 %x) {
  %r = call i32 @recursive(i32 %x)
  ret i32 %r
}

declare i32 @unknown()

define internal void @if_set(i32 %x) {
  %set = icmp ne i32 %x, 0
  br i1 %set, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define void @of_constant() {
  %x = call i32 @zero()
  call void @if_set(i32 %x)
  ret void
}

define void @of_argument() {
  %x = call i32 @same(i32 0)
  call void @if_set(i32 %x)
  ret void
}

define void @of_argument_other() {
  %x = call i32 @same(i32 1)
  call void @if_set(i32 %x)
  ret void
}

define void @of_recursion() {
  %x = call i32 @recursive(i32 0)
  call void @if_set(i32 %x)
  ret void
}

define void @of_no_body() {
  %x = call i32 @unknown()
  call void @if_set(i32 %x)
  ret void
}

; The result of the call in the middle is not yet known.
define internal i32 @count(i32 %x) noinline {
  %zero = icmp eq i32 %x, 0
  br i1 %zero, label %out, label %more
more:
  %less = sub i32 %x, 1
  %rest = call i32 @count(i32 %less)
  %sum = add i32 %rest, 1
  br label %out
out:
  %result = phi i32 [ 0, %0 ], [ %sum, %more ]
  ret i32 %result
}

define void @of_recursion_that_ends(i32 %x) {
  %count = call i32 @count(i32 %x)
  call void @if_set(i32 %count)
  ret void
}

; Nothing is known of a number of 128 bits, and yet the call is made.
define internal i32 @narrow(i128 %wide, i32 %x) noinline {
  ret i32 %x
}

define void @of_wide_argument(i128 %a, i32 %x) {
  %wide = add i128 %a, 1
  %y = call i32 @narrow(i128 %wide, i32 %x)
  %set = icmp ne i32 %y, 0
  br i1 %set, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}
