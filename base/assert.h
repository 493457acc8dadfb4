// BERTH_ASSERT: our own bugs end the process, in release too; the supervisor starts a new engine.
#pragma once

namespace berth::base {
[[noreturn]] void assert_failed(const char* what, const char* file, int line);
}

#define BERTH_ASSERT(cond)                 \
  (__builtin_expect(!!(cond), 1) ? (void)0 \
                                 : ::berth::base::assert_failed(#cond, __FILE__, __LINE__))
