#include "gateway/tracing/headers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/algorithm/string/predicate.hpp>
#include <boost/algorithm/string/trim.hpp>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <string_view>

namespace berth::gateway::tracing {
namespace {

// RFC 9110 5.6.2.
bool is_token(std::string_view name) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

bool is_value(std::string_view value) {
  return std::all_of(value.begin(), value.end(),
                     [](char c) { return c == '\t' || (c >= ' ' && c != '\x7f') || c < '\0'; });
}

// The request's own, by which the collector finds its end and reads its body.
bool is_ours(const std::string& name) {
  for (const char* own : {"host", "connection", "content-length", "content-type",
                          "content-encoding", "transfer-encoding", "expect", "upgrade"}) {
    if (boost::algorithm::iequals(name, own)) return true;
  }
  return false;
}

// A pipe is opened without waiting for its other end.
std::string text_of(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) throw std::runtime_error(path + ": cannot be read: " + std::strerror(errno));
  struct stat s {};
  const bool regular = ::fstat(fd, &s) == 0 && S_ISREG(s.st_mode);
  std::string text(kHeadersFileMax + 1, '\0');
  std::size_t size = 0;
  ssize_t n = 0;
  while (regular && size < text.size() &&
         (n = ::read(fd, text.data() + size, text.size() - size)) > 0)
    size += static_cast<std::size_t>(n);
  ::close(fd);
  if (!regular || n < 0 || size > kHeadersFileMax)
    throw std::runtime_error(path + (!regular ? ": is no regular file"
                                     : n < 0  ? ": cannot be read"
                                              : ": is longer than 16 KiB"));
  text.resize(size);
  return text;
}

}  // namespace

std::string read_headers(const std::string& text, Headers& out) {
  Headers all;
  std::istringstream in(text);
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    const std::string at = std::to_string(++number) + ": ";
    boost::algorithm::trim(line);
    if (line.empty() || line.front() == '#') continue;
    const std::size_t colon = line.find(':');
    std::string name = line.substr(0, colon);
    if (colon == std::string::npos || !is_token(name)) return at + "is not NAME: VALUE";
    std::string value = boost::algorithm::trim_copy(line.substr(colon + 1));
    if (!is_value(value)) return at + "the value has a control character";
    if (is_ours(name)) return at + name + " is the request's own";
    all.emplace_back(std::move(name), std::move(value));
  }
  if (all.size() > kHeadersMax) return "has more than 32 headers";
  out = std::move(all);
  return {};
}

Headers headers_in(const std::string& path) {
  Headers all;
  const std::string wrong = read_headers(text_of(path), all);
  if (!wrong.empty()) throw std::runtime_error(path + ":" + wrong);
  return all;
}

}  // namespace berth::gateway::tracing
