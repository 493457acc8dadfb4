#include "gateway/ctl/archive.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "base/assert.h"
#include "metrics/exposition.h"

namespace berth::gateway {

namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kNameMax = 100;

struct Header {
  std::array<char, kBlock> bytes{};
  void text(std::size_t at, const std::string& value) {
    std::memcpy(bytes.data() + at, value.data(), value.size());
  }
  // Octal digits and a zero byte: `width` in all.
  void octal(std::size_t at, std::size_t width, std::uint64_t value) {
    std::array<char, 24> digits{};
    std::snprintf(digits.data(), digits.size(), "%0*llo", static_cast<int>(width - 1),
                  static_cast<unsigned long long>(value));
    text(at, digits.data());
  }
};

}  // namespace

void Archive::add(const std::string& name, const std::string& content) {
  BERTH_ASSERT(!name.empty() && name.size() <= kNameMax && content.size() < (1ULL << 33));
  Header h;
  h.text(0, name);
  h.octal(100, 8, 0600);
  h.octal(108, 8, 0);
  h.octal(116, 8, 0);
  h.octal(124, 12, content.size());
  h.octal(136, 12, static_cast<std::uint64_t>(mtime_s_));
  h.text(148, std::string(8, ' '));  // the checksum counts itself as spaces
  h.text(156, "0");                  // a file
  h.text(257, std::string("ustar\0"
                          "00",
                          8));
  std::uint32_t sum = 0;
  for (const char c : h.bytes) sum += static_cast<unsigned char>(c);
  h.octal(148, 7, sum);  // six digits, a zero byte, and one of the spaces
  bytes_.append(h.bytes.data(), h.bytes.size());
  bytes_ += content;
  bytes_.append((kBlock - content.size() % kBlock) % kBlock, '\0');
}

std::string Archive::tar() const {
  return bytes_ + std::string(2 * kBlock, '\0');
}

std::string Archive::gzipped() const {
  std::string out = metrics::gzipped(tar());
  if (out.empty()) throw std::runtime_error("no memory to compress the archive");
  return out;
}

}  // namespace berth::gateway
