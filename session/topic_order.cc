#include "session/topic_order.h"

namespace berth::session {
namespace {

constexpr auto kNone = std::string_view::npos;
constexpr char kBehindSlash = '/' + 1;
constexpr std::string_view kBehindDollar = "%";

std::string_view level_at(std::string_view s, std::size_t begin, std::size_t& end) {
  end = s.find('/', begin);
  return s.substr(begin, end == kNone ? kNone : end - begin);
}

// The level at `begin` is not `wanted`. `plus_end`: where the last level ends that a "+" has taken.
Place pass(std::string_view topic, std::size_t begin, std::string_view wanted, bool deeper,
           std::size_t plus_end, std::string& to) {
  to.assign(topic.substr(0, begin)).append(wanted);
  if (topic < to) return Place::seek;
  if (deeper) {  // "a/b-c" stands between "a/b" and "a/b/"
    to.push_back('/');
    if (topic < to) return Place::seek;
  }
  if (plus_end == kNone) return Place::end;
  to.assign(topic.substr(0, plus_end)).push_back(kBehindSlash);
  return Place::seek;
}

}  // namespace

Place place_of(std::string_view filter, std::string_view topic, std::string& to) {
  if (topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'))) {  // 4.7.2
    to = kBehindDollar;
    return Place::seek;
  }
  std::size_t f = 0;
  std::size_t t = 0;
  std::size_t plus_end = kNone;
  for (;;) {
    std::size_t f_end = 0;
    std::size_t t_end = 0;
    const std::string_view wanted = level_at(filter, f, f_end);
    if (wanted == "#") return Place::match;
    const std::string_view level = level_at(topic, t, t_end);
    if (wanted == "+") {
      plus_end = t + level.size();
    } else if (wanted != level) {
      return pass(topic, t, wanted, f_end != kNone, plus_end, to);
    }
    if (f_end == kNone && t_end == kNone) return Place::match;
    if (f_end == kNone) {  // all below is deeper than the filter
      to.assign(topic.substr(0, t_end)).push_back(kBehindSlash);
      return Place::seek;
    }
    if (t_end == kNone) return filter.substr(f_end + 1) == "#" ? Place::match : Place::next;
    f = f_end + 1;
    t = t_end + 1;
  }
}

}  // namespace berth::session
