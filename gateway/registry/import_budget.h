// What one import may cost, whatever its file says: its text, its records as they are stored, and
// the time to read it. Throws BadRecord. One thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "gateway/registry/records.h"

namespace berth::gateway::registry {

inline constexpr std::size_t kImportYamlMax = std::size_t{16} << 20;  // bytes of text
inline constexpr std::size_t kImportPartsMax = 1'000'000;  // of YAML: scalars, lists, maps
inline constexpr std::size_t kImportRecordsMax = 100'000;
inline constexpr std::size_t kImportBytesMax = std::size_t{64} << 20;  // of records

class ImportBudget {
 public:
  void record(const Message& m) {
    if (++records_ > kImportRecordsMax)
      throw BadRecord("more than 100,000 records: import them in parts");
    bytes_ += m.ByteSizeLong();
    if (bytes_ > kImportBytesMax) throw BadRecord("more than 64 MiB: import them in parts");
    look_at_clock();
  }
  void part() {
    if (++parts_ > kImportPartsMax)
      throw BadRecord("YAML of more than 1,000,000 parts: import it in parts");
    if (parts_ % 256 == 0) look_at_clock();
  }

 private:
  void look_at_clock() const {
    if (std::chrono::steady_clock::now() - began_ > std::chrono::seconds(60))
      throw BadRecord("reading it took more than a minute: import it in parts");
  }
  std::size_t records_ = 0;
  std::size_t bytes_ = 0;
  std::size_t parts_ = 0;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace berth::gateway::registry
