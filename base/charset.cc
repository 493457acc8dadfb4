#include "base/charset.h"

#include <iconv.h>

#include <cerrno>

namespace berth::base {
namespace {

const char* iconv_name(Charset c) {
  switch (c) {
    case Charset::gbk:
      return "GBK";
    case Charset::gb18030:
      return "GB18030";
    case Charset::utf8:
      break;
  }
  return "UTF-8";
}

class Converter {
 public:
  Converter(Charset from, Charset to) : cd_(iconv_open(iconv_name(to), iconv_name(from))) {}
  ~Converter() {
    if (good()) iconv_close(cd_);
  }
  Converter(const Converter&) = delete;
  Converter& operator=(const Converter&) = delete;

  std::optional<std::string> convert(std::string_view in) {
    if (!good()) return std::nullopt;
    std::string out;
    char part[4096];
    char* from = const_cast<char*>(in.data());  // iconv(3) does not write there
    std::size_t left = in.size();
    while (left != 0) {
      char* to = part;
      std::size_t room = sizeof part;
      const std::size_t r = iconv(cd_, &from, &left, &to, &room);
      out.append(part, sizeof part - room);
      if (r == static_cast<std::size_t>(-1) && errno != E2BIG) return std::nullopt;
      if (r != static_cast<std::size_t>(-1) && r != 0) return std::nullopt;  // replaced some
    }
    return out;
  }

 private:
  bool good() const { return cd_ != reinterpret_cast<iconv_t>(-1); }
  iconv_t cd_;
};

}  // namespace

std::optional<Charset> charset_named(std::string_view name) {
  if (name == "gbk") return Charset::gbk;
  if (name == "gb18030") return Charset::gb18030;
  return std::nullopt;
}

bool is_utf8(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  for (std::size_t i = 0; i < bytes.size();) {
    const unsigned char first = at(i);
    std::size_t more = 0;
    std::uint32_t least = 0;
    if (first < 0x80) {
      ++i;
      continue;
    }
    if (first >= 0xc2 && first <= 0xdf) more = 1, least = 0x80;
    if (first >= 0xe0 && first <= 0xef) more = 2, least = 0x800;
    if (first >= 0xf0 && first <= 0xf4) more = 3, least = 0x10000;
    if (more == 0 || i + more >= bytes.size()) return false;
    std::uint32_t code = first & (0x3fU >> more);
    for (std::size_t k = 1; k <= more; ++k) {
      if ((at(i + k) & 0xc0) != 0x80) return false;
      code = code << 6 | (at(i + k) & 0x3fU);
    }
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
    i += more + 1;
  }
  return true;
}

std::optional<std::string> from_utf8(Charset to, std::string_view text) {
  if (!is_utf8(text)) return std::nullopt;
  if (to == Charset::utf8) return std::string(text);
  return Converter(Charset::utf8, to).convert(text);
}

std::optional<std::string> to_utf8(Charset from, std::string_view bytes) {
  if (from == Charset::utf8)
    return is_utf8(bytes) ? std::optional(std::string(bytes)) : std::nullopt;
  return Converter(from, Charset::utf8).convert(bytes);
}

}  // namespace berth::base
