// The load generator's byte stream, for devices of tests.
#pragma once

#include "bench/load/stream.h"

namespace berth::test {

using bench::Stream;
using bench::Via;

}  // namespace berth::test
