; SPDX-License-Identifier: GPL-2.0
; Function pointers that are read without the type of the field that they are in, or as numbers.
; ALARM through_address: __might_sleep
; ALARM through_select: __might_sleep
; ALARM through_phi: __might_sleep
; ALARM through_arithmetic: __might_sleep
; ALARM one_of_two: __might_sleep

target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

%struct.first = type { i64, ptr }
%struct.second = type { i64, ptr }
%struct.third = type { i64, ptr }
%struct.none = type { i64, ptr }

define void @__might_sleep() {
  ret void
}

define internal void @quiet() {
  ret void
}

; Each of these is named in one place only, and has a type of its own.
define internal void @in_first() !kcfi_type !0 {
  call void @__might_sleep()
  ret void
}

define internal void @in_second() !kcfi_type !1 {
  call void @__might_sleep()
  ret void
}

define internal void @in_third() !kcfi_type !2 {
  call void @__might_sleep()
  ret void
}

define internal void @as_number() !kcfi_type !3 {
  call void @__might_sleep()
  ret void
}

define internal void @as_second() {
  call void @__might_sleep()
  ret void
}

define void @sets(ptr %a, ptr %b, ptr %c) {
  %first = getelementptr inbounds %struct.first, ptr %a, i32 0, i32 1
  store ptr @in_first, ptr %first
  %second = getelementptr inbounds %struct.second, ptr %b, i32 0, i32 1
  store ptr @in_second, ptr %second
  %third = getelementptr inbounds %struct.third, ptr %c, i32 0, i32 1
  store ptr @in_third, ptr %third
  ret void
}

define internal void @calls_at(ptr %at) noinline {
  %f = load ptr, ptr %at
  call void %f(i32 1) [ "kcfi"(i32 11) ]
  ret void
}

define void @through_address(ptr %a) {
  %first = getelementptr inbounds %struct.first, ptr %a, i32 0, i32 1
  call void @calls_at(ptr %first)
  ret void
}

define void @through_select(ptr %b, ptr %n, i1 %c) {
  %second = getelementptr inbounds %struct.second, ptr %b, i32 0, i32 1
  %none = getelementptr inbounds %struct.none, ptr %n, i32 0, i32 1
  %at = select i1 %c, ptr %second, ptr %none
  %f = load ptr, ptr %at
  call void %f(i32 1) [ "kcfi"(i32 12) ]
  ret void
}

define void @through_phi(ptr %b, ptr %n, i1 %c) {
  %third = getelementptr inbounds %struct.third, ptr %b, i32 0, i32 1
  %none = getelementptr inbounds %struct.none, ptr %n, i32 0, i32 1
  br i1 %c, label %other, label %join
other:
  br label %join
join:
  %at = phi ptr [ %third, %0 ], [ %none, %other ]
  %f = load ptr, ptr %at
  call void %f(i32 1) [ "kcfi"(i32 13) ]
  ret void
}

define internal void @calls_number(ptr %f) noinline {
  %number = ptrtoint ptr %f to i64
  %tagged = or i64 %number, 1
  %plain = xor i64 %tagged, 1
  %again = inttoptr i64 %plain to ptr
  call void %again(i32 1) [ "kcfi"(i32 14) ]
  ret void
}

define void @through_arithmetic() {
  call void @calls_number(ptr @as_number)
  ret void
}

define void @one_of_two(i1 %c) {
  br i1 %c, label %other, label %join
other:
  br label %join
join:
  %f = phi ptr [ @quiet, %0 ], [ @as_second, %other ]
  call void %f(i32 1)
  ret void
}

!0 = !{i32 11}
!1 = !{i32 12}
!2 = !{i32 13}
!3 = !{i32 14}
