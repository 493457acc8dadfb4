#include "gateway/engine/security_file.h"

#include <algorithm>
#include <utility>

#include "base/read_file.h"
#include "protocol/mqtt/topic.h"

namespace berth::gateway::engine {
namespace {

constexpr std::string_view kMark = "\xef\xbb\xbf";
constexpr std::string_view kBlanks = " \t";

bool is_control(char c) {
  return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f;
}

}  // namespace

std::string_view trimmed(std::string_view s) {
  const std::size_t begin = s.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return s.substr(begin, s.find_last_not_of(kBlanks) + 1 - begin);
}

std::string_view take_word(std::string_view& rest) {
  rest = trimmed(rest);
  const std::size_t end = std::min(rest.find_first_of(kBlanks), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest = trimmed(rest.substr(end));
  return word;
}

SecurityFile::SecurityFile(std::string path)
    : path_(std::move(path)), in_(base::read_file(path_)) {}

std::runtime_error SecurityFile::bad(const std::string& why) const {
  return std::runtime_error(path_ + ":" + std::to_string(number_) + ": " + why);
}

bool SecurityFile::next(std::string_view& line) {
  while (std::getline(in_, line_)) {
    ++number_;
    std::string_view all = line_;
    if (number_ == 1 && all.starts_with(kMark)) all.remove_prefix(kMark.size());
    if (all.ends_with('\r')) all.remove_suffix(1);
    if (all.starts_with('#') || trimmed(all).empty()) continue;
    if (std::any_of(all.begin(), all.end(), is_control)) throw bad("control character");
    if (!protocol::mqtt::valid_utf8(all)) throw bad("not UTF-8");
    line = all.substr(0, all.find_last_not_of(kBlanks) + 1);
    return true;
  }
  return false;
}

}  // namespace berth::gateway::engine
