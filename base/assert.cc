#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace berth::base {

void assert_failed(const char* what, const char* file, int line) {
  std::fprintf(stderr, "assertion failed: %s at %s:%d\n", what, file, line);
  std::abort();
}

}  // namespace berth::base
