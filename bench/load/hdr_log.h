// HdrHistogram's log (.hlog, version 1.3) with histograms in the compressed V2 encoding, as its
// viewers and libraries read it.
#pragma once

#include <fstream>
#include <string>

#include "bench/load/histogram.h"

namespace berth::bench {

// encoding := base64(cookie length zlib(cookie length offset digits lowest highest ratio counts))
// Numbers are big-endian; a count is a ZigZag LEB128, a negative one is a run of empty slots.
std::string encode(const Histogram& h);

class HdrLog {
 public:
  explicit HdrLog(const std::string& path);  // throws std::runtime_error
  // `tag`: which of several histograms of one interval. Seconds since the start of the log.
  void interval(const std::string& tag, double start_s, double length_s, const Histogram& h);

 private:
  std::ofstream out_;
};

}  // namespace berth::bench
