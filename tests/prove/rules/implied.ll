; SPDX-License-Identifier: GPL-2.0
; What a branch says of other values than its condition.
; axiom bits struct.cache#1 0x8 # for this test
; axiom field struct.ops#0 # for this test
; axiom field __SCK__register_* # for this test
; PROVED stored_boolean
; PROVED through_phi
; ALARM through_phi_other: __might_sleep
; PROVED field_of_checked_pointer
; ALARM field_of_unchecked_pointer: __might_sleep
; PROVED bits_assumed
; ALARM bits_not_assumed: __might_sleep
; PROVED field_assumed
; PROVED static_call_assumed
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

%struct.cache = type { i32, i32 }
%struct.ops = type { ptr }

declare i1 @unknown_bool(ptr)
declare void @__SCT__register_write()

define void @__might_sleep() {
  ret void
}

define internal void @if_null(ptr %p) noinline {
  %null = icmp eq ptr %p, null
  br i1 %null, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

; A bool is kept as a byte, and looked at twice.
define void @stored_boolean(i1 %b) {
  %byte = zext i1 %b to i8
  %once = trunc i8 %byte to i1
  br i1 %once, label %out, label %unset
unset:
  %wide = zext i8 %byte to i32
  %twice = icmp ne i32 %wide, 0
  br i1 %twice, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define void @through_phi(i1 %b) {
  %byte = zext i1 %b to i8
  %set = trunc i8 %byte to i1
  br i1 %set, label %join, label %unset
unset:
  br label %join
join:
  %success = phi i8 [ %byte, %0 ], [ 1, %unset ]
  %failed = icmp eq i8 %success, 0
  br i1 %failed, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define void @through_phi_other(i1 %b) {
  %byte = zext i1 %b to i8
  %set = trunc i8 %byte to i1
  br i1 %set, label %other, label %join
other:
  br label %join
join:
  %success = phi i8 [ %byte, %0 ], [ 1, %other ]
  %failed = icmp eq i8 %success, 0
  br i1 %failed, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define void @field_of_checked_pointer(ptr %p) {
  %there = icmp ne ptr %p, null
  br i1 %there, label %then, label %out
then:
  %field = getelementptr inbounds %struct.cache, ptr %p, i32 0, i32 1
  call void @if_null(ptr %field)
  br label %out
out:
  ret void
}

define void @field_of_unchecked_pointer(ptr %p) {
  %field = getelementptr inbounds %struct.cache, ptr %p, i32 0, i32 1
  call void @if_null(ptr %field)
  ret void
}

define void @bits_assumed(ptr %c) {
  %field = getelementptr inbounds %struct.cache, ptr %c, i32 0, i32 1
  %flags = load i32, ptr %field
  %masked = and i32 %flags, 8
  %set = icmp ne i32 %masked, 0
  br i1 %set, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define void @bits_not_assumed(ptr %c) {
  %field = getelementptr inbounds %struct.cache, ptr %c, i32 0, i32 0
  %flags = load i32, ptr %field
  %masked = and i32 %flags, 8
  %set = icmp ne i32 %masked, 0
  br i1 %set, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define void @field_assumed(ptr %ops) {
  %field = getelementptr inbounds %struct.ops, ptr %ops, i32 0, i32 0
  %f = load ptr, ptr %field
  call void %f()
  ret void
}

define void @static_call_assumed() {
  call void @__SCT__register_write()
  ret void
}
