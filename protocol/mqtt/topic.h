// Rules for topic names and filters (MQTT 5.0 section 4.7) and UTF-8 (1.5.4).
#pragma once

#include <string_view>

namespace berth::protocol::mqtt {

inline constexpr std::size_t kTopicLevelsMax = 128;  // ours: bounds the walk of a match

bool valid_utf8(std::string_view s);               // no U+0000, no surrogates (1.5.4-1, -2)
bool valid_topic_name(std::string_view topic);     // not empty, no wildcards
bool valid_topic_filter(std::string_view filter);  // wildcards only where allowed (4.7.1)

// 4.7.1, 4.7.2: a filter that begins with a wildcard does not match a topic that begins with '$'.
bool filter_matches(std::string_view filter, std::string_view topic);
// Every topic that `wanted` (a filter) can match is matched by `filter`.
bool filter_covers(std::string_view filter, std::string_view wanted);
// Some topic is matched by both.
bool filters_overlap(std::string_view a, std::string_view b);

// "$share/{group}/{filter}" (4.8.2). `shared` is false for an ordinary filter.
struct ParsedFilter {
  bool valid = false;
  bool shared = false;
  std::string_view group;
  std::string_view filter;
};
ParsedFilter parse_filter(std::string_view raw);

// Takes the first level off `rest`; false when none is left. "a//b" has the levels "a", "", "b".
class Levels {
 public:
  explicit Levels(std::string_view topic) : rest_(topic) {}
  bool next(std::string_view& level) {
    if (done_) return false;
    const std::size_t slash = rest_.find('/');
    done_ = slash == std::string_view::npos;
    level = rest_.substr(0, slash);
    if (!done_) rest_.remove_prefix(slash + 1);
    return true;
  }

 private:
  std::string_view rest_;
  bool done_ = false;
};

}  // namespace berth::protocol::mqtt
